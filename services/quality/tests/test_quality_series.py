"""What stands out in time series and in the history of versions, against plain Python that says it row by row."""

from __future__ import annotations

import math
from itertools import groupby, pairwise
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_quality.domain.anomalies import Figure, in_history
from plaza_quality.domain.profiles import ColumnFigures, VersionFigures
from plaza_quality.kernels import series as kernel
from plaza_quality.kernels.series import Found, Kind, Options, anomalies, usual_period

HOUR = 3_600_000_000
NONE = math.nan
levels = st.sampled_from([0.0, 1.0, 2.0, 2.0, 3.0, 50.0, NONE])


def look(values: list[float], kind: Kind, times: list[int] | None = None, **options: object) -> list[Found]:
    hours = times if times is not None else list(range(len(values)))
    return anomalies(
        np.array(hours, np.int64) * HOUR,
        np.array(values, np.float64),
        Options(**options),  # type: ignore[arg-type]  # of one parameter each
        {kind},
    )


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([1, 1, 1, 1, 3]), levels), min_size=1, max_size=30),
    st.integers(1, 3),
)
def test_missing_readings_are_those_that_are_not_there(steps: list[tuple[int, float]], least: int) -> None:
    """Against a walk over every hour. The hours of the series are given, so that the period is known."""
    times, now = [], 0
    for step, _ in steps:
        now += step
        times.append(now)
    values = dict(zip(times, (value for _, value in steps), strict=True))
    present = [time for time in times if not math.isnan(values[time])]
    hours = range(times[0], times[-1] + 1) if present else times
    # Rows that are not there count between readings; before the first and after the last nobody knows of them.
    if present:
        hours = [hour for hour in hours if present[0] < hour < present[-1] or hour in values]
    runs = [
        list(run) for absent, run in groupby(hours, lambda hour: math.isnan(values.get(hour, NONE))) if absent
    ]
    expected = [(run[0] * HOUR, run[-1] * HOUR, len(run)) for run in runs if len(run) >= least]
    found = look(list(values.values()), Kind.MISSING, times, period=HOUR, missing_minimum=least)
    assert [(each.start, each.end, each.readings) for each in found] == expected
    for each in found:
        rows = [times[row] for row in each.rows]
        inside = [time for time in rows if each.start <= time * HOUR <= each.end]
        assert all(math.isnan(values[time]) for time in inside), "shown with the rows around"
        assert len(rows) - len(inside) <= 2


@settings(max_examples=200, deadline=None)
@given(st.lists(levels, min_size=2, max_size=60), st.integers(2, 5))
def test_a_sensor_is_frozen_when_chance_does_not_explain_it(values: list[float], least: int) -> None:
    found = look(values, Kind.FROZEN, period=HOUR, frozen_minimum=least)
    runs, at = [], 0
    for same, run in groupby(values, lambda value: "none" if math.isnan(value) else value):
        many = len(list(run))
        if same != "none":
            runs.append((at, same, many))
        at += many
    pairs = [(a, b) for a, b in pairwise(values) if a == a and b == b]
    expected = []
    for first, value, many in runs:
        if many < max(least, 2):
            continue
        own = many - 1
        all_again, all_pairs = sum(a == b for a, b in pairs) - own, len(pairs) - own
        others = all_again / all_pairs if all_pairs else 0.0
        again = sum(a == b == value for a, b in pairs) - own
        seen = sum(a == value for a, _ in pairs) - own
        share = (again + 20 * others) / (seen + 20)
        chance = sum(one == value for _, one, _ in runs) * share**own
        if chance < 0.01:
            expected.append((first, many, chance))
    assert [(each.rows[0], each.readings) for each in found] == [one[:2] for one in expected]
    assert [each.deviation for each in found] == pytest.approx([one[2] for one in expected])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, 30.0, -40.0]), min_size=1, max_size=40))
