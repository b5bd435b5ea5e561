"""What opens, closes and re-opens work orders: the rules alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_quality.domain.rules import Dimension
from plaza_quality.domain.work_orders import (
    Findings,
    Judged,
    Known,
    NotPossible,
    State,
    Step,
    WorkOrderProfile,
    after,
    findings,
    overdue_becomes,
    step,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PROFILE = WorkOrderProfile()
COMPLETE, VALID = Dimension.COMPLETENESS, Dimension.VALIDITY
BAD, GOOD = Findings(Fraction(80), bad=True), Findings(Fraction(99), bad=False)
ACTIVE = [state for state in State if state is not State.CLOSED]


def known(state: State, version: int = 3, closed: timedelta | None = None) -> Known:
    return Known(state, version, None if closed is None else NOW - closed)


def test_a_dataset_under_its_target_needs_work_where_its_dimensions_are() -> None:
    found = findings(10, Fraction(90), [(COMPLETE, Fraction(85)), (VALID, Fraction(95))], [], PROFILE)
    assert {dimension: one.bad for dimension, one in found.items()} == {COMPLETE: True, VALID: False}


def test_a_dataset_at_its_target_needs_none_though_a_dimension_is_under_it() -> None:
    found = findings(10, Fraction(95), [(COMPLETE, Fraction(85)), (VALID, Fraction(99))], [], PROFILE)
    assert not any(one.bad for one in found.values())


def test_a_severe_rule_that_is_not_met_needs_work_whatever_the_score() -> None:
    rules = [Judged(VALID, severe=True, met=False), Judged(COMPLETE, severe=True, met=True)]
    found = findings(10, Fraction(99), [(COMPLETE, Fraction(99)), (VALID, Fraction(99))], rules, PROFILE)
    assert {dimension: one.bad for dimension, one in found.items()} == {COMPLETE: False, VALID: True}
    mild = [Judged(VALID, severe=False, met=False)]
    assert not findings(10, Fraction(99), [(VALID, Fraction(99))], mild, PROFILE)[VALID].bad


def test_no_rows_and_no_score_say_nothing() -> None:
    assert findings(0, Fraction(10), [(VALID, Fraction(10))], [], PROFILE) == {}
    assert findings(10, None, [], [], PROFILE) == {}


@pytest.mark.parametrize(
    ("before", "found", "expected"),
    [
        (None, GOOD, Step.NOTHING),
        (None, BAD, Step.OPEN),
        (known(State.OPEN), BAD, Step.NOTE),
        (known(State.ACCEPTED), BAD, Step.NOTE),
        (known(State.ESCALATED), BAD, Step.NOTE),
        (known(State.ANSWERED), BAD, Step.REOPEN),
        (known(State.RECHECKING), BAD, Step.REOPEN),
        (known(State.CLOSED, closed=timedelta(days=29)), BAD, Step.REOPEN),
        (known(State.CLOSED, closed=timedelta(days=31)), BAD, Step.OPEN),
        (known(State.CLOSED, closed=timedelta(days=1)), GOOD, Step.NOTHING),
        *((known(state), GOOD, Step.CLOSE) for state in ACTIVE),
    ],
)
def test_an_assessment_moves_the_newest(before: Known | None, found: Findings, expected: Step) -> None:
    assert step(before, found, 4, NOW, PROFILE) is expected


@given(
    bad=st.booleans(),
    state=st.sampled_from(ACTIVE),
    version=st.integers(1, 9),
    judged=st.integers(1, 9),
)
def test_what_came_before_the_judged_version_counts_no_more(
    bad: bool, state: State, version: int, judged: int
) -> None:
    """The judged one itself may be assessed again."""
    found = step(known(state, judged), BAD if bad else GOOD, version, NOW, PROFILE)
    assert (found is Step.NOTHING) == (version < judged)


@given(loads=st.lists(st.booleans(), max_size=30))
def test_as_many_are_open_as_the_last_load_says(loads: list[bool]) -> None:
    """However loads follow each other, at most one is open, and exactly while the newest load is bad."""
    made, current = 0, None
    for version, bad in enumerate(loads, 1):
        done = step(current, BAD if bad else GOOD, version, NOW, PROFILE)
        made += done is Step.OPEN
        state = {Step.OPEN: State.OPEN, Step.REOPEN: State.REOPENED, Step.CLOSE: State.CLOSED}.get(done)
        if state is not None:
            current = Known(state, version, NOW if state is State.CLOSED else None)
        assert (current is not None and current.state is not State.CLOSED) == bad
    assert made == any(loads)


def test_people_take_and_answer_them_until_they_are_with_the_service() -> None:
    for action, target in (("accept", State.ACCEPTED), ("answer", State.ANSWERED)):
        for state in (State.OPEN, State.ACCEPTED, State.REOPENED, State.ESCALATED):
            assert after(action, state) is target
        for state in (State.ANSWERED, State.RECHECKING, State.CLOSED):
            with pytest.raises(NotPossible, match=f"is {state} cannot be {target}") as raised:
                after(action, state)
            assert raised.value.remedy == "possible now: comment"


def test_overdue_ones_are_escalated_where_they_wait_for_people() -> None:
    assert {state for state in State if overdue_becomes(state)} == {
        State.OPEN,
        State.ACCEPTED,
        State.REOPENED,
    }
