"""Rows as texts, the way the CSV has them."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
from plaza_lake import formats
from plaza_lake.schema import Column, FieldType, TableSchema

from plaza_opendata.storage.batches import Rows
from plaza_opendata.storage.rows import PreviewCells


def cells_of(schema: TableSchema, batches: Iterable[pa.RecordBatch]) -> PreviewCells:
    """Row by row; None where there is no value. For few rows."""
    found = list(batches)
    columns = [_texts(column, [batch.select([column.name]) for batch in found]) for column in schema.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def _texts(column: Column, batches: list[pa.RecordBatch]) -> list[str | None]:
    if column.type is FieldType.STRING:
        return [text for batch in batches for text in batch.column(0).to_pylist()]
    # Nothing else is quoted or empty, so each line but the heading is a value, and an empty one is none.
    lines = b"".join(formats.csv(Rows(TableSchema((column,)), iter(batches)))).decode().split("\r\n")
    return [line or None for line in lines[1:-1]]
