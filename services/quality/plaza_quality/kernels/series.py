"""What stands out in one time series. Methods and defaults are those that `SeriesOptions` tells people."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

_CONSISTENT: Final = 1.4826
"""Makes the MAD of a normal distribution its standard deviation."""
_LATE: Final = 1.5
"""Periods after which the next reading is overdue."""
_PRIOR: Final = 20
"""Readings that are taken for granted when it is reckoned how often a value repeats itself."""
_COARSE: Final = 24
"""Places of a window at which a shift is looked for first."""
_BLOCK: Final = 8_000_000
"""Numbers of windows that are looked at together: 64 MB."""


class Kind(StrEnum):
    """What stands out."""

    SPIKE = "spike"
    LEVEL_SHIFT = "level_shift"
    MISSING = "missing"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True)
class Options:
    """How a series is looked at."""

    period: int | None = None
    """Microseconds; None: the most frequent time between two rows."""
    missing_minimum: int = 1
    spike_threshold: float = 8.0
    spike_window: int = 12
    frozen_minimum: int = 6
    frozen_expected: float = 0.01
    shift_window: int = 336
    shift_threshold: float = 4.0


@dataclass(frozen=True, slots=True)
class Found:
    """One anomaly. Rows are numbers in the series."""

    kind: Kind
    start: int
    """Microseconds, of the first reading, present or missing."""
    end: int
    readings: int
    rows: range
    """In which it is seen."""
    expected: float | None = None
    deviation: float | None = None


def anomalies(times: Times, values: Floats, options: Options, kinds: Collection[Kind]) -> list[Found]:
    """By time, then by kind. `times` ascending, microseconds; a value that is not finite is no reading."""
    period = options.period or usual_period(times)
    places = np.flatnonzero(np.isfinite(values))
    found: list[Found] = []
    for kind, look in _LOOKS.items():
        if kind in kinds:
            found += look(times, values, places, period, options)
    order = list(Kind)
    return sorted(found, key=lambda each: (each.start, order.index(each.kind)))


def usual_period(times: Times) -> int:
    """The most frequent time between two rows, the shorter of equally frequent ones; 0 when there are not two times."""
    steps, counts = np.unique(np.diff(times), return_counts=True)
    steps, counts = steps[steps > 0], counts[steps > 0]
    return int(steps[np.argmax(counts)]) if len(steps) else 0


def _missing(
    times: Times, values: Floats, places: NDArray[np.int64], period: int, options: Options
) -> Iterator[Found]:
    least = options.missing_minimum
    if not len(places):
        if len(times) >= least:
            yield Found(Kind.MISSING, int(times[0]), int(times[-1]), len(times), range(len(times)))
        return
    if places[0] >= least:
        rows = range(int(places[0]) + 1)
        yield Found(Kind.MISSING, int(times[0]), int(times[places[0] - 1]), int(places[0]), rows)
    between = np.diff(places) - 1
    apart = np.diff(times[places])
    count = between if not period else np.maximum(between, np.rint(apart / period).astype(np.int64) - 1)
    for gap in np.flatnonzero(count >= least).tolist():
        first, last = int(places[gap]), int(places[gap + 1])
        start, end = int(times[first]) + period, int(times[last]) - period
        if between[gap]:
            # Where there are rows without a value, their own times tell more than the period.
            start = min(start, int(times[first + 1])) if period else int(times[first + 1])
            end = max(end, int(times[last - 1])) if period else int(times[last - 1])
        yield Found(Kind.MISSING, start, end, int(count[gap]), range(first, last + 1))
    after = len(times) - 1 - int(places[-1])
    if after >= least:
        rows = range(int(places[-1]), len(times))
        yield Found(Kind.MISSING, int(times[places[-1] + 1]), int(times[-1]), after, rows)


def _frozen(
    times: Times, values: Floats, places: NDArray[np.int64], period: int, options: Options
) -> Iterator[Found]:
    if len(places) < 2:
        return
    read = values[places]
    adjacent = np.diff(places) == 1
    if period:
        adjacent &= np.diff(times[places]) <= _LATE * period
    again = adjacent & (read[1:] == read[:-1])
    kinds, codes = np.unique(read, return_inverse=True)
    pairs = np.bincount(codes[:-1][adjacent], minlength=len(kinds))
    repeats = np.bincount(codes[:-1][again], minlength=len(kinds))
    edges = np.flatnonzero(np.concatenate([[True], ~again, [True]]))
    starts, lengths = edges[:-1], np.diff(edges)
    runs = np.bincount(codes[starts], minlength=len(kinds))
    for run in np.flatnonzero(lengths >= max(options.frozen_minimum, 2)).tolist():
        first, length = int(starts[run]), int(lengths[run])
        value = codes[first]
        # Without the run itself, which would otherwise be its own excuse.
        others = _share(repeats.sum() - (length - 1), pairs.sum() - (length - 1))
        share = (repeats[value] - (length - 1) + _PRIOR * others) / (pairs[value] - (length - 1) + _PRIOR)
        expected = float(runs[value] * share ** (length - 1))
        if expected < options.frozen_expected:
            rows = range(int(places[first]), int(places[first + length - 1]) + 1)
            yield Found(
                Kind.FROZEN,
                int(times[rows[0]]),
                int(times[rows[-1]]),
                length,
                rows,
                deviation=expected,
            )


def _share(part: np.int64, whole: np.int64) -> float:
    return float(part) / float(whole) if whole else 0.0


def _spikes(
    times: Times, values: Floats, places: NDArray[np.int64], period: int, options: Options
) -> Iterator[Found]:
    read = values[places]
    half = min(options.spike_window, (len(read) - 1) // 2)
    least = _least_scale(read)
    if half < 2 or least == 0:
        return
    padded = np.pad(read, half, mode="reflect")
    middle, scale = _medians(padded, 2 * half + 1)
    away = read - middle
    scale = np.maximum(_CONSISTENT * scale, least)
    side = np.sign(away)
    for place in np.flatnonzero(np.abs(away) > options.spike_threshold * scale).tolist():
        if not 0 < place < len(read) - 1:
            continue
        beside = max(side[place] * (read[place + step] - middle[place]) for step in (-1, 1))
        if beside < abs(away[place]) / 2:
            row = int(places[place])
            time = int(times[row])
            yield Found(
                Kind.SPIKE,
                time,
                time,
                1,
                range(row, row + 1),
                float(middle[place]),
                float(away[place] / scale[place]),
            )


def _shifts(
    times: Times, values: Floats, places: NDArray[np.int64], period: int, options: Options
) -> Iterator[Found]:
    read = values[places]
    width = options.shift_window
    least = _least_scale(read)
    if width < 2 or len(read) < 2 * width or least == 0:
        return
    # A shift shows in windows all around it: every so many are looked at, and all where they differ by half as much.
    last = len(read) - 2 * width
    coarse = np.arange(0, last + 1, max(1, width // _COARSE))
    size, _ = _apart(read, width, coarse, least)
    near = coarse[np.abs(size) >= options.shift_threshold / 2]
    reach = np.arange(-(width // _COARSE), width // _COARSE + 1)
    fine = np.unique(np.clip(near[:, None] + reach, 0, last))
    if not len(fine):
        return
    size, before = _apart(read, width, fine, least)
    free = np.abs(size) >= options.shift_threshold
    while free.any():
        # The greatest first; what lies within its windows is the same shift.
        best = int(np.argmax(np.where(free, np.abs(size), -1)))
        free &= np.abs(fine - fine[best]) >= width
        row = int(places[fine[best] + width])
        time = int(times[row])
        yield Found(
            Kind.LEVEL_SHIFT,
            time,
            time,
            width,
            range(row, row + 1),
            float(before[best]),
            float(size[best]),
        )


def _least_scale(read: Floats) -> float:
    """The median step between readings that differ: less than that is no distance."""
    steps = np.abs(np.diff(read))
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else 0.0


def _apart(read: Floats, width: int, starts: NDArray[np.int64], least: float) -> tuple[Floats, Floats]:
    """Of two windows that follow each other, the first at each start: how far their medians are apart, in scales, and
    the median of the first."""
    both = np.unique(np.concatenate([starts, starts + width]))
    middle, scale = _medians(read, width, both)
    first, second = np.searchsorted(both, starts), np.searchsorted(both, starts + width)
    scales = np.maximum(_CONSISTENT * np.maximum(scale[first], scale[second]), least)
    return (middle[second] - middle[first]) / scales, middle[first]


def _medians(read: Floats, width: int, starts: NDArray[np.int64] | None = None) -> tuple[Floats, Floats]:
    """Of the windows at these starts (None: all): the median, and the median of distances from it."""
    windows = sliding_window_view(read, width)
    many = len(windows) if starts is None else len(starts)
    middle, scale = np.empty(many), np.empty(many)
    step = max(1, _BLOCK // width)
    for first in range(0, many, step):
        part = slice(first, first + step)
        block = windows[part] if starts is None else windows[starts[part]]
        middle[part] = np.median(block, axis=1)
        scale[part] = np.median(np.abs(block - middle[part, None]), axis=1, overwrite_input=True)
    return middle, scale


_Look = Callable[[Times, Floats, NDArray[np.int64], int, Options], Iterator[Found]]
_LOOKS: Final[dict[Kind, _Look]] = {
    Kind.SPIKE: _spikes,
    Kind.LEVEL_SHIFT: _shifts,
    Kind.MISSING: _missing,
    Kind.FROZEN: _frozen,
}
