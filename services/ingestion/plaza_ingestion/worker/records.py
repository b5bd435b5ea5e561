"""From bytes to records: where each record of a CSV file lies, its line, its fields and its faults.

The rule (RFC 4180, made definite where the RFC is silent):

- A record ends at the first line end (LF, CR or CRLF, mixed as they come) outside a quoted field, or at the
  end of the file. A quoted field begins with a quote as its first byte, ends with a quote as its last one;
  two quotes inside stand for one.
- A record whose quoting breaks that (a quote inside an unquoted field, text after a closing quote, a field
  not closed before the end of the file or within `max_record_bytes`) is *its first physical line alone*, and
  reading resumes at the next one. So a stray quote costs one line, never the file.
- A record of more than `max_record_bytes` is refused the same way.
- An empty line is no record, but counts as a line. In a file of one column, an empty value must therefore be
  written as two quotes.
- Every byte of the file is the byte order mark, part of exactly one record, or part of a line end.

`split_fast` decides whole windows with numpy where nothing is wrong; `scan_record` is the same rule as a
plain state machine, used from the first place that looks wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from plaza_ingestion.worker.bitmaps import Ints as Ints
from plaza_ingestion.worker.bitmaps import (
    Ranks,
    Words,
    bitmap,
    first_of,
    next_places,
    odd_places,
    positions,
    previous_places,
)
from plaza_ingestion.worker.plan import Dialect

LF: Final = 10
CR: Final = 13

Bools = npt.NDArray[np.bool_]
_FIRST: Final = np.uint64(1)


class Fault(IntEnum):
    """What is wrong with a record as bytes; the first that applies."""

    NONE = 0
    TOO_LONG = 1
    QUOTING = 2
    ENCODING = 3
    SYNTAX = 4
    """Not of the form that its format asks of a record; the batch says in what way."""


@dataclass(frozen=True, slots=True)
class Records:
    """A run of records, one array element each, in file order."""

    offset: Ints
    """Of the record's first byte: in the window for `split_*`, in the file for `source.windows`."""
    length: Ints
    """In bytes, without the line end."""
    line: Ints
    """The first physical line; counted from 0 by `split_*`, from 1 by `source.windows`."""
    fields: Ints
    """Number of fields; 0 where quoting or length is at fault."""
    fault: npt.NDArray[np.uint8]
    """A `Fault` each."""

    def __len__(self) -> int:
        return len(self.offset)


@dataclass(frozen=True, slots=True)
class Split:
    """The records found at the beginning of a window."""

    records: Records
    consumed: int
    """Bytes of the window that are decided: records, their line ends, and empty lines."""
    lines: int
    """Line ends among them, those inside quoted fields included."""
    blocked: bool
    """The next record must be scanned byte by byte: its quoting or length looks wrong."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """One record found by `scan_record`, places counted in the window."""

    end: int
    """One past the record's last byte."""
    next: int
    """Where the next record or empty line begins."""
    fields: int
    lines: int
    """Line ends in the record and behind it."""
    fault: Fault


def split_fast(data: bytes, dialect: Dialect, *, final: bool) -> Split:
    """All records from the start of `data` up to the first one that looks wrong or is not complete.

    `data` begins at a record or an empty line; `final` says that the file ends where it ends.
    """
    signs = np.frombuffer(data, dtype=np.uint8)
    line_ends = feeds = bitmap(signs, LF)
    returns = bitmap(signs, CR) if b"\r" in data else None
    if returns is not None:
        # A CRLF is one line end; it is remembered by its CR.
        line_ends = returns | (feeds & ~next_places(returns))
    delimiters = bitmap(signs, dialect.delimiter_byte)
    if dialect.quote.encode() not in data:
        return _assemble(signs, line_ends, line_ends, delimiters, None, dialect, final)

    quotes = bitmap(signs, dialect.quote_byte)
    inside = odd_places(quotes)
    neighbours = quotes | delimiters | line_ends | feeds
    wrong = _first_wrong_quote(quotes & inside, quotes & ~inside, neighbours, len(data))
    if wrong is None and final and int(np.bitwise_count(quotes).sum()) % 2:
        wrong = len(data)  # the last field never closes
    return _assemble(signs, line_ends & ~inside, line_ends, delimiters & ~inside, wrong, dialect, final)


def _first_wrong_quote(opening: Words, closing: Words, neighbours: Words, size: int) -> int | None:
    """The first quote that RFC 4180 does not allow, given that all before it are right; None without one.

    A quote that opens must stand at the beginning of a field or behind the quote that closed (the second
    of an escaped pair); one that closes must be followed by the end of the field or by a quote.
    """
    may_open, may_close = next_places(neighbours), previous_places(neighbours)
    may_open[0] |= _FIRST
    may_close[(size - 1) >> 6] |= _FIRST << np.uint64((size - 1) & 63)  # what follows is not here yet
    return first_of((opening & ~may_open) | (closing & ~may_close))


