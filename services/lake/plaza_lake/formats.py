"""Rows as text: CSV, JSON and JSON Lines, made from Arrow column by column.

Numbers are the shortest text that reads back as the same number; instants are RFC 3339 in UTC with `Z`
(fractions only where there are any), dates ISO 8601, bytes base64. Integers beyond 2^53 stand as they are.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plaza_lake.schema import FieldType, TableSchema

MEDIA_TYPES: Final = {
    "csv": "text/csv; charset=utf-8; header=present",
    "json": "application/json",
    "jsonl": "application/jsonl",
}

_INTEGRAL_LIMIT: Final = 1e15
_NO_NUMBER: Final = pa.scalar(None, pa.float64())


class Rows(Protocol):
    """Batches of one schema: a `plaza_lake.read.RowStream`, or a part of one."""

    schema: TableSchema
    batches: Iterator[pa.RecordBatch]


def csv(stream: Rows) -> Iterator[bytes]:
    """RFC 4180 in UTF-8: a header, CRLF, quotes where needed. An absent value is empty, an empty text is
    `""`. NaN and infinities are written `NaN`, `Infinity`, `-Infinity`."""
    yield (",".join(stream.schema.names) + "\r\n").encode()
    for batch in stream.batches:
        columns = [_csv_column(*pair) for pair in _columns(batch, stream.schema)]
        yield _lines(_joined(columns, ","), "\r\n")


def jsonl(stream: Rows) -> Iterator[bytes]:
    """One JSON object a line. JSON has no NaN and no infinities: they become null, as absent values do."""
    for batch in stream.batches:
        yield _lines(_json_objects(batch, stream.schema), "\n")


def json_rows(stream: Rows) -> Iterator[bytes]:
    """JSON objects with commas between them: the inside of an array, for an envelope of the caller's own."""
    between = ""
    for batch in stream.batches:
        if batch.num_rows:
            yield (between + ",".join(_json_objects(batch, stream.schema).to_pylist())).encode()
            between = ","


def json_array(stream: Rows) -> Iterator[bytes]:
    """A JSON array of objects."""
    yield b"["
    yield from json_rows(stream)
    yield b"]"


def json_arrays(stream: Rows) -> Iterator[bytes]:
    """JSON arrays of values, in the columns' order, with commas between them: the inside of an array."""
    between = ""
    for batch in stream.batches:
        if batch.num_rows:
            columns = [_json_column(*pair) for pair in _columns(batch, stream.schema)]
            lines = pc.binary_join_element_wise("[", _joined(columns, ","), "]", "")
            yield (between + ",".join(lines.to_pylist())).encode()
            between = ","


def json_page(stream: Rows, version: int) -> Iterator[bytes]:
    """One page of rows without its end: `{"version": 3, "columns": […], "rows": [[…], …]`; see `json_page_end`."""
    head = json.dumps({"version": version, "columns": list(stream.schema.names)}, separators=(",", ":"))
    yield f'{head[:-1]},"rows":['.encode()
    yield from json_arrays(stream)
    yield b"]"


def json_page_end(next_page_token: str) -> bytes:
    """The end of a page: `, "nextPageToken": "…"}`, the token empty on the last."""
    return f',"nextPageToken":{json.dumps(next_page_token)}}}'.encode()


FORMATS: Final[dict[str, Callable[[Rows], Iterator[bytes]]]] = {
    "csv": csv,
    "json": json_array,
    "jsonl": jsonl,
}


def _columns(batch: pa.RecordBatch, schema: TableSchema) -> Iterator[tuple[pa.Array, FieldType]]:
    for array, column in zip(batch.columns, schema.columns, strict=True):
        yield array, column.type


def _joined(columns: list[pa.Array], separator: str) -> pa.Array:
    return pc.binary_join_element_wise(*columns, separator) if len(columns) > 1 else columns[0]


def _lines(lines: pa.Array, end: str) -> bytes:
    return "".join(line + end for line in lines.to_pylist()).encode()


