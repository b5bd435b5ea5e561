"""One sheet of an Excel workbook (ECMA-376 Office Open XML) as batches.

Read with lxml as a stream: no macros, no links, no formulas; a formula's cell is the value that was saved with it.
What a cell is worth as text:

- a number: as it is saved, `1.0` and `1` both as `1`; no digit that the file has is dropped, none is invented;
- a date by its number format: `2024-05-01`, with a time of day `2024-05-01T08:30:00` (no UTC offset: a workbook
  has none, so a timestamp field refuses it and a step or a text field takes it), a time `08:30:00`, a duration
  `25:10:00`;
- `TRUE` and `FALSE`; an error its sign (`#N/A`); text to the letter, leading zeros and spaces included.

The first row with a value holds the headings; empty rows are no records. Lines are the sheet's own rows.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import PurePosixPath
from typing import Any, Final

from lxml import etree
from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format, is_timedelta_format

from plaza_ingestion.worker import zip_limits
from plaza_ingestion.worker.batches import (
    MOST_COLUMNS,
    OversizedFile,
    Rows,
    RowsBuilder,
    UnreadableFile,
    json_text,
)
from plaza_ingestion.worker.header import HeaderMismatch
from plaza_ingestion.worker.plan import Dialect
from plaza_ingestion.worker.records import Fault
from plaza_ingestion.worker.source import SourceFile
from plaza_ingestion.worker.xml_stream import Document, local_name

_RELATION: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRICT_RELATION: Final = "{http://purl.oclc.org/ooxml/officeDocument/relationships}id"
_SHARED_BYTES: Final = 256 << 20
"""Of the table of shared texts, which is held in memory."""
_PARTS_BYTES: Final = 32 << 20
"""Of the workbook's list of sheets and of its styles."""
_LAST_ROW: Final = 1_048_576
_LAST_COLUMN: Final = 16_384
_PLACE: Final = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_ESCAPED: Final = re.compile("_x([0-9A-Fa-f]{4})_")
_BUILTIN_DATES: Final = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
_DATES_ALONE: Final = frozenset((14, 15, 16, 17, *range(27, 32), 36, *range(50, 55), 57, 58))
_TIMES_ALONE: Final = frozenset((18, 19, 20, 21, 32, 33, 34, 35, 45, 47, 55, 56))
_DURATION: Final = 46
_DAY: Final = 86_400
_MOST_DIGITS: Final = 9


class XlsxReader:
    """See `batches.Reader`. Raises `HeaderMismatch`, `UnreadableFile`, `OversizedFile`."""

    places = False

    def __init__(self, source: SourceFile, dialect: Dialect, sheet: str = "") -> None:
        """`sheet`: name of the sheet; empty: the first."""
        self._source = source
        self._limit = dialect.max_record_bytes
        self._sheet = sheet
        self._rows = self._opened()
        self._done = 0
        heading = next(self._rows, None)
        if heading is None:
            raise HeaderMismatch(
                "The sheet is empty: it has no header.", remedy="Name the columns in its first row."
            )
        _, cells = heading
        width = max(cells)
        if width > MOST_COLUMNS:
            raise OversizedFile(
                f"The sheet has {width} columns.", remedy=f"A table has at most {MOST_COLUMNS}."
            )
        self.headings: tuple[str, ...] = tuple(cells.get(column, "") for column in range(1, width + 1))

    def ignored(self) -> tuple[str, ...]:
        """Nothing: all columns stand in the heading."""
        return ()

    def batches(self) -> Iterator[Rows]:
        """The rows behind the heading, once."""
        width = len(self.headings)
        builder = RowsBuilder(width)
        for line, cells in self._rows:
            texts = [cells.get(column, "") for column in range(1, width + 1)]
            original = json_text(_names(self.headings), texts)
            beyond = max(cells) > width
            if beyond:
                original = json_text((str(column) for column in cells), cells.values())
            if len(original) > self._limit:
                detail = f"the row has more than {self._limit} bytes"
                builder.refuse(line, Fault.TOO_LONG, detail, original[: self._limit])
            elif beyond:
                detail = f"the row has a value in column {max(cells)}, the heading {width} columns"
                builder.refuse(line, Fault.SYNTAX, detail, original)
            else:
                builder.add(line, texts, original)
            if builder.full:
                yield builder.take(self._done)
        yield builder.take(self._source.size)

    def _opened(self) -> Iterator[tuple[int, dict[int, str]]]:
        """(row, texts by column) of each row with a value."""
        with self._source.path.open("rb") as file, zip_limits.opened(file, self._source.path.name) as archive:
            book = _Workbook(archive)
            stream = zip_limits.Limited(archive, book.sheet(self._sheet))
            last = 0
            for row in Document(stream, "the sheet").elements("row"):
                self._done = int(self._source.size * stream.done / max(stream.size, 1))
                line = _row_number(row.get("r"), last)
                last = line
                cells = book.cells(row)
                if cells:
                    yield line, cells


