"""DuckDB, shut in: one connection for one query, which may open the named files and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import duckdb
import pyarrow as pa
from plaza_kit.errors import FailedPrecondition, InvalidArgument
from pyiceberg.manifest import DataFile, FileFormat
from pyiceberg.table import Table
from sqlglot import exp

from plaza_lake.files import local_path
from plaza_lake.render import to_sql
from plaza_lake.tables import Lake

BATCH_ROWS: Final = 32_768
"""Rows of one Arrow batch at most."""


class MergeOnRead(FailedPrecondition):
    """Another engine left delete files in a table; reading past them would show deleted rows."""


class UnreadableLocation(InvalidArgument):
    """A path that DuckDB would take for a pattern."""


def planned_files(table: Table, snapshot_id: int) -> list[str]:
    """Paths of the data files of one snapshot, as PyIceberg plans them. Raises `MergeOnRead`."""
    return [str(local_path(file.file_path)) for file in planned_data_files(table, snapshot_id)]


def planned_data_files(table: Table, snapshot_id: int) -> list[DataFile]:
    """The data files of one snapshot with their counts. Raises `MergeOnRead`."""
    files = []
    for task in table.scan(snapshot_id=snapshot_id).plan_files():
        if task.delete_files or task.file.file_format != FileFormat.PARQUET:
            raise MergeOnRead(
                f"table {'.'.join(table.name())} has delete files or other files than Parquet",
                remedy="Rewrite the table copy-on-write (Spark: CALL system.rewrite_data_files).",
            )
        files.append(task.file)
    return files


@contextmanager
def connection(lake: Lake, paths: Iterable[str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that can read these files only: no other file, no network, no extension, no setting."""
    allowed = list(paths)
    for path in allowed:
        if any(sign in path for sign in "*?["):
            raise UnreadableLocation(
                f"{path!r} holds one of the signs * ? [", remedy="Stage files under plain names."
            )
    with duckdb.connect(
        ":memory:",
        config={
            "memory_limit": lake.settings.memory_limit,
            "threads": str(lake.settings.threads),
            "temp_directory": lake.spill_directory(),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
        },
    ) as opened:
        opened.execute("SET TimeZone = 'UTC'")
        opened.execute("SET allowed_paths = ?", [allowed])
        opened.execute("SET enable_external_access = false")
        opened.execute("SET lock_configuration = true")
        yield opened


def stream(lake: Lake, query: exp.Expr, paths: Iterable[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Batches of a query's result while it runs; closing the iterator ends the query.

    Raises `pyarrow.ArrowInvalid` if the result does not have this schema, which would be our mistake.
    """
    with connection(lake, paths) as opened:
        reader = opened.sql(to_sql(query)).to_arrow_reader(BATCH_ROWS)
        assert reader is not None, "a SELECT has a result"
        with reader:
            for batch in reader:
                yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def rows(lake: Lake, query: exp.Expr, paths: Iterable[str]) -> list[dict[str, object]]:
    """A small result as Python values."""
    with connection(lake, paths) as opened:
        table = opened.sql(to_sql(query)).to_arrow_table()
        assert table is not None, "a SELECT has a result"
        found: list[dict[str, object]] = table.to_pylist()
        return found
