"""`ParseTime`: texts of declared formats become days or instants.

A format is laid out once for every length that its texts can have; then all cells of a length are a matrix of bytes,
and reading them is arithmetic on its columns. Since no text has two readings by one format
(`plaza_kit.time_formats`), the first layout that fits is the only one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from plaza_kit.time_formats import Part, TimeFormat

from plaza_ingestion.worker.convert import ARROW_TYPES, Column, is_any_of, quoted, text_buffers
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
from plaza_ingestion.worker.steps.declared import ParseTime

_ZERO, _NINE = b"09"
_PLUS, _MINUS, _COLON, _ZULU = b"+-:Z"
_WORDS: Final = {"date": "a date", "timestamp": "a moment"}

Signs = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Layout:
    """One way in which a format fills a number of bytes."""

    places: tuple[tuple[str | Part, int, int], ...]
    """(piece, first byte, bytes)."""
    length: int


def _layouts(format_: TimeFormat) -> Iterator[_Layout]:
    widths = [piece.widths if isinstance(piece, Part) else (len(piece.encode()),) for piece in format_.pieces]
    for chosen in product(*widths):
        places, at = [], 0
        for piece, width in zip(format_.pieces, chosen, strict=True):
            places.append((piece, at, width))
            at += width
        yield _Layout(tuple(places), at)


@dataclass(slots=True)
class _Readings:
    """What is read so far: local seconds and what else the instant needs, by row."""

    local: Ints
    micro: Ints
    offset: Ints
    """From UTC in seconds; counts only where `in_utc`."""
    in_utc: Bools
    """The text says its offset."""
    open: Bools
    """Neither missing nor read yet."""


@dataclass(slots=True)
class TimeReader:
    """Reads the cells of one field. Safe to call from several threads."""

    step: ParseTime
    type: str
    """`date` or `timestamp`."""
    _by_length: list[dict[int, list[_Layout]]] = field(init=False)
    _zone: ZoneOffsets | None = field(init=False)

    def __post_init__(self) -> None:
        self._zone = ZoneOffsets(self.step.zone) if self.step.zone else None
        self._by_length = []
        for format_ in self.step.read_formats():
            lengths: dict[int, list[_Layout]] = {}
            for layout in _layouts(format_):
                lengths.setdefault(layout.length, []).append(layout)
            self._by_length.append(lengths)

    def read(self, cells: pa.StringArray, missing_tokens: tuple[str, ...]) -> Column:
        """The cells (none null) as values; the empty cell and the tokens are missing."""
        missing = is_any_of(cells, ("", *missing_tokens))
        found = self._readings(cells, missing)
        unread = found.open
        if self.type == "date":
            days = (found.local // DAY).astype(np.int32)
            values = pa.array(days, mask=missing | unread).view(ARROW_TYPES["date"])
            return Column(values, missing, unread, self._why(cells, unread, {}))
        micros, faults = self._instants(found, missing)
        bad = unread.copy()
        bad[list(faults)] = True
        values = pa.array(micros, mask=missing | bad).view(ARROW_TYPES["timestamp"])
        return Column(values, missing, bad, self._why(cells, unread, faults))

    def _readings(self, cells: pa.StringArray, missing: Bools) -> _Readings:
        count = len(cells)
        local, micro, offset = (np.zeros(count, dtype=np.int64) for _ in range(3))
        found = _Readings(local, micro, offset, np.zeros(count, dtype=np.bool_), ~missing)
        offsets, data = text_buffers(cells)
        lengths = np.diff(offsets)
        present = set(np.unique(lengths[found.open]).tolist())
        for by_length in self._by_length:
            for length in sorted(present & by_length.keys()):
                rows = np.flatnonzero(found.open & (lengths == length))
                signs = data[offsets[rows][:, None] + np.arange(length)]
                for layout in by_length[length]:
                    left = ~_read_layout(layout, signs, rows, found)
                    rows, signs = rows[left], signs[left]
        return found

    def _instants(self, found: _Readings, missing: Bools) -> tuple[Ints, dict[int, str]]:
        """UTC microseconds, and by row what is read and no instant."""
        faults: dict[int, str] = {}
        offset = found.offset
        local = np.flatnonzero(~found.in_utc & ~found.open & ~missing)
        if self._zone is not None and len(local):
            here, times = self._zone.offsets(found.local[local])
            offset[local] = here
            for at in np.flatnonzero(times != 1).tolist():
                row = int(local[at])
                faults[row] = self._zone.clock_change(int(found.local[row]), int(times[at]))
        micros = (found.local - offset) * 1_000_000 + found.micro
        outside = ((micros < FIRST_MICRO) | (micros > LAST_MICRO)) & ~missing & ~found.open
        for row in np.flatnonzero(outside).tolist():
            faults.setdefault(row, "the instant lies outside of the years 1 to 9999 in UTC")
        return micros, faults

    def _why(self, cells: pa.StringArray, unread: Bools, faults: Mapping[int, str]) -> _Why:
        return _Why(self, cells, unread, faults)


@dataclass(frozen=True, slots=True)
class _Why:
    """Why a cell is no value, asked for refused rows only."""

    reader: TimeReader
    cells: pa.StringArray
    unread: Bools
    faults: Mapping[int, str]

    def __call__(self, row: int) -> StepFault:
        step, shown = self.reader.step, quoted(self.cells[row].as_py())
        detail = self.faults.get(row)
        if detail is None:
            detail = f"{shown} is not {_WORDS[self.reader.type]} written as {' or '.join(step.formats)}"
        return StepFault(step.field, detail, step.name)


def _read_layout(layout: _Layout, signs: Signs, rows: Ints, found: _Readings) -> Bools:
    """Takes in the rows that fit, letter by letter and as a time that can be; `signs` are their bytes. Which do."""
    fits = np.ones(len(rows), dtype=np.bool_)
    values: dict[str, Ints] = {}
    for piece, at, width in layout.places:
        here = signs[:, at : at + width]
        if isinstance(piece, str):
            fits &= (here == np.frombuffer(piece.encode(), dtype=np.uint8)).all(axis=1)
        elif piece.name == "offset":
            values["offset"], right = _offset(here)
            fits &= right
        else:
            values[piece.name], right = _number(here)
            fits &= right
        if not fits.any():
            return fits
    for name, (low, high) in RANGES.items():
        if name in values:
            fits &= (values[name] >= low) & (values[name] <= high)
    month = np.clip(values["month"], 1, 12)
    fits &= values["day"] <= days_in_month(values["year"], month)
    taken = rows[fits]
    zeros = np.zeros(len(rows), dtype=np.int64)
    hour, minute, second = (values.get(part, zeros) for part in ("hour", "minute", "second"))
    local = days_from_civil(values["year"], month, values["day"]) * DAY + hour * 3600 + minute * 60 + second
    found.local[taken] = local[fits]
    if "fraction" in values:
        width = next(width for piece, _, width in layout.places if _is(piece, "fraction"))
        found.micro[taken] = values["fraction"][fits] * 10 ** (6 - width)
    if "offset" in values:
        found.offset[taken] = values["offset"][fits]
        found.in_utc[taken] = True
    found.open[taken] = False
    return fits


def _is(piece: str | Part, name: str) -> bool:
    return isinstance(piece, Part) and piece.name == name


def _number(signs: Signs) -> tuple[Ints, Bools]:
    """The number that each row of digits is; and whether they are digits."""
    right: Bools = np.all((signs >= _ZERO) & (signs <= _NINE), axis=1)
    weights = 10 ** np.arange(signs.shape[1] - 1, -1, -1, dtype=np.int64)
    return (signs.astype(np.int64) - _ZERO) @ weights, right


def _offset(signs: Signs) -> tuple[Ints, Bools]:
    """Seconds from UTC that Z, +08, +0800 or +08:00 say; and whether they are such."""
    width = signs.shape[1]
    if width == 1:
        zulu: Bools = signs[:, 0] == _ZULU
        return np.zeros(len(signs), dtype=np.int64), zulu
    hours, right = _number(signs[:, 1:3])
    minutes = np.zeros(len(signs), dtype=np.int64)
    if width > 3:
        minutes, digits = _number(signs[:, -2:])
        right = right & digits
    if width == 6:
        colon: Bools = signs[:, 3] == _COLON
        right = right & colon
    ahead: Bools = signs[:, 0] == _PLUS
    behind: Bools = signs[:, 0] == _MINUS
    right = right & (ahead | behind) & (hours <= 23) & (minutes <= 59)
    seconds = hours * 3600 + minutes * 60
    return np.where(ahead, seconds, -seconds), right
