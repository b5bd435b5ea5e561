"""Reading a source file once, in bounded memory, as windows of whole records."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from plaza_kit.errors import FailedPrecondition

from plaza_ingestion.worker.batches import Joined
from plaza_ingestion.worker.cells import read_joined, split_record
from plaza_ingestion.worker.encodings import UTF8, Encoding, settle
from plaza_ingestion.worker.plan import Dialect
from plaza_ingestion.worker.records import CR, LF, Fault, Ints, Records, Split, split_fast, split_slow

_WIDEST: Final = 2 << 20
"""Bytes of a window while nothing is wrong: big enough for numpy, small enough for the cache."""
_NARROWEST: Final = 8
"""Which part of that a window has after a wrong quote: it doubles with each clean one, so that neither a
single bad line nor a file full of them makes the fast path read the same bytes again and again."""
_REPLACEMENT: Final = "\ufffd".encode()
_SLOW: Final = 32
"""Which part of that is scanned byte by byte after a wrong quote before the fast path is tried again."""


class SourceChanged(FailedPrecondition):
    """The file became shorter while it was read."""


@dataclass(frozen=True, slots=True)
class Window:
    """Whole records of a text file, with their bytes: the `batches.Batch` of CSV."""

    start: int
    """Place of `data[0]` in the file."""
    data: bytes
    records: Records
    """Places in the file, lines counted from 1."""
    end: int
    """Place in the file up to which all bytes are now decided."""
    encoding: Encoding = UTF8
    utf8: bytes | None = None
    """The text of `data`, when all of it has been decoded already."""

    def original(self, index: int) -> bytes:
        """The record's bytes without its line end; of a record that is too long, as many as are at hand."""
        at = int(self.records.offset[index]) - self.start
        return self.data[at : at + int(self.records.length[index])]

    def where(self, index: int) -> str:
        """Nothing: the source is one file."""
        return ""

    def describe(self, index: int, dialect: Dialect) -> tuple[str, int | None]:
        """What is wrong with a record at fault, in plain words, and the column where, when it is known."""
        fault, original = self.records.fault[index], self.original(index)
        at = self.encoding.first_wrong_byte(original) if fault == Fault.ENCODING else None
        if at is not None:
            detail = f"byte {at + 1} of the record (0x{original[at]:02X}) is not {self.encoding.label}"
            return detail, self._undecodable_column(original, int(self.records.fields[index]), dialect)
        if fault == Fault.TOO_LONG:
            return f"the record is longer than {dialect.max_record_bytes} bytes", None
        return "a quote stands where none may, or a quoted field is not closed (RFC 4180)", None

    def _undecodable_column(self, original: bytes, fields: int, dialect: Dialect) -> int | None:
        by_bytes = self.cells_tell(dialect)
        if not by_bytes:
            original = original.decode(self.encoding.name, errors="replace").encode()
        try:
            cells = split_record(original, fields, dialect)
        except pa.ArrowInvalid:
            return None  # what took the place of wrong bytes took a delimiter with it
        for column, cell in enumerate(cells):
            if not self.encoding.is_valid(cell) if by_bytes else _REPLACEMENT in cell:
                return column
        return None

    def without_first(self) -> Window:
        """The same window behind its first record (the header)."""
        r = self.records
        rest = Records(r.offset[1:], r.length[1:], r.line[1:], r.fields[1:], r.fault[1:])
        return replace(self, records=rest)

    def checked(self) -> Window:
        """The same window with the records marked that are not in the file's encoding."""
        if self.encoding.is_plainly_valid(self.data):
            return self
        if self.encoding.name == UTF8.name:
            return self._marked()
        try:
            return replace(self, utf8=self.encoding.to_utf8(self.data))
        except UnicodeDecodeError:
            return self._marked()

    def cells_tell(self, dialect: Dialect) -> bool:
        """Whether no byte that parts cells or records can be part of a character."""
        return self.encoding.ascii_is_itself(_special(dialect))

    def cells(self, good: Ints, width: int, wanted: Sequence[int], dialect: Dialect) -> list[pa.StringArray]:
        """The unquoted cells of the records `good` (indexes), one array for each column `wanted`.

        The records must be without fault and of `width` fields each. No cell is null; an absent value is "".
        """
        if not len(good):
            return [pa.array([], pa.string()) for _ in wanted]
        table = read_joined(self._text(good), width, wanted, dialect)
        if table.num_rows != len(good):
            raise AssertionError(f"two readers disagree: {len(good)} records, {table.num_rows} rows")
        return [table.column(i).combine_chunks() for i in range(len(wanted))]

    def joined(self, good: Ints, dialect: Dialect) -> Joined | None:
        """The records `good`, which must be without fault, in one piece."""
        if not len(good):
            return None
        if self.utf8 is None and self.cells_tell(dialect):
            return Joined(self._pieces(good), self.encoding)
        return Joined(self._text(good), UTF8)

    def _marked(self) -> Window:
        records, fault = self.records, self.records.fault.copy()
        suspects = np.arange(len(records))
        if self.encoding.unit == 1:
            beyond_ascii = np.flatnonzero(np.frombuffer(self.data, dtype=np.uint8) >= 0x80) + self.start
            # Outside of records are line ends only, so each such byte lies in the record that began last.
            suspects = np.unique(np.searchsorted(records.offset, beyond_ascii, side="right") - 1)
        for index in suspects[suspects >= 0].tolist():
            if fault[index] == Fault.NONE and not self.encoding.is_valid(self.original(index)):
                fault[index] = Fault.ENCODING
        return replace(self, records=replace(records, fault=fault))

    def _text(self, good: Ints) -> bytes:
        """The good records alone, in UTF-8."""
        pieces = self._pieces(good)
        return self.utf8 if self.utf8 is not None and pieces is self.data else self.encoding.to_utf8(pieces)

    def _pieces(self, good: Ints) -> bytes:
        """The good records alone, with line ends and empty lines between them."""
        if len(good) == len(self.records) and self.records.offset[0] == self.start:
            return self.data
        offset, length = self.records.offset - self.start, self.records.length
        breaks = np.flatnonzero(np.diff(good) != 1) + 1
        first = good[np.concatenate(([0], breaks))]
        last = good[np.concatenate((breaks - 1, [len(good) - 1]))]
        begins, ends = offset[first].tolist(), (offset[last] + length[last]).tolist()
        pieces = [self.data[begin:end] for begin, end in zip(begins, ends, strict=True)]
        line_end = b"\n" if self.encoding.unit == 1 else "\n".encode(self.encoding.name)
        return pieces[0] if len(pieces) == 1 else line_end.join(pieces)


