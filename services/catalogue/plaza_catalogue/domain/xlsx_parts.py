"""The parts of an XLSX workbook (ECMA-376 part 1, 18), read in one pass each; cells as a person sees them.

openpyxl reads the same with many times the work; here only texts, numbers, dates and where they stand matter.
Nothing is resolved: a part that declares a document type is refused by its reader.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, BinaryIO
from xml.parsers import expat
from zipfile import ZipFile

from defusedxml.ElementTree import fromstring
from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format
from openpyxl.utils.datetime import MAC_EPOCH, WINDOWS_EPOCH, from_excel

from plaza_catalogue.domain.sheets import FAULT, FORMULA, MAX_COLUMNS, Row, too_long

# 22.9.2.19 (ST_Xstring): characters that XML cannot hold.
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_PLACE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})", re.ASCII)


@dataclass(frozen=True, slots=True)
class SheetPart:
    """A visible sheet and where it lies in the archive."""

    title: str
    path: str


@dataclass(frozen=True, slots=True)
class Parts:
    """What all sheets share."""

    sheets: tuple[SheetPart, ...]
    strings: tuple[str, ...]
    dates: tuple[bool, ...]
    """Of each cell style, whether it shows a number as a day or time."""
    epoch: datetime


def parts_of(archive: ZipFile) -> Parts:
    """Raises KeyError, ValueError and the readers' own errors when the archive is no workbook."""
    root = _targets(archive, "_rels/.rels", "")
    book_path = next(path for kind, path in root.values() if kind == "officeDocument")
    folder, name = posixpath.split(book_path)
    targets = _targets(archive, f"{folder}/_rels/{name}.rels", folder)
    by_kind = dict(targets.values())
    book = _tree(archive, book_path)
    sheets = []
    for sheet in _each(book, "sheet"):
        link = next(value for key, value in sheet.attrib.items() if _local(key) == "id")
        kind, path = targets[link]
        if kind == "worksheet" and sheet.get("state", "visible") == "visible":
            sheets.append(SheetPart(sheet.get("name", ""), path))
    strings: list[str] = []
    if "sharedStrings" in by_kind:
        with archive.open(by_kind["sharedStrings"]) as stream:
            _Strings(strings).read(stream)
    mac = any(part.get("date1904") in ("1", "true") for part in _each(book, "workbookPr"))
    dates = tuple(_dates(_tree(archive, by_kind["styles"]))) if "styles" in by_kind else ()
    return Parts(tuple(sheets), tuple(strings), dates, MAC_EPOCH if mac else WINDOWS_EPOCH)


def rows_of(archive: ZipFile, sheet: SheetPart, parts: Parts, limit: int) -> tuple[Row, ...]:
    """The rows with a cell that says something. Raises UnreadableSpreadsheet beyond `limit` of them."""
    reader = _Cells(parts, limit)
    with archive.open(sheet.path) as stream:
        reader.read(stream)
    return tuple(reader.rows)


def _targets(archive: ZipFile, path: str, folder: str) -> dict[str, tuple[str, str]]:
    """Relations by id: their kind and the path in the archive; those to places outside are left out."""
    found = {}
    for each in _each(_tree(archive, path), "Relationship"):
        if each.get("TargetMode") != "External":
            target = each.get("Target", "")
            joined = target.lstrip("/") if target.startswith("/") else posixpath.join(folder, target)
            kind = each.get("Type", "").rpartition("/")[2]
            found[each.get("Id", "")] = (kind, posixpath.normpath(joined))
    return found


def _dates(styles: Any) -> Iterator[bool]:
    formats = dict(BUILTIN_FORMATS)
    for each in _each(styles, "numFmt"):
        formats[int(each.get("numFmtId", "0"))] = each.get("formatCode", "")
    for group in _each(styles, "cellXfs"):
        for style in group:
            yield bool(is_date_format(formats.get(int(style.get("numFmtId", "0")), "General")))


def _tree(archive: ZipFile, path: str) -> Any:
    return fromstring(archive.read(path), forbid_dtd=True)


def _each(tree: Any, name: str) -> Iterator[Any]:
    return (element for element in tree.iter() if _local(element.tag) == name)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


