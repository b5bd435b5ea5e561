"""Calendar and clock over whole columns: days, local times, and the instants that they mean in a time zone.

Days are counted by H. Hinnant's `days_from_civil` (proleptic Gregorian calendar); a zone's offsets come from
the IANA database through `zoneinfo`, asked once per distinct day (and per distinct second on the few days on which
the clock changes), never per row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from plaza_ingestion.worker.records import Ints

DAY: Final = 86_400
"""Seconds."""
RANGES: Final = {
    "year": (1, 9999),
    "month": (1, 12),
    "day": (1, 31),
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
}
"""Smallest and largest value of each part of a local time."""
FIRST_MICRO: Final = -62_135_596_800_000_000
LAST_MICRO: Final = 253_402_300_799_999_999
"""The years 1 to 9999 in UTC, in microseconds since 1970."""

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a local clock reading, on purpose
_MONTH_DAYS: Final = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)


@dataclass(slots=True)
class ZoneOffsets:
    """The offsets of one time zone, remembered by day."""

    name: str
    _zone: ZoneInfo = field(init=False)
    _days: dict[int, int | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._zone = ZoneInfo(self.name)

    def offsets(self, local: Ints) -> tuple[Ints, Ints]:
        """(UTC offset in seconds, how often it occurs: 0, 1 or 2) for each local second since 1970."""
        days = local // DAY
        begins = run_begins(days)
        known, where = np.unique(days[begins], return_inverse=True)
        by_day = [self._whole_day(int(day)) for day in known]
        lengths = np.diff(begins, append=len(local))
        offset = np.repeat(np.array([value or 0 for value in by_day], dtype=np.int64)[where], lengths)
        times = np.ones(len(local), dtype=np.int64)
        changes = np.array([value is None for value in by_day], dtype=np.bool_)
        changing = np.flatnonzero(np.repeat(changes[where], lengths)) if changes.any() else begins[:0]
        if changing.size:
            seconds, back = np.unique(local[changing], return_inverse=True)
            found = np.array([self._second(int(second)) for second in seconds], dtype=np.int64)
            offset[changing], times[changing] = found[back, 0], found[back, 1]
        return offset, times

    def clock_change(self, local: int, times: int) -> str:
        """In plain words, why a local second that occurs 0 or 2 times is no instant."""
        shown = f'"{_EPOCH + timedelta(seconds=local):%Y-%m-%d %H:%M:%S}"'
        if times == 0:
            return f"{shown} does not exist in {self.name}: the clock was put forward"
        return f"{shown} exists twice in {self.name}: the clock was put back, and nothing says which is meant"

    def _whole_day(self, day: int) -> int | None:
        """The offset that holds all day long, or None when the clock changes on this day or beside it."""
        if day not in self._days:
            hours = range(day * DAY, (day + 1) * DAY + 1, DAY // 4)
            found = {self._offset(second, fold) for second in hours for fold in (0, 1)}
            self._days[day] = found.pop() if len(found) == 1 else None
        return self._days[day]

    def _second(self, local: int) -> tuple[int, int]:
        early, late = self._offset(local, 0), self._offset(local, 1)
        if early == late:
            return early, 1
        # PEP 495: in a gap the offset before the change is the smaller one, in an overlap the larger one.
        return early, 0 if early < late else 2

    def _offset(self, local: int, fold: int) -> int:
        try:
            moment = (_EPOCH + timedelta(seconds=local)).replace(fold=fold)
        except OverflowError:  # the midnight that ends the year 9999
            moment = datetime.max.replace(fold=fold)  # noqa: DTZ901 - local, on purpose
        offset = self._zone.utcoffset(moment)
        return int(offset.total_seconds()) if offset is not None else 0


def run_begins(*columns: Ints) -> Ints:
    """Where a row differs from the one before it, the first row included: rows come in the order of time mostly, so
    that what is reckoned once a run is reckoned seldom."""
    differs = np.ones(len(columns[0]), dtype=np.bool_)
    differs[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return np.flatnonzero(differs)


def days_in_month(year: Ints, month: Ints) -> Ints:
    """Days of each month; months from 1 to 12."""
    begins = run_begins(year, month)
    y, m = year[begins], month[begins]
    leap = (y % 4 == 0) & ((y % 100 != 0) | (y % 400 == 0))
    days: Ints = np.repeat(_MONTH_DAYS[m - 1] + (leap & (m == 2)), np.diff(begins, append=len(year)))
    return days


def days_from_civil(year: Ints, month: Ints, day: Ints) -> Ints:
    """Days since 1970-01-01."""
    begins = run_begins(year, month, day)
    m = month[begins]
    y = year[begins] - (m <= 2)
    era = y // 400
    year_of_era = y - era * 400
    day_of_year = (153 * ((m + 9) % 12) + 2) // 5 + day[begins] - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    days: Ints = np.repeat(era * 146_097 + day_of_era - 719_468, np.diff(begins, append=len(year)))
    return days
