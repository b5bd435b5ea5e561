"""Few files for many small ones: the newest version written again, copy-on-write, as the same version.

Readers see the same rows under the same number; the content hash is over sorted rows and does not change. Which
files are taken follows their sizes: the smallest, as long as the next is not larger than all of those together.
So each row is written again a number of times that grows with the logarithm of the table, and a table keeps a
number of small files that does too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from plaza_lake.engine import refuse_merge_on_read
from plaza_lake.metadata import MAX_ATTEMPTS, MaintenanceContended, commit, pause
from plaza_lake.overwrite import KeptFile, all_rows, write_files
from plaza_lake.row_origins import Origins, origins_of, together
from plaza_lake.schema import TableKind
from plaza_lake.snapshots import Live, SnapshotMaker, noted_in
from plaza_lake.tables import Lake, table_schema
from plaza_lake.versions import COMMITTED_AT, PREFIX, ROWS_ADDED, number_of
from plaza_lake.write import data_file

MAX_OPEN: Final = 1_000
"""Files that one rewrite reads."""


class CompactionStep(StrEnum):
    """Between these the process may die without harm."""

    PLANNED = "planned"
    WRITTEN = "written"
    """The new files are durable, nobody knows them yet."""
    COMMITTED = "committed"


@dataclass(frozen=True, slots=True)
class CompactionPolicy:
    """When a rewrite is worth it."""

    small_files: int = 10
    """So many at least."""
    small_bytes: int = 64 << 20
    """A larger file is left as it is."""
    manifests: int = 20
    """More are merged, also when no file is small."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a rewrite came to."""

    files_removed: int
    files_added: int
    manifests_before: int

    @property
    def did_something(self) -> bool:
        return self.manifests_before > 0


NOTHING: Final = Compacted(0, 0, 0)


def chosen_files(files: Sequence[DataFile], policy: CompactionPolicy) -> tuple[DataFile, ...]:
    """The files to be written together, smallest first; none if it is not worth it."""
    small = sorted(
        (file for file in files if file.file_size_in_bytes <= policy.small_bytes),
        key=lambda file: (file.file_size_in_bytes, file.file_path),
    )
    taken: list[DataFile] = []
    size = 0
    for file in small[:MAX_OPEN]:
        if len(taken) >= 2 and file.file_size_in_bytes > size:
            break
        taken.append(file)
        size += file.file_size_in_bytes
    return tuple(taken) if len(taken) >= max(policy.small_files, 2) else ()


def compact(
    lake: Lake,
    dataset: str,
    policy: CompactionPolicy | None = None,
    *,
    table: TableKind = "rows",
    on_step: Callable[[CompactionStep], None] = lambda _: None,
) -> Compacted:
    """Writes small files of the newest version together, and merges its manifests, if that is worth it. May be
    cut off anywhere and repeated; a load that comes in between goes first.

    Raises `TableNotFound`, `MergeOnRead`, `MaintenanceContended`, `LakeUnavailable`.
    """
    policy = policy or CompactionPolicy()
    with lake.shared(dataset, table):
        work: _Work | None = None
        for attempt in range(MAX_ATTEMPTS):
            loaded = lake.load(dataset, table)
            snapshot = loaded.current_snapshot()
            if snapshot is None or number_of(snapshot) is None or not _same_schema(loaded, snapshot):
                return NOTHING
            live = Live.of(loaded, snapshot)
            refuse_merge_on_read(loaded.location(), live.files, [manifest for manifest, _ in live.manifests])
            if work is None or not work.still_fits(live):
                work = _Work(chosen_files(live.files, policy))
                if not work.removed and len(live.manifests) <= policy.manifests:
                    return NOTHING
                on_step(CompactionStep.PLANNED)
                work.write(lake, loaded, snapshot)
                on_step(CompactionStep.WRITTEN)
            try:
                maker = SnapshotMaker(loaded, loaded.metadata)
                made = maker.replace(live, work.removed, work.added, _same_version(snapshot))
                commit(loaded, (made.requirement,), made.updates)
            except CommitFailedException:
                pause(attempt)
                continue
            on_step(CompactionStep.COMMITTED)
            return Compacted(len(work.removed), len(work.added), len(live.manifests))
    raise MaintenanceContended(dataset, "compaction")


def _same_schema(table: Table, snapshot: Snapshot) -> bool:
    """Another engine may have changed the schema since: then the next load goes first."""
    return snapshot.schema_id in (None, table.metadata.current_schema_id)


def _same_version(snapshot: Snapshot) -> dict[str, str]:
    """The notes of a version, for a snapshot with the same rows."""
    before = noted_in(snapshot)
    noted = {name: value for name, value in before.items() if name.startswith(PREFIX)}
    noted.setdefault(ROWS_ADDED, before.get("added-records", "0"))
    noted.setdefault(COMMITTED_AT, str(snapshot.timestamp_ms))
    return noted


class _Work:
    """One set of files, and what took their place; good for every newest version that still has them all."""

    def __init__(self, removed: Sequence[DataFile]) -> None:
        self.removed = removed
        self.addresses = frozenset(file.file_path for file in removed)
        self.added: list[DataFile] = []

    def still_fits(self, live: Live) -> bool:
        return self.addresses <= {file.file_path for file in live.files}

    def write(self, lake: Lake, table: Table, snapshot: Snapshot) -> None:
        if not self.removed:
            return
        schema = table_schema(table)
        paths = [lake.files.path(file.file_path) for file in self.removed]
        folder = f"{table.location()}/data/_compacted"  # no batch id begins so
        with lake.files.opened(paths):
            query = all_rows(lake, schema, paths)
            origins = self._origins(table, number_of(snapshot) or 0, paths)
            written: list[KeptFile] = list(write_files(lake, query, paths, schema, folder, "rows", origins))
        expected = sum(file.record_count for file in self.removed)
        assert sum(file.rows for file in written) == expected, "every row is written again, once"
        self.added = [
            data_file(table, table.metadata, file.uri, file.rows, file.bytes, schema) for file in written
        ]

    def _origins(self, table: Table, version: int, paths: Sequence[str]) -> Origins:
        return together(
            version,
            [
                (file.file_path.removeprefix(f"{table.location()}/"), file.record_count, origins_of(path))
                for file, path in zip(self.removed, paths, strict=True)
            ],
        )
