"""Decisions: deny by default, named policies, closed accounts, and a stale bundle that closes the door."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from plaza_kit.identity import Principal, PrincipalKind, ServiceTokens
from plaza_kit.policy import (
    STALE_SECONDS,
    Decider,
    NotPermitted,
    PersonRemoved,
    PolicyFollower,
    PolicyUnknown,
    Resource,
)
from plaza_kit.rpc.client import Peers
from plaza_kit.signing import KeyRing

SCHEMA = """
namespace Plaza {
  entity Principal { kind: String, client: String, departments: Set<String>, roles: Set<String> };
  entity Department { department: String };
  action "dataset.create" appliesTo { principal: Principal, resource: Department, context: {} };
  action "dataset.burn" appliesTo { principal: Principal, resource: Department, context: {} };
}
"""
POLICIES = """
@id("officers-create")
permit (principal, action == Plaza::Action::"dataset.create", resource)
when { principal.roles.contains("data-officer") && principal.departments.contains(resource.department) };
"""


def person(department: str, role: str) -> Principal:
    return Principal(
        subject="s-1",
        username="li",
        display_name="李",
        kind=PrincipalKind.PERSON,
        departments=frozenset({department}),
        roles=frozenset({role}),
        client_id="plaza-cli",
        token="t",
        expires_at=datetime.now(UTC),
    )


def test_only_what_a_policy_permits_is_allowed() -> None:
    decider = Decider(POLICIES, SCHEMA, version="1")
    ecology = Resource.of_department("ecology")
    decision = decider.decide(person("ecology", "data-officer"), "dataset.create", ecology)
    assert (decision.allowed, decision.policies) == (True, ("officers-create",))
    assert not decider.decide(person("ecology", "reader"), "dataset.create", ecology).allowed
    assert not decider.decide(person("health", "data-officer"), "dataset.create", ecology).allowed
    assert not decider.decide(person("ecology", "data-officer"), "dataset.burn", ecology).allowed
    assert not decider.decide(person("ecology", "data-officer"), "no.such.action", ecology).allowed


def test_a_refusal_says_whom_to_ask() -> None:
    decider = Decider(POLICIES, SCHEMA, version="1")
    with pytest.raises(NotPermitted) as caught:
        decider.authorize(
            person("health", "data-officer"), "dataset.create", Resource.of_department("ecology")
        )
    assert "ecology" in caught.value.remedy


def test_a_closed_account_has_no_right_left() -> None:
    decider = Decider(POLICIES, SCHEMA, version="1", denied=frozenset({"s-1"}))
    with pytest.raises(PersonRemoved):
        decider.authorize(
            person("ecology", "data-officer"), "dataset.create", Resource.of_department("ecology")
        )


async def test_a_stale_bundle_closes_the_door() -> None:
    now = [0.0]
    tokens = ServiceTokens("http://127.0.0.1:1/realms/plaza", "c", "s")
    follower = PolicyFollower(Peers({}), tokens, KeyRing(), clock=lambda: now[0])
    with pytest.raises(PolicyUnknown):
        follower.decider()
    follower._decider = Decider(POLICIES, SCHEMA, version="1")
    follower._confirmed = 0.0
    now[0] = STALE_SECONDS
    assert follower.decider().version == "1"
    now[0] = STALE_SECONDS + 1
    with pytest.raises(PolicyUnknown):
        follower.decider()
    await tokens.aclose()
