"""Differences as a file: one line for each field that differs, one for each row without a counterpart."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from plaza.quality.v1 import reconciliations_pb2 as pb
from plaza_kit.errors import FailedPrecondition

CSV: Final = "text/csv; charset=utf-8"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST_LINES: Final = 1_048_576 - 1
"""Of a sheet, below its heading."""
_LONGEST_CELL: Final = 32_767
_PIECE: Final = 256 * 1024
_TO_ESCAPE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
"""What XML cannot hold, and what a spreadsheet would read as such an escape."""


class TooManyForASheet(FailedPrecondition):
    """A sheet has 1,048,576 rows."""


def heading(key: Sequence[str]) -> list[str]:
    """The columns: the left names of the key's fields stand where their values do."""
    told = ["left_field", "right_field", "left_value", "right_value", "left_compared", "right_compared"]
    return ["number", "kind", *(f"key:{name}" for name in key), *told, "rule", "hints"]


def lines(found: Iterable[pb.Difference]) -> Iterator[list[str]]:
    """The cells of each line."""
    for each in found:
        kind = _word(pb.DifferenceKind.Name(each.kind), "DIFFERENCE_KIND_")
        start = [str(each.number), kind, *each.key]
        for field in each.fields:
            hints = " ".join(_word(pb.PatternKind.Name(hint), "PATTERN_KIND_") for hint in field.hints)
            told = [field.left_value, field.right_value, field.left_compared, field.right_compared]
            yield [*start, field.left, field.right, *told, field.rule, hints]
        if not each.fields:
            yield [*start, *[""] * 8]


def csv_lines(rows: Iterable[Sequence[str]]) -> bytes:
    """RFC 4180, UTF-8."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


class Sheet:
    """A workbook that grows on disk; every cell is text."""

    def __init__(self, title: str) -> None:
        self._book = Workbook(write_only=True)
        self._sheet = self._book.create_sheet(title)
        self._sheet.freeze_panes = "A2"
        self._lines = -1

    def add(self, rows: Iterable[Sequence[str]]) -> None:
        """Blocking. Raises TooManyForASheet."""
        for row in rows:
            self._lines += 1
            if self._lines > MOST_LINES:
                raise TooManyForASheet(
                    f"the differences have more lines than a sheet has rows ({MOST_LINES:,})",
                    remedy="take format=csv, or narrow by kind or field",
                )
            self._sheet.append([_cell(self._sheet, text) if text else None for text in row])

    def pieces(self) -> Iterator[bytes]:
        """The finished file. Blocking."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "differences.xlsx"
            self._book.save(path)
            with path.open("rb") as reader:
                while piece := reader.read(_PIECE):
                    yield piece


def _cell(sheet: Any, text: str) -> Any:
    escaped = _TO_ESCAPE.sub(lambda found: f"_x{ord(found[0]):04X}_", text[:_LONGEST_CELL])
    cell = WriteOnlyCell(sheet, escaped)
    # A text that begins with `=` stays one.
    cell.data_type = "s"
    return cell


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()
