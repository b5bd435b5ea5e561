"""Kubernetes as the operator uses it: server-side apply in its own name, few requests at a time, our own errors."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import httpx2
from lightkube import ApiError, AsyncClient
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ConfigError
from lightkube.core.resource import ApiInfo
from lightkube.generic_resource import (
    GenericGlobalResource,
    GenericGlobalStatus,
    GenericNamespacedResource,
    create_api_info,
)
from lightkube.types import PatchType

from plaza_operator import faults, metrics
from plaza_operator.domain.children import SELECTOR, Child, Kind, foreign
from plaza_operator.domain.errors import (
    ApiRefused,
    ApiUnavailable,
    Conflict,
    NamespaceTerminating,
    NotThereYet,
    NotYetAllowed,
    ReconcileError,
)
from plaza_operator.domain.spec import FIELD_MANAGER

Object = dict[str, Any]
_SYSTEM = "kubernetes"


class Kube:
    """The API server. Every method raises the errors of `domain.errors`."""

    def __init__(self, *, at_once: int, timeout: float = 10.0) -> None:
        """`at_once`: requests under way; watches do not count."""
        # Neither client nor server is ever reached through a proxy of the environment.
        self._client = AsyncClient(
            KubeConfig.from_env(),
            field_manager=FIELD_MANAGER,
            timeout=httpx2.Timeout(timeout, read=timeout),
            trust_env=False,
        )
        self._slots = asyncio.Semaphore(at_once)
        self._applied: dict[tuple[str, str | None, str], tuple[str, str]] = {}
        """By kind, namespace and name: when our last apply changed the object, and what it wanted."""

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None."""
        try:
            async with self._request("get", f"{kind.name} {name}"):
                found = await self._client.get(_resource(kind), name, **_in(namespace))
        except NotThereYet:
            return None
        return dict(found)

    async def list(self, kind: Kind, namespace: str | None, labels: Mapping[str, str]) -> list[Object]:
        """All objects with these labels, `namespace` None: in all namespaces."""
        where = _in(namespace or "*") if kind.namespaced else {}
        async with self._request("list", kind.plural):
            found = self._client.list(_resource(kind), labels=dict(labels), **where)
            return [dict(one) async for one in found]

    async def apply(self, child: Child) -> bool:
        """Makes the object so; answers whether somebody else had changed it since our last apply."""
        what = f"{child.kind.name} {child.namespace or ''}/{child.name}".replace(" /", " ")
        async with self._request("apply", what):
            live = dict(
                await self._client.patch(
                    _resource(child.kind),
                    child.name,
                    dict(child.body),
                    patch_type=PatchType.APPLY,
                    force=True,
                    **_in(child.namespace),
                )
            )
        if any(foreign(live.get(part), child.body.get(part)) for part in child.exact):
            await self._replace(child, live, what)
            return True
        key = (child.kind.name, child.namespace, child.name)
        now = (_written_at(live), _digest(child.body))
        before, self._applied[key] = self._applied.get(key), now
        # Whether the first apply after a start changed anything cannot be told; it counts as none.
        if before is None or before[0] == now[0]:
            return False
        metrics.WRITES.labels(_SYSTEM).inc()
        # Else it is we who want something else than before.
        return before[1] == now[1]

    async def _replace(self, child: Child, live: Object, what: str) -> None:
        """Takes out what others added: an apply cannot."""
        body = {**live, **{part: child.body[part] for part in child.exact}}
        body["metadata"] = {k: v for k, v in live["metadata"].items() if k != "managedFields"}
        metrics.WRITES.labels(_SYSTEM).inc()
        async with self._request("replace", what):
            await self._client.replace(_resource(child.kind)(body), **_in(child.namespace))

    async def patch_status(self, kind: Kind, name: str, status: Mapping[str, Any]) -> None:
        """A merge patch of the status subresource."""
        metrics.WRITES.labels(_SYSTEM).inc()
        async with self._request("patch", f"status of {kind.name} {name}"):
            await self._client.patch(
                _status(kind), name, {"status": dict(status)}, patch_type=PatchType.MERGE
            )

    async def scale_to_zero(self, kind: Kind, name: str, namespace: str) -> None:
        """Stops all pods of a Deployment and leaves the rest of it."""
        metrics.WRITES.labels(_SYSTEM).inc()
        async with self._request("patch", f"{kind.name} {name}"):
            await self._client.patch(
                _resource(kind),
                name,
                {"spec": {"replicas": 0}},
                patch_type=PatchType.MERGE,
                namespace=namespace,
            )

    async def create(self, kind: Kind, body: Mapping[str, Any], namespace: str) -> None:
        """A new object."""
        async with self._request("create", kind.name):
            await self._client.create(_new(kind, body))

    async def delete(self, kind: Kind, name: str, namespace: str | None = None) -> bool:
        """Asks for deletion; False when it was not there."""
        self.forget(namespace or name)
        try:
            async with self._request("delete", f"{kind.name} {name}"):
                await self._client.delete(_resource(kind), name, **_in(namespace))
        except NotThereYet:
            return False
        metrics.WRITES.labels(_SYSTEM).inc()
        return True

    async def watch(self, kind: Kind) -> AsyncIterator[tuple[str, Object]]:
        """All our objects of a kind as they are, then every change, until the connection ends.

        First comes `("LISTED", …)` for each that exists.
        """
        where = _in("*") if kind.namespaced else {}
        async with self._request("list", kind.plural):
            found = self._client.list(_resource(kind), labels=dict(SELECTOR), **where)
            listed = [dict(one) async for one in found]
        for one in listed:
            yield "LISTED", one
        try:
            changes = self._client.watch(
                _resource(kind),
                labels=dict(SELECTOR),
                resource_version=found.resourceVersion,
                server_timeout=300,
                **where,
            )
            async for change, one in changes:
                yield change, dict(one)
        except (httpx2.HTTPError, KeyError) as error:
            raise ApiUnavailable(f"the watch of {kind.plural} ended: {error!r}"[:300]) from error

    def forget(self, namespace: str) -> None:
        """Of a namespace that goes away nothing is remembered."""
        for key in [key for key in self._applied if namespace in (key[1], key[2])]:
            del self._applied[key]

    async def close(self) -> None:
        """Ends all connections."""
        await self._client.close()

    @asynccontextmanager
    async def _request(self, verb: str, what: str) -> AsyncIterator[None]:
        metrics.REQUESTS.labels(_SYSTEM, verb).inc()
        async with self._slots:
            try:
                yield
            except ApiError as error:
                raise _translated(error, f"{verb} {what}") from error
            # lightkube lets through what httpx2 raises, and a KeyError when an answer has no type.
            except (httpx2.HTTPError, ConfigError, KeyError, ValueError) as error:
                raise ApiUnavailable(f"{verb} {what}: {type(error).__name__} {error}"[:300]) from error
        faults.called()


