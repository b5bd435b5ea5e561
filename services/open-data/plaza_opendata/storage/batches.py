"""Batches of rows on their way to a writer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
from plaza_lake.columnar import plain
from plaza_lake.engine import BATCH_ROWS
from plaza_lake.schema import TableSchema


@dataclass(slots=True)
class Rows:
    """A `plaza_lake.formats.Rows`."""

    schema: TableSchema
    batches: Iterator[pa.RecordBatch]


def even(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of `BATCH_ROWS`, the last one shorter, with nothing in the places of absent values.

    Engines cut their results as their threads come along, and leave there what was in memory before; Parquet keeps
    the cuts, Arrow both. Only so are the bytes of equal rows equal, and tell of nothing else.
    """
    held: list[pa.RecordBatch] = []
    missing = BATCH_ROWS
    for batch in batches:
        rest = batch
        while rest.num_rows:
            held.append(rest.slice(0, missing))
            rest = rest.slice(missing)
            missing -= held[-1].num_rows
            if not missing:
                yield _joined(held)
                held, missing = [], BATCH_ROWS
    if held:
        yield _joined(held)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    joined = pa.concat_batches(batches)
    return pa.RecordBatch.from_arrays([plain(each) for each in joined.columns], schema=joined.schema)
