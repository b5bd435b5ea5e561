"""When work orders open, close and re-open by themselves, and what people may do with them in between.

One for each dataset and dimension: ten bad loads are one work order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Final

from plaza_kit.errors import FailedPrecondition

from plaza_quality.domain.rules import Dimension


class State(StrEnum):
    """Where a work order stands."""

    OPEN = "open"
    ACCEPTED = "accepted"
    ANSWERED = "answered"
    RECHECKING = "rechecking"
    CLOSED = "closed"
    REOPENED = "reopened"
    ESCALATED = "escalated"


class NotPossible(FailedPrecondition):
    """The step does not lead anywhere from the state that the work order is in."""


@dataclass(frozen=True, slots=True)
class WorkOrderProfile:
    """A city's own choice."""

    target: Fraction = Fraction(95)
    """Percent: a dataset whose score is under it needs work, and so do its dimensions under it."""
    working_days: int = 10
    same_within: timedelta = timedelta(days=30)
    """What fails again so soon after it was closed is the same problem still."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A rule of an assessment, as far as it matters here. Only rules that judged some row are given."""

    dimension: Dimension
    severe: bool
    met: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """What an assessment says about one dimension."""

    score: Fraction
    bad: bool


def findings(
    rows: int,
    score: Fraction | None,
    dimensions: Iterable[tuple[Dimension, Fraction]],
    rules: Sequence[Judged],
    profile: WorkOrderProfile,
) -> Mapping[Dimension, Findings]:
    """Of each dimension that was judged. A version without rows says nothing: it opens none and closes none."""
    if not rows or score is None:
        return {}
    broken = {rule.dimension for rule in rules if rule.severe and not rule.met}
    under = score < profile.target
    return {
        dimension: Findings(found, bad=dimension in broken or (under and found < profile.target))
        for dimension, found in dimensions
    }


@dataclass(frozen=True, slots=True)
class Known:
    """A work order of the same dataset and dimension: the newest."""

    state: State
    judged_version: int
    close_time: datetime | None


class Step(StrEnum):
    """What an assessment does to a work order."""

    OPEN = "open"
    """Make a new one."""
    REOPEN = "reopen"
    CLOSE = "close"
    NOTE = "note"
    """It goes on; the newer version is its evidence."""
    NOTHING = "nothing"


def step(
    known: Known | None, found: Findings, version: int, now: datetime, profile: WorkOrderProfile
) -> Step:
    """What an assessment of `version`, made now, does. Versions before the one that was judged do nothing; that one may
    be assessed again."""
    if known is None:
        return Step.OPEN if found.bad else Step.NOTHING
    if version < known.judged_version:
        return Step.NOTHING
    if known.state is State.CLOSED:
        assert known.close_time is not None, "closed ones say when"
        if not found.bad:
            return Step.NOTHING
        return Step.REOPEN if now - known.close_time <= profile.same_within else Step.OPEN
    if not found.bad:
        return Step.CLOSE
    return Step.REOPEN if known.state in (State.ANSWERED, State.RECHECKING) else Step.NOTE


_MAY: Final[Mapping[str, tuple[frozenset[State], State]]] = {
    "accept": (
        frozenset({State.OPEN, State.ACCEPTED, State.REOPENED, State.ESCALATED}),
        State.ACCEPTED,
    ),
    "answer": (
        frozenset({State.OPEN, State.ACCEPTED, State.REOPENED, State.ESCALATED}),
        State.ANSWERED,
    ),
}


def after(action: str, state: State) -> State:
    """The state that a person's step (`accept`, `answer`) leads to. Raises NotPossible naming what is possible."""
    allowed, target = _MAY[action]
    if state not in allowed:
        possible = [name for name, (states, _) in _MAY.items() if state in states]
        raise NotPossible(
            f"a work order that is {state} cannot be {_DONE[action]}",
            remedy=f"possible now: {', '.join([*possible, 'comment'])}",
            facts={"state": state.value},
        )
    return target


_DONE: Final = {"accept": "accepted", "answer": "answered"}


def overdue_becomes(state: State) -> State | None:
    """What an overdue one turns into; None: it stays, because it is with the service or done."""
    waiting = (State.OPEN, State.ACCEPTED, State.REOPENED)
    return State.ESCALATED if state in waiting else None
