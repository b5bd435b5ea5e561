"""Making a snapshot: its manifests, its manifest list, its summary; for loads, and for rewrites of the same rows.

PyIceberg's own transaction copies the whole metadata of a table some fifteen times for one commit, knows no
operation `replace`, and keeps one requirement of a kind. The same snapshot is made here with the pieces that
PyIceberg has in public, and committed once (`metadata.commit`).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from pyiceberg.manifest import (
    DataFile,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriter,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import AddSnapshotUpdate, TableRequirement, TableUpdate

from plaza_lake.metadata import ref_is, set_ref

FULL_MANIFEST: Final = 1_000
"""Files of one manifest at most."""

_Put = Callable[[ManifestWriter, ManifestEntry], ManifestWriter]


@dataclass(frozen=True, slots=True)
class Live:
    """The data files of a snapshot, by manifest."""

    manifests: tuple[tuple[ManifestFile, tuple[ManifestEntry, ...]], ...] = ()

    @classmethod
    def of(cls, table: Table, snapshot: Snapshot) -> Live:
        return cls(
            tuple(
                (manifest, tuple(manifest.fetch_manifest_entry(table.io, discard_deleted=True)))
                for manifest in snapshot.manifests(table.io)
            )
        )

    @property
    def files(self) -> tuple[DataFile, ...]:
        return tuple(entry.data_file for _, entries in self.manifests for entry in entries)


@dataclass(frozen=True, slots=True)
class NewSnapshot:
    """A snapshot whose files are written; in the table once its updates are committed under its requirement."""

    snapshot: Snapshot

    @property
    def updates(self) -> tuple[TableUpdate, ...]:
        return (
            AddSnapshotUpdate(snapshot=self.snapshot),
            set_ref(MAIN_BRANCH, SnapshotRefType.BRANCH, self.snapshot.snapshot_id),
        )

    @property
    def requirement(self) -> TableRequirement:
        """That nobody committed in between."""
        return ref_is(MAIN_BRANCH, self.snapshot.parent_snapshot_id)


class SnapshotMaker:
    """Makes one snapshot on top of a table's newest. `metadata`: as they will be, with the schema of the rows."""

    def __init__(self, table: Table, metadata: TableMetadata) -> None:
        self._table = table
        self._metadata = metadata
        self._parent = table.current_snapshot()
        self._id = table.metadata.new_snapshot_id()
        self._unique = uuid.uuid4()
        self._count = 0

    def append(self, added: Sequence[DataFile], noted: Mapping[str, str]) -> NewSnapshot:
        """All files that are there, and these."""
        before = self._parent.manifests(self._table.io) if self._parent is not None else []
        # A manifest of nothing but removed files only tells the snapshot that removed them.
        staying = [
            manifest for manifest in before if manifest.has_added_files() or manifest.has_existing_files()
        ]
        return self._made([*self._added(added), *staying], Operation.APPEND, (), added, noted)

    def overwrite(
        self, removed: Sequence[DataFile], added: Sequence[DataFile], noted: Mapping[str, str]
    ) -> NewSnapshot:
        """Other rows: some files go, some come."""
        assert self._parent is not None, "there is nothing to remove before the first snapshot"
        live = Live.of(self._table, self._parent)
        manifests = self._changed(live, removed, added, merge=False)
        return self._made(manifests, Operation.OVERWRITE, removed, added, noted)

    def replace(
        self, live: Live, removed: Sequence[DataFile], added: Sequence[DataFile], noted: Mapping[str, str]
    ) -> NewSnapshot:
        """The same rows in other files, and small manifests merged. The caller answers for the rows."""
        manifests = self._changed(live, removed, added, merge=True)
        return self._made(manifests, Operation.REPLACE, removed, added, noted)

    def _changed(
        self, live: Live, removed: Sequence[DataFile], added: Sequence[DataFile], *, merge: bool
    ) -> list[ManifestFile]:
        taken = {file.file_path for file in removed}
        whole: list[ManifestFile] = []
        loose: list[ManifestEntry] = []
        gone: list[ManifestEntry] = []
        for manifest, entries in live.manifests:
            staying = [entry for entry in entries if entry.data_file.file_path not in taken]
            gone += [entry for entry in entries if entry.data_file.file_path in taken]
            if entries and len(staying) == len(entries) and (not merge or len(entries) >= FULL_MANIFEST):
                whole.append(manifest)
            else:
                loose += staying
        assert len(gone) == len(taken), "only what is there can be removed"
        existing = self._manifests(loose, ManifestWriter.existing)
        return [*self._added(added), *whole, *existing, *self._manifests(gone, ManifestWriter.delete)]

    def _added(self, files: Sequence[DataFile]) -> list[ManifestFile]:
        entries = (
            ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, data_file=file) for file in files
        )
        return self._manifests(entries, ManifestWriter.add)

    def _manifests(self, entries: Iterable[ManifestEntry], put: _Put) -> list[ManifestFile]:
        found = []
        waiting = iter(entries)
        while part := list(islice(waiting, FULL_MANIFEST)):
            name = f"{self._unique}-m{self._count}.avro"
            self._count += 1
            with write_manifest(
                format_version=2,
                spec=self._metadata.spec(),
                schema=self._metadata.schema(),
                output_file=self._table.io.new_output(self._location(name)),
                snapshot_id=self._id,
                avro_compression="deflate",
            ) as writer:
                for entry in part:
                    put(writer, entry)
            found.append(writer.to_manifest_file())
        return found

    def _made(
        self,
        manifests: list[ManifestFile],
        operation: Operation,
        removed: Sequence[DataFile],
        added: Sequence[DataFile],
        noted: Mapping[str, str],
    ) -> NewSnapshot:
        parent = self._parent
        parent_id = parent.snapshot_id if parent is not None else None
        target = self._location(f"snap-{self._id}-0-{self._unique}.avro")
        number = self._table.metadata.next_sequence_number()
        with write_manifest_list(
            format_version=2,
            output_file=self._table.io.new_output(target),
            snapshot_id=self._id,
            parent_snapshot_id=parent_id,
            sequence_number=number,
            avro_compression="deflate",
        ) as writer:
            writer.add_manifests(manifests)
        return NewSnapshot(
            Snapshot.model_validate(
                {
                    "snapshot-id": self._id,
                    "parent-snapshot-id": parent_id,
                    "sequence-number": number,
                    "timestamp-ms": max(int(time.time() * 1000), parent.timestamp_ms if parent else 0),
                    "manifest-list": target,
                    "summary": Summary(operation, **_counts(parent, removed, added), **noted),
                    "schema-id": self._metadata.current_schema_id,
                }
            )
        )

    def _location(self, name: str) -> str:
        return self._table.location_provider().new_metadata_location(name)


