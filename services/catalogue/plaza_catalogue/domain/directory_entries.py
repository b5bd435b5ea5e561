"""The rows of a directory spreadsheet, taken together by dataset; remarks that name their cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from plaza_catalogue.domain.directory_form import HEADINGS, Column, column_of, is_group, is_unread
from plaza_catalogue.domain.sheets import (
    FAULT,
    FORMULA,
    Row,
    Sheet,
    UnreadableSpreadsheet,
    Workbook,
    column_letter,
)

_HEAD_ROWS = 20
"""A title and notes may stand above the headings, not more."""
_IDENTITY = (Column.ID, Column.CODE, Column.NAME)


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about one cell."""

    sheet: str
    row: int
    column: str
    """Letter; empty: the whole row."""
    heading: str
    text: str
    remedy: str = ""

    @property
    def place(self) -> str:
        """`目录!C7`, `row 7`."""
        cell = f"{self.column}{self.row}" if self.column else f"row {self.row}"
        return f"{self.sheet}!{cell}" if self.sheet else cell


@dataclass(frozen=True, slots=True)
class Heads:
    """Which column of a sheet says what."""

    sheet: str
    row: int
    """The lowest row of the headings."""
    columns: Mapping[Column, int]
    headings: Mapping[int, str]
    """As they are written."""

    def remark(self, row: int, column: Column, text: str, remedy: str = "") -> Remark:
        """About a cell of a known column, also when the sheet has no such column."""
        index = self.columns.get(column)
        if index is None:
            return Remark(self.sheet, row, "", HEADINGS[column][0], text, remedy)
        return Remark(self.sheet, row, column_letter(index), self.headings[index], text, remedy)

    def cell(self, row: Row, column: Column) -> str:
        """Empty when the sheet has no such column."""
        index = self.columns.get(column)
        return row.cell(index) if index is not None else ""


@dataclass(slots=True)
class Entry:
    """The rows of one dataset."""

    heads: Heads
    first: Row
    items: list[Row] = field(default_factory=list)
    """Rows with an information item."""

    def has(self, column: Column) -> bool:
        return column in self.heads.columns

    def cell(self, column: Column) -> str:
        return self.heads.cell(self.first, column)

    def item_cell(self, index: int, column: Column) -> str:
        return self.heads.cell(self.items[index], column)

    def remark(self, column: Column, text: str, remedy: str = "", item: int | None = None) -> Remark:
        """About a cell of the first row, or of an item's row."""
        row = self.items[item] if item is not None and item < len(self.items) else self.first
        return self.heads.remark(row.number, column, text, remedy)


