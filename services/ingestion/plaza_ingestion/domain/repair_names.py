"""Which held row a refused record of a repair file names, however the file was saved."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from plaza_ingestion.domain.quarantine import ROW_COLUMN

_HEADING_BYTES: Final = 1 << 20
_DELIMITERS: Final = (",", ";", "\t", "|")
_MARKS: Final = (
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)


@dataclass(frozen=True, slots=True)
class RowNames:
    """How the records of one repair file are read, as far as their first names go.

    Names of rows are ASCII, so that GB18030 need not be told from UTF-8 here.
    """

    encoding: str = "utf-8"
    delimiter: str = ","
    column: int = 0

    @classmethod
    def of(cls, source: BinaryIO) -> RowNames:
        """By the heading. Where that cannot be read no record is accepted either, and none is named."""
        source.seek(0)
        start = source.read(_HEADING_BYTES)
        mark, encoding = next((one for one in _MARKS if start.startswith(one[0])), (b"", "utf-8"))
        heading = start.removeprefix(mark)
        for delimiter in _DELIMITERS:
            cells = _cells(heading, encoding, delimiter)
            if ROW_COLUMN in cells:
                return cls(encoding, delimiter, cells.index(ROW_COLUMN))
        return cls()

    def name_in(self, original: bytes) -> str:
        """The name that a record holds; empty without one. A row of a workbook is JSON text."""
        try:
            found = json.loads(original)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return str(found.get(ROW_COLUMN, ""))
        cells = _cells(original, self.encoding, self.delimiter)
        return cells[self.column] if self.column < len(cells) else ""


def _cells(record: bytes, encoding: str, delimiter: str) -> Sequence[str]:
    text = record.decode(encoding, errors="replace")
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    except csv.Error:
        return []
