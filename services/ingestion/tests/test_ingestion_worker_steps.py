"""Build a timestamp from parts: the calendar, the zone, and what has no answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_ingestion.worker.plan import BuildTimestamp
from plaza_ingestion.worker.steps.civil import ZoneOffsets
from plaza_ingestion.worker.steps.timestamps import Built, Parts, build_timestamp, missing_part

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PARTS_NAMES = [(f"f_{part}", part) for part in ("year", "month", "day", "hour", "minute", "second")]


def parts_of(rows: list[tuple[int | None, ...]]) -> dict[str, Parts]:
    columns = zip(*rows, strict=True)
    return {
        name[0]: Parts(
            np.array([v or 0 for v in column], np.int64), np.array([v is not None for v in column])
        )
        for name, column in zip(PARTS_NAMES, columns, strict=False)
    }


def build(rows: list[tuple[int | None, ...]], zone: str) -> Built:
    names = {part: name for name, part in PARTS_NAMES[: len(rows[0])]}
    step = BuildTimestamp(
        "time",
        names["year"],
        names["month"],
        names["day"],
        names.get("hour"),
        names.get("minute"),
        names.get("second"),
        zone,
    )
    return build_timestamp(step, parts_of(rows), ZoneOffsets(zone))


def instant(built: Built, row: int) -> datetime:
    return EPOCH + timedelta(microseconds=int(built.micros[row]))


def test_hours_in_shanghai() -> None:
    built = build([(2013, 3, 1, 0), (2016, 2, 29, 23)], "Asia/Shanghai")
    assert not built.faults
    assert instant(built, 0) == datetime(2013, 2, 28, 16, tzinfo=UTC)
    assert instant(built, 1) == datetime(2016, 2, 29, 15, tzinfo=UTC)


def test_summer_time_in_shanghai_in_1986() -> None:
    built = build([(1986, 5, 4, 1), (1986, 5, 4, 4), (1986, 9, 14, 2)], "Asia/Shanghai")
    assert instant(built, 0) == datetime(1986, 5, 3, 17, tzinfo=UTC)  # standard time
    assert instant(built, 1) == datetime(1986, 5, 3, 19, tzinfo=UTC)  # summer time
    assert instant(built, 2) == datetime(1986, 9, 13, 18, tzinfo=UTC)  # standard again


def test_local_times_that_do_not_exist_or_exist_twice_are_refused() -> None:
    built = build([(1986, 5, 4, 2), (1986, 9, 14, 1), (1986, 9, 14, 0)], "Asia/Shanghai")
    assert sorted(built.faults) == [0, 1]
    assert built.faults[0].field == "f_hour"
    assert "does not exist in Asia/Shanghai" in built.faults[0].detail
    assert '"1986-09-14 01:00:00" exists twice in Asia/Shanghai' in built.faults[1].detail


@pytest.mark.parametrize(
    ("parts", "field", "detail"),
    [
        ((0, 1, 1, 0), "f_year", '"0" is not a year (1 to 9999)'),
        ((2013, 13, 1, 0), "f_month", '"13" is not a month (1 to 12)'),
        ((2013, 2, 30, 0), "f_day", '"2013-02" has no day "30"'),
        ((2013, 2, 29, 0), "f_day", '"2013-02" has no day "29"'),
        ((1900, 2, 29, 0), "f_day", '"1900-02" has no day "29"'),
        ((2013, 4, 32, 0), "f_day", '"32" is not a day (1 to 31)'),
        ((2013, 4, 1, 24), "f_hour", '"24" is not a hour (0 to 23)'),
        ((2013, 4, 1, 0, 60), "f_minute", '"60" is not a minute (0 to 59)'),
        ((2013, 4, 1, 0, 0, 60), "f_second", '"60" is not a second (0 to 59)'),
        ((2013, 13, 32, 24), "f_month", '"13" is not a month (1 to 12)'),
        ((1, 1, 1, 0), "f_year", "the instant lies outside of the years 1 to 9999 in UTC"),
    ],
)
def test_the_part_at_fault_is_named(parts: tuple[int, ...], field: str, detail: str) -> None:
    fault = build([parts], "Asia/Shanghai").faults[0]
    assert (fault.field, fault.detail) == (field, detail)


def test_a_missing_part_leaves_no_instant_and_is_named() -> None:
    rows: list[tuple[int | None, ...]] = [(2013, None, 1, None), (2013, 1, 1, 0)]
    built = build(rows, "UTC")
    assert built.absent.tolist() == [True, False]
    assert not built.faults
    step = BuildTimestamp("time", "f_year", "f_month", "f_day", "f_hour", zone="UTC")
    assert missing_part(step, parts_of(rows), 0) == "f_month and f_hour are missing, so time cannot be built"


zones = st.sampled_from(
    [
        "Asia/Shanghai",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "America/St_Johns",
        "Asia/Urumqi",
        "Africa/Monrovia",
    ]
)
# Clock readings, without a zone on purpose.
moments = st.datetimes(datetime(1890, 1, 2), datetime(2040, 1, 1)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0)
)


@settings(max_examples=150, deadline=None)
@given(zone=zones, locals_=st.lists(moments, min_size=1, max_size=20))
def test_agrees_with_zoneinfo(zone: str, locals_: list[datetime]) -> None:
    built = build([tuple(local.timetuple()[:6]) for local in locals_], zone)
    for row, local in enumerate(locals_):
        early, late = (local.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() for fold in (0, 1))
        assert (row in built.faults) == (early != late)
        if early == late:
            assert early is not None
            assert instant(built, row) == (local - early).replace(tzinfo=UTC)


@settings(max_examples=100, deadline=None)
@given(moment=st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)))  # noqa: DTZ001
def test_the_calendar_is_pythons(moment: datetime) -> None:
    built = build([tuple(moment.timetuple()[:6])], "UTC")
    assert instant(built, 0) == moment.replace(microsecond=0, tzinfo=UTC)
