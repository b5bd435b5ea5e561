"""Decisions: Cedar, in process, deny by default, from one bundle that security signs.

Each service follows the bundle by etag every few seconds and evaluates it itself; a bundle that could not be
confirmed for a minute closes the door.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cedarpy
import grpc
import orjson
from plaza.security.v1 import security_pb2, security_pb2_grpc

from plaza_kit import telemetry
from plaza_kit.errors import PermissionDenied, PlazaError, Unauthenticated, Unavailable
from plaza_kit.identity import Principal, PrincipalKind, ServiceTokens
from plaza_kit.recent import Recent
from plaza_kit.rpc import context as rpc_context
from plaza_kit.rpc.client import Peers, as_service
from plaza_kit.signing import KeyRing
from plaza_kit.statements import verify_statement

_log = telemetry.log("policy")

BUNDLE_TYPE = "plaza-policy-bundle+jwt"
PULL_SECONDS = 2.0
STALE_SECONDS = 60.0
_DECISIONS_MOST = 4096


class NotPermitted(PermissionDenied):
    """No policy permits this, or one forbids it."""


class PersonRemoved(PermissionDenied):
    """The caller's account was closed; the token is still young, the right is gone."""


class AccountClosed(Unauthenticated):
    """The caller's account, or the client that the token was issued to, was closed while the token was young."""


class PolicyUnknown(Unavailable):
    """No bundle that is fresh enough: nothing is decided, nothing is let through."""


class LeaversUnknown(Unavailable):
    """The issuer could not be asked for a minute whose accounts are closed: no person and no machine is let in."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What an action is about, as the policies see it."""

    type: str
    """Entity type without its namespace: `System`, `Department` or `Dataset`."""
    id: str
    """Resource name, for example `departments/ecology/datasets/air-quality`."""
    department: str = ""
    """Id of the owning department; empty for the system."""
    city_level: str = ""
    """`public`, `internal`, `sensitive`, `core`; empty: not graded."""
    sharing_class: str = ""
    """`unconditional`, `conditional`, `not_shared`; empty: not declared."""

    @classmethod
    def system(cls) -> Resource:
        """The platform itself."""
        return cls("System", "plaza")

    @classmethod
    def of_department(cls, department: str) -> Resource:
        """A department, by its id."""
        return cls("Department", f"departments/{department}", department)

    @classmethod
    def of_dataset(cls, name: str, *, city_level: str = "", sharing_class: str = "") -> Resource:
        """A dataset, by its resource name `departments/{d}/datasets/{x}`."""
        return cls("Dataset", name, name.split("/")[1], city_level, sharing_class)


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer and the ids of the policies that made it (empty: nothing matched, so it is no)."""

    allowed: bool
    policies: tuple[str, ...]


_Asked = tuple[str, str, str, frozenset[str], frozenset[str], str, Resource, str]
"""All that Cedar is told: the principal's name and attributes, action, resource, context."""


class Decider:
    """One policy bundle, parsed once.

    Decisions are remembered for as long as the bundle is in force. A Cedar decision is a function of the policies,
    the request and the entities, with neither clock nor state (docs.cedarpolicy.com, "Authorization"), and they
    are found again only by all of what Cedar is told. Closed accounts are looked up each time, outside of the memory.
    """

    def __init__(
        self, policies: str, schema: str, *, version: str, denied: frozenset[str] = frozenset()
    ) -> None:
        """`policies` and `schema` in Cedar's own syntax; `denied`: subjects and clients without any right. ValueError
        when bad."""
        self.version = version
        self._denied = denied
        self._policies = cedarpy.PolicySet.from_str(policies)
        self._schema = cedarpy.Schema.from_str(schema)
        self._ids = _annotated_ids(policies)
        self._decisions: Recent[_Asked, Decision] = Recent(_DECISIONS_MOST)

    def is_closed(self, principal: Principal) -> bool:
        """Whether the account or its client has lost every right."""
        return principal.subject in self._denied or principal.client_id in self._denied

    def decide(
        self,
        principal: Principal,
        action: str,
        resource: Resource,
        facts: Mapping[str, Any] | None = None,
    ) -> Decision:
        """Whether a principal may do an action (`dataset.create`) to a resource, given the context facts."""
        context = json.dumps(facts or {}, sort_keys=True)
        asked = (
            principal.name,
            principal.kind.value,
            principal.client_id,
            principal.departments,
            principal.roles,
            action,
            resource,
            context,
        )
        known = self._decisions.get(asked)
        if known is not None:
            return known
        decision, sound = self._evaluate(principal, action, resource, context)
        if sound:
            self._decisions.keep(asked, decision)
        return decision

    def _evaluate(
        self, principal: Principal, action: str, resource: Resource, context: str
    ) -> tuple[Decision, bool]:
        """The decision, and whether it came about without an error."""
        who = {"type": "Plaza::Principal", "id": principal.name}
        what = {"type": f"Plaza::{resource.type}", "id": resource.id}
        result = cedarpy.is_authorized(
            {
                "principal": who,
                "action": {"type": "Plaza::Action", "id": action},
                "resource": what,
                "context": context,
            },
            self._policies,
            [_principal_entity(who, principal), _resource_entity(what, resource)],
            self._schema,
        )
        if result.diagnostics.errors:
            # A request that the schema does not know is a fault of ours; it must never become a yes.
            _log.error(
                "policy not evaluated", action=action, errors=[str(e) for e in result.diagnostics.errors]
            )
        reasons = tuple(self._ids.get(reason, reason) for reason in result.diagnostics.reasons)
        return Decision(bool(result.allowed), reasons), not result.diagnostics.errors

    def authorize(
        self,
        principal: Principal,
        action: str,
        resource: Resource,
        facts: Mapping[str, Any] | None = None,
    ) -> Decision:
        """Like `decide`, but raises NotPermitted or PersonRemoved instead of answering no."""
        if self.is_closed(principal):
            raise PersonRemoved("this account was closed", facts={"principal": principal.name})
        decision = self.decide(principal, action, resource, facts)
        if not decision.allowed:
            raise NotPermitted(
                f"{principal.username} may not {action} on {resource.id}",
                remedy=_remedy(principal, resource),
                facts={"action": action, "resource": resource.id, "policies": ",".join(decision.policies)},
            )
        return decision