def noted_in(snapshot: Snapshot) -> Mapping[str, str]:
    """The summary, without the operation."""
    return snapshot.summary.additional_properties if snapshot.summary is not None else {}


def _counts(
    parent: Snapshot | None, removed: Sequence[DataFile], added: Sequence[DataFile]
) -> dict[str, str]:
    """What the specification wants in a summary; PyIceberg leaves zeros out, and so do we."""
    before = noted_in(parent) if parent is not None else {}
    changes = (
        ("data-files", "added-data-files", len(added), "deleted-data-files", len(removed)),
        ("records", "added-records", _rows(added), "deleted-records", _rows(removed)),
        ("files-size", "added-files-size", _size(added), "removed-files-size", _size(removed)),
    )
    found = dict.fromkeys(("total-delete-files", "total-position-deletes", "total-equality-deletes"), "0")
    for total, plus, more, minus, less in changes:
        found |= {name: str(count) for name, count in ((plus, more), (minus, less)) if count}
        found[f"total-{total}"] = str(int(before.get(f"total-{total}", "0")) + more - less)
    return found


def _rows(files: Sequence[DataFile]) -> int:
    return sum(file.record_count for file in files)


def _size(files: Sequence[DataFile]) -> int:
    return sum(file.file_size_in_bytes for file in files)
