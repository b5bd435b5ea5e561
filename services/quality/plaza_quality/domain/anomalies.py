"""What stands out in the history of versions: the modified z-score of Iglewicz and Hoaglin (How to Detect and Handle
Outliers, 1993), by medians, so that an earlier anomaly hides no later one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from statistics import median
from typing import Final

from plaza_quality.domain.profiles import VersionFigures

LIMIT: Final = 3.5
FEWEST: Final = 5
WINDOW: Final = 30
_CONSISTENT: Final = 0.6745
"""Makes the MAD of a normal distribution its standard deviation."""


class Figure(StrEnum):
    """What of a version is compared."""

    ROWS = "rows"
    SCORE = "score"
    NULL_PERCENT = "null_percent"
    MEAN = "mean"


@dataclass(frozen=True, slots=True)
class HistoryAnomaly:
    """A version that stands out among those before it."""

    version: int
    figure: Figure
    field: str
    value: float
    expected: float
    deviation: float


def in_history(versions: Sequence[VersionFigures]) -> list[HistoryAnomaly]:
    """Newest version first; `versions` oldest first. Columns that a version has no figures of are left out there."""
    found = [*_rows(versions), *_scores(versions)]
    for name in sorted({name for each in versions for name in each.columns}):
        nulls = [
            (each.version, kept.null_percent)
            for each in versions
            if (kept := each.columns.get(name)) is not None and kept.null_percent is not None
        ]
        means = [
            (each.version, kept.mean)
            for each in versions
            if (kept := each.columns.get(name)) is not None and kept.mean is not None
        ]
        found += _compared(Figure.NULL_PERCENT, name, nulls, lambda _: 1.0)
        found += _compared(Figure.MEAN, name, means, lambda middle: abs(middle) / 100)
    order = list(Figure)
    return sorted(found, key=lambda each: (-each.version, order.index(each.figure), each.field))


def _rows(versions: Sequence[VersionFigures]) -> Iterator[HistoryAnomaly]:
    """By growth, one row more on both sides, so that an empty version has one as well."""
    rows = {each.version: each.rows for each in versions}
    before = {after.version: each for each, after in pairwise(versions)}
    growth = [
        (each.version, math.log((each.rows + 1) / (before[each.version].rows + 1))) for each in versions[1:]
    ]
    for each in _compared(Figure.ROWS, "", growth, lambda _: 0.01):
        expected = (before[each.version].rows + 1) * math.exp(each.expected) - 1
        yield HistoryAnomaly(
            each.version, Figure.ROWS, "", float(rows[each.version]), float(round(expected)), each.deviation
        )


def _scores(versions: Sequence[VersionFigures]) -> Iterator[HistoryAnomaly]:
    """Only a drop: nobody minds a score that rises."""
    scores = [(each.version, each.score) for each in versions if each.score is not None]
    for found in _compared(Figure.SCORE, "", scores, lambda _: 0.5):
        if found.deviation < 0:
            yield found


def _compared(
    figure: Figure,
    field: str,
    values: Sequence[tuple[int, float]],
    least: Callable[[float], float],
) -> Iterator[HistoryAnomaly]:
    """`least`: the smallest deviation that the MAD counts as, by the median."""
    for place in range(FEWEST, len(values)):
        version, value = values[place]
        earlier = [each for _, each in values[max(0, place - WINDOW) : place]]
        middle = median(earlier)
        spread = max(median(abs(each - middle) for each in earlier), least(middle))
        if spread == 0:
            continue
        deviation = _CONSISTENT * (value - middle) / spread
        if abs(deviation) > LIMIT:
            yield HistoryAnomaly(version, figure, field, value, middle, deviation)
