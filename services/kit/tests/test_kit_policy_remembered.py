"""Remembered decisions are the decisions that Cedar would take again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_kit import policy
from plaza_kit.identity import Principal, PrincipalKind
from plaza_kit.policy import Decider, NotPermitted, PersonRemoved, Resource

SCHEMA = """
namespace Plaza {
  entity Principal { kind: String, client: String, departments: Set<String>, roles: Set<String> };
  entity Department { department: String };
  entity Dataset { department: String, cityLevel: String, sharingClass: String };
  action "dataset.read" appliesTo {
    principal: Principal, resource: [Department, Dataset], context: { purpose?: String, hours?: Long, own?: Bool }
  };
  action "dataset.burn" appliesTo { principal: Principal, resource: Dataset, context: {} };
}
"""
POLICIES = """
@id("own")
permit (principal, action == Plaza::Action::"dataset.read", resource)
when { principal.departments.contains(resource.department) };
@id("public")
permit (principal, action == Plaza::Action::"dataset.read", resource is Plaza::Dataset)
when { resource.cityLevel == "public" && context has purpose && context.purpose == "research" };
@id("one-person")
permit (principal == Plaza::Principal::"people/a", action == Plaza::Action::"dataset.burn", resource);
@id("not-at-night")
forbid (principal, action, resource) when { context has hours && context.hours > 22 };
@id("not-through-this-client")
forbid (principal, action, resource) when { principal.client == "banned" && principal.kind == "person" };
"""
CHANGED = POLICIES.replace('"people/a"', '"people/b"')


def principal(
    subject: str = "a",
    kind: PrincipalKind = PrincipalKind.PERSON,
    departments: frozenset[str] = frozenset({"ecology"}),
    roles: frozenset[str] = frozenset(),
    client: str = "cli",
) -> Principal:
    return Principal(subject, subject, subject, kind, departments, roles, client, "token", datetime.now(UTC))


_SOME = st.frozensets(st.sampled_from(["ecology", "health", "a,b"]), max_size=2)
PRINCIPALS = st.builds(
    principal,
    st.sampled_from(["a", "b"]),
    st.sampled_from(PrincipalKind),
    _SOME,
    _SOME,
    st.sampled_from(["cli", "banned"]),
)
RESOURCES = st.builds(
    Resource,
    st.sampled_from(["Department", "Dataset"]),
    st.sampled_from(["x", "y"]),
    st.sampled_from(["ecology", "health"]),
    st.sampled_from(["", "public", "core"]),
    st.sampled_from(["", "conditional"]),
)
FACTS = st.fixed_dictionaries(
    {},
    optional={
        "purpose": st.sampled_from(["research", "1", "true"]),
        "hours": st.sampled_from([1, 23, True, "23"]),
        "own": st.sampled_from([True, False, 1, 0]),
    },
)
QUESTIONS = st.tuples(
    PRINCIPALS, st.sampled_from(["dataset.read", "dataset.burn", "no.such"]), RESOURCES, st.none() | FACTS
)


@settings(deadline=None)
@given(st.lists(QUESTIONS, min_size=1, max_size=10))
def test_a_decider_with_a_past_decides_as_one_without(questions: list[tuple[Any, ...]]) -> None:
    seasoned = Decider(POLICIES, SCHEMA, version="1")
    for question in [*questions, *questions]:
        assert seasoned.decide(*question) == Decider(POLICIES, SCHEMA, version="1").decide(*question)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What Cedar itself was asked."""
    seen: list[Any] = []
    real = cedarpy.is_authorized

    def counting(request: Any, *more: Any) -> Any:
        seen.append(request)
        return real(request, *more)

    monkeypatch.setattr(cedarpy, "is_authorized", counting)
    return seen


def test_the_same_question_is_put_to_cedar_once(asked: list[Any]) -> None:
    decider = Decider(POLICIES, SCHEMA, version="1")
    dataset = Resource.of_dataset("departments/ecology/datasets/air", city_level="public")
    for _ in range(3):
        assert decider.decide(principal(), "dataset.read", dataset, {"hours": 9, "own": True}).allowed
        assert decider.decide(principal(), "dataset.read", dataset, {"own": True, "hours": 9}).allowed
    assert len(asked) == 1
    assert not decider.decide(principal(), "dataset.read", dataset, {"hours": 23}).allowed
    assert not decider.decide(principal("b"), "dataset.burn", dataset).allowed
    assert decider.decide(principal("a"), "dataset.burn", dataset).allowed


def test_another_bundle_remembers_nothing_of_the_one_before() -> None:
    dataset = Resource.of_dataset("departments/ecology/datasets/air")
    before, after = (Decider(text, SCHEMA, version="v") for text in (POLICIES, CHANGED))
    assert before.decide(principal(), "dataset.burn", dataset).allowed
    assert not after.decide(principal(), "dataset.burn", dataset).allowed


def test_who_is_removed_is_refused_though_the_answer_is_remembered() -> None:
    decider = Decider(POLICIES, SCHEMA, version="1", denied=frozenset({"a"}))
    dataset = Resource.of_dataset("departments/ecology/datasets/air")
    assert decider.decide(principal(), "dataset.burn", dataset).allowed
    with pytest.raises(PersonRemoved):
        decider.authorize(principal(), "dataset.burn", dataset)


def test_a_refusal_is_refused_again() -> None:
    decider = Decider(POLICIES, SCHEMA, version="1")
    for _ in range(2):
        with pytest.raises(NotPermitted, match="b may not"):
            decider.authorize(principal("b"), "dataset.burn", Resource.of_dataset("departments/d/datasets/x"))


def test_a_question_that_cedar_cannot_read_is_put_again_and_reported_again(asked: list[Any]) -> None:
    decider = Decider(POLICIES, SCHEMA, version="1")
    for _ in range(2):
        assert not decider.decide(principal(), "no.such.action", Resource.of_department("ecology")).allowed
    assert len(asked) == 2


def test_the_memory_has_a_bound(monkeypatch: pytest.MonkeyPatch, asked: list[Any]) -> None:
    monkeypatch.setattr(policy, "_DECISIONS_MOST", 10)
    decider = Decider(POLICIES, SCHEMA, version="1")
    for number in range(25):
        decider.decide(
            principal(), "dataset.read", Resource.of_dataset(f"departments/ecology/datasets/d{number}")
        )
    assert len(decider._decisions) == 10
    decider.decide(principal(), "dataset.read", Resource.of_dataset("departments/ecology/datasets/d24"))
    assert len(asked) == 25
    decider.decide(principal(), "dataset.read", Resource.of_dataset("departments/ecology/datasets/d0"))
    assert len(asked) == 26
