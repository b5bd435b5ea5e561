"""Refused rows as a table to be corrected in the browser: the repair export in, corrections out; pure.

The export is CSV (RFC 4180, UTF-8): `plaza_row, plaza_reason, plaza_detail, plaza_record`, then the source's own
columns. A record that cannot be split stands whole in `plaza_record`; its cells are empty there.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

OWN_COLUMNS = 4
ROW_COLUMN = "plaza_row"
MOST_COLUMNS = 200
"""Of wider files the browser's table would be no help; they are repaired in a spreadsheet."""
LONGEST_ROW = 64 * 1024
"""Characters; a longer row is repaired in a spreadsheet."""


@dataclass(frozen=True, slots=True)
class RepairRow:
    """The cells of one refused row."""

    cells: tuple[str, ...]
    guessed: bool = False
    """The record could not be split into its cells; these are a try that a person must look at."""


@dataclass(frozen=True, slots=True)
class RepairTable:
    """Some refused rows with the columns of their files."""

    headings: tuple[str, ...] = ()
    rows: Mapping[str, RepairRow] = field(default_factory=dict)
    """By id; rows that are not here cannot be corrected in the browser."""

    @property
    def mark(self) -> str:
        """Changes with the columns: a form made for other columns is not taken."""
        return hashlib.sha256("\0".join(self.headings).encode()).hexdigest()[:16]

    @property
    def unambiguous(self) -> bool:
        """Does a heading say which column it is?"""
        return len(set(self.headings)) == len(self.headings)


class Reading:
    """The export as it comes, piece by piece; only the wanted rows are kept."""

    def __init__(self, wanted: Collection[str], delimiter: str) -> None:
        self._wanted = set(wanted)
        self._delimiter = delimiter
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._rest = ""
        self._headings: tuple[str, ...] | None = None
        self._rows: dict[str, RepairRow] = {}

    @property
    def done(self) -> bool:
        """Is everything found, or is there nothing to be done here?"""
        if self._headings is not None and len(self._headings) > MOST_COLUMNS:
            return True
        return not self._wanted

    def feed(self, piece: bytes) -> None:
        """The next bytes."""
        *records, self._rest = _records(self._rest + self._decoder.decode(piece))
        for record in records:
            if self._headings is None:
                self._headings = tuple(_cells(record, ",")[OWN_COLUMNS:])
            elif (id_ := record.partition(",")[0]) in self._wanted:
                self._wanted.discard(id_)
                if (row := self._row(record)) is not None:
                    self._rows[id_] = row

    def table(self) -> RepairTable:
        """What was found."""
        headings = self._headings or ()
        return RepairTable(headings, self._rows) if len(headings) <= MOST_COLUMNS else RepairTable(headings)

    def _row(self, record: str) -> RepairRow | None:
        headings = self._headings or ()
        cells = _cells(record, ",") if len(record) <= LONGEST_ROW else []
        if len(cells) != OWN_COLUMNS + len(headings):
            return None
        whole, own = cells[OWN_COLUMNS - 1], cells[OWN_COLUMNS:]
        if not whole or any(own):
            return RepairRow(tuple(own))
        guess = _cells(whole, self._delimiter) if self._delimiter else []
        while len(guess) > len(headings) and not guess[-1]:
            guess.pop()
        if len(guess) > len(headings):
            guess = []
        return RepairRow((*guess, *([""] * (len(headings) - len(guess)))), guessed=True)


def corrections(table: RepairTable, sent: Mapping[str, Mapping[int, str]]) -> dict[str, tuple[str, ...]]:
    """The rows of a form that differ from what the table has, whole."""
    changed = {}
    for id_, cells in sent.items():
        row = table.rows.get(id_)
        if row is None:
            continue
        new = corrected(row, cells)
        if new != row.cells:
            changed[id_] = new
    return changed


def corrected(row: RepairRow, sent: Mapping[int, str]) -> tuple[str, ...]:
    """The row with what was sent of it. Browsers write line ends in their own way; that is no change."""
    return tuple(
        old if _plain(sent.get(number, old)) == _plain(old) else sent[number]
        for number, old in enumerate(row.cells)
    )


def values_of(table: RepairTable, row: RepairRow, cells: Sequence[str]) -> dict[str, str]:
    """The correction of one row by headings: what changed, or all of a row that could not be split."""
    named = dict(zip(table.headings, cells, strict=True))
    if row.guessed:
        return {name: value for name, value in named.items() if value}
    before = dict(zip(table.headings, row.cells, strict=True))
    changed = {name: value for name, value in named.items() if value != before[name]}
    # Handing it back as it stands is allowed: the table may have changed since.
    return changed or dict([next(iter(named.items()))])


def sheet(table: RepairTable, rows: Mapping[str, Sequence[str]]) -> bytes:
    """Corrected rows as a file to be replayed."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([ROW_COLUMN, *table.headings])
    writer.writerows([id_, *cells] for id_, cells in rows.items())
    return out.getvalue().encode("utf-8", errors="replace")


def _records(text: str) -> Iterable[str]:
    """Records with their line ends; the last one, perhaps empty, is not yet whole."""
    start = at = 0
    while (end := text.find("\n", at)) >= 0:
        at = end + 1
        # Inside quotes a line end belongs to a cell.
        if text.count('"', start, at) % 2 == 0:
            yield text[start:at]
            start = at
    yield text[start:]


def _cells(record: str, delimiter: str) -> list[str]:
    try:
        found = list(csv.reader(io.StringIO(record, newline=""), delimiter=delimiter))
    except csv.Error:
        return []
    return found[0] if len(found) == 1 else []


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
