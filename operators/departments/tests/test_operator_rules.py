"""Conditions, pauses, numbers of workers, and when a department's data may be destroyed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_operator.deletion import grace_ends
from plaza_operator.domain.conditions import Condition, merged, overall, stamp
from plaza_operator.domain.errors import BucketTaken
from plaza_operator.domain.pacing import EMPTY, Queue, all_idle, backoff, scale, spread
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


@pytest.mark.parametrize(
    ("current", "queue", "idle", "most", "workers"),
    [
        (0, EMPTY, False, 3, 0),
        (0, Queue(1, 0), False, 3, 1),
        (0, Queue(2, 0), False, 3, 2),
        (0, Queue(9, 0), False, 3, 3),
        (1, Queue(1, 1), False, 3, 2),  # one waits while one is worked on
        (2, Queue(0, 1), False, 3, 2),  # Kubernetes might stop the one that works
        (2, Queue(0, 1), True, 3, 2),
        (2, EMPTY, False, 3, 2),
        (2, EMPTY, True, 3, 0),
        (3, Queue(3, 0), False, 2, 2),
        (3, Queue(0, 3), False, 0, 0),
    ],
)
def test_a_worker_for_each_run_and_none_when_all_say_so(
    current: int, queue: Queue, idle: bool, most: int, workers: int
) -> None:
    assert scale(current, queue, idle=idle, most=most) == workers


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.booleans(), st.integers(0, 5))
def test_never_more_workers_than_allowed(have: int, waiting: int, leased: int, idle: bool, most: int) -> None:
    assert 0 <= scale(have, Queue(waiting, leased), idle=idle, most=most) <= most


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