def _names(headings: tuple[str, ...]) -> Iterator[str]:
    """Headings that are different, for the JSON of a row: a repeated or empty one gets its column's number."""
    seen: set[str] = set()
    for column, heading in enumerate(headings, 1):
        name = heading if heading and heading not in seen else f"{heading}#{column}"
        seen.add(name)
        yield name


def _row_number(given: str | None, last: int) -> int:
    try:
        line = int(given) if given is not None else last + 1
    except ValueError:
        line = 0
    if not last < line <= _LAST_ROW:
        raise UnreadableFile(
            f"The sheet has a row numbered {str(given)[:20]!r} behind row {last}.",
            remedy="Open the file in a spreadsheet program and save it again.",
        )
    return line


class _Workbook:
    """What cells refer to: shared texts, number formats, the epoch."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        tree = self._tree("xl/workbook.xml")
        relations = {one.get("Id"): one.get("Target") for one in self._tree("xl/_rels/workbook.xml.rels")}
        self._sheets: dict[str, str] = {}
        self._epoch_1904 = False
        for element in tree.iter():
            if local_name(element) == "workbookPr":
                self._epoch_1904 = element.get("date1904") in ("1", "true")
            elif local_name(element) == "sheet":
                target = relations.get(element.get(_RELATION) or element.get(_STRICT_RELATION)) or ""
                self._sheets[element.get("name") or ""] = _part(target)
        self._formats = self._number_formats()
        self._shared = self._shared_texts()

    def sheet(self, name: str) -> str:
        """The part that holds the sheet. Raises `HeaderMismatch`."""
        if not self._sheets:
            raise UnreadableFile("The workbook has no sheet.", remedy="Send a workbook with one.")
        if name and name not in self._sheets:
            raise HeaderMismatch(
                f"The workbook has no sheet {name!r}.",
                remedy=f"It has {', '.join(map(repr, list(self._sheets)[:20]))}: correct the file or the contract.",
            )
        return self._sheets[name] if name else next(iter(self._sheets.values()))

    def cells(self, row: Any) -> dict[int, str]:
        """Texts of a row by column (from 1), those with a value."""
        found: dict[int, str] = {}
        column = 0
        for cell in row:
            if local_name(cell) != "c":
                continue
            column = _column(cell.get("r"), column)
            text = self._text(cell)
            if text:
                found[column] = text
        return found

    def _text(self, cell: Any) -> str:
        kind = str(cell.get("t", "n"))
        value: str | None = None
        inline: Any = None
        for part in cell:
            name = local_name(part)
            value = part.text if name == "v" else value
            inline = part if name == "is" else inline
        if kind == "inlineStr":
            return "" if inline is None else _rich_text(inline)
        if not value:
            return ""
        if kind == "s":
            try:
                return self._shared[int(value)]
            except (ValueError, IndexError):
                raise UnreadableFile(
                    f"A cell refers to the text number {value[:20]!r}, which the workbook does not have.",
                    remedy="Open the file in a spreadsheet program and save it again.",
                ) from None
        if kind == "b":
            return {"1": "TRUE", "0": "FALSE"}.get(value, value)
        if kind == "str":
            return _unescaped(value)
        if kind in ("e", "d"):
            return value
        return self._number(value, cell.get("s"))

    def _number(self, value: str, style: str | None) -> str:
        kind = ""
        if style is not None and style.isdecimal() and int(style) < len(self._formats):
            kind = self._formats[int(style)]
        text = number_text(value)
        if not kind:
            return text
        with suppress(ValueError, OverflowError, InvalidOperation):
            return date_text(Decimal(value), kind, epoch_1904=self._epoch_1904)
        return text

    def _tree(self, part: str) -> Any:
        try:
            size = self._archive.getinfo(part).file_size
        except KeyError:
            raise UnreadableFile(
                f"The file is no Excel workbook: it has no {part}.",
                remedy="Save it as .xlsx; the old format .xls is not read.",
            ) from None
        if size > _PARTS_BYTES:
            raise OversizedFile(f"The workbook's {part} has {size} bytes.", remedy="Send the sheet alone.")
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        try:
            return etree.fromstring(self._archive.read(part), parser)
        except etree.XMLSyntaxError as error:
            raise UnreadableFile(
                f"The workbook's {part} is broken: {error.msg}.", remedy="Save the workbook again."
            ) from error

    def _number_formats(self) -> list[str]:
        """For each cell style `""`, or which kind of time it shows."""
        if "xl/styles.xml" not in self._archive.namelist():
            return []
        custom: dict[int, str] = {}
        kinds: list[str] = []
        for element in self._tree("xl/styles.xml").iter():
            name = local_name(element)
            if name == "numFmt" and str(element.get("numFmtId")).isdecimal():
                custom[int(element.get("numFmtId"))] = element.get("formatCode") or ""
            elif name == "cellXfs":
                kinds = [_kind_of_time(int(xf.get("numFmtId") or 0), custom) for xf in element]
        return kinds

    def _shared_texts(self) -> list[str]:
        part = "xl/sharedStrings.xml"
        if part not in self._archive.namelist():
            return []
        stream = zip_limits.Limited(self._archive, part)
        if stream.size > _SHARED_BYTES:
            raise OversizedFile(
                f"The workbook's texts have {stream.size} bytes; at most {_SHARED_BYTES} are read.",
                remedy="Send the sheet as CSV or Parquet, or in several workbooks.",
            )
        return [_rich_text(element) for element in Document(stream, "the workbook's texts").elements("si")]


def _part(target: str) -> str:
    """The name in the archive of a relation's target."""
    return target.lstrip("/") if target.startswith("/") else str(PurePosixPath("xl", target))