def _csv_column(array: pa.Array, field_type: FieldType) -> pa.Array:
    text = _plain_text(array, field_type)
    if field_type is FieldType.STRING:
        quoted = pc.binary_join_element_wise('"', pc.replace_substring(text, '"', '""'), '"', "")
        needed = pc.or_(pc.match_substring_regex(text, '[",\r\n]'), pc.equal(text, ""))
        text = pc.if_else(needed, quoted, text)
    return pc.fill_null(text, "")


def _json_objects(batch: pa.RecordBatch, schema: TableSchema) -> pa.Array:
    members = []
    for column, (array, field_type) in zip(schema.columns, _columns(batch, schema), strict=True):
        members.append(pc.binary_join_element_wise(f'"{column.name}":', _json_column(array, field_type), ""))
    return pc.binary_join_element_wise("{", _joined(members, ","), "}", "")


def _json_column(array: pa.Array, field_type: FieldType) -> pa.Array:
    match field_type:
        case FieldType.STRING:
            text = _escaped(array)
        case FieldType.NUMBER:
            text = _plain_text(pc.if_else(pc.is_finite(array), array, _NO_NUMBER), field_type)
        case FieldType.INTEGER | FieldType.BOOLEAN:
            text = _plain_text(array, field_type)
        case FieldType.DATE | FieldType.TIMESTAMP | FieldType.BYTES:
            text = pc.binary_join_element_wise('"', _plain_text(array, field_type), '"', "")
    return pc.fill_null(text, "null")


def _escaped(array: pa.Array) -> pa.Array:
    """JSON strings; each different value is escaped once."""
    encoded = array.dictionary_encode()
    escaped = [json.dumps(value, ensure_ascii=False) for value in encoded.dictionary.to_pylist()]
    return pa.array(escaped, pa.string()).take(encoded.indices)


def _plain_text(array: pa.Array, field_type: FieldType) -> pa.Array:
    match field_type:
        case FieldType.STRING:
            return array
        case FieldType.NUMBER:
            return _numbers(array)
        case FieldType.TIMESTAMP:
            return _instants(array)
        case FieldType.BYTES:
            encoded = [
                None if value is None else base64.b64encode(value).decode() for value in array.to_pylist()
            ]
            return pa.array(encoded, pa.string())
        case FieldType.INTEGER | FieldType.BOOLEAN | FieldType.DATE:
            return array.cast(pa.string())


def _numbers(array: pa.Array) -> pa.Array:
    """Arrow writes 123456789012.0 as 1.23456789012e+11: as short, but nobody's way to write a count."""
    text = array.cast(pa.string())
    # By numpy: a page of 100 rows costs what the calls cost.
    values = array.to_numpy(zero_copy_only=False)  # NaN where there is none
    if not np.isfinite(values).all():
        text = pc.if_else(pc.is_finite(array), text, _special(array))
    # -0.0 is left to Arrow: as an integer it would lose its sign.
    integral = (np.abs(values) < _INTEGRAL_LIMIT) & (np.floor(values) == values)
    integral &= (values != 0) | ~np.signbit(values)
    if not integral.any():
        return text
    whole = pa.array(np.where(integral, values, 0).astype(np.int64)).cast(pa.string())
    return pc.if_else(pa.array(integral), whole, text)


def _special(array: pa.Array) -> pa.Array:
    infinite = pc.if_else(pc.greater(array, 0.0), "Infinity", "-Infinity")
    return pc.if_else(pc.is_nan(array), "NaN", infinite)


def _instants(array: pa.Array) -> pa.Array:
    """Microseconds as `%S` gives them, without zeros at the end."""
    text = pc.strftime(array, format="%Y-%m-%dT%H:%M:%S")
    text = pc.replace_substring_regex(text, pattern=r"(\.[0-9]*[1-9])0+$|\.0+$", replacement=r"\1")
    return pc.binary_join_element_wise(text, "Z", "")
