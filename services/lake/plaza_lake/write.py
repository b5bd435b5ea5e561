"""The one write path: a batch of staged files becomes one version, exactly once.

A batch adds its rows, or takes the place of all rows, or of those with its keys (`LoadMode`).

The batch id stands in the snapshot itself, so that "is it in?" and "put it in" are one atomic question to
the catalog. Every step may be cut off and repeated: a file takes its place under a name made of batch id and
hash; a commit that lost against another writer looks for its own batch before it tries again.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import pyarrow.parquet as pq
from plaza_kit.errors import FailedPrecondition, InvalidArgument, Unavailable
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestEntryStatus
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata

from plaza_lake.evolution import evolve
from plaza_lake.file_io import files_of
from plaza_lake.files import Files, StagedFileMismatch, take_over
from plaza_lake.metadata import commit
from plaza_lake.overwrite import LoadMode, Overwrite, UpsertWithoutKey, plan_overwrite
from plaza_lake.schema import TableKind, TableSchema, arrow_schema
from plaza_lake.snapshots import SnapshotMaker
from plaza_lake.tables import Lake, LakeUnavailable, TableNotFound
from plaza_lake.versions import (
    BATCH_ID,
    PREFIX,
    ROWS_ADDED,
    ROWS_REMOVED,
    VERSION,
    VersionInfo,
    find_batch,
    info_of,
    newest_number,
)

MAX_ATTEMPTS: Final = 20
_BATCH_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class EmptyBatch(FailedPrecondition):
    """No row in any file: there is nothing to commit, and no version was made."""


class InvalidBatchId(InvalidArgument):
    """A batch id must be able to stand in a path."""


class CommitContended(Unavailable):
    """Other writers were faster every time. Nothing is lost: the same batch may be committed again."""


class CommitStep(StrEnum):
    """Between these the process may die without harm."""

    OPENED = "opened"
    """The table exists, the batch is not in it."""
    COPIED = "copied"
    """The files are in the table's folder, still invisible."""
    REWRITTEN = "rewritten"
    """So are the rows that stay of files which hold a replaced row (none in mode append)."""
    COMMITTED = "committed"
    """The catalog knows the new version."""


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A Parquet file that waits in the staging folder, as its writer describes it."""

    uri: str
    rows: int
    bytes: int
    sha256: str
    """Of the file's bytes, hex."""


@dataclass(frozen=True, slots=True)
class CommittedVersion:
    """The version that holds the batch. `repeated`: it was in before this call."""

    version: int
    snapshot_id: int
    rows_added: int
    total_rows: int
    repeated: bool
    rows_removed: int = 0
    """Rows of the version before that were replaced or left out."""


def commit_batch(
    lake: Lake,
    dataset: str,
    schema: TableSchema,
    batch_id: str,
    files: Sequence[StagedFile],
    *,
    properties: Mapping[str, str] | None = None,
    table: TableKind = "rows",
    mode: LoadMode = LoadMode.APPEND,
    settled: bool = False,
    on_step: Callable[[CommitStep], None] | None = None,
) -> CommittedVersion:
    """Makes one version of the staged files, or tells which version the batch already is.

    The batch id alone decides what is the same batch. `properties` are noted in the snapshot under `plaza.…`.
    `on_step` hears how far it came (progress; tests cut it off there). The table is made by its first batch;
    new columns of `schema` are added to it. `mode` says what becomes of the rows that are there; it must be the
    same whenever the batch is committed again. In mode upsert no two rows of the files may have the same key. A
    batch without rows makes no version in any mode: an empty file does not empty a table. `settled`: of all files,
    as in `take_over`.

    Raises `EmptyBatch`, `UpsertWithoutKey`, `MergeOnRead`, `StagedFileMissing`, `StagedFileMismatch`,
    `SchemaConflict`, `InvalidBatchId`,
    `CommitContended`, `LakeUnavailable`.
    """
    _check_batch_id(batch_id)
    step = on_step or (lambda _: None)
    if (done := _already_in(lake, dataset, table, batch_id)) is not None:
        return done
    if mode is LoadMode.UPSERT and not schema.key:
        raise UpsertWithoutKey(dataset)
    filled = [file for file in files if file.rows > 0]
    if not filled:
        raise EmptyBatch(
            f"batch {batch_id} of {dataset} has no rows",
            remedy="Nothing was committed; look into quarantine for refused rows.",
            facts={"batch": batch_id},
        )
    with lake.shared(dataset, table):
        target = lake.load_or_create(dataset, table, schema)
        folder = f"{target.location()}/data/{batch_id}"
        batch = _Batch(lake.files, batch_id, schema, filled, folder, dict(properties or {}), settled)
        return _commit(lake, dataset, table, target, batch, mode, step)