def _assemble(
    signs: npt.NDArray[np.uint8],
    record_ends: Words,
    line_ends: Words,
    delimiters: Words,
    wrong: int | None,
    dialect: Dialect,
    final: bool,
) -> Split:
    """Records between `record_ends`, as far as they lie before `wrong`."""
    size = len(signs)
    ends = positions(record_ends, size)
    if wrong is not None:
        ends = ends[: np.searchsorted(ends, wrong)]
    if ends.size and not final and int(ends[-1]) == size - 1 and int(signs[-1]) == CR:
        ends = ends[:-1]  # its LF may be the first byte of the next window
    after = np.minimum(ends + 1, size - 1)
    next_start = ends + 1 + ((signs[ends] == CR) & (signs[after] == LF) & (ends + 1 < size))
    if final and wrong is None and (int(next_start[-1]) if next_start.size else 0) < size:
        ends = np.append(ends, size)  # the last record has no line end
        next_start = np.append(next_start, size)
    starts = np.concatenate((np.zeros(1, dtype=np.int64), next_start[:-1]))[: len(ends)]
    length = ends - starts
    fields = np.diff(Ranks.of(delimiters).before(ends), prepend=0) + 1

    too_long = np.flatnonzero(length > dialect.max_record_bytes)
    blocked = wrong is not None or too_long.size > 0
    keep = int(too_long[0]) if too_long.size else len(ends)
    consumed = int(next_start[keep - 1]) if keep else 0
    kept = np.flatnonzero(length[:keep] > 0)
    lines = Ranks.of(line_ends).before(np.append(starts[kept], consumed))
    records = Records(
        offset=starts[kept],
        length=length[kept],
        line=lines[:-1],
        fields=fields[kept],
        fault=np.zeros(len(kept), dtype=np.uint8),
    )
    return Split(records, consumed, int(lines[-1]), blocked)


def split_slow(
    data: bytes, dialect: Dialect, *, final: bool, start: int = 0, budget: int | None = None
) -> Split:
    """The same as `split_fast`, record by record, and through what is wrong.

    Begins at `start` (places and lines count from there) and stops after `budget` bytes, or where `data` ends
    before the next record is decided.
    """
    rows: list[tuple[int, int, int, int, int]] = []
    at, lines = start, 0
    stop = len(data) if budget is None else min(len(data), start + budget)
    while at < stop:
        if data[at] in (LF, CR):
            after = _after_line_end(data, at, final)
            if after is None:
                break
            at, lines = after, lines + 1
            continue
        found = scan_record(data, at, dialect, final=final)
        if found is None:
            break
        rows.append((at - start, found.end - at, lines, found.fields, found.fault))
        at, lines = found.next, lines + found.lines
    columns = np.array(rows, dtype=np.int64).reshape(len(rows), 5).T
    records = Records(columns[0], columns[1], columns[2], columns[3], columns[4].astype(np.uint8))
    return Split(records, at - start, lines, blocked=False)


def scan_record(data: bytes, start: int, dialect: Dialect, *, final: bool) -> Scanned | None:
    """The record that begins at `start`; None when `data` ends before it is decided.

    With `max_record_bytes` + 2 bytes behind `start` it is always decided, unless the physical line is longer.
    """
    delimiter, quote, limit = dialect.delimiter_byte, dialect.quote_byte, dialect.max_record_bytes
    fields, lines, size = 1, 1, len(data)
    fresh, plain, quoted, closed = range(4)  # where we are: before a field, in one, in quotes, behind them
    state = fresh
    at = start
    for at in range(start, min(size, start + limit + 1)):
        sign = data[at]
        if state == quoted:
            if sign == quote:
                state = closed
            elif sign == CR or (sign == LF and data[at - 1] != CR):
                lines += 1
        elif sign in (LF, CR):
            after = _after_line_end(data, at, final)
            return None if after is None else Scanned(at, after, fields, lines, Fault.NONE)
        elif sign == delimiter:
            fields, state = fields + 1, fresh
        elif sign == quote:
            if state == plain:
                return _first_line(data, start, dialect, final)
            state = quoted
        elif state == closed:
            return _first_line(data, start, dialect, final)
        else:
            state = plain
    if size - start > limit:
        return _first_line(data, start, dialect, final)
    if not final:
        return None
    if state == quoted:
        return _first_line(data, start, dialect, final)
    return Scanned(size, size, fields, lines - 1, Fault.NONE)


def _first_line(data: bytes, start: int, dialect: Dialect, final: bool) -> Scanned | None:
    """The physical line at `start` as a record that is refused; None when its end is not in `data`."""
    lf = data.find(b"\n", start)
    cr = data.find(b"\r", start, lf if lf >= 0 else len(data))
    end = cr if cr >= 0 else lf
    if end < 0:
        if not final:
            return None
        end = after = len(data)
        lines = 0
    else:
        found = _after_line_end(data, end, final)
        if found is None:
            return None
        after, lines = found, 1
    fault = Fault.TOO_LONG if end - start > dialect.max_record_bytes else Fault.QUOTING
    return Scanned(end, after, 0, lines, fault)


def _after_line_end(data: bytes, at: int, final: bool) -> int | None:
    """One past the line end at `at`; None when that depends on a byte that is not here yet."""
    if data[at] == LF:
        return at + 1
    if at + 1 == len(data):
        return at + 1 if final else None
    return at + 2 if data[at + 1] == LF else at + 1
