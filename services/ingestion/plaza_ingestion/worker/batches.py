"""The seam between how a file is written and what is judged.

Every format has one *reader*; it yields *batches* of records in file order, and the judge is one for all:

- A batch has `records` (for each record its line, its place in the file, its number of fields and its fault as a
  record), the `original` of each, and `cells`: columns of **text** for the records without fault. Text is the one
  currency, because the contract's grammar (`convert`) decides alone; a reader writes a typed cell as the text
  that the grammar takes for exactly this value, or, where there is none, as what the cell shows. So an Excel
  1.0 is `1`, which an integer field takes; 1.5 is `1.5`, which it refuses; and 25:10:00 stays what it is.
- Structure that no cell can express (a record that is no object, two values under one name) is a fault of the
  record, with its own words.
- A reader is opened with the headings that the contract wants. Files with a heading row bring theirs; in JSON and XML
  every record names its fields, so the wanted headings are the header, a name that is absent has no value, and a
  record with none of them is refused.
- Where the original is a piece of the file, its place says where (`places`); elsewhere the place is empty and
  the original, the record as JSON text, travels with the row.
- Lines: in CSV, TSV and JSONL physical lines, in XLSX the sheet's own rows; in JSON, XML and Parquet the record's
  number + 1, as if a heading were line 1. In an archive of several files the count goes on from file to file.
- What is broken beyond a record (a cut file, wrong syntax) raises `UnreadableFile`; what would need more memory or
  disk than a load may take raises `OversizedFile`. Nothing is staged then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
from plaza_kit.errors import InvalidArgument

from plaza_ingestion.worker.encodings import Encoding
from plaza_ingestion.worker.plan import Dialect
from plaza_ingestion.worker.records import Fault, Ints, Records

MOST_COLUMNS: Final = 1600
"""A contract has no more fields."""
ROWS_AT_ONCE: Final = 8192
BYTES_AT_ONCE: Final = 2 << 20
"""Of originals; whichever comes first ends a batch."""


class UnreadableFile(InvalidArgument):
    """The file breaks the rules of its own format, so that nothing behind the place can be read."""


class OversizedFile(InvalidArgument):
    """Reading the file would take more memory, disk or columns than a load may."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Whole CSV records, one behind the other."""

    data: bytes
    """Valid in the encoding, if the batch is checked."""
    encoding: Encoding
    """UTF-8, or one in which ASCII bytes that delimit or end anything are never part of a character."""


class Batch(Protocol):
    """Some records in file order."""

    @property
    def records(self) -> Records:
        """What is known of each record before its cells."""

    @property
    def end(self) -> int:
        """Bytes of the file that are read with it, about."""

    def original(self, index: int) -> bytes:
        """The record as it stands in the file, or as JSON text."""

    def where(self, index: int) -> str:
        """What a detail about the record begins with: the file it stands in, when there are several."""

    def describe(self, index: int, dialect: Dialect) -> tuple[str, int | None]:
        """What is wrong with a record at fault, in plain words, and the column where, when it is known."""

    def checked(self) -> Batch:
        """The same with all faults marked; done by the thread that judges."""

    def cells_tell(self, dialect: Dialect) -> bool:
        """Whether a record is in the file's encoding when each of its cells is, so that `joined` may come before
        `checked`."""

    def cells(self, good: Ints, width: int, wanted: Sequence[int], dialect: Dialect) -> list[pa.StringArray]:
        """Text of the records `good` without null, an array for each wanted column."""

    def joined(self, good: Ints, dialect: Dialect) -> Joined | None:
        """The records `good` in one piece; None where the file is not CSV."""


class Reader(Protocol):
    """One opened file."""

    @property
    def headings(self) -> tuple[str, ...]:
        """The columns of every batch."""

    @property
    def places(self) -> bool:
        """Whether a record's place in the file holds its original."""

    def batches(self) -> Iterator[Batch]:
        """The records behind the heading, once."""

    def ignored(self) -> tuple[str, ...]:
        """Names that were met beside the headings; known when all batches are read."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The batch of every format but CSV: texts, lines and originals."""

    records: Records
    columns: tuple[pa.StringArray, ...]
    originals: Sequence[bytes]
    details: Mapping[int, str]
    """For each record at fault, why."""
    end: int

    def original(self, index: int) -> bytes:
        """The record as it stands in the file, or as JSON text."""
        return self.originals[index]

    def where(self, index: int) -> str:
        """Nothing: the source is one file."""
        return ""

    def describe(self, index: int, dialect: Dialect) -> tuple[str, int | None]:
        """What its reader said about a record at fault."""
        return self.details[index], None

    def checked(self) -> Rows:
        """Itself: its reader has marked everything."""
        return self

    def cells_tell(self, dialect: Dialect) -> bool:
        """No: nothing is left to be told."""
        return False

    def cells(self, good: Ints, width: int, wanted: Sequence[int], dialect: Dialect) -> list[pa.StringArray]:
        """Text of the records `good`."""
        if len(good) == len(self.records):
            return [self.columns[i] for i in wanted]
        return [self.columns[i].take(pa.array(good)) for i in wanted]

    def joined(self, good: Ints, dialect: Dialect) -> Joined | None:
        """None: the file is not CSV."""
        return None


@dataclass(slots=True)
class RowsBuilder:
    """Collects records into batches of bounded size."""

    width: int
    _rows: list[Sequence[str]] = field(default_factory=list)
    _originals: list[bytes] = field(default_factory=list)
    _places: list[tuple[int, int, int, int]] = field(default_factory=list)
    _details: dict[int, str] = field(default_factory=dict)
    _bytes: int = 0

    @property
    def full(self) -> bool:
        """Whether it is time to `take`."""
        return len(self._rows) >= ROWS_AT_ONCE or self._bytes >= BYTES_AT_ONCE

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, line: int, cells: Sequence[str], original: bytes, place: tuple[int, int] = (0, 0)) -> None:
        """A record with its cells; `place` is offset and length in the file."""
        self._append(line, cells, original, place, Fault.NONE)

    def refuse(
        self, line: int, fault: Fault, detail: str, original: bytes, place: tuple[int, int] = (0, 0)
    ) -> None:
        """A record at fault."""
        self._details[len(self._rows)] = detail
        self._append(line, ("",) * self.width, original, place, fault)

    def take(self, end: int) -> Rows:
        """What was collected; the builder is empty then. `end` as in `Batch`."""
        offset, length, line, fault = np.array(self._places, dtype=np.int64).reshape(-1, 4).T
        fields = np.full(len(line), self.width, dtype=np.int64)
        records = Records(offset, length, line, fields, fault.astype(np.uint8))
        columns = tuple(pa.array([row[i] for row in self._rows], pa.string()) for i in range(self.width))
        rows = Rows(records, columns, self._originals, self._details, end)
        self._rows, self._originals, self._places, self._details, self._bytes = [], [], [], {}, 0
        return rows

    def _append(
        self, line: int, cells: Sequence[str], original: bytes, place: tuple[int, int], fault: Fault
    ) -> None:
        self._rows.append(cells)
        self._originals.append(original)
        self._places.append((*place, line, int(fault)))
        self._bytes += len(original) + 64 * self.width


def json_text(names: Iterable[str], cells: Iterable[str]) -> bytes:
    """A record of a format without text of its own, as one JSON object; cells without value are left out."""
    return one_line({name: cell for name, cell in zip(names, cells, strict=False) if cell != ""})


def one_line(value: Any) -> bytes:
    """JSON in UTF-8 without line ends; a text that is no Unicode (a lone surrogate) stays escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
