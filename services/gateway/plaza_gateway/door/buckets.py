"""Token buckets: how much a caller may ask for, in the memory of one process.

With n replicas a caller who is spread over them may get n times as much. No caller gets more than `quota` at once
and `quota / window_seconds` a second on the long run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]
"""Seconds that never go back."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A named quota: `quota` requests at once, refilled evenly within `window_seconds`."""

    name: str
    quota: int
    window_seconds: int

    @property
    def rate(self) -> float:
        """Requests a second that flow back."""
        return self.quota / self.window_seconds


@dataclass(frozen=True, slots=True)
class Level:
    """What is left of a budget for one caller."""

    budget: Budget
    remaining: int
    """Requests that would be let through now."""
    full_in: float
    """Seconds until the whole quota is there again, if nothing is asked."""
    next_in: float
    """Seconds until one more request is let through; 0 when one is already."""


class Buckets:
    """The buckets of one budget, one for each caller.

    At most `most` of them are held: the one that was not used for longest goes first. Whoever was quiet for a
    whole window loses nothing by that: a bucket that is not there is a full one.
    """

    def __init__(self, budget: Budget, clock: Clock, most: int) -> None:
        self.budget = budget
        self._clock = clock
        self._most = most
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def level(self, caller: str) -> Level:
        """What is left; nothing is taken."""
        return self._level(self._tokens(caller))

    def _level(self, tokens: float) -> Level:
        missing = max(0.0, self.budget.quota - tokens)
        short = max(0.0, 1.0 - tokens)
        return Level(self.budget, int(tokens), missing / self.budget.rate, short / self.budget.rate)

    def take(self, caller: str) -> Level:
        """Take one, only after `level` said that one is there; what is left then."""
        tokens = self._tokens(caller) - 1.0
        self._held[caller] = (tokens, self._clock())
        self._held.move_to_end(caller)
        if len(self._held) > self._most:
            self._held.popitem(last=False)
        return self._level(tokens)

    def _tokens(self, caller: str) -> float:
        held = self._held.get(caller)
        if held is None:
            return float(self.budget.quota)
        tokens, since = held
        return min(float(self.budget.quota), tokens + (self._clock() - since) * self.budget.rate)
