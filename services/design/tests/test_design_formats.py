"""Numbers and dates, table by table of the design language."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_design import formats


@pytest.mark.parametrize(
    ("value", "decimals", "written"),
    [
        (1_443_636, 0, "1,443,636"),
        (0, 0, "0"),
        (-4.25, 1, "−4.3"),
        (0.9, 1, "0.9"),
        (2, 1, "2.0"),
        (-0.5, 0, "−1"),
    ],
)
def test_number(value: float, decimals: int, written: str) -> None:
    assert formats.number(value, decimals) == written


@pytest.mark.parametrize(
    ("value", "zh", "en"),
    [
        (9_999, "9,999", "9,999"),
        (12_030, "1.2 万", "12,030"),
        (1_443_636, "144.4 万", "1.4 million"),
        (210_000_000, "2.1 亿", "210 million"),
        (3_000_000_000, "30 亿", "3 billion"),
    ],
)
def test_prose_number(value: int, zh: str, en: str) -> None:
    assert formats.prose_number(value, "zh-CN") == zh
    assert formats.prose_number(value, "en") == en


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0%"),
        (0.01, "<0.1%"),
        (6.84, "6.8%"),
        (94.1, "94.1%"),
        (99.99, ">99.9%"),
        (100, "100%"),
        (50, "50.0%"),
    ],
)
def test_percent(value: float, written: str) -> None:
    assert formats.percent(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (97.8, "97.8"),
        (100, "100"),
        (94.96, "94.9"),
        (84.999, "84.9"),
        (0, "0"),
        (99.99, "99.9"),
        (95, "95.0"),
    ],
)
def test_score_is_cut(value: float, written: str) -> None:
    assert formats.score(value) == written
    assert formats.pass_rate(value) == f"{written}%"


@given(st.floats(min_value=0, max_value=100))
def test_a_score_never_rises_over_a_threshold(value: float) -> None:
    for threshold in (85.0, 95.0):
        if value < threshold - 1e-9:
            assert float(formats.score(value)) < threshold
            assert float(formats.cut(value)) < threshold


@pytest.mark.parametrize(
    ("bytes_", "written"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (4_200, "4.2 kB"),
        (31_412_345, "31.4 MB"),
        (118_000_000, "118 MB"),
        (999_600, "1.0 MB"),
        (2_500_000_000_000_000, "2,500 TB"),
    ],
)
def test_size(bytes_: int, written: str) -> None:
    assert formats.size(bytes_) == written


@pytest.mark.parametrize(
    ("day", "zh", "en"),
    [
        (date(2026, 11, 20), "11 月 20 日", "20 Nov"),
        (date(2026, 9, 1), "9 月 1 日", "1 Sep"),
        (date(2013, 3, 1), "2013 年 3 月 1 日", "1 March 2013"),
    ],
)
def test_prose_date(day: date, zh: str, en: str) -> None:
    today = date(2026, 11, 20)
    assert formats.prose_date(day, today, "zh-CN") == zh
    assert formats.prose_date(day, today, "en") == en


def test_times_are_shown_in_the_city_zone() -> None:
    moment = datetime(2026, 11, 19, 16, 31, tzinfo=UTC)
    assert formats.table_moment(moment) == "2026-11-20 00:31"
    assert formats.clock(moment) == "00:31"
    assert formats.table_date(date(2026, 1, 2)) == "2026-01-02"
    with pytest.raises(ValueError, match="without a zone"):
        formats.clock(datetime(2026, 11, 20))  # noqa: DTZ001


@pytest.mark.parametrize(("hours", "late"), [(-1, 0), (0, 0), (1, 0), (17, 1), (48, 2)])
def test_days_late_count_local_days(hours: int, late: int) -> None:
    due = datetime(2026, 11, 18, 0, tzinfo=UTC)
    now = datetime.fromtimestamp(due.timestamp() + hours * 3600, UTC)
    assert formats.days_late(due, now) == late


def test_hashes() -> None:
    assert formats.short_hash("9f3c" + "0" * 56 + "e1a7") == "9f3c…e1a7"
    assert formats.short_hash("9f3c") == "9f3c"
    assert formats.grouped_hash("0123456789abcdef") == "01234567 89abcdef"