def _special(dialect: Dialect) -> bytes:
    return bytes((dialect.delimiter_byte, dialect.quote_byte))


class SourceFile(AbstractContextManager["SourceFile"]):
    """A file opened for one load: read by place, hashed on the way (each byte once, in order)."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._file = path.open("rb", buffering=0)
        self.size: Final = os.fstat(self._file.fileno()).st_size
        self._hash = hashlib.sha256()
        self._hashed = 0

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; harmless when it is closed."""
        self._file.close()

    def read(self, at: int, size: int) -> bytes:
        """`size` bytes from place `at`, fewer only at the end of the file. Raises `SourceChanged`."""
        wanted = min(size, self.size - at)
        data = os.pread(self._file.fileno(), wanted, at)
        while len(data) < wanted:
            more = os.pread(self._file.fileno(), wanted - len(data), at + len(data))
            if not more:
                raise SourceChanged(
                    f"The file {self.path.name} ended at byte {at + len(data)} while it was read; "
                    f"it had {self.size} bytes when it was opened.",
                    remedy="Load a file that nobody writes to any more.",
                )
            data += more
        if at <= self._hashed < at + len(data):
            self._hash.update(memoryview(data)[self._hashed - at :])
            self._hashed = at + len(data)
        return data

    def sha256(self) -> str:
        """Of the whole file; reads what no window has read yet."""
        while self._hashed < self.size:
            self.read(self._hashed, _WIDEST)
        return self._hash.hexdigest()