def _translated(error: ApiError, what: str) -> ReconcileError:
    code = int(error.status.code or error.response.status_code)
    text = f"{what}: {error.status.message}"[:600]
    if code == 404:
        return NotThereYet(text)
    if code == 409:
        return Conflict(text)
    if code == 403:
        # The namespace lifecycle plug-in answers 403 as well; its cause says so.
        terminating = "is being terminated" in str(error.status.message)
        return NamespaceTerminating(text) if terminating else NotYetAllowed(text)
    if code == 429 or code >= 500 or code == 401:
        return ApiUnavailable(text)
    return ApiRefused(text)


def _written_at(live: Mapping[str, Any]) -> str:
    """When our own apply last changed the object: Kubernetes moves this time for real changes only."""
    metadata = live["metadata"]
    times = (
        str(entry.get("time", ""))
        for entry in metadata.get("managedFields", ())
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply"
    )
    return f"{metadata.get('uid', '')}@{max(times, default='')}"


def _digest(body: Mapping[str, Any]) -> str:
    # Bodies of Secrets are among them: their values are not kept.
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


@cache
def _resource(kind: Kind) -> Any:
    base = GenericNamespacedResource if kind.namespaced else GenericGlobalResource
    info = create_api_info(kind.group, kind.version, kind.name, kind.plural)
    return type(kind.name, (base,), {"_api_info": info})


@cache
def _status(kind: Kind) -> Any:
    parent = _resource(kind)._api_info
    info = ApiInfo(
        resource=parent.resource,
        parent=parent.resource,
        plural=kind.plural,
        verbs=["get", "patch", "put"],
        action="status",
    )
    return type(f"{kind.name}Status", (GenericGlobalStatus,), {"_api_info": info})


def _new(kind: Kind, body: Mapping[str, Any]) -> GenericNamespacedResource:
    made: GenericNamespacedResource = _resource(kind)(body)
    return made


def _in(namespace: str | None) -> dict[str, Any]:
    return {} if namespace is None else {"namespace": namespace}
