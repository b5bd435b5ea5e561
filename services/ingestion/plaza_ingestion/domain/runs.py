"""The states of a run, and who may move it: a pure machine.

    queued → leased → running → committing → succeeded
                 ↘ (lease runs out: leased again)   ↘ failed, from everywhere before the end
       ↘ cancelled, by a person, until it is being committed

The run of a pull goes through queued → leased → running twice: its worker first brings the file, then the run
waits again, and whoever leases it next loads that file.

A lease is a fence: every taking makes a new token, and only the newest one moves the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

from plaza_kit.errors import Aborted, FailedPrecondition

RunId = NewType("RunId", str)
"""UUIDv7 as text: sorts by time."""
LeaseToken = NewType("LeaseToken", str)

MAX_ATTEMPTS: Final = 5
"""How many workers may lose one run before it fails."""


class RunKind(StrEnum):
    """What a run does."""

    INFER = "infer"
    LOAD = "load"


class RunState(StrEnum):
    """Where a run stands (`plaza.common.v1.RunState`)."""

    QUEUED = "queued"
    LEASED = "leased"
    RUNNING = "running"
    COMMITTING = "committing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Action(StrEnum):
    """What can happen to a run."""

    TAKE = "take"
    """A worker leases it."""
    RENEW = "renew"
    """Its worker is alive."""
    HAND_OVER = "hand over"
    """The worker has staged everything; ingestion commits."""
    BRING = "bring"
    """The worker has fetched the file of a pull; its load waits for a worker."""
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"
    """A person does not want it any more."""


ENDED: Final = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})
_HELD: Final = frozenset({RunState.LEASED, RunState.RUNNING})
_NEXT: Final[Mapping[RunState, Mapping[Action, RunState]]] = {
    RunState.QUEUED: {
        Action.TAKE: RunState.LEASED,
        Action.FAIL: RunState.FAILED,
        Action.CANCEL: RunState.CANCELLED,
    },
    RunState.LEASED: {
        Action.TAKE: RunState.LEASED,
        Action.RENEW: RunState.RUNNING,
        Action.BRING: RunState.QUEUED,
        Action.HAND_OVER: RunState.COMMITTING,
        Action.SUCCEED: RunState.SUCCEEDED,
        Action.FAIL: RunState.FAILED,
        Action.CANCEL: RunState.CANCELLED,
    },
    RunState.RUNNING: {
        Action.TAKE: RunState.LEASED,
        Action.RENEW: RunState.RUNNING,
        Action.BRING: RunState.QUEUED,
        Action.HAND_OVER: RunState.COMMITTING,
        Action.SUCCEED: RunState.SUCCEEDED,
        Action.FAIL: RunState.FAILED,
        Action.CANCEL: RunState.CANCELLED,
    },
    RunState.COMMITTING: {Action.SUCCEED: RunState.SUCCEEDED, Action.FAIL: RunState.FAILED},
    RunState.SUCCEEDED: {},
    RunState.FAILED: {},
    RunState.CANCELLED: {},
}


class IllegalTransition(FailedPrecondition):
    """The run is in a state in which this cannot happen."""

    def __init__(self, state: RunState, action: Action) -> None:
        possible = ", ".join(_NEXT[state]) or "nothing: it has ended"
        super().__init__(
            f"the run is {state}, it cannot {action}",
            remedy=f"possible in this state: {possible}",
            facts={"state": state.value, "possible": ",".join(_NEXT[state])},
        )


class LeaseLost(Aborted):
    """The lease is not the run's newest one: somebody else works on it, or it has ended."""

    def __init__(self, message: str = "this lease does not hold any more") -> None:
        super().__init__(message, remedy="stop, touch no file, and lease work again")


class RunCancelled(LeaseLost):
    """A person cancelled the run: for its worker the same as a lost lease."""

    def __init__(self) -> None:
        super().__init__("this run was cancelled")


class LeaseStillHeld(Aborted):
    """Another worker holds the run and is not late."""


class TooManyAttempts(FailedPrecondition):
    """So many workers lost this run that it is not given to another."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands and who holds it."""

    state: RunState = RunState.QUEUED
    attempts: int = 0
    lease: LeaseToken | None = None
    """The newest token; kept after the end, so that a repeated hand-over is recognised."""
    lease_until: datetime | None = None

    def is_waiting(self, now: datetime) -> bool:
        """Whether a worker may take it: nobody has it, or its worker is late."""
        if self.state is RunState.QUEUED:
            return True
        return self.state in _HELD and (self.lease_until is None or self.lease_until <= now)

    def take(self, lease: LeaseToken, now: datetime, until: datetime) -> Standing:
        """A worker's own now. Raises IllegalTransition, LeaseStillHeld, TooManyAttempts."""
        state = _after(self.state, Action.TAKE)
        if not self.is_waiting(now):
            raise LeaseStillHeld("another worker holds this run", remedy="lease other work")
        if self.attempts >= MAX_ATTEMPTS:
            raise TooManyAttempts(f"{self.attempts} workers took this run and none came back")
        return Standing(state, self.attempts + 1, lease, until)

    def renew(self, lease: LeaseToken, until: datetime) -> Standing:
        """Held on; a late worker may, as long as nobody took over. Raises LeaseLost."""
        self._check(lease)
        return replace(self, state=_after(self.state, Action.RENEW), lease_until=until)

    def hand_over(self, lease: LeaseToken) -> Standing:
        """To ingestion, which commits. Raises LeaseLost."""
        self._check(lease)
        return replace(self, state=_after(self.state, Action.HAND_OVER), lease_until=None)

    def bring(self, lease: LeaseToken) -> Standing:
        """Back to the queue with the file of a pull; who loses its load is counted anew. Raises LeaseLost."""
        self._check(lease)
        return replace(self, state=_after(self.state, Action.BRING), attempts=0, lease_until=None)

    def finish(self, lease: LeaseToken) -> Standing:
        """By the worker, where nothing is to be committed. Raises LeaseLost."""
        self._check(lease)
        return self.succeed()

    def give_up(self, lease: LeaseToken) -> Standing:
        """By the worker. Raises LeaseLost."""
        self._check(lease)
        return self.fail()

    def succeed(self) -> Standing:
        """Raises IllegalTransition."""
        return replace(self, state=_after(self.state, Action.SUCCEED), lease_until=None)

    def fail(self) -> Standing:
        """Raises IllegalTransition."""
        return replace(self, state=_after(self.state, Action.FAIL), lease_until=None)

    def cancel(self) -> Standing:
        """By a person. Raises IllegalTransition."""
        return replace(self, state=_after(self.state, Action.CANCEL), lease_until=None)

    def _check(self, lease: LeaseToken) -> None:
        if self.lease == lease and self.state is RunState.CANCELLED:
            raise RunCancelled
        if self.lease != lease or self.state not in _HELD:
            raise LeaseLost


def _after(state: RunState, action: Action) -> RunState:
    try:
        return _NEXT[state][action]
    except KeyError:
        raise IllegalTransition(state, action) from None