def windows(source: SourceFile, dialect: Dialect, *, widest: int = _WIDEST) -> Iterator[Window]:
    """The file's records in order (see `records` for the rule), in windows of about `widest` bytes.

    How the file is cut into windows depends on its bytes alone, and the records do not depend on the cuts.
    Memory: one window, or one `max_record_bytes` if that is more.
    """
    return (window.checked() for window in unchecked_windows(source, dialect, widest=widest))


def unchecked_windows(source: SourceFile, dialect: Dialect, *, widest: int = _WIDEST) -> Iterator[Window]:
    """The same before `Window.checked`, which takes its time and may be done by another thread."""
    encoding = settle(dialect.encoding, source.read(0, 4))
    cutter = _Cutter(source, dialect, encoding)
    unit = encoding.unit
    narrowest, budget = max(widest // _NARROWEST, 1) * unit, max(widest // _SLOW, 1)
    widest *= unit
    decisive = (
        cutter.dialect.max_record_bytes + 2
    ) * unit  # a record and its CRLF: behind them nothing is open
    at = len(encoding.bom) if source.read(0, len(encoding.bom)) == encoding.bom else 0
    line, width = 1, widest
    while at < source.size:
        data, signs, final = cutter.read(at, width)
        split = split_fast(signs, cutter.dialect, final=final)
        if split.consumed:
            window = cutter.placed(data, at, line, split)
            yield window
            at, line = window.end, line + split.lines
            if not split.blocked:
                width = min(width * 2, widest)
                continue
        elif not split.blocked and not final and len(data) < decisive:
            width = decisive
            continue
        data, signs, final = cutter.read(at, decisive + budget * unit)
        split = split_slow(signs, cutter.dialect, final=final, budget=budget)
        if not split.consumed:
            window = cutter.endless_line(at, line)
            yield window
            at, line = window.end, line + 1
        else:
            window = cutter.placed(data, at, line, split)
            yield window
            at, line = window.end, line + split.lines
        width = narrowest


class _Cutter:
    """Between places in the signs of a window and places in the file."""

    def __init__(self, source: SourceFile, dialect: Dialect, encoding: Encoding) -> None:
        self._source = source
        self._encoding = encoding
        self._unit = encoding.unit
        self._special = _special(dialect)
        self._limit = dialect.max_record_bytes
        self.dialect = replace(dialect, max_record_bytes=max(dialect.max_record_bytes // self._unit, 1))
        """The limit counted in signs."""

    def read(self, at: int, size: int) -> tuple[bytes, bytes, bool]:
        """Bytes from `at`, their signs, and whether the file ends with them."""
        data = self._source.read(at, size)
        return data, self._encoding.signs(data, self._special), at + len(data) >= self._source.size

    def placed(self, data: bytes, at: int, line: int, split: Split) -> Window:
        """The split with places in the file."""
        unit = self._unit
        consumed = min(split.consumed * unit, len(data))
        data = data[:consumed] if consumed < len(data) else data
        records = split.records
        offset, length = records.offset, records.length
        if unit > 1:
            offset, length = offset * unit, np.minimum(length * unit, len(data) - offset * unit)
        placed = replace(records, offset=offset + at, length=length, line=records.line + line)
        return Window(at, data, placed, at + consumed, self._encoding)

    def endless_line(self, at: int, line: int) -> Window:
        """The physical line at `at`, longer than may be held: its first bytes, its length, what follows it."""
        source, unit, end = self._source, self._unit, at
        while end < source.size:
            block, signs, _ = self.read(end, _WIDEST)
            found = min((i for i in (signs.find(b"\n"), signs.find(b"\r")) if i >= 0), default=-1)
            if found >= 0:
                end += found * unit
                break
            end += len(block)
        rest, line_end, _ = self.read(end, 2 * unit)
        after = end + (len(rest) if line_end == bytes((CR, LF)) else min(len(rest), unit))
        one = np.ones(1, dtype=np.int64)
        fault = np.array([Fault.TOO_LONG], dtype=np.uint8)
        records = Records(at * one, (end - at) * one, line * one, 0 * one, fault)
        return Window(at, source.read(at, self._limit), records, after, self._encoding)