@dataclass(slots=True)
class Reading:
    """What was read, and what is to be said about it."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[Remark] = field(default_factory=list)
    notices: list[Remark] = field(default_factory=list)


def read(workbook: Workbook) -> Reading:
    """Raises UnreadableSpreadsheet when no sheet has the headings of a directory."""
    reading = Reading()
    found = [(sheet, _heads(sheet, reading)) for sheet in workbook.sheets]
    if not any(heads for _, heads in found):
        wanted = "、".join(
            HEADINGS[c][0] for c in (Column.NAME, Column.ABSTRACT, Column.SHARING_CLASS, Column.ITEM_TITLE)
        )
        raise UnreadableSpreadsheet(
            f"no row with the headings of a directory in the first {_HEAD_ROWS} rows",
            remedy=f"head the columns {wanted} … as in the guide; `directory:export` gives the whole form",
        )
    for sheet, heads in found:
        if heads is not None:
            _collect(sheet, heads, reading)
        elif sheet.rows:
            text = "the sheet has no headings of a directory and is not read"
            reading.notices.append(Remark(sheet.name, sheet.rows[0].number, "", "", text))
    return reading


def _heads(sheet: Sheet, reading: Reading) -> Heads | None:
    top = [row for row in sheet.rows[:_HEAD_ROWS] if row.number <= 2 * _HEAD_ROWS]
    scores = [len({column_of(cell) for cell in row.cells} - {None}) for row in top]
    best = max(scores, default=0)
    if best < 2:
        return None
    at = scores.index(best)
    names = list(top[at].cells)
    last = top[at]
    # Headings in two rows: parts (共享类型, 共享条件) under their group (共享属性).
    if at + 1 < len(top) and _is_part_row(top[at + 1], names):
        last = top[at + 1]
        names = _laid_over(names, last.cells)
    elif at > 0 and _is_part_row(top[at], list(top[at - 1].cells)) and scores[at - 1]:
        names = _laid_over(list(top[at - 1].cells), names)
    return _columns(sheet.name, last.number, names, reading)


def _is_part_row(row: Row, above: list[str]) -> bool:
    texts = [(index, cell) for index, cell in enumerate(row.cells) if cell]
    known = [column_of(cell) for _, cell in texts]
    under_group = any(
        is_group(next((name for name in reversed(above[: index + 1]) if name), "")) for index, _ in texts
    )
    return len(texts) > 1 and None not in known and under_group


def _laid_over(above: list[str], below: tuple[str, ...] | list[str]) -> list[str]:
    width = max(len(above), len(below))
    upper, lower = [*above, *[""] * (width - len(above))], [*below, *[""] * (width - len(below))]
    return [low or up for up, low in zip(upper, lower, strict=True)]


def _columns(sheet: str, row: int, names: list[str], reading: Reading) -> Heads:
    columns: dict[Column, int] = {}
    for index, name in enumerate(names):
        column = column_of(name)
        letter = column_letter(index)
        if column is None:
            if name and not is_unread(name):
                text = f"the heading {name[:80]!r} is not known; the column is not read"
                reading.notices.append(Remark(sheet, row, letter, name[:80], text))
        elif column in columns:
            text = f"says the same as column {column_letter(columns[column])}"
            reading.problems.append(Remark(sheet, row, letter, name, text, "remove one of the two columns"))
        else:
            columns[column] = index
    return Heads(sheet, row, columns, dict(enumerate(names)))


def _collect(sheet: Sheet, heads: Heads, reading: Reading) -> None:
    current: Entry | None = None
    for row in sheet.rows:
        if row.number <= heads.row:
            continue
        bad = list(_unusable(heads, row))
        if bad:
            reading.problems.extend(bad)
            row = Row(row.number, tuple("" if cell in (FORMULA, FAULT) else cell for cell in row.cells))
        if not any(heads.cell(row, column) for column in heads.columns):
            continue
        if current is None or not _continues(current, row):
            current = Entry(heads, row)
            reading.entries.append(current)
        else:
            reading.problems.extend(_contradictions(current, row))
        if any(column.of_item and heads.cell(row, column) for column in heads.columns):
            current.items.append(row)


def _unusable(heads: Heads, row: Row) -> Iterator[Remark]:
    for column in heads.columns:
        cell = heads.cell(row, column)
        if cell == FORMULA:
            yield heads.remark(
                row.number, column, "holds a formula", "paste its value in place of the formula"
            )
        elif cell == FAULT:
            yield heads.remark(row.number, column, "shows an error", "write the value")
        elif "\x00" in cell:
            yield heads.remark(row.number, column, "holds the character U+0000", "write the text anew")


def _continues(entry: Entry, row: Row) -> bool:
    return all(entry.heads.cell(row, c) in ("", entry.cell(c)) for c in _IDENTITY)


def _contradictions(entry: Entry, row: Row) -> Iterator[Remark]:
    for column in entry.heads.columns:
        cell = entry.heads.cell(row, column)
        if not column.of_item and cell and cell != entry.cell(column):
            text = f"differs from row {entry.first.number}, where the dataset begins"
            yield entry.heads.remark(row.number, column, text, "repeat it as it is there, or leave it blank")
