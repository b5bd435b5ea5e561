"""XLSX in and out (ECMA-376): looked at before it is unpacked, no document types, formulas never calculated."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from openpyxl import Workbook as Book
from openpyxl.cell import WriteOnlyCell

from plaza_catalogue.domain import xlsx_parts
from plaza_catalogue.domain.sheets import (
    MAX_ROWS,
    Sheet,
    UnreadableSpreadsheet,
    Workbook,
    column_letter,
)

MAGIC = b"PK\x03\x04"
MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAX_UNPACKED_BYTES = 128 * 1024 * 1024
MAX_PARTS = 2_000
_PIECE = 1024 * 1024
# ECMA-376 part 1, 22.9.2.19 (ST_Xstring): characters that XML cannot hold.
_TO_ESCAPE = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")


def read(data: bytes) -> Workbook:
    """The visible sheets. Raises UnreadableSpreadsheet."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _look(archive)
            return Workbook("xlsx", tuple(_sheets(archive)))
    except UnreadableSpreadsheet:
        raise
    except Exception as error:  # readers of strangers' files fail in many ways; each means: no such file
        raise _broken() from error


def _broken() -> UnreadableSpreadsheet:
    return UnreadableSpreadsheet(
        "the file is damaged or no XLSX workbook",
        remedy="open it and save it again as XLSX, or as CSV in UTF-8",
    )


def _look(archive: zipfile.ZipFile) -> None:
    """Sizes first: nothing is unpacked whose size is not known to be small. Declared sizes bind, the
    reader of ZIP files never gives out more. Then no part may declare a document type: no entity can be defined."""
    parts = archive.infolist()
    size = sum(part.file_size for part in parts)
    if size > MAX_UNPACKED_BYTES or len(parts) > MAX_PARTS:
        raise UnreadableSpreadsheet(
            f"the workbook unpacks to {size:,} bytes in {len(parts):,} parts; at most"
            f" {MAX_UNPACKED_BYTES:,} bytes in {MAX_PARTS:,} parts are read",
            remedy="remove pictures and other sheets, or save the sheet as CSV in UTF-8",
        )
    for part in parts:
        if part.filename.lower().endswith((".xml", ".rels", ".vml")):
            _look_at(archive, part)


def _look_at(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    with archive.open(part) as stream:
        before = b""
        while piece := stream.read(_PIECE):
            seen = before + piece
            # U+0000 is in no UTF-8 part: another encoding would hide the words looked for.
            if b"<!DOCTYPE" in seen or b"<!ENTITY" in seen or b"\x00" in seen:
                raise UnreadableSpreadsheet(
                    f"{part.filename} declares a document type or is not in UTF-8; such workbooks are not read",
                    remedy="open it in a spreadsheet and save it again as XLSX",
                )
            before = piece[-16:]


def _sheets(archive: zipfile.ZipFile) -> Iterator[Sheet]:
    parts = xlsx_parts.parts_of(archive)
    left = MAX_ROWS
    for sheet in parts.sheets:
        rows = xlsx_parts.rows_of(archive, sheet, parts, left)
        left -= len(rows)
        yield Sheet(sheet.title, rows)


def write(title: str, rows: Iterable[Sequence[str]], widths: Sequence[int]) -> bytes:
    """A workbook of one sheet; every cell is text, the first row stays in sight."""
    book = Book(write_only=True)
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    for index, width in enumerate(widths):
        sheet.column_dimensions[column_letter(index)].width = width
    for row in rows:
        sheet.append([_cell(sheet, text) if text else None for text in row])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _cell(sheet: Any, text: str) -> Any:
    cell = WriteOnlyCell(sheet, _TO_ESCAPE.sub(lambda found: f"_x{ord(found[0]):04X}_", text))
    # A text that begins with `=` stays one.
    cell.data_type = "s"
    return cell