def test_a_spike_is_far_from_what_is_around_it_alone(values: list[float]) -> None:
    half = min(3, (len(values) - 1) // 2)
    steps = [abs(b - a) for a, b in pairwise(values) if a != b]
    expected = []
    if half >= 2 and steps:
        mirrored = [*values[half:0:-1], *values, *values[-2 : -half - 2 : -1]]
        for at in range(1, len(values) - 1):
            window = mirrored[at : at + 2 * half + 1]
            middle = median(window)
            scale = max(1.4826 * median(abs(each - middle) for each in window), median(steps))
            away = values[at] - middle
            side = math.copysign(1, away)
            beside = max(side * (values[at - 1] - middle), side * (values[at + 1] - middle))
            if abs(away) > 4 * scale and beside < abs(away) / 2:
                expected.append((at, middle, away / scale))
    found = look(values, Kind.SPIKE, spike_window=3, spike_threshold=4.0)
    assert [(each.rows[0], each.expected) for each in found] == [one[:2] for one in expected]
    assert [each.deviation for each in found] == pytest.approx([one[2] for one in expected])


def test_a_level_shift_is_told_once_and_where_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(7)
    values = chance.normal(10, 1, 300)
    values[120:] += 12
    values[220:] -= 20
    values[[5, 130]] = NONE
    values[60] = 500.0  # a spike moves no level
    for block in (8_000_000, 40):
        monkeypatch.setattr(kernel, "_BLOCK", block)
        first, second = look(values.tolist(), Kind.LEVEL_SHIFT, shift_window=24, shift_threshold=4.0)
        assert [first.rows[0], second.rows[0]] == pytest.approx([120, 220], abs=1)
        assert first.expected == pytest.approx(10, abs=1)
        assert first.deviation is not None
        assert second.deviation is not None
        assert first.deviation > 4 > -4 > second.deviation
    wide = look(np.repeat(values, 4).tolist(), Kind.LEVEL_SHIFT, shift_window=96)
    assert [each.rows[0] // 4 for each in wide] == pytest.approx([120, 220], abs=3), "seen from afar first"
    assert not look(values[:120].tolist(), Kind.LEVEL_SHIFT, shift_window=24)
    assert not look(values[:40].tolist(), Kind.LEVEL_SHIFT, shift_window=24), "too few for two windows"


def test_all_kinds_come_in_the_order_of_time() -> None:
    values = [float(n % 7) for n in range(40)]
    values[10] = 900.0
    values[20:23] = [NONE] * 3
    values[30:39] = [5.0] * 9
    found = anomalies(np.arange(40) * HOUR, np.array(values), Options(), set(Kind))
    assert [(each.kind, each.start // HOUR) for each in found] == [
        (Kind.SPIKE, 10),
        (Kind.MISSING, 20),
        (Kind.FROZEN, 30),
    ]


def test_series_without_readings_have_nothing_but_what_is_missing() -> None:
    assert [each.readings for each in look([NONE] * 5, Kind.MISSING)] == [5]
    for kind in (Kind.SPIKE, Kind.FROZEN, Kind.LEVEL_SHIFT):
        assert not look([NONE] * 5, kind)
        assert not look([1.0], kind)
        assert not look([1.0] * 900, kind, frozen_expected=0.0), "what never moves has no scale"
    assert usual_period(np.array([0, 0, 5, 10, 30], np.int64)) == 5
    assert usual_period(np.array([3, 3], np.int64)) == 0


counts = st.lists(st.integers(0, 5000), min_size=1, max_size=45)


@settings(max_examples=100, deadline=None)
@given(counts)
def test_volume_is_compared_by_growth(rows: list[int]) -> None:
    versions = [VersionFigures(number, each, None) for number, each in enumerate(rows, 1)]
    growth = [math.log((b + 1) / (a + 1)) for a, b in pairwise(rows)]
    expected = []
    for at in range(5, len(growth)):
        earlier = growth[max(0, at - 30) : at]
        middle = median(earlier)
        spread = max(median(abs(each - middle) for each in earlier), 0.01)
        z = 0.6745 * (growth[at] - middle) / spread
        if abs(z) > 3.5:
            expected.append((at + 2, rows[at + 1], round((rows[at] + 1) * math.exp(middle) - 1), z))
    found = in_history(versions)
    assert [(each.version, each.value, each.expected, each.deviation) for each in found] == [
        (version, value, around, pytest.approx(z)) for version, value, around, z in reversed(expected)
    ]
    assert {each.figure for each in found} <= {Figure.ROWS}


def test_steady_growth_is_no_anomaly_and_a_lost_half_is_one() -> None:
    rows = [1000 * number for number in range(10, 30)]
    versions = [VersionFigures(number, each, 99.0) for number, each in enumerate(rows, 1)]
    assert in_history(versions) == []
    [lost] = in_history([*versions, VersionFigures(21, 15_000, 99.0)])
    assert (lost.version, lost.value) == (21, 15_000)
    assert lost.deviation < -3.5


def test_scores_fall_and_columns_drift() -> None:
    def version(number: int, score: float, nulls: float, mean: float) -> VersionFigures:
        return VersionFigures(
            number, 100, score, {"x": ColumnFigures(nulls, mean), "y": ColumnFigures(0.0, None)}
        )

    quiet = [version(number, 98 + number % 2, 1.0, 50 + number % 3) for number in range(1, 9)]
    assert in_history(quiet) == []
    found = in_history([*quiet, version(9, 60, 40.0, 90.0), version(10, 100, 1.0, 50.0)])
    assert [(each.version, each.figure, each.field) for each in found] == [
        (9, Figure.SCORE, ""),
        (9, Figure.NULL_PERCENT, "x"),
        (9, Figure.MEAN, "x"),
    ]
    few = [version(number, 98, 1.0, 50.0) for number in range(1, 5)]
    assert in_history([*few, version(5, 10, 90.0, 500.0)]) == [], "four versions are no history"
