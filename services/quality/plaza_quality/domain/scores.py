"""From counts to pass rates, scores and a light. Rates are exact fractions until somebody writes them down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from plaza_quality.domain.counting import Counted, Counts, Finding
from plaza_quality.domain.indicators import Indicator, indicators
from plaza_quality.domain.rules import Dimension, Rule

PLACES: Final = 4
"""Decimals of a published rate or score."""


class Light(StrEnum):
    """红黄绿."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True)
class LightProfile:
    """Where the lights change, in percent; a city's own choice."""

    green_from: Decimal = Decimal(95)
    yellow_from: Decimal = Decimal(85)
    dimension_from: Decimal = Decimal(85)
    """A dimension below it makes the whole red: a sum must not hide it."""


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What one rule says about the version."""

    finding: Finding
    pass_rate: Fraction | None
    """Percent; None when no row was judged."""
    met: bool
    indicator: str = ""
    """Of GB/T 36344-2018, that it counts for."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What all rules say about the version."""

    rows: int
    results: tuple[RuleResult, ...]
    """In the order of the rules."""
    dimensions: tuple[tuple[Dimension, Fraction], ...]
    """Those with a rule that judged some row."""
    score: Fraction | None
    light: Light | None
    """None exactly when there is no score."""
    indicators: tuple[Indicator, ...] = ()
    """By code; those for which a rule judged something."""
    rows_passed: int | None = None
    """Rows that break no rule."""
    broken_together: tuple[tuple[tuple[int, ...], int], ...] = ()
    """Rules that rows break together, by number, with the rows; the most frequent first."""


def assessed(rules: Sequence[Rule], counted: Counted, profile: LightProfile) -> Assessment:
    """What was counted in a version, and what follows from it."""
    made = assess(rules, counted.rows, counted.findings, profile)
    return replace(made, rows_passed=counted.rows_passed, broken_together=counted.broken_together)


def assess(rules: Sequence[Rule], rows: int, found: Sequence[Finding], profile: LightProfile) -> Assessment:
    """`found`: what was counted for each rule, in the order of the rules."""
    results = tuple(_result(rule, finding) for rule, finding in zip(rules, found, strict=True))
    rates = [
        (rule, result.pass_rate)
        for rule, result in zip(rules, results, strict=True)
        if result.pass_rate is not None
    ]
    dimensions = []
    for dimension in Dimension:
        score = weighted_mean((rate, rule.weight) for rule, rate in rates if rule.dimension is dimension)
        if score is not None:
            dimensions.append((dimension, score))
    score = weighted_mean((rate, rule.weight) for rule, rate in rates)
    shown = light(score, [score for _, score in dimensions], profile)
    counted = ((rule.counts_for, finding.counts) for rule, finding in zip(rules, found, strict=True))
    return Assessment(rows, results, tuple(dimensions), score, shown, indicators(counted))


def pass_rate(counts: Counts) -> Fraction | None:
    """100 × passed / (passed + failed); None when no row was judged."""
    judged = counts.passed + counts.failed
    return Fraction(100 * counts.passed, judged) if judged else None


def weighted_mean(values: Iterable[tuple[Fraction, Fraction]]) -> Fraction | None:
    """Of (value, weight) pairs with positive weights; None of none. Exact, so that no order changes it."""
    total, weights = Fraction(0), Fraction(0)
    for value, weight in values:
        total += value * weight
        weights += weight
    return total / weights if weights else None


def light(score: Fraction | None, dimensions: Iterable[Fraction], profile: LightProfile) -> Light | None:
    """The light of a score, given the scores of its dimensions."""
    if score is None:
        return None
    if score < profile.yellow_from or any(one < profile.dimension_from for one in dimensions):
        return Light.RED
    return Light.GREEN if score >= profile.green_from else Light.YELLOW


def published(rate: Fraction) -> Decimal:
    """The rate with at most 4 decimals, the rest cut off: never rounded up, so that 100 says that no row failed
    and a published score stands on the same side of a light's threshold as the exact one."""
    return Decimal(int(rate * 10**PLACES)).scaleb(-PLACES)


def score_text(rate: Fraction | None) -> str:
    """A published rate as text without needless zeros; empty when there is none."""
    return "" if rate is None else format(published(rate).normalize(), "f")


def _result(rule: Rule, finding: Finding) -> RuleResult:
    rate = pass_rate(finding.counts)
    return RuleResult(finding, rate, rate is None or rate >= rule.threshold, rule.counts_for)
