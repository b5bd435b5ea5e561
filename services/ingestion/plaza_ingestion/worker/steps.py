"""The declared steps, over whole columns.

`BuildTimestamp`: civil parts and a zone become an instant. Days are counted by H. Hinnant's
`days_from_civil` (proleptic Gregorian calendar); the zone's offsets come from the IANA database through
`zoneinfo`, asked once per distinct day (and per distinct second on the few days on which the clock changes),
never per row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from plaza_ingestion.worker.plan import BuildTimestamp
from plaza_ingestion.worker.records import Bools, Ints

_DAY: Final = 86_400
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a local clock reading, on purpose
_MONTH_DAYS: Final = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)
_RANGES: Final = {
    "year": (1, 9999),
    "month": (1, 12),
    "day": (1, 31),
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
}


@dataclass(frozen=True, slots=True)
class Parts:
    """The converted values of one part: `values` counts only where `present`."""

    values: Ints
    present: Bools


@dataclass(frozen=True, slots=True)
class StepFault:
    """Why a row's instant cannot be built."""

    field: str
    detail: str


@dataclass(frozen=True, slots=True)
class Built:
    """The outcome for one window."""

    micros: Ints
    """UTC microseconds since 1970; counts only where neither `absent` nor in `faults`."""
    absent: Bools
    """A part has no value, so there is no instant."""
    faults: Mapping[int, StepFault]
    """By row: the parts are there and name no instant."""


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
        days, where = np.unique(local // _DAY, return_inverse=True)
        by_day = [self._whole_day(int(day)) for day in days]
        offset = np.array([value or 0 for value in by_day], dtype=np.int64)[where]
        times = np.ones(len(local), dtype=np.int64)
        changing = np.flatnonzero(np.array([value is None for value in by_day], dtype=np.bool_)[where])
        if changing.size:
            seconds, back = np.unique(local[changing], return_inverse=True)
            found = np.array([self._second(int(second)) for second in seconds], dtype=np.int64)
            offset[changing], times[changing] = found[back, 0], found[back, 1]
        return offset, times

    def _whole_day(self, day: int) -> int | None:
        """The offset that holds all day long, or None when the clock changes on this day or beside it."""
        if day not in self._days:
            hours = range(day * _DAY, (day + 1) * _DAY + 1, _DAY // 4)
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


def build_timestamp(step: BuildTimestamp, parts: Mapping[str, Parts], zone: ZoneOffsets) -> Built:
    """The instants of one window; `parts` by field name. Rows whose part is bad must not be `present`."""
    given = dict(step.parts())
    columns = {part: parts[name] for part, name in given.items()}
    absent = ~np.logical_and.reduce([column.present for column in columns.values()])
    faults: dict[int, StepFault] = {}
    values = {
        part: _in_range(part, given[part], column.values, absent, faults) for part, column in columns.items()
    }
    year, month, day = values["year"], values["month"], values["day"]
    _refuse_missing_days(given["day"], year, month, day, absent, faults)
    sound = ~absent
    sound[list(faults)] = False

    zeros = np.zeros_like(year)
    clock = [values.get(part, zeros) for part in ("hour", "minute", "second")]
    local = _days_from_civil(year, month, day) * _DAY + clock[0] * 3600 + clock[1] * 60 + clock[2]
    local[~sound] = 0
    offset, times = zone.offsets(local)
    for row in np.flatnonzero(sound & (times != 1)).tolist():
        faults[row] = StepFault(
            given.get("hour", step.target), _clock_change(int(local[row]), int(times[row]), zone)
        )
    micros = (local - offset) * 1_000_000
    for row in np.flatnonzero(sound & ((micros < _FIRST) | (micros > _LAST))).tolist():
        faults[row] = StepFault(given["year"], "the instant lies outside of the years 1 to 9999 in UTC")
    return Built(micros, absent, faults)


_FIRST: Final = -62_135_596_800_000_000
_LAST: Final = 253_402_300_799_999_999


def _in_range(part: str, name: str, values: Ints, absent: Bools, faults: dict[int, StepFault]) -> Ints:
    """The values, with the smallest allowed one where the value is absent or out of range."""
    low, high = _RANGES[part]
    outside = (values < low) | (values > high)
    for row in np.flatnonzero(outside & ~absent).tolist():
        faults.setdefault(row, StepFault(name, f"{values[row]} is not a {part} ({low} to {high})"))
    return np.where(outside | absent, low, values)


def _refuse_missing_days(
    name: str, year: Ints, month: Ints, day: Ints, absent: Bools, faults: dict[int, StepFault]
) -> None:
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    longest = _MONTH_DAYS[month - 1] + (leap & (month == 2))
    for row in np.flatnonzero((day > longest) & ~absent).tolist():
        faults.setdefault(row, StepFault(name, f"{year[row]:04}-{month[row]:02} has no day {day[row]}"))


def _clock_change(local: int, times: int, zone: ZoneOffsets) -> str:
    shown = f"{_EPOCH + timedelta(seconds=local):%Y-%m-%d %H:%M:%S}"
    if times == 0:
        return f"{shown} does not exist in {zone.name}: the clock was put forward"
    return f"{shown} exists twice in {zone.name}: the clock was put back, and the parts do not say which"


def _days_from_civil(year: Ints, month: Ints, day: Ints) -> Ints:
    """Days since 1970-01-01."""
    y = year - (month <= 2)
    era = y // 400
    year_of_era = y - era * 400
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    days: Ints = era * 146_097 + day_of_era - 719_468
    return days


def missing_part(step: BuildTimestamp, parts: Mapping[str, Parts], row: int) -> str:
    """In plain words: which parts have no value in this row."""
    names: Sequence[str] = [name for _, name in step.parts() if not parts[name].present[row]]
    verb = "is" if len(names) == 1 else "are"
    return f"{' and '.join(names)} {verb} missing, so {step.target} cannot be built"
