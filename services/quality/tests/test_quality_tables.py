"""Checks of a whole table: freshness, row counts, drift; pure."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_lake.ir import And, Compare, Expr, In, IsNull, Not, Op
from plaza_quality.domain.around import Around, OtherVersion, Silence
from plaza_quality.domain.checks import KINDS, Check, Drift, Fresh, RowCount
from plaza_quality.domain.counting import Counts
from plaza_quality.domain.indicators import NAMES, Direction, direction, indicators
from plaza_quality.domain.tables import (
    SMALLEST_SHARE,
    Bins,
    category_bins,
    drift,
    freshness,
    quantile_bins,
    row_count,
    stability_index,
)

NOW = datetime(2024, 3, 1, 1, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
PASSED, FAILED, SILENT = Counts(1, 0, 0), Counts(0, 1, 0), Counts(0, 0, 1)


def around(cycle: timedelta | None = None, before: int | None = None) -> Around:
    other = None if before is None else OtherVersion("departments/d/datasets/x/versions/1", "", before)
    return Around(NOW, ZoneInfo("Asia/Shanghai"), cycle, other)


@pytest.mark.parametrize(
    ("newest", "within", "cycle", "expected"),
    [
        (NOW - HOUR, HOUR, None, PASSED),
        (NOW - HOUR - timedelta(microseconds=1), HOUR, None, FAILED),
        (NOW - HOUR, None, HOUR, PASSED),
        (NOW - 3 * HOUR, HOUR, 24 * HOUR, FAILED),
        (NOW + HOUR, HOUR, None, PASSED),
        (NOW, None, None, SILENT),
        (None, HOUR, None, SILENT),
        # The day began nine hours ago in Shanghai.
        (date(2024, 3, 1), 9 * HOUR, None, PASSED),
        (date(2024, 3, 1), 8 * HOUR, None, FAILED),
    ],
)
def test_freshness(newest: Any, within: timedelta | None, cycle: timedelta | None, expected: Counts) -> None:
    found = freshness(Fresh("t", within, timedelta(0)), newest, around(cycle))
    assert found.counts == expected
    if expected is SILENT:
        assert found.reason == (Silence.NO_VALUE if newest is None else Silence.NO_PROMISE)
    else:
        assert found.measure is not None
        assert found.measure.unit == "hours"


def test_what_collecting_takes_is_added() -> None:
    found = freshness(Fresh("t", None, 2 * HOUR), NOW - 3 * HOUR, around(HOUR))
    assert found.counts == PASSED
    assert found.measure is not None
    assert (found.measure.value, found.measure.maximum) == (3, 3)


@pytest.mark.parametrize(
    ("check", "rows", "before", "expected"),
    [
        (RowCount(1, None, None, None), 0, None, FAILED),
        (RowCount(1, 5, None, None), 5, None, PASSED),
        (RowCount(1, 5, None, None), 6, None, FAILED),
        (RowCount(None, None, 10.0, None), 110, 100, PASSED),
        (RowCount(None, None, 10.0, None), 111, 100, FAILED),
        (RowCount(None, None, None, 10.0), 90, 100, PASSED),
        (RowCount(None, None, None, 10.0), 89, 100, FAILED),
        (RowCount(None, None, 10.0, 10.0), 5, 0, SILENT),
        (RowCount(None, None, 10.0, 10.0), 5, None, SILENT),
        (RowCount(6, None, 10.0, None), 5, None, FAILED),
        (RowCount(95, None, None, 10.0), 92, 100, FAILED),
    ],
)
def test_row_counts(check: RowCount, rows: int, before: int | None, expected: Counts) -> None:
    found = row_count(check, rows, around(before=before))
    assert found.counts == expected
    relative = before and (check.growth_percent, check.loss_percent) != (None, None)
    assert found.compared_with == (("departments/d/datasets/x/versions/1",) if relative else ())


counts = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=12)


@given(counts)
def test_the_index_is_never_negative_and_nothing_without_change(pairs: list[tuple[int, int]]) -> None:
    before, now = [one for one, _ in pairs], [other for _, other in pairs]
    index = stability_index(before, now)
    if not sum(before) or not sum(now):
        assert index is None
        return
    assert index is not None
    assert index >= 0
    assert stability_index(before, before) == 0
    backwards = stability_index(now, before)
    assert backwards is not None
    assert math.isclose(index, backwards, rel_tol=1e-9, abs_tol=1e-12)


def test_the_index_of_a_known_case() -> None:
    found = stability_index([50, 50], [60, 40])
    assert found == pytest.approx(0.1 * math.log(1.2) - 0.1 * math.log(0.8))
    assert stability_index([1, 0], [0, 1]) == pytest.approx(
        2 * (1 - SMALLEST_SHARE) * math.log(1 / SMALLEST_SHARE)
    )


def holds(condition: Expr, value: Any) -> bool:
    match condition:
        case Compare(op, _, literal):
            return {
                Op.EQ: value == literal.value,
                Op.LE: value <= literal.value,
                Op.GT: value > literal.value,
            }[op]
        case In(_, values):
            return value in [each.value for each in values]
        case And(parts):
            return all(holds(part, value) for part in parts)
        case Not(IsNull()):
            return value is not None
        case Not(part):
            return not holds(part, value)
    raise AssertionError(condition)


@given(st.lists(st.integers(-5, 5), min_size=1), st.lists(st.integers(-9, 9)))
def test_every_value_falls_into_one_bin(edges: list[int], values: list[int]) -> None:
    for bins in (quantile_bins("x", sorted(edges)), category_bins("x", sorted(set(edges)))):
        for value in values:
            assert sum(holds(each, value) for each in bins) == 1


def test_edges_that_are_no_number_stand_once() -> None:
    assert len(quantile_bins("x", [0.0, -0.0, math.nan, math.nan])) == 3


def test_drift_against_the_limit() -> None:
    bins = Bins(category_bins("s", ["a"]), (50, 50))
    for limit, expected in ((0.05, PASSED), (0.04, FAILED)):
        found = drift(Drift("s", limit, 0), bins, {"0": 60, "1": 40}, around(before=100))
        assert found.counts == expected
        assert found.measure is not None
        assert found.measure.value == pytest.approx(0.0405, abs=1e-4)
    assert drift(Drift("s", 1, 0), bins, {"0": 0, "1": 0}, around(before=100)).reason == Silence.NO_VALUE


def test_every_kind_counts_for_a_dimension_and_an_indicator() -> None:
    assert KINDS.keys() == set(Check.__args__)  # type: ignore[attr-defined]  # a union has its parts
    assert {kind.indicator for kind in KINDS.values()} <= NAMES.keys()


@given(st.lists(st.tuples(st.sampled_from(["0303", "0304"]), st.builds(Counts, *[st.integers(0, 99)] * 3))))
def test_indicators_add_up_with_their_direction(counted: list[tuple[str, Counts]]) -> None:
    found = {each.code: each for each in indicators(counted)}
    for code in ("0303", "0304"):
        passed = sum(each.passed for mine, each in counted if mine == code)
        failed = sum(each.failed for mine, each in counted if mine == code)
        if not passed + failed:
            assert code not in found
            continue
        assert found[code].denominator == passed + failed
        assert found[code].numerator == (failed if direction(code) is Direction.LOWER else passed)
    assert [code for code in NAMES if direction(code) is Direction.LOWER] == ["0303", "0305"]
