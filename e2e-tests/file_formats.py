"""The same records in every format that a department may have."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.sax.saxutils import escape

import openpyxl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

Records = list[dict[str, str]]


def rewrite(source: Path, kind: str) -> Path:
    """A station's CSV file as another kind of file, beside it; `NA` becomes what the kind has for "no value"."""
    target = source.with_suffix(f".{'zip' if kind == 'zip' else kind}")
    if kind == "zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            # The time of the entry is part of the bytes, and the same file must have the same bytes.
            archive.writestr(zipfile.ZipInfo(source.name), source.read_bytes())
    elif kind == "parquet":
        nulls = pa.csv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
        pq.write_table(pa.csv.read_csv(source, convert_options=nulls), target)
    elif kind != "csv":
        records = list(csv.DictReader(io.StringIO(source.read_text(), newline="")))
        target.write_bytes(_WRITERS[kind](records))
    return target


def contract_type(kind: str) -> str:
    """What the contract calls the files: an archive is named by what is in it."""
    return "csv" if kind == "zip" else kind


def _number(text: str) -> int | float | str | None:
    if text == "NA":
        return None
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            pass
    return text


def _tsv(records: Records) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(records[0]), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def _typed(records: Records) -> list[dict[str, object]]:
    return [{name: _number(text) for name, text in record.items()} for record in records]


def _json(records: Records) -> bytes:
    return json.dumps(_typed(records)).encode()


def _jsonl(records: Records) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in _typed(records)).encode()


def _xml(records: Records) -> bytes:
    rows = (
        "<hour>"
        + "".join(f"<{name}>{escape(text)}</{name}>" for name, text in record.items() if text != "NA")
        + "</hour>"
        for record in records
    )
    return f"<hours>{''.join(rows)}</hours>".encode()


def _xlsx(records: Records) -> bytes:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("hours")
    sheet.append(list(records[0]))
    for record in _typed(records):
        sheet.append(list(record.values()))
    kept = io.BytesIO()
    book.save(kept)
    return kept.getvalue()


_WRITERS: Mapping[str, Callable[[Records], bytes]] = {
    "tsv": _tsv,
    "json": _json,
    "jsonl": _jsonl,
    "xml": _xml,
    "xlsx": _xlsx,
}
KINDS = ("csv", "zip", "parquet", *_WRITERS)
