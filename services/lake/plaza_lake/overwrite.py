"""Copy-on-write: which data files a batch takes out of the table, and the rows of them that stay.

Only files that hold an affected row are written again; no delete files, so that every engine reads the table
(architecture). DuckDB joins on the key columns and spills; rows go to Parquet in batches, never all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from plaza_kit.errors import InvalidArgument
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from sqlglot import exp

from plaza_lake import engine
from plaza_lake.files import Files, file_sha256
from plaza_lake.render import column, read_parquet, same_key, to_sql
from plaza_lake.row_origins import KEY, Origins
from plaza_lake.schema import TableSchema, arrow_schema, duckdb_type
from plaza_lake.tables import Lake

ROW_GROUP_ROWS: Final = 122_880
_ROW_GROUP_BYTES: Final = 64 << 20
FILE_BYTES: Final = 512 << 20
"""A rewritten file that has grown so large is followed by another."""


class LoadMode(StrEnum):
    """What a batch does to the rows that are in the table."""

    APPEND = "append"
    """They stay."""
    REPLACE = "replace"
    """They go: the version has exactly the batch's rows."""
    UPSERT = "upsert"
    """Those with a key of the batch go, the others stay."""


class UpsertWithoutKey(InvalidArgument):
    """Rows of a table without a key cannot be told apart."""

    def __init__(self, dataset: str) -> None:
        super().__init__(
            f"{dataset} has no key: rows cannot be replaced by key",
            remedy="Register a contract with a key, or load in mode append or replace.",
        )


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A new data file with the rows of removed files that stay (all of them, when files are only written together)."""

    uri: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Overwrite:
    """What a batch changes about the files that are there."""

    removed: tuple[DataFile, ...] = ()
    kept: tuple[KeptFile, ...] = ()

    @property
    def rows_removed(self) -> int:
        return sum(file.record_count for file in self.removed) - sum(file.rows for file in self.kept)


def plan_overwrite(
    lake: Lake, table: Table, schema: TableSchema, mode: LoadMode, new: Sequence[str], folder: str
) -> Overwrite:
    """What loading the data files `new` (URIs) does to the newest snapshot. Rewritten files lie durable in
    `folder`, still invisible, under names made of their hash. Raises `FileNotFoundError` when one of `new` was
    tidied away, `MergeOnRead`."""
    snapshot = table.current_snapshot()
    if mode is LoadMode.APPEND or snapshot is None:
        return Overwrite()
    stored = engine.planned_data_files(table, snapshot.snapshot_id)
    if mode is LoadMode.REPLACE or not stored:
        return Overwrite(removed=tuple(stored))
    paths = [lake.files.path(uri) for uri in new]
    known = {lake.files.path(file.file_path): file for file in stored}
    try:
        with lake.files.opened([*known, *paths]):
            affected = _affected(lake, schema.key, list(known), paths)
            removed = {path: file for path, file in known.items() if path in affected}
            if not removed:
                return Overwrite()
            query = _rows_that_stay(lake, schema, list(removed), paths)
            written = tuple(write_files(lake, query, sorted(affected) + paths, schema, folder, "kept"))
        return Overwrite(tuple(removed.values()), written)
    except duckdb.IOException:
        for uri in new:
            if lake.files.store.find(lake.files.key(uri)) is None:
                raise FileNotFoundError(uri) from None
        raise


def _affected(lake: Lake, key: tuple[str, ...], stored: list[str], new: list[str]) -> set[str]:
    """The stored files that hold a key of the new ones."""
    keys = exp.select(*(column(name) for name in key))
    old = keys.copy().select("filename").from_(read_parquet(stored, row_numbers=True)).subquery()
    query = (
        exp.select("filename")
        .distinct()
        .from_(exp.alias_(old, "stored"))
        .join(
            exp.alias_(keys.from_(read_parquet(new)).subquery(), "staged"),
            on=same_key(key, "stored", "staged"),
            join_type="semi",
        )
    )
    with engine.connection(lake, [*stored, *new]) as opened:
        return {str(path) for (path,) in opened.execute(to_sql(query)).fetchall()}


def _rows_that_stay(lake: Lake, schema: TableSchema, removed: list[str], new: list[str]) -> exp.Expr:
    keys = exp.select(*(column(name) for name in schema.key)).from_(read_parquet(new)).subquery()
    return all_rows(lake, schema, removed).join(
        exp.alias_(keys, "staged"), on=same_key(schema.key, "stored", "staged"), join_type="anti"
    )


def all_rows(lake: Lake, schema: TableSchema, paths: list[str]) -> exp.Select:
    """The rows of these files (named `stored`) in the schema of today: files from before a field was added have
    no value of it."""
    with lake.files.opened(paths):
        known = {name for path in paths for name in pq.read_schema(path).names}
    columns = [
        column(field.name, "stored")
        if field.name in known
        else exp.alias_(exp.cast(exp.null(), duckdb_type(field.type), dialect="duckdb"), field.name)
        for field in schema.columns
    ]
    old = exp.alias_(exp.select("*").from_(read_parquet(paths)).subquery(), "stored")
    return exp.select(*columns).from_(old)


def write_files(
    lake: Lake,
    query: exp.Expr,
    paths: list[str],
    schema: TableSchema,
    folder: str,
    prefix: str,
    origins: Origins | None = None,
) -> Iterator[KeptFile]:
    """The result of a query over these paths as data files in a folder, each durable under a name made of
    `prefix` and its hash before it is handed out; nobody knows them yet. `origins`: where the rows come from, if the
    query keeps them in that order."""
    arrow = arrow_schema(schema)
    groups = _row_groups(engine.stream(lake, query, paths, arrow))
    group = next(groups, None)
    rows = 0
    while group is not None:
        part = _Part(lake.files, f"{folder}/{prefix}", arrow)
        try:
            part.write(group)
            group = next(groups, None)
            while group is not None and part.bytes < FILE_BYTES:
                part.write(group)
                group = next(groups, None)
            kept = part.keep(None if origins is None else origins.within(rows, part.rows))
            rows += kept.rows
            yield kept
        finally:
            part.drop()


def _row_groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in pieces that make good row groups."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        waiting.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= ROW_GROUP_ROWS or size >= _ROW_GROUP_BYTES:
            yield pa.Table.from_batches(waiting)
            waiting, rows, size = [], 0, 0
    if rows:
        yield pa.Table.from_batches(waiting)


class _Part:
    """A data file on its way: under a name that nobody looks at, until it is whole."""

    def __init__(self, files: Files, prefix: str, schema: pa.Schema) -> None:
        self._files = files
        self._prefix = prefix
        self._path = files.part(prefix)
        self._file = self._path.open("xb")
        self._writer = pq.ParquetWriter(self._file, schema, compression="zstd", store_schema=False)
        self.rows = 0

    @property
    def bytes(self) -> int:
        return self._file.tell()

    def write(self, rows: pa.Table) -> None:
        self._writer.write_table(rows, row_group_size=max(rows.num_rows, 1))
        self.rows += rows.num_rows

    def keep(self, origins: Origins | None) -> KeptFile:
        """Durable under its own name before this returns."""
        if origins is not None:
            self._writer.add_key_value_metadata({KEY: origins.written()})
        self._writer.close()
        self._file.close()
        size = self._path.stat().st_size
        target = f"{self._prefix}-{file_sha256(self._path)}.parquet"
        self._files.keep(self._path, target)
        return KeptFile(target, self.rows, size)

    def drop(self) -> None:
        """Leaves nothing behind; harmless after `keep`."""
        with suppress(OSError):
            self._writer.close()
        self._file.close()
        self._path.unlink(missing_ok=True)
