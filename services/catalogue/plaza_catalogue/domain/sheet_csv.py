"""CSV in and out: RFC 4180 in UTF-8, UTF-16 or GB18030, the delimiter found out; cells as a spreadsheet shows them."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Sequence

from plaza_catalogue.domain.sheets import (
    MAX_COLUMNS,
    MAX_ROWS,
    Row,
    Sheet,
    UnreadableSpreadsheet,
    Workbook,
    too_long,
)

_BOMS = (
    (codecs.BOM_UTF8, "utf-8", "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16", "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "utf-16"),
)
_DELIMITERS = ",\t;，"
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "'")
"""A spreadsheet takes a text that begins so for a formula, or eats the apostrophe."""


def read(data: bytes) -> Workbook:
    """Raises UnreadableSpreadsheet."""
    encoding, text = _decoded(data)
    rows: list[Row] = []
    head = text[: text.find("\n") if "\n" in text else None]
    for line in text.splitlines()[:20]:
        if max(map(line.count, _DELIMITERS)) > 1:
            head = line
            break
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=head.count))
    try:
        for number, cells in enumerate(reader, 1):
            if number > MAX_ROWS:
                raise too_long()
            if any(cells):
                rows.append(Row(number, tuple(_shown(cell) for cell in cells[:MAX_COLUMNS])))
    except csv.Error as error:
        raise UnreadableSpreadsheet(
            f"line {reader.line_num}: {error}", remedy="look for a quotation mark that is not closed"
        ) from error
    return Workbook(encoding, (Sheet("", tuple(rows)),))


def _shown(cell: str) -> str:
    """The convention of spreadsheets: an apostrophe before what would be a formula says that it is text."""
    if len(cell) > 1 and cell[0] == "'" and cell[1] in _DANGEROUS:
        cell = cell[1:]
    return cell.strip()


def _decoded(data: bytes) -> tuple[str, str]:
    for bom, name, codec in _BOMS:
        if data.startswith(bom):
            return name, _strict(data, codec, name)
    try:
        return "utf-8", data.decode()
    except UnicodeDecodeError:
        return "gb18030", _strict(data, "gb18030", "UTF-8 nor GB18030")


def _strict(data: bytes, codec: str, name: str) -> str:
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        raise UnreadableSpreadsheet(
            f"byte {error.start}: the file is not {name}", remedy="save it as XLSX, or as CSV in UTF-8"
        ) from error


def write(rows: Iterable[Sequence[str]]) -> Iterable[bytes]:
    """UTF-8 with a byte order mark, so that spreadsheets know it; CRLF as they write it."""
    yield codecs.BOM_UTF8
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    for row in rows:
        writer.writerow([f"'{cell}" if cell.startswith(_DANGEROUS) else cell for cell in row])
        if buffer.tell() > 65_536:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()
