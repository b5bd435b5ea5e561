"""`BuildTimestamp`: civil parts and a zone become an instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plaza_ingestion.worker.records import Bools, Ints
from plaza_ingestion.worker.refusal import StepFault
from plaza_ingestion.worker.steps.civil import (
    DAY,
    FIRST_MICRO,
    LAST_MICRO,
    RANGES,
    ZoneOffsets,
    days_from_civil,
    days_in_month,
)
from plaza_ingestion.worker.steps.declared import BuildTimestamp


@dataclass(frozen=True, slots=True)
class Parts:
    """The converted values of one part: `values` counts only where `present`."""

    values: Ints
    present: Bools


@dataclass(frozen=True, slots=True)
class Built:
    """The outcome for one window."""

    micros: Ints
    """UTC microseconds since 1970; counts only where neither `absent` nor in `faults`."""
    absent: Bools
    """A part has no value, so there is no instant."""
    faults: Mapping[int, StepFault]
    """By row: the parts are there and name no instant."""


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
    local = days_from_civil(year, month, day) * DAY + clock[0] * 3600 + clock[1] * 60 + clock[2]
    local[~sound] = 0
    offset, times = zone.offsets(local)
    for row in np.flatnonzero(sound & (times != 1)).tolist():
        faults[row] = StepFault(
            given.get("hour", step.target), zone.clock_change(int(local[row]), int(times[row]))
        )
    micros = (local - offset) * 1_000_000
    for row in np.flatnonzero(sound & ((micros < FIRST_MICRO) | (micros > LAST_MICRO))).tolist():
        faults[row] = StepFault(given["year"], "the instant lies outside of the years 1 to 9999 in UTC")
    return Built(micros, absent, faults)


def missing_part(step: BuildTimestamp, parts: Mapping[str, Parts], row: int) -> str:
    """In plain words: which parts have no value in this row."""
    names: Sequence[str] = [name for _, name in step.parts() if not parts[name].present[row]]
    verb = "is" if len(names) == 1 else "are"
    return f"{' and '.join(names)} {verb} missing, so {step.target} cannot be built"


def _in_range(part: str, name: str, values: Ints, absent: Bools, faults: dict[int, StepFault]) -> Ints:
    """The values, with the smallest allowed one where the value is absent or out of range."""
    low, high = RANGES[part]
    outside = (values < low) | (values > high)
    for row in np.flatnonzero(outside & ~absent).tolist():
        faults.setdefault(row, StepFault(name, f'"{values[row]}" is not a {part} ({low} to {high})'))
    return np.where(outside | absent, low, values)


def _refuse_missing_days(
    name: str, year: Ints, month: Ints, day: Ints, absent: Bools, faults: dict[int, StepFault]
) -> None:
    for row in np.flatnonzero((day > days_in_month(year, month)) & ~absent).tolist():
        faults.setdefault(row, StepFault(name, f'"{year[row]:04}-{month[row]:02}" has no day "{day[row]}"'))