class _Reader:
    """A part, element by element."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._started
        self._parser.EndElementHandler = self._ended
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = _refuse
        self._hearing = False
        self._heard: list[str] = []
        self._unheard = 0
        """Depth in phonetic readings (rPh): help for readers, not part of the text."""

    def read(self, stream: BinaryIO | Any) -> None:
        self._parser.ParseFile(stream)

    def _text(self, data: str) -> None:
        if self._hearing:
            self._heard.append(data)

    def _started(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2] if ":" in name else name
        if name == "rPh":
            self._unheard += 1
        elif name in ("t", "v"):
            self._hearing = not self._unheard
        else:
            self.started(name, attributes)

    def _ended(self, name: str) -> None:
        name = name.rpartition(":")[2] if ":" in name else name
        if name == "rPh":
            self._unheard -= 1
        elif name in ("t", "v"):
            self._hearing = False
        else:
            self.ended(name)

    def heard(self) -> str:
        """What was said since the last time."""
        text = "".join(self._heard)
        self._heard.clear()
        return text

    def started(self, name: str, attributes: dict[str, str]) -> None:
        raise NotImplementedError

    def ended(self, name: str) -> None:
        raise NotImplementedError


def _refuse(*_: object) -> None:
    raise ValueError("a document type")


class _Strings(_Reader):
    def __init__(self, strings: list[str]) -> None:
        super().__init__()
        self._strings = strings

    def started(self, name: str, attributes: dict[str, str]) -> None:
        if name == "si":
            self._heard.clear()

    def ended(self, name: str) -> None:
        if name == "si":
            self._strings.append(_unescaped(self.heard()))


class _Cells(_Reader):
    def __init__(self, parts: Parts, limit: int) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self._parts = parts
        self._limit = limit
        self._row = 0
        self._column = -1
        self._cells: list[str] = []
        self._kind = ""
        self._style = 0
        self._formula = False
        self._columns: dict[str, int] = {}

    def started(self, name: str, attributes: dict[str, str]) -> None:
        if name == "c":
            place = _PLACE.fullmatch(attributes.get("r", ""))
            self._column = self._index(place[1]) if place else self._column + 1
            self._kind = attributes.get("t", "n")
            self._style = int(attributes.get("s", "0"))
            self._formula = False
            self._heard.clear()
        elif name == "row":
            self._row = int(attributes.get("r", self._row + 1))
            self._column = -1
            self._cells = []
        elif name == "f":
            self._formula = True

    def ended(self, name: str) -> None:
        if name == "c":
            text = FORMULA if self._formula else self._value(self.heard())
            if text and self._column < MAX_COLUMNS:
                self._cells.extend([""] * (self._column + 1 - len(self._cells)))
                self._cells[self._column] = text
        elif name == "row" and self._cells:
            if len(self.rows) >= self._limit:
                raise too_long()
            self.rows.append(Row(self._row, tuple(self._cells)))

    def _index(self, letters: str) -> int:
        found = self._columns.get(letters)
        if found is None:
            found = 0
            for letter in letters:
                found = found * 26 + ord(letter) - ord("A") + 1
            self._columns[letters] = found = found - 1
        return found

    def _value(self, heard: str) -> str:
        if not heard:
            return ""
        match self._kind:
            case "s":
                return self._parts.strings[int(heard)]
            case "e":
                return FAULT
            case "b":
                return "true" if heard.strip() == "1" else "false"
            case "n":
                return self._number(heard.strip())
            case _:
                return _unescaped(heard)

    def _number(self, text: str) -> str:
        dates = self._parts.dates
        if self._style < len(dates) and dates[self._style]:
            return _day(from_excel(float(text), self._parts.epoch))
        if text.isdigit():
            return text
        number = float(text)
        return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


def _unescaped(text: str) -> str:
    if "_x" in text:
        text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text).replace("\x00", "\ufffd")
    return text.strip()


def _day(value: object) -> str:
    match value:
        case datetime():
            return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "seconds")
        case date():
            return value.isoformat()
        case _:
            return str(value)
