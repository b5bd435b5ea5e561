"""Staged files for the lake, as ingestion's worker writes them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from plaza_lake.schema import TableSchema, arrow_schema
from plaza_lake.write import StagedFile


@dataclass
class Stager:
    """Writes Parquet with DuckDB: all columns optional, no field ids."""

    folder: Path
    schema: TableSchema
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def __call__(self, rows: list[dict[str, Any]], schema: TableSchema | None = None) -> StagedFile:
        """One file with these rows, in the stager's schema unless another is given."""
        path = self.folder / f"part-{next(self.numbers)}.parquet"
        table = pa.Table.from_pylist(rows, schema=arrow_schema(schema or self.schema))
        with duckdb.connect(config={"threads": "1"}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("staged", table)
            connection.execute(f"COPY staged TO '{path}' (FORMAT parquet)")
        data = path.read_bytes()
        return StagedFile(f"file://{path}", len(rows), len(data), hashlib.sha256(data).hexdigest())
