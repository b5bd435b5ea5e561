"""DuckDB, shut in: one connection for one query, which may open the named files and nothing else (`instances`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import duckdb
import pyarrow as pa
from plaza_kit.errors import FailedPrecondition, InvalidArgument
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, FileFormat, ManifestContent, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from sqlglot import exp

from plaza_lake.comparing import add_functions
from plaza_lake.file_io import files_of
from plaza_lake.files import Files
from plaza_lake.render import to_sql
from plaza_lake.tables import Lake

BATCH_ROWS: Final = 32_768
"""Rows of one Arrow batch at most."""


class MergeOnRead(FailedPrecondition):
    """Another engine left delete files in a table; reading past them would show deleted rows."""


class UnreadableLocation(InvalidArgument):
    """A path that DuckDB would take for a pattern."""


def planned_files(table: Table, snapshot_id: int) -> list[str]:
    """Paths of the data files of one snapshot, in the order in which they were committed; those of one commit in its
    own order. Raises `MergeOnRead`."""
    snapshot = table.snapshot_by_id(snapshot_id)
    if snapshot is None:
        return []
    return list(_planned(_Listed(snapshot.manifest_list, files_of(table), snapshot, table)))


@dataclass(frozen=True, slots=True)
class _Listed:
    path: str
    files: Files
    snapshot: Snapshot = field(compare=False)
    table: Table = field(compare=False)


@lru_cache(maxsize=64)
def _planned(listed: _Listed) -> tuple[str, ...]:
    """Of one snapshot. Its list of manifests never changes."""
    io = listed.table.io
    manifests = listed.snapshot.manifests(io)
    refuse_merge_on_read(listed.table.location(), [], manifests)
    found = (_paths(_Manifest(each.manifest_path, listed.files, each, io)) for each in manifests)
    in_order = sorted((one for each in found for one in each), key=lambda one: one[0])
    return tuple(path for _, path in in_order)


@dataclass(frozen=True, slots=True)
class _Manifest:
    path: str
    files: Files
    file: ManifestFile = field(compare=False)
    io: FileIO = field(compare=False)


@lru_cache(maxsize=512)
def _paths(manifest: _Manifest) -> tuple[tuple[int, str], ...]:
    """Of one manifest, each with the number of its commit. It never changes, and the next snapshot shares it with
    this one."""
    entries = manifest.file.fetch_manifest_entry(manifest.io, discard_deleted=True)
    files = [entry.data_file for entry in entries]
    refuse_merge_on_read(manifest.path, files, [])
    return tuple(
        (entry.sequence_number or 0, manifest.files.path(entry.data_file.file_path)) for entry in entries
    )


def planned_data_files(table: Table, snapshot_id: int) -> list[DataFile]:
    """The data files of one snapshot with their counts, as its manifests list them. Raises `MergeOnRead`."""
    snapshot = table.snapshot_by_id(snapshot_id)
    manifests = snapshot.manifests(table.io) if snapshot is not None else []
    refuse_merge_on_read(table.location(), [], manifests)
    files = [
        entry.data_file
        for manifest in manifests
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    ]
    refuse_merge_on_read(table.location(), files, [])
    return files


def refuse_merge_on_read(place: str, files: Iterable[DataFile], manifests: Iterable[ManifestFile]) -> None:
    """Raises `MergeOnRead`."""
    if any(manifest.content != ManifestContent.DATA for manifest in manifests) or any(
        file.file_format != FileFormat.PARQUET for file in files
    ):
        raise MergeOnRead(
            f"{place} has delete files or other files than Parquet",
            remedy="Rewrite the table copy-on-write (Spark: CALL system.rewrite_data_files).",
        )


@contextmanager
def connection(
    lake: Lake, paths: Iterable[str], *, kept: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that can read these files only: no other file, no network, no extension, no setting. `kept`:
    for files that more queries will be about."""
    allowed = tuple(paths)
    for path in allowed:
        if any(sign in path for sign in "*?["):
            raise UnreadableLocation(
                f"{path!r} holds one of the signs * ? [", remedy="Stage files under plain names."
            )
    with lake.files.opened(allowed), _connection(lake, allowed, kept=kept) as opened:
        yield opened


@contextmanager
def _connection(lake: Lake, allowed: tuple[str, ...], *, kept: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    if kept:
        with lake.instances.cursor(allowed, lambda: _open(lake, allowed)) as opened:
            yield opened
    else:
        with _open(lake, allowed) as opened:
            yield opened


def _open(lake: Lake, allowed: tuple[str, ...]) -> duckdb.DuckDBPyConnection:
    opened = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": lake.settings.memory_limit,
            "threads": str(lake.settings.threads),
            "temp_directory": lake.spill_directory(),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
        },
    )
    add_functions(opened)
    opened.execute("SET GLOBAL TimeZone = 'UTC'")
    opened.execute("SET allowed_paths = ?", [list(allowed)])
    opened.execute("SET enable_external_access = false")
    opened.execute("SET lock_configuration = true")
    return opened


def stream(
    lake: Lake,
    query: exp.Expr,
    paths: Iterable[str],
    schema: pa.Schema,
    *,
    kept: bool = False,
    tables: Mapping[str, pa.Table] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Batches of a query's result while it runs; closing the iterator ends the query. `tables` stand beside the query,
    which then has an instance of its own.

    Raises `pyarrow.ArrowInvalid` if the result does not have this schema, which would be our mistake.
    """
    with connection(lake, paths, kept=kept and not tables) as opened:
        for name, table in (tables or {}).items():
            opened.register(name, table)
        reader = opened.sql(to_sql(query)).to_arrow_reader(BATCH_ROWS)
        assert reader is not None, "a SELECT has a result"
        with reader:
            for batch in reader:
                yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def rows(lake: Lake, query: exp.Expr, paths: Iterable[str]) -> list[dict[str, object]]:
    """A small result as Python values."""
    with connection(lake, paths, kept=True) as opened:
        table = opened.sql(to_sql(query)).to_arrow_table()
        assert table is not None, "a SELECT has a result"
        found: list[dict[str, object]] = table.to_pylist()
        return found
