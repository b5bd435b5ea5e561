"""Refused records as a table that people edit in a spreadsheet (CSV, RFC 4180, UTF-8).

`plaza_row, plaza_reason, plaza_detail, plaza_record`, then the source's own columns. The cells are the
original's, to the letter; a record that cannot be split into as many cells as its heading has stands whole in
`plaza_record`, its cells are empty, and it is refused if it is handed back so.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from plaza_kit.errors import InvalidArgument

from plaza_ingestion.domain.quarantine import OWN_COLUMNS, ROW_COLUMN, RowId

BOM: Final = "\ufeff"
"""So that spreadsheets take the file for UTF-8."""


class UnknownHeading(InvalidArgument):
    """A repaired cell names a column that the source does not have."""


@dataclass(frozen=True, slots=True)
class Source:
    """The file that a refused record came from."""

    headings: tuple[str, ...]
    delimiter: str = ","
    encoding: str = "utf-8"
    named: bool = False
    """Each record is a JSON object that names its fields: all files but CSV are kept so."""

    @classmethod
    def of(cls, heading: bytes, contract: Mapping[str, Any]) -> Source:
        """From the heading's bytes and the contract, in JSON. Without a heading the contract's columns are it."""
        form = contract.get("format") or {}
        if not heading:
            return cls(tuple(_columns(contract)), named=True)
        delimiter = str(form.get("delimiter") or ("\t" if form.get("type") == "tsv" else ","))
        plain = cls((), delimiter, str(form.get("encoding") or "utf-8"))
        cells = plain._split(heading)
        return cls(tuple(cells or ()), plain.delimiter, plain.encoding)

    def cells(self, record: bytes) -> list[str] | None:
        """One for each heading; None when the record cannot be split so."""
        if self.named:
            return _values(record, self.headings)
        cells = self._split(record)
        return cells if cells is not None and len(cells) == len(self.headings) else None

    def text(self, record: bytes) -> str:
        """The whole record; what is not in its encoding is shown as U+FFFD."""
        try:
            return record.decode(self.encoding, errors="replace")
        except LookupError:
            return record.decode("utf-8", errors="replace")

    def _split(self, record: bytes) -> list[str] | None:
        try:
            text = record.decode(self.encoding).removeprefix(BOM)
            # A cell may not be longer than `csv` allows; then the record counts as one that cannot be split.
            found = list(csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter, strict=True))
        except (UnicodeDecodeError, LookupError, csv.Error):
            return None
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Held:
    """A held row as it is shown for repair."""

    row: RowId
    reason: str
    detail: str
    original: bytes


class RepairForm:
    """The table: its columns are those of all sources together, in their order."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        """By batch id."""
        self._sources = sources
        self._columns: list[tuple[str, int]] = []
        for source in sources.values():
            known = set(self._columns)
            self._columns += [place for place in _places(source.headings) if place not in known]

    def heading(self) -> bytes:
        """The first line, with a byte order mark."""
        names = [*OWN_COLUMNS, *(name for name, _ in self._columns)]
        return BOM.encode() + line(names)

    def record(self, held: Held) -> bytes:
        """One line."""
        source = self._sources.get(held.row.batch) or Source(())
        cells = source.cells(held.original)
        whole = "" if cells is not None else source.text(held.original)
        by_place = dict(zip(_places(source.headings), cells or (), strict=False))
        own = [str(held.row), held.reason, held.detail, whole]
        return line([*own, *(by_place.get(place, "") for place in self._columns)])


def one_row(row: RowId, source: Source, original: bytes, values: Mapping[str, str]) -> bytes:
    """A repair file of one row: its original cells with some of them changed. The same repair gives the same
    bytes. Raises UnknownHeading."""
    unknown = sorted(values.keys() - set(source.headings))
    if unknown:
        raise UnknownHeading(
            f"values: the source has no column {', '.join(unknown)}",
            remedy=f"its columns are: {', '.join(source.headings)}",
        )
    cells = source.cells(original) or [""] * len(source.headings)
    # Of columns with the same heading the first is meant: no contract can read a second one.
    first = {name: number for number, name in reversed(list(enumerate(source.headings)))}
    for name, value in values.items():
        cells[first[name]] = value
    return line([ROW_COLUMN, *source.headings]) + line([str(row), *cells])


def line(cells: Iterable[str]) -> bytes:
    """One CSV record with its line end."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue().encode("utf-8", errors="replace")


def _columns(contract: Mapping[str, Any]) -> Iterator[str]:
    # Only steps that build a field have a target.
    built = {kind.get("target") for step in contract.get("steps") or () for kind in _kinds(step)}
    for field in contract.get("fields") or ():
        if field.get("source_name") or field.get("name") not in built:
            yield str(field.get("source_name") or field.get("name"))


def _kinds(step: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (kind for kind in step.values() if isinstance(kind, Mapping))


def _values(record: bytes, headings: Sequence[str]) -> list[str] | None:
    try:
        # Numbers stay the text that they are: 1.10 is no 1.1 here.
        found = json.loads(record, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return [_cell(found.get(name)) for name in headings]


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _places(headings: Sequence[str]) -> list[tuple[str, int]]:
    """Each heading with how many of the same stand before it."""
    seen: dict[str, int] = {}
    places = []
    for name in headings:
        places.append((name, seen.get(name, 0)))
        seen[name] = seen.get(name, 0) + 1
    return places