def _commit(
    lake: Lake,
    dataset: str,
    table: TableKind,
    target: Table,
    batch: _Batch,
    mode: LoadMode,
    step: Callable[[CommitStep], None],
) -> CommittedVersion:
    step(CommitStep.OPENED)
    for attempt in range(MAX_ATTEMPTS):
        try:
            batch.copy_in()
            step(CommitStep.COPIED)
            overwrite = plan_overwrite(lake, target, batch.schema, mode, batch.targets, batch.folder)
            step(CommitStep.REWRITTEN)
            info = batch.commit_to(target, overwrite)
        except (CommitFailedException, LakeUnavailable, FileNotFoundError):
            # Lost the race; or the answer was lost; or the winner of the same batch tidied our copies away.
            if (done := _already_in(lake, dataset, table, batch.batch_id)) is not None:
                return done
            time.sleep(random.uniform(0.2, 1) * min(0.02 * 2**attempt, 1))  # noqa: S311  (spreads writers)
            target = lake.load(dataset, table)
            continue
        step(CommitStep.COMMITTED)
        lake.files.remove_others(batch.folder, {*batch.targets, *(file.uri for file in overwrite.kept)})
        return _committed(info, repeated=False)
    raise CommitContended(
        f"batch {batch.batch_id} of {dataset} lost {MAX_ATTEMPTS} times against other writers",
        remedy="Try again; the same batch id is safe.",
        facts={"batch": batch.batch_id},
    )


def _check_batch_id(batch_id: str) -> None:
    if not _BATCH_ID.fullmatch(batch_id):
        raise InvalidBatchId(
            f"batch id {batch_id!r} is not made of letters, digits, dot, underscore and hyphen (at most 128)",
            remedy="Use a UUID.",
        )


def _already_in(lake: Lake, dataset: str, table: TableKind, batch_id: str) -> CommittedVersion | None:
    try:
        target = lake.load(dataset, table)
    except TableNotFound:
        return None
    info = find_batch(target, batch_id)
    if info is None:
        return None
    committed = _files_added_by(target, info.snapshot_id)
    if (
        committed and not info.rewritten
    ):  # after a rewrite nothing here tells ours from strays: the sweep does
        lake.files.remove_others(f"{target.location()}/data/{batch_id}", committed)
    return _committed(info, repeated=True)


def _committed(info: VersionInfo, *, repeated: bool) -> CommittedVersion:
    return CommittedVersion(
        info.version, info.snapshot_id, info.rows_added, info.total_rows, repeated, info.rows_removed
    )


def _files_added_by(table: Table, snapshot_id: int) -> set[str]:
    snapshot = table.snapshot_by_id(snapshot_id)
    manifests = snapshot.manifests(table.io) if snapshot is not None else []
    return {
        entry.data_file.file_path
        for manifest in manifests
        if manifest.added_snapshot_id == snapshot_id
        for entry in manifest.fetch_manifest_entry(table.io)
        if entry.status == ManifestEntryStatus.ADDED  # an overwrite lists what stays once more
    }


