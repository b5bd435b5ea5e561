"""Which version may leave the department, when rules of its contract guard the way out.

An assessment decides, by the rules that were in force when it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from plaza_quality.domain.around import Silence
from plaza_quality.domain.rules import Exit, Rule
from plaza_quality.domain.scores import RuleResult

_NOTHING_TO_JUDGE: Final = frozenset({Silence.VERSION_BEFORE_MISSING, Silence.NO_PROMISE, Silence.NO_VALUE})
"""Silences that say nothing against a version: there is no other to compare it with, no promise, no value."""


def stopping(rules: Sequence[Rule], results: Sequence[RuleResult], exit: Exit) -> tuple[int, ...]:
    """Numbers of the rules that stop the version at this way out: those that are not met, and those that could not be
    checked because something is missing or broken. A rule that nobody could check has let nobody through."""
    return tuple(
        number
        for number, (rule, result) in enumerate(zip(rules, results, strict=True))
        if exit in rule.stops and not _lets_through(result)
    )


def _lets_through(result: RuleResult) -> bool:
    if result.pass_rate is not None:
        return result.met
    finding = result.finding
    return not finding.absent_fields and (not finding.reason or finding.reason in _NOTHING_TO_JUDGE)
