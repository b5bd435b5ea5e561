"""Reading a source file once, in bounded memory, as windows of whole records."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from plaza_kit.errors import FailedPrecondition

from plaza_ingestion.worker.plan import Dialect
from plaza_ingestion.worker.records import CR, LF, Fault, Records, Split, split_fast, split_slow

BOM: Final = b"\xef\xbb\xbf"

_WIDEST: Final = 2 << 20
"""Bytes of a window while nothing is wrong: big enough for numpy, small enough for the cache."""
_NARROWEST: Final = 8
"""Which part of that a window has after a wrong quote: it doubles with each clean one, so that neither a
single bad line nor a file full of them makes the fast path read the same bytes again and again."""
_SLOW: Final = 32
"""Which part of that is scanned byte by byte after a wrong quote before the fast path is tried again."""


class SourceChanged(FailedPrecondition):
    """The file became shorter while it was read."""


@dataclass(frozen=True, slots=True)
class Window:
    """Whole records of a file, with their bytes."""

    start: int
    """Place of `data[0]` in the file."""
    data: bytes
    records: Records
    """Places in the file, lines counted from 1."""
    end: int
    """Place in the file up to which all bytes are now decided."""

    def original(self, index: int) -> bytes:
        """The record's bytes without its line end; of a record that is too long, as many as are at hand."""
        at = int(self.records.offset[index]) - self.start
        return self.data[at : at + int(self.records.length[index])]

    def without_first(self) -> Window:
        """The same window behind its first record (the header)."""
        r = self.records
        rest = Records(r.offset[1:], r.length[1:], r.line[1:], r.fields[1:], r.fault[1:])
        return replace(self, records=rest)


class SourceFile(AbstractContextManager["SourceFile"]):
    """A file opened for one load: read by place, hashed on the way (each byte once, in order)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb", buffering=0)
        self.size: Final = os.fstat(self._file.fileno()).st_size
        self._hash = hashlib.sha256()
        self._hashed = 0

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, at: int, size: int) -> bytes:
        """`size` bytes from place `at`, fewer only at the end of the file. Raises `SourceChanged`."""
        wanted = min(size, self.size - at)
        data = os.pread(self._file.fileno(), wanted, at)
        while len(data) < wanted:
            more = os.pread(self._file.fileno(), wanted - len(data), at + len(data))
            if not more:
                raise SourceChanged(
                    f"The file {self._path.name} ended at byte {at + len(data)} while it was read; "
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
    narrowest, budget = max(widest // _NARROWEST, 1), max(widest // _SLOW, 1)
    decisive = dialect.max_record_bytes + 2  # a record and its CRLF: behind so many bytes nothing is open
    at = len(BOM) if source.read(0, len(BOM)) == BOM else 0
    line, width = 1, widest
    while at < source.size:
        data = source.read(at, width)
        final = at + len(data) >= source.size
        split = split_fast(data, dialect, final=final)
        if split.consumed:
            yield _placed(data, at, line, split)
            at, line = at + split.consumed, line + split.lines
            if not split.blocked:
                width = min(width * 2, widest)
                continue
        elif not split.blocked and not final and len(data) < decisive:
            width = decisive
            continue
        data = source.read(at, decisive + budget)
        final = at + len(data) >= source.size
        split = split_slow(data, dialect, final=final, budget=budget)
        if not split.consumed:
            window, line_end = _endless_line(source, at, line, dialect)
            yield window
            at, line = line_end, line + 1
        else:
            yield _placed(data, at, line, split)
            at, line = at + split.consumed, line + split.lines
        width = narrowest


def _placed(data: bytes, at: int, line: int, split: Split) -> Window:
    """The split with places in the file and with the records marked that are not UTF-8."""
    data = data[: split.consumed] if split.consumed < len(data) else data
    records = split.records
    fault = _mark_encoding(data, records)
    placed = replace(records, offset=records.offset + at, line=records.line + line, fault=fault)
    return Window(at, data, placed, at + split.consumed)


def _mark_encoding(data: bytes, records: Records) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    if data.isascii() or _is_utf8(data):
        return records.fault
    fault = records.fault.copy()
    beyond_ascii = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) >= 0x80)
    # Outside of records are line ends only, so each such byte lies in the record that began last.
    for index in np.unique(np.searchsorted(records.offset, beyond_ascii, side="right") - 1):
        begin = int(records.offset[index])
        if fault[index] == Fault.NONE and not _is_utf8(data[begin : begin + int(records.length[index])]):
            fault[index] = Fault.ENCODING
    return fault


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _endless_line(source: SourceFile, at: int, line: int, dialect: Dialect) -> tuple[Window, int]:
    """The physical line at `at`, longer than may be held: its first bytes, its length, what follows it."""
    end = at
    while end < source.size:
        block = source.read(end, _WIDEST)
        found = min((i for i in (block.find(b"\n"), block.find(b"\r")) if i >= 0), default=-1)
        if found >= 0:
            end += found
            break
        end += len(block)
    line_end = source.read(end, 2)
    after = end + (2 if line_end == bytes((CR, LF)) else min(len(line_end), 1))
    one = np.ones(1, dtype=np.int64)
    records = Records(
        at * one, (end - at) * one, line * one, 0 * one, np.array([Fault.TOO_LONG], dtype=np.uint8)
    )
    return Window(at, source.read(at, dialect.max_record_bytes), records, after), after
