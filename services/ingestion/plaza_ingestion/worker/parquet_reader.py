"""Parquet as batches: each typed value as the text that the contract's grammar takes for exactly it.

Whole doubles lose their `.0`, a 32-bit float is written as the double that it is, times with a zone in UTC with
`Z`, times without one as they are (no UTC offset: a timestamp field refuses them). Structs become dotted names,
lists JSON texts. Binary columns must be UTF-8. NaN and infinity are written so, and refused by a number field.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plaza_ingestion.worker.batches import (
    MOST_COLUMNS,
    ROWS_AT_ONCE,
    OversizedFile,
    Rows,
    UnreadableFile,
    json_text,
    one_line,
)
from plaza_ingestion.worker.plan import Dialect
from plaza_ingestion.worker.records import Fault, Records
from plaza_ingestion.worker.source import SourceFile

_GROUP_BYTES: Final = 2 << 30
"""Unpacked, of one row group; writers make 128 MiB to 1 GiB."""
_FOOTER_BYTES: Final = 64 << 20
_BATCH_BYTES: Final = 64 << 20
_DICTIONARY_BYTES: Final = 16 << 20
_EXACT_INTEGERS: Final = 2.0**53


class ParquetReader:
    """See `batches.Reader`. Raises `UnreadableFile`, `OversizedFile`."""

    places = False

    def __init__(self, source: SourceFile, dialect: Dialect) -> None:
        self._source = source
        self._limit = dialect.max_record_bytes
        try:
            self._file = pq.ParquetFile(
                source.path,
                pre_buffer=False,
                buffer_size=1 << 20,
                thrift_string_size_limit=_FOOTER_BYTES,
                thrift_container_size_limit=1_000_000,
            )
            self._names = tuple(_flat_names(self._file.schema_arrow))
            # Texts stay dictionaries until their size is known.
            texts = [f.name for f in self._file.schema_arrow if _is_text(f.type)]
            self._file = pq.ParquetFile(
                source.path, pre_buffer=False, buffer_size=1 << 20, read_dictionary=texts
            )
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _broken(error) from error
        self.headings = self._names
        if len(self.headings) > MOST_COLUMNS:
            raise OversizedFile(
                f"The file has {len(self.headings)} columns.", remedy=f"A table has at most {MOST_COLUMNS}."
            )
        self._check_groups()

    def ignored(self) -> tuple[str, ...]:
        """Nothing: all columns stand in the schema."""
        return ()

    def batches(self) -> Iterator[Rows]:
        """One record a row; the line is its number + 1."""
        rows, total = 0, max(self._file.metadata.num_rows, 1)
        try:
            for batch in self._file.iter_batches(batch_size=self._rows_at_once(), use_threads=False):
                table = pa.Table.from_batches([batch])
                yield self._batch(table, rows, int(self._source.size * (rows + table.num_rows) / total))
                rows += table.num_rows
        except (pa.ArrowException, OSError, ValueError, IndexError) as error:
            # IndexError: a flipped bit made an index that its dictionary does not have.
            if isinstance(error, UnreadableFile | OversizedFile):
                raise
            raise _broken(error) from error

    def _rows_at_once(self) -> int:
        """So few that a batch stays small by what the footer says."""
        metadata = self._file.metadata
        widest = max(
            (
                group.total_byte_size / max(group.num_rows, 1)
                for group in map(metadata.row_group, range(metadata.num_row_groups))
            ),
            default=1.0,
        )
        return int(max(1, min(ROWS_AT_ONCE, _BATCH_BYTES // max(widest, 1))))

    def _check_groups(self) -> None:
        metadata = self._file.metadata
        for number in range(metadata.num_row_groups):
            size = metadata.row_group(number).total_byte_size
            if size > _GROUP_BYTES:
                raise OversizedFile(
                    f"Row group {number + 1} unpacks to {size} bytes.",
                    remedy=f"Write row groups of at most {_GROUP_BYTES} bytes.",
                )

    def _batch(self, table: pa.Table, rows: int, end: int) -> Rows:
        columns = dict(_flat_columns(table))
        texts = [_texts(column, self._limit) for column in columns.values()]
        count = table.num_rows
        fault = np.zeros(count, dtype=np.uint8)
        details: dict[int, str] = {}
        for name, array in zip(columns, texts, strict=True):
            if not array.null_count:
                continue
            for row in np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)).tolist():
                fault[row] = Fault.TOO_LONG
                details[row] = f"the value of {name!r} has more than {self._limit} bytes, or is no UTF-8"
        filled = tuple(pc.fill_null(array, "") for array in texts)
        lists = [array.to_pylist() for array in filled]
        originals = [json_text(self.headings, (cells[row] for cells in lists)) for row in range(count)]
        zero = np.zeros(count, dtype=np.int64)
        records = Records(
            zero,
            zero,
            np.arange(rows + 2, rows + 2 + count),
            np.full(count, len(filled), dtype=np.int64),
            fault,
        )
        return Rows(records, filled, originals, details, end)


def _broken(error: Exception) -> UnreadableFile:
    return UnreadableFile(
        f"The Parquet file cannot be read: {str(error).splitlines()[0][:200] if str(error) else 'broken'}.",
        remedy="Check that the file was written and sent completely, and send it again.",
    )


def _is_text(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(is_kind(kind) for is_kind in kinds)


def _flat_names(schema: pa.Schema) -> Iterator[str]:
    for one in schema:
        yield from _names_of(one, one.name)


def _names_of(one: pa.Field, name: str) -> Iterator[str]:
    if pa.types.is_struct(one.type):
        for inner in one.type:
            yield from _names_of(inner, f"{name}.{inner.name}")
    else:
        yield name


def _flat_columns(table: pa.Table) -> Iterator[tuple[str, pa.Array]]:
    for name, column in zip(table.column_names, table.columns, strict=True):
        array = column.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = array.chunk(0) if array.num_chunks else pa.array([], array.type)
        yield from _flattened(name, array)


def _flattened(name: str, array: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    if pa.types.is_struct(array.type):
        for inner, values in zip(array.type, array.flatten(), strict=True):
            yield from _flattened(f"{name}.{inner.name}", values)
    else:
        yield name, array


def _texts(array: pa.Array, limit: int) -> pa.StringArray:
    """The column as text; no value is "", and null where a value is too long or no text."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        values = _texts(array.dictionary, limit)
        sizes = pc.fill_null(pc.binary_length(values), 0).to_numpy(zero_copy_only=False)
        indices = pc.fill_null(array.indices, 0).to_numpy(zero_copy_only=False)
        if len(sizes) and int(sizes[indices].sum()) > _BATCH_BYTES:
            raise OversizedFile(
                f"{len(array)} values of a column unpack to more than {_BATCH_BYTES} bytes.",
                remedy="Send the file with shorter values, or as CSV.",
            )
        if not len(values):
            return pa.array([""] * len(array), pa.string())
        return pc.if_else(array.is_null(), "", pc.take(values, pc.fill_null(array.indices, 0)))
    if _is_text(kind):
        fits = pc.less_equal(pc.binary_length(array), limit)
        array = (
            pc.if_else(fits, array, pa.scalar(None, kind))
            if pc.all(fits).as_py() not in (True, None)
            else array
        )
        too_long = pc.and_(pc.invert(fits), True)
        try:
            text = pc.cast(array, pa.string())
        except pa.ArrowInvalid:
            text = pa.array([_utf8(value) for value in array.to_pylist()], pa.string())
            too_long = pc.or_(too_long, pc.and_(text.is_null(), array.is_valid()))
        bad = pc.fill_null(too_long, False)
        return pc.if_else(bad, pa.scalar(None, pa.string()), pc.fill_null(text, ""))
    if pa.types.is_floating(kind):
        return _numbers(array)
    if pa.types.is_timestamp(kind):
        return _moments(array, kind)
    if pa.types.is_null(kind):
        return pa.array([""] * len(array), pa.string())
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_date32(kind):
        return pc.fill_null(pc.cast(array, pa.string()), "")
    return pa.array([_text_of(value) for value in array.to_pylist()], pa.string())


