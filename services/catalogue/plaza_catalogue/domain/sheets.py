"""A spreadsheet as rows of texts, whatever file it came in: what a person sees in each cell."""

from __future__ import annotations

from dataclasses import dataclass

from plaza_kit.errors import InvalidArgument

MAX_ROWS = 100_000
"""Of a whole file; a directory of 2,000 datasets with 20 information items has 40,000."""
MAX_COLUMNS = 200
FORMULA = "\x00formula"
"""In place of a cell that is calculated: its value is not in the file for certain. U+0000 occurs in no cell."""
FAULT = "\x00fault"
"""In place of a cell that shows an error such as `#REF!`."""


class UnreadableSpreadsheet(InvalidArgument):
    """The file is no spreadsheet that can be read safely."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row."""

    number: int
    """As the spreadsheet counts, from 1."""
    cells: tuple[str, ...]
    """Without blanks around them; empty: nothing there."""

    def cell(self, index: int) -> str:
        """The cell of a column, from 0; empty beyond the last."""
        return self.cells[index] if index < len(self.cells) else ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet without its blank rows."""

    name: str
    """Empty for CSV."""
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Workbook:
    """A whole file."""

    encoding: str
    """`xlsx`, or the encoding of a text."""
    sheets: tuple[Sheet, ...]


def column_letter(index: int) -> str:
    """0 → `A`, 26 → `AA`."""
    letters = ""
    left = index + 1
    while left:
        left, digit = divmod(left - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return letters


def too_long() -> UnreadableSpreadsheet:
    return UnreadableSpreadsheet(
        f"the file has more than {MAX_ROWS:,} rows",
        remedy="split it; every part may hold whole datasets of its own",
    )
