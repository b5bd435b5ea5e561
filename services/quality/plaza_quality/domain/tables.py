"""Checks of a table as a whole: what must be known of it, and what follows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, TypeAlias

from plaza_lake.ir import (
    ColumnRef,
    Compare,
    Count,
    CountWhere,
    Expr,
    In,
    IsNull,
    Literal,
    Max,
    Min,
    Not,
    Op,
    Scalar,
    conjunction,
)

from plaza_quality.domain.around import Around, Silence
from plaza_quality.domain.checks import Drift, Fresh, RowCount
from plaza_quality.domain.counting import Counts, Finding, Measure

Asked: TypeAlias = Count | CountWhere | Min | Max
_PASSED: Final = Counts(1, 0, 0)
_FAILED: Final = Counts(0, 1, 0)
_SILENT: Final = Counts(0, 0, 1)
SMALLEST_SHARE: Final = 0.0001
"""A bin that is empty on one side counts as this, so that the index stays finite."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Disjoint conditions that every present value fits one of, and how many rows of the version before do."""

    conditions: tuple[Expr, ...]
    before: tuple[int, ...]


def silent(reason: str) -> Finding:
    """Nothing was judged."""
    return Finding(_SILENT, reason=reason)


def questions(check: Fresh | RowCount | Drift, bins: Bins | None) -> dict[str, Asked]:
    """What must be asked of the version, by a name inside the check."""
    match check:
        case Fresh(field):
            return {"newest": Max(ColumnRef(field))}
        case RowCount():
            return {}
        case Drift():
            assert bins is not None, "they are made first"
            return {str(number): CountWhere(each) for number, each in enumerate(bins.conditions)}


def freshness(check: Fresh, newest: object, around: Around) -> Finding:
    """The newest value against the promise."""
    allowed = check.within or around.cycle
    if allowed is None:
        return silent(Silence.NO_PROMISE)
    if newest is None:
        return silent(Silence.NO_VALUE)
    if isinstance(newest, datetime):
        since = newest
    else:
        assert isinstance(newest, date), "the field is a date or a timestamp"
        since = around.start_of(newest)
    age, most = around.moment - since, allowed + check.grace
    return Finding(
        _PASSED if age <= most else _FAILED, measure=Measure(_hours(age), "hours", maximum=_hours(most))
    )


def row_count(check: RowCount, rows: int, around: Around) -> Finding:
    """All bounds that are given; those against the version before only where there were rows."""
    least = [] if check.minimum is None else [float(check.minimum)]
    most = [] if check.maximum is None else [float(check.maximum)]
    before = around.before
    relative = check.growth_percent is not None or check.loss_percent is not None
    compared = relative and before is not None and before.rows > 0
    if compared:
        assert before is not None, "compared says so"
        if check.loss_percent is not None:
            least.append(before.rows * (100 - check.loss_percent) / 100)
        if check.growth_percent is not None:
            most.append(before.rows * (100 + check.growth_percent) / 100)
    if not least and not most:
        return silent(Silence.VERSION_BEFORE_MISSING)
    minimum, maximum = max(least, default=None), min(most, default=None)
    holds = (minimum is None or rows >= minimum) and (maximum is None or rows <= maximum)
    return Finding(
        _PASSED if holds else _FAILED,
        measure=Measure(float(rows), "rows", minimum, maximum),
        compared_with=(before.name,) if compared and before is not None else (),
    )


def drift(check: Drift, bins: Bins, now: Mapping[str, object], around: Around) -> Finding:
    """The index against the limit."""
    assert around.before is not None, "the bins are of the version before"
    counts = []
    for number in range(len(bins.conditions)):
        value = now[str(number)]
        assert isinstance(value, int), "it is a count"
        counts.append(value)
    index = stability_index(bins.before, counts)
    if index is None:
        return silent(Silence.NO_VALUE)
    return Finding(
        _PASSED if index <= check.limit else _FAILED,
        measure=Measure(index, "psi", maximum=check.limit),
        compared_with=(around.before.name,),
    )


def stability_index(before: Sequence[int], now: Sequence[int]) -> float | None:
    """Σ (p − q) ln(p / q) over the bins, p the shares now, q those before; None when one side has nothing."""
    if not sum(before) or not sum(now):
        return None
    shares = [
        (max(new / sum(now), SMALLEST_SHARE), max(old / sum(before), SMALLEST_SHARE))
        for new, old in zip(now, before, strict=True)
    ]
    return math.fsum((p - q) * math.log(p / q) for p, q in shares)


def quantile_bins(field: str, edges: Sequence[Scalar]) -> tuple[Expr, ...]:
    """Up to the first edge, above it up to the second, …, above the last."""
    ref = ColumnRef(field)
    bounds = [Literal(edge) for edge in _distinct(edges)]
    lower = [None, *(Compare(Op.GT, ref, bound) for bound in bounds)]
    upper = [*(Compare(Op.LE, ref, bound) for bound in bounds), None]
    pairs = (conjunction(low, high) for low, high in zip(lower, upper, strict=True))
    return tuple(each for each in pairs if each is not None)


def category_bins(field: str, values: Sequence[Scalar]) -> tuple[Expr, ...]:
    """One for each value, one for all others."""
    ref = ColumnRef(field)
    if not values:
        return ()
    each = tuple(Literal(value) for value in values)
    others = conjunction(Not(In(ref, each)), Not(IsNull(ref)))
    assert others is not None, "both are given"
    return (*(Compare(Op.EQ, ref, value) for value in each), others)


def _distinct(edges: Sequence[Scalar]) -> list[Scalar]:
    """In their order, each once; NaN is one value."""
    found: list[Scalar] = []
    for edge in edges:
        if not found or not (edge == found[-1] or (edge != edge and found[-1] != found[-1])):
            found.append(edge)
    return found


def _hours(span: timedelta) -> float:
    return span / timedelta(hours=1)
