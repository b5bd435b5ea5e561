"""Which versions may go: the rules alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_lake.retention import InvalidRetention, Retention
from plaza_lake.versions import VersionInfo

START = datetime(2026, 3, 1, tzinfo=UTC)


def at(number: int, moment: datetime) -> VersionInfo:
    return VersionInfo(number, number, moment, 1, number, f"b-{number}")


def numbers(found: tuple[VersionInfo, ...]) -> list[int]:
    return [info.version for info in found]


@st.composite
def histories(draw: st.DrawFn) -> list[VersionInfo]:
    gaps = draw(st.lists(st.integers(0, 40), max_size=30))
    moment, found = START, []
    for number, gap in enumerate(gaps, 1):
        moment += timedelta(hours=gap)
        found.append(at(number, moment))
    return found


@st.composite
def retentions(draw: st.DrawFn) -> Retention:
    daily = draw(st.none() | st.integers(0, 20).map(lambda days: timedelta(days=days)))
    return Retention(draw(st.integers(1, 5)), timedelta(hours=draw(st.integers(0, 48))), daily)


@given(histories(), retentions(), st.sets(st.integers(1, 30)), st.integers(0, 900))
def test_what_the_rule_promises_stays(
    known: list[VersionInfo], retention: Retention, pinned: set[int], hours: int
) -> None:
    now = (known[-1].committed_at if known else START) + timedelta(hours=hours)
    due = set(numbers(retention.due(known, pinned, now)))
    staying = [info for info in known if info.version not in due]
    assert not due & pinned
    assert {info.version for info in known[-retention.newest :]} <= {info.version for info in staying}
    assert all(now - info.committed_at >= retention.young for info in known if info.version in due)
    assert retention.days(staying, now) == retention.days(known, now)
    # What goes is gone for good: the rule asked again of what stays lets nothing more go.
    assert retention.due(staying, pinned, now) == ()


@given(histories(), retentions(), st.sets(st.integers(1, 30)), st.integers(0, 900), st.integers(0, 900))
def test_what_is_due_stays_due(
    known: list[VersionInfo], retention: Retention, pinned: set[int], hours: int, later: int
) -> None:
    """So that a decision may be carried out late."""
    half = len(known) // 2
    before = known[:half]
    now = (before[-1].committed_at if before else START) + timedelta(hours=hours)
    then = max(now, known[-1].committed_at if known else now) + timedelta(hours=later)
    after = before + [at(info.version, max(info.committed_at, now)) for info in known[half:]]
    assert set(numbers(retention.due(before, pinned, now))) <= set(
        numbers(retention.due(after, pinned, then))
    )


def test_the_day_is_the_local_one() -> None:
    # 15:59 and 16:01 UTC are two days in Shanghai, one in London.
    known = [at(1, START + timedelta(hours=15, minutes=59)), at(2, START + timedelta(hours=16, minutes=1))]
    known += [at(number, START + timedelta(days=5, minutes=number)) for number in range(3, 6)]
    now = START + timedelta(days=30)
    assert numbers(Retention(newest=1).due(known, (), now)) == [3, 4]
    assert numbers(Retention(newest=1, zone=ZoneInfo("Europe/London")).due(known, (), now)) == [1, 3, 4]
    assert numbers(Retention(newest=1, daily=timedelta(days=10)).due(known, (), now)) == [1, 2, 3, 4]
    assert numbers(Retention(newest=1).due(known, {4}, now)) == [3]
    assert numbers(Retention(newest=9).due(known, (), now)) == []


def test_a_rule_that_would_lose_the_newest_is_refused() -> None:
    for wrong in ({"newest": 0}, {"young": timedelta(hours=-1)}):
        with pytest.raises(InvalidRetention):
            Retention(**wrong)  # type: ignore[arg-type]  # that is the test
