"""Opening a source file: which reader, by the contract's format or, for a proposal, by the file's own bytes."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from plaza_ingestion.worker import json_reader, jsonl_reader, xml_reader
from plaza_ingestion.worker.archive_reader import ArchiveReader, UnknownEntry
from plaza_ingestion.worker.batches import MOST_COLUMNS, OversizedFile, Reader, UnreadableFile
from plaza_ingestion.worker.csv_reader import CsvReader
from plaza_ingestion.worker.encodings import Encoding
from plaza_ingestion.worker.header import HeaderMismatch
from plaza_ingestion.worker.parquet_reader import ParquetReader
from plaza_ingestion.worker.plan import Dialect, LoadPlan
from plaza_ingestion.worker.source import SourceFile
from plaza_ingestion.worker.xlsx_reader import XlsxReader

_ZIP: Final = b"PK\x03\x04"
_PARQUET: Final = b"PAR1"
_NAMED_IN_RECORDS: Final = ("json", "jsonl", "xml")
_OLD_EXCEL: Final = b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True, slots=True)
class Format:
    """How a file is written; the words are those of `plan.LoadPlan`."""

    type: str
    dialect: Dialect
    sheet: str = ""
    record_path: str = ""
    entry: str = ""
    """Of an archive: the file in it that is read; empty: all of them."""

    @classmethod
    def of(cls, plan: LoadPlan) -> Format:
        """What the contract declares."""
        return cls(plan.type, plan.dialect, plan.sheet, plan.record_path, plan.entry)


def open_reader(
    source: SourceFile, written: Format, wanted: Sequence[str], scratch: Path, stack: ExitStack
) -> Reader:
    """The reader of a file; an archive is unpacked into `scratch`, entry by entry.

    `wanted`: the headings of the contract (`batches`). Raises `UnreadableFile`, `OversizedFile`, `HeaderMismatch`,
    `UnknownEntry`.
    """
    if is_archive(source):
        return ArchiveReader(source, scratch, lambda one: _open(one, written, wanted), stack, written.entry)
    if written.entry:
        raise UnknownEntry("The file is no archive.", remedy="Load it without naming a file in it (entry).")
    return _open(source, written, wanted)


def _open(source: SourceFile, written: Format, wanted: Sequence[str]) -> Reader:
    start = source.read(0, 4)
    if start.startswith(_OLD_EXCEL):
        raise UnreadableFile(
            "The file is an old Excel workbook (.xls) or an encrypted one.",
            remedy="Save it as .xlsx without a password.",
        )
    dialect = written.dialect
    match written.type:
        case "json":
            return json_reader.JsonReader(source, dialect, wanted, written.record_path)
        case "jsonl":
            return jsonl_reader.JsonLinesReader(source, dialect, wanted)
        case "xml":
            return xml_reader.XmlReader(source, dialect, wanted, written.record_path)
        case "xlsx":
            return XlsxReader(source, dialect, written.sheet)
        case "parquet":
            return ParquetReader(source, dialect)
        case _:
            if start in (_ZIP, _PARQUET):
                raise UnreadableFile(
                    "The file is no text: it begins like a ZIP container or a Parquet file.",
                    remedy="Declare its format in the contract.",
                )
            return CsvReader(source, dialect)


def headings_of(source: SourceFile, written: Format, scratch: Path) -> tuple[str, ...]:
    """The columns that the file has: its heading row, or the names in all of its records.

    Raises `HeaderMismatch` when there are none, `OversizedFile` when there are more than a table may have.
    """
    with ExitStack() as stack:
        reader = open_reader(source, written, (), scratch, stack)
        if written.type not in _NAMED_IN_RECORDS:
            return reader.headings
        for _ in reader.batches():
            if len(reader.ignored()) >= MOST_COLUMNS:
                raise OversizedFile(
                    f"The records have {MOST_COLUMNS} different names or more.",
                    remedy="A table has fewer columns: send one row for each such value.",
                )
        if not reader.ignored():
            raise HeaderMismatch("The file has no record.", remedy="Send a file with at least one record.")
        return reader.ignored()


def is_archive(source: SourceFile) -> bool:
    """Whether the file is a ZIP archive of files, and not a workbook."""
    if source.read(0, 4) != _ZIP:
        return False
    try:
        with source.path.open("rb") as file, zipfile.ZipFile(file) as archive:
            return "[Content_Types].xml" not in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return True  # opening it says why it cannot be read


def likely_type(start: bytes, encoding: Encoding) -> str:
    """The type of a file that begins like this."""
    if start.startswith(_ZIP):
        return "xlsx"
    if start.startswith(_PARQUET):
        return "parquet"
    text = start.removeprefix(encoding.bom).decode(encoding.name, errors="replace").lstrip()
    if text.startswith("<"):
        return "xml"
    if text.startswith("["):
        # A CSV heading may begin with a bracket; an array of objects goes on with one of these.
        return "json" if text[1:].lstrip()[:1] in ("{", "]") else "csv"
    if text.startswith("{"):
        return _lines_or_one(text)
    return "csv"


def _lines_or_one(text: str) -> str:
    """A text that begins with an object: one a line, or one that holds the records."""
    line, _, rest = text.partition("\n")
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        return "json"
    holds_records = any(isinstance(value, dict | list) for value in first.values())
    return "json" if holds_records and not rest.strip() else "jsonl"