def _numbers(array: pa.Array) -> pa.StringArray:
    doubles = pc.cast(array, pa.float64())
    values = doubles.to_numpy(zero_copy_only=False)
    whole = np.isfinite(values) & (np.abs(values) <= _EXACT_INTEGERS) & (values == np.trunc(values))
    whole &= ~((values == 0) & np.signbit(values))
    integers = pa.array(np.where(whole, values, 0).astype(np.int64))
    text = pa.array([repr(value) for value in values.tolist()], pa.string())
    text = pc.if_else(pa.array(whole), pc.cast(integers, pa.string()), text)
    return pc.if_else(doubles.is_null(), "", text)


def _moments(array: pa.Array, kind: pa.TimestampType) -> pa.StringArray:
    """With six decimals at most where nothing is lost; a finer one keeps nine, which no timestamp field takes."""
    zoned = kind.tz is not None
    plain = array.view(pa.int64()).view(pa.timestamp(kind.unit)) if zoned else array
    with suppress(pa.ArrowInvalid):  # finer than microseconds
        plain = pc.cast(plain, pa.timestamp("us"))
    text = pc.cast(plain, pa.string())
    return pc.fill_null(pc.binary_join_element_wise(text, "Z", "") if zoned else text, "")


def _utf8(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _text_of(value: Any) -> str:
    """A value of a rarer type."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | dict | tuple):
        return one_line(_plain(value)).decode()
    return str(value)


def _plain(value: Any) -> Any:
    """For JSON: what it has no word for becomes text."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool) or value is None else _text_of(value)