def _column(place: str | None, last: int) -> int:
    if place is None:
        column = last + 1
    else:
        found = _PLACE.fullmatch(place)
        column = 0
        for letter in found[1] if found else "":
            column = column * 26 + ord(letter) - 64
    if not last < column <= _LAST_COLUMN:
        raise UnreadableFile(
            f"The sheet has a cell {str(place)[:20]!r}, which no sheet has there.",
            remedy="Open the file in a spreadsheet program and save it again.",
        )
    return column


def _rich_text(element: Any) -> str:
    """The text of a shared or inline string: its own and that of its runs, without the phonetic guide."""
    pieces = []
    for part in element:
        name = local_name(part)
        if name == "t":
            pieces.append(part.text or "")
        elif name == "r":
            pieces += [run.text or "" for run in part if local_name(run) == "t"]
    return _unescaped("".join(pieces))


def _unescaped(text: str) -> str:
    """ECMA-376 part 1, 22.9.2.19: `_x000D_` stands for a character that XML cannot hold."""
    if "_x" not in text:
        return text
    return _ESCAPED.sub(lambda found: _character(int(found[1], 16), found[0]), text)


def _character(code: int, otherwise: str) -> str:
    return otherwise if 0xD800 <= code <= 0xDFFF else chr(code)


def _kind_of_time(number: int, custom: dict[int, str]) -> str:
    """`date`, `datetime`, `time`, `duration`, or empty for what is no time."""
    code = custom.get(number)
    if code is None:
        if number not in _BUILTIN_DATES and not is_date_format(BUILTIN_FORMATS.get(number, "")):
            return ""
        if number == _DURATION:
            return "duration"
        return "date" if number in _DATES_ALONE else "time" if number in _TIMES_ALONE else "datetime"
    if not is_date_format(code):
        return ""
    if is_timedelta_format(code):
        return "duration"
    plain = re.sub(r'"[^"]*"|\\.|\[[^\]]*\]|AM/PM|A/P|上午/下午', "", code.split(";")[0]).lower()
    has_date = "y" in plain or "d" in plain or ("m" in plain and "h" not in plain and "s" not in plain)
    has_time = "h" in plain or "s" in plain
    return "datetime" if has_date and has_time else "date" if has_date else "time"


def number_text(value: str) -> str:
    """A saved number for the grammar: a whole one without its `.0` or exponent, any other to the letter."""
    if value.isdecimal() and value.isascii():
        return value
    try:
        number = Decimal(value)
    except InvalidOperation:
        return value
    if not number.is_finite() or abs(number.adjusted()) > 40:
        return value
    whole = number.to_integral_value()
    return format(whole, "f") if whole == number else value


def date_text(serial: Decimal, kind: str, *, epoch_1904: bool) -> str:
    """A serial number of days as text, to the microsecond. Raises `ValueError`, `OverflowError`."""
    if not serial.is_finite() or serial.adjusted() > _MOST_DIGITS:
        raise ValueError("no date")
    micros = int((serial * _DAY * 1_000_000).to_integral_value())
    # A double holds about a microsecond of these numbers; what looks like a whole second is one.
    if abs(micros - round(micros, -6)) <= 50:
        micros = round(micros, -6)
    if kind == "duration" or (kind == "time" and 0 <= micros < _DAY * 1_000_000):
        return _clock(micros)
    if serial < 0:
        raise ValueError("no date")
    if epoch_1904:
        start = datetime(1904, 1, 1)  # noqa: DTZ001 - a workbook knows no zone
    else:
        # 1900-02-29 never was, and Excel counts it (ECMA-376 part 1, 18.17.4.1).
        start = datetime(1899, 12, 31 if serial < 60 else 30)  # noqa: DTZ001
        if 60 <= serial < 61:
            raise ValueError("no date")
    moment = start + timedelta(microseconds=micros)
    if kind == "date" and micros % (_DAY * 1_000_000) == 0:
        return f"{moment:%Y-%m-%d}".rjust(10, "0")
    return moment.isoformat()


def _clock(micros: int) -> str:
    seconds, fraction = divmod(abs(micros), 1_000_000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return ("-" if micros < 0 else "") + (f"{text}.{fraction:06}".rstrip("0") if fraction else text)
