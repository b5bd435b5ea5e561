"""Rows as Parquet and as an Arrow stream, written as they come: no more is held than one row group.

Types are those of `plaza_lake.schema.arrow_schema`; nothing is turned into text. What breaks off has no footer
(Parquet) or no end mark (Arrow), so that no reader takes a part for the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from plaza_lake.formats import Rows
from plaza_lake.schema import arrow_schema

MEDIA_TYPES: Final = {
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
"""As registered with IANA."""

GROUP_ROWS: Final = 128 * 1024
GROUP_BYTES: Final = 16 * 1024 * 1024
"""A Parquet row group ends with the batch that reaches one of these; bytes as Arrow holds them."""


def parquet(stream: Rows) -> Iterator[bytes]:
    """Apache Parquet, compressed with Zstandard."""
    schema = arrow_schema(stream.schema)
    sink = _Sink()
    # Without the Arrow schema beside it: the types are plain Parquet's, and every reader reads the same.
    writer = pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd", store_schema=False)
    try:
        for group in _groups(stream.batches, schema):
            writer.write_table(group, row_group_size=max(group.num_rows, 1))
            yield from sink.taken()
    finally:
        writer.close()
    yield from sink.taken()


def arrow(stream: Rows) -> Iterator[bytes]:
    """The Arrow IPC streaming format, its buffers compressed with LZ4."""
    schema = arrow_schema(stream.schema)
    sink = _Sink()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    writer = pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), schema, options=options)
    try:
        yield from sink.taken()
        for batch in stream.batches:
            if batch.num_rows:
                writer.write_batch(_as([plain(column) for column in batch.columns], schema))
                yield from sink.taken()
    finally:
        writer.close()
    yield from sink.taken()


FORMATS: Final[dict[str, Callable[[Rows], Iterator[bytes]]]] = {"parquet": parquet, "arrow": arrow}


class _Sink:
    """A file that is written and emptied by turns."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """What was written stays to be taken."""

    def taken(self) -> Iterator[bytes]:
        """What was written since the last time, as one piece; none when there is nothing."""
        parts, self._parts = self._parts, []
        if parts:
            yield b"".join(parts)


def _groups(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Batches gathered to row groups."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        held.append(_as(batch.columns, schema))
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= GROUP_ROWS or size >= GROUP_BYTES:
            yield pa.Table.from_batches(held, schema)
            held, rows, size = [], 0, 0
    if held:
        yield pa.Table.from_batches(held, schema)


def plain(array: pa.Array) -> pa.Array:
    """The same values with nothing else: unmarked where none is absent, zeros in the places of absent ones.

    Engines leave there what was in memory before, be it another reader's values, and Arrow sends whole buffers.
    Texts and bytes take no place where they are absent.
    """
    if array.offset:
        array = pa.concat_arrays([array, array.slice(0, 0)])  # of its own, from the beginning
    marks, *buffers = array.buffers()
    if not array.null_count:
        marks = None
    elif len(buffers) == 1:
        zero = pa.Array.from_buffers(array.type, 1, [None, pa.py_buffer(bytes(8))])[0]
        buffers = array.fill_null(zero).buffers()[1:]
    return pa.Array.from_buffers(array.type, len(array), [marks, *buffers], array.null_count)


def _as(columns: list[pa.Array], schema: pa.Schema) -> pa.RecordBatch:
    """A batch under our schema: engines name and annotate columns in their own way."""
    return pa.RecordBatch.from_arrays(columns, schema=schema)
