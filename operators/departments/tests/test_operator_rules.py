"""Conditions, pauses, numbers of workers, and when a department's data may be destroyed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from plaza_operator.deletion import grace_ends
from plaza_operator.domain.conditions import Condition, merged, overall, stamp
from plaza_operator.domain.errors import BucketTaken
from plaza_operator.domain.pacing import Scale, all_idle, backoff, scale, spread
from plaza_operator.watching import fingerprint

AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
LATER = AT + timedelta(hours=1)


def test_ready_names_every_part_that_is_not() -> None:
    parts = [
        Condition("DatabaseReady", False, "DatabaseUnavailable", "no answer"),
        Condition("StorageReady", True, "InOrder"),
        Condition("IdentityReady", False, "KeycloakUnavailable", ""),
    ]
    said = overall(parts)
    assert (said.holds, said.reason) == (False, "DatabaseUnavailable")
    assert said.message == "Database: no answer; Identity: KeycloakUnavailable"
    assert overall([parts[1]]).holds


def test_the_time_of_transition_moves_with_the_status_only() -> None:
    first = merged([], [Condition("Ready", False, "Waiting", "a")], 1, AT)
    same = merged(first, [Condition("Ready", False, "Other", "b")], 2, LATER)
    turned = merged(same, [Condition("Ready", True, "Complete")], 2, LATER)
    assert [one[0]["lastTransitionTime"] for one in (first, same, turned)] == [
        stamp(AT),
        stamp(AT),
        stamp(LATER),
    ]
    assert same[0]["observedGeneration"] == 2


def test_an_unchanged_state_is_the_same_to_the_letter() -> None:
    now = [Condition("B", True, "InOrder"), Condition("A", False, "No", "why")]
    once = merged([], now, 1, AT)
    assert merged(once, reversed(now), 1, LATER) == once


def test_the_reason_of_an_error_is_its_name() -> None:
    assert BucketTaken("x").reason == "BucketTaken"


def test_pauses_grow_to_ten_seconds() -> None:
    assert [backoff(n) for n in (1, 2, 3, 4, 5, 6, 100)] == [0.5, 1, 2, 4, 8, 10, 10]


@given(st.text(min_size=1))
def test_periods_are_spread_downwards_and_always_the_same(name: str) -> None:
    assert 27 <= spread(name, 30) <= 30
    assert spread(name, 30) == spread(name, 30)


def test_a_worker_comes_with_the_work_and_goes_when_it_says_so() -> None:
    none = Scale(0, 0.0)
    one = scale(100, none, waits=True, idle=False, most=3)
    assert one == Scale(1, 100)
    assert scale(110, one, waits=True, idle=False, most=3) is one
    assert scale(130, one, waits=True, idle=False, most=3).replicas == 2
    assert scale(131, one, waits=False, idle=False, most=3) is one  # a long load waits nowhere
    assert scale(131, one, waits=False, idle=True, most=3).replicas == 0
    assert scale(131, one, waits=True, idle=True, most=0).replicas == 0


@given(st.integers(0, 9), st.booleans(), st.booleans(), st.integers(0, 5), st.floats(0, 1e6))
def test_never_more_workers_than_allowed(have: int, waits: bool, idle: bool, most: int, now: float) -> None:
    assert 0 <= scale(now, Scale(have, 0.0), waits=waits, idle=idle, most=most).replicas <= most


def pod(**state: Any) -> dict[str, object]:
    return {"status": {"containerStatuses": [state]}}


def test_idle_is_what_ended_by_itself_with_zero() -> None:
    ended = pod(state={"running": {}}, lastState={"terminated": {"exitCode": 0}})
    killed = pod(state={"running": {}}, lastState={"terminated": {"exitCode": 137}})
    assert all_idle([ended])
    assert not all_idle([ended, killed])
    assert not all_idle([])
    assert not all_idle([{"status": {}}])


def test_grace_is_for_destroying_only(make_department: Any) -> None:
    def gone(**spec: Any) -> Any:
        one = make_department(**spec)
        return type(one)(**{**{f: getattr(one, f) for f in one.__slots__}, "deleted_at": AT})

    assert grace_ends(gone(deletionPolicy="Retain")) is None
    assert grace_ends(gone(deletionPolicy="Delete", deletionGraceSeconds=60)) == AT + timedelta(seconds=60)
    assert grace_ends(make_department(deletionPolicy="Delete")) is None


def test_a_new_status_wakes_nobody() -> None:
    one = {"metadata": {"resourceVersion": "1", "labels": {"a": "b"}}, "spec": {"x": 1}, "status": {"n": 1}}
    noted = {**one, "metadata": {"resourceVersion": "2", "labels": {"a": "b"}}, "status": {"n": 2}}
    assert fingerprint(one) == fingerprint(noted)
    assert fingerprint(one) != fingerprint({**one, "spec": {"x": 2}})
    assert fingerprint(one) != fingerprint({**one, "metadata": {"labels": {}}})
