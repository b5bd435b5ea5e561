"""Deadlines in working days, against the published days off."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_kit.working_days import ZONE, Due, due, working_day


def at(year: int, month: int, day: int, hour: int = 9) -> datetime:
    return datetime(year, month, day, hour, tzinfo=ZONE)


def test_shifted_holidays_count_as_they_were_published() -> None:
    # State Council's notice for 2026: National Day 1 to 7 October; work on Sunday 20 September and Saturday 10 October.
    assert due(at(2026, 9, 30), 1) == Due(date(2026, 10, 8), provisional=False)
    assert due(at(2026, 10, 9), 1) == Due(date(2026, 10, 10), provisional=False)
    assert due(at(2026, 9, 18), 1) == Due(date(2026, 9, 20), provisional=False)


def test_the_day_it_began_does_not_count_and_is_the_citys() -> None:
    assert due(datetime(2026, 11, 2, 15, 59, tzinfo=UTC), 1).day == date(2026, 11, 3)
    assert due(datetime(2026, 11, 2, 16, 0, tzinfo=UTC), 1).day == date(2026, 11, 4)


def test_the_deadline_is_the_days_end() -> None:
    assert due(at(2026, 11, 2), 1).moment == at(2026, 11, 4, 0)


def test_a_year_that_is_not_published_makes_it_provisional() -> None:
    assert not due(at(2026, 12, 30), 1).provisional
    assert due(at(2026, 12, 31), 1).provisional
    assert working_day(date(2031, 10, 1)) == (True, True)
    assert working_day(date(2031, 10, 4)) == (False, True)


def test_no_days_are_no_deadline() -> None:
    with pytest.raises(ValueError, match="0 working days"):
        due(at(2026, 1, 5), 0)


@given(begun=st.dates(date(2020, 1, 1), date(2026, 10, 1)), days=st.integers(1, 40))
def test_so_many_working_days_lie_between(begun: date, days: int) -> None:
    found = due(at(begun.year, begun.month, begun.day), days).day
    between = (begun + timedelta(days=n) for n in range(1, (found - begun).days + 1))
    assert sum(working_day(day)[0] for day in between) == days
    assert working_day(found)[0]