class PolicyFollower:
    """Keeps the bundle in force, pulled from security by etag."""

    def __init__(
        self,
        peers: Peers,
        tokens: ServiceTokens,
        keys: KeyRing,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._peers = peers
        self._tokens = tokens
        self._keys = keys
        self._clock = clock
        self._etag = ""
        self._decider: Decider | None = None
        self._confirmed = float("-inf")
        self._leavers_known = float("-inf")

    def admit(self, principal: Principal) -> None:
        """Refuses, whatever they ask for, callers whose accounts are closed. Raises AccountClosed, LeaversUnknown.

        Services are let in while the issuer is away: what they do for a person is decided about that person.
        """
        if self._decider is not None and self._decider.is_closed(principal):
            raise AccountClosed("this account was closed", remedy="ask your administrator")
        if principal.kind is not PrincipalKind.SERVICE and self._age(self._leavers_known) > STALE_SECONDS:
            raise LeaversUnknown(
                "the identity issuer could not say for a minute whose accounts are closed",
                remedy="repeat in a few seconds; if it lasts, look at the issuer's and at security's health",
            )

    def authorize(self, action: str, resource: Resource, facts: Mapping[str, Any] | None = None) -> Principal:
        """The caller, if the bundle in force lets them do this. Raises NotPermitted, PersonRemoved, PolicyUnknown."""
        principal = rpc_context.caller()
        self.decider().authorize(principal, action, resource, facts)
        return principal

    def decider(self) -> Decider:
        """The bundle in force. Raises PolicyUnknown when there is none or it is stale."""
        if self._decider is None or self._age(self._confirmed) > STALE_SECONDS:
            raise PolicyUnknown(
                "the policy bundle could not be confirmed with security for a minute",
                remedy="repeat in a few seconds; if it lasts, look at security's health",
            )
        return self._decider

    async def pull(self) -> None:
        """Ask security once. Raises AioRpcError or a PlazaError when there is no good answer."""
        stub = security_pb2_grpc.PolicyServiceStub(self._peers.channel("security"))
        request = security_pb2.GetPolicyBundleRequest(etag=self._etag)
        asked_at = self._clock()
        answer = await stub.GetPolicyBundle(request, metadata=await as_service(self._tokens), timeout=5)
        if answer.bundle:
            claims = verify_statement(answer.bundle, typ=BUNDLE_TYPE, keys=self._keys)
            self._decider = Decider(
                str(claims["policies"]),
                str(claims["schema"]),
                version=str(claims["version"]),
                denied=frozenset(claims.get("denied", ())),
            )
            self._etag = answer.etag
            _log.info("policy bundle in force", version=self._decider.version)
        self._confirmed = self._clock()
        # Where nobody asks the issuer nothing is said, and tokens are good to their end.
        self._leavers_known = asked_at - answer.leavers_age.ToTimedelta().total_seconds()

    def _age(self, moment: float) -> float:
        return self._clock() - moment

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            try:
                await self.pull()
                pause = PULL_SECONDS
            except (grpc.aio.AioRpcError, PlazaError, ValueError) as error:
                _log.warning("policy bundle not confirmed", error=repr(error)[:300])
                pause = 0.3 if self._decider is None else PULL_SECONDS
            await asyncio.sleep(pause)


def _principal_entity(uid: dict[str, str], principal: Principal) -> dict[str, Any]:
    return {
        "uid": uid,
        "attrs": {
            "kind": principal.kind.value,
            "client": principal.client_id,
            "departments": sorted(principal.departments),
            "roles": sorted(principal.roles),
        },
        "parents": [],
    }


def _resource_entity(uid: dict[str, str], resource: Resource) -> dict[str, Any]:
    attrs: dict[str, Any] = {}
    if resource.type != "System":
        attrs["department"] = resource.department
    if resource.type == "Dataset":
        attrs["cityLevel"] = resource.city_level
        attrs["sharingClass"] = resource.sharing_class
    return {"uid": uid, "attrs": attrs, "parents": []}


def _remedy(principal: Principal, resource: Resource) -> str:
    if resource.department and resource.department not in principal.departments:
        return f"ask the data officer of {resource.department}, who owns it"
    return "ask your department's data officer for the role that this needs"


def _annotated_ids(policies: str) -> dict[str, str]:
    """Cedar numbers policies (`policy0`, …); our texts carry `@id("…")`, in the same order."""
    parsed = orjson.loads(cedarpy.policies_to_json_str(policies))
    static = parsed.get("staticPolicies", {})
    return {key: str(value.get("annotations", {}).get("id", key)) for key, value in static.items()}