class _Batch:
    """One batch on its way in."""

    def __init__(
        self,
        storage: Files,
        batch_id: str,
        schema: TableSchema,
        files: list[StagedFile],
        folder: str,
        properties: dict[str, str],
        settled: bool,
    ) -> None:
        for file in files:
            if not _SHA256.fullmatch(file.sha256):  # it becomes part of a path
                raise StagedFileMismatch(file.uri, "its SHA-256 is not 64 hexadecimal digits")
        self.storage = storage
        self.batch_id = batch_id
        self.schema = schema
        self.files = files
        self.folder = folder
        self.settled = settled
        self.targets = [f"{folder}/{number:05}-{file.sha256}.parquet" for number, file in enumerate(files)]
        self._noted = {f"{PREFIX}{name.removeprefix(PREFIX)}": value for name, value in properties.items()}

    def copy_in(self) -> None:
        for file, target in zip(self.files, self.targets, strict=True):
            take_over(self.storage, file.uri, target, file.sha256, file.bytes, settled=self.settled)

    def commit_to(self, table: Table, overwrite: Overwrite) -> VersionInfo:
        """One atomic commit: schema change, if any, the new files, and the removed ones."""
        number = newest_number(table) + 1
        evolution = evolve(table, self.schema)
        noted = {**self._noted, VERSION: str(number), BATCH_ID: self.batch_id}
        metadata = evolution.metadata
        added = [
            data_file(table, metadata, target, file.rows, file.bytes, self.schema)
            for file, target in zip(self.files, self.targets, strict=True)
        ]
        added += [data_file(table, metadata, f.uri, f.rows, f.bytes, self.schema) for f in overwrite.kept]
        maker = SnapshotMaker(table, metadata)
        if overwrite.removed:
            noted[ROWS_ADDED] = str(sum(file.rows for file in self.files))
            noted[ROWS_REMOVED] = str(overwrite.rows_removed)
            made = maker.overwrite(overwrite.removed, added, noted)
        else:
            made = maker.append(added, noted)
        commit(table, (made.requirement, *evolution.requirements), (*evolution.updates, *made.updates))
        return info_of(made.snapshot)


def data_file(
    table: Table, metadata: TableMetadata, target: str, rows: int, size: int, schema: TableSchema
) -> DataFile:
    """Registers a Parquet file with its counts and bounds, as PyIceberg's `add_files` does; that refuses
    required columns, because DuckDB writes every column optional: here their nulls are counted instead."""
    files = files_of(table)
    path = files.path(target)
    with files.opened([path]):
        parquet = pq.read_metadata(path)
    _check_parquet(parquet, target, rows, schema)
    iceberg = metadata.schema()
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=parquet,
        stats_columns=compute_statistics_plan(iceberg, metadata.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(iceberg),
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=target,
        file_format=FileFormat.PARQUET,
        partition=statistics.partition(metadata.spec(), iceberg),
        file_size_in_bytes=size,
        sort_order_id=None,
        spec_id=metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


def _check_parquet(parquet: pq.FileMetaData, uri: str, rows: int, schema: TableSchema) -> None:
    if parquet.num_rows != rows:
        raise StagedFileMismatch(uri, f"expected {rows} rows, found {parquet.num_rows}")
    found = parquet.schema.to_arrow_schema().remove_metadata()
    expected = arrow_schema(schema)
    if found.names != expected.names:
        raise StagedFileMismatch(
            uri, f"its columns are {', '.join(found.names)}; expected {', '.join(expected.names)}"
        )
    for position, column in enumerate(schema.columns):
        if found.field(position).type != expected.field(position).type:
            raise StagedFileMismatch(
                uri,
                f"column {column.name} has type {found.field(position).type}, "
                f"expected {expected.field(position).type}",
            )
        if column.required and _may_have_nulls(parquet, position):
            raise StagedFileMismatch(uri, f"required column {column.name} has missing values")


def _may_have_nulls(parquet: pq.FileMetaData, position: int) -> bool:
    for group in range(parquet.num_row_groups):
        statistics = parquet.row_group(group).column(position).statistics
        if statistics is None or not statistics.has_null_count or statistics.null_count > 0:
            return True
    return False
