"""Versions: the snapshots of a table as users see them, with a number that never changes its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from plaza_kit.errors import NotFound
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from plaza_lake.schema import TableKind
from plaza_lake.tables import Lake
from plaza_lake.tables import TableNotFound as TableNotFound

VERSION: Final = "plaza.version"
"""Snapshot summary: the version's number, counted from 1."""
BATCH_ID: Final = "plaza.batch-id"
"""Snapshot summary: the batch that this snapshot holds."""
ROWS_ADDED: Final = "plaza.rows-added"
"""Snapshot summary of an overwrite: the batch's own rows. Iceberg's `added-records` also counts the rows of
rewritten files."""
ROWS_REMOVED: Final = "plaza.rows-removed"
"""Snapshot summary of an overwrite: rows of the version before that are in this one no more, or replaced."""
PREFIX: Final = "plaza."
_OWN: Final = frozenset({VERSION, BATCH_ID, ROWS_ADDED, ROWS_REMOVED})


class VersionNotFound(NotFound):
    """The table has no version of this number, or none at all."""

    def __init__(self, dataset: str, version: int | None, newest: int) -> None:
        asked = "a version" if version is None else f"version {version}"
        super().__init__(
            f"{dataset} has no {asked}" + ("" if newest else " yet"),
            remedy=f"The newest is version {newest}." if newest else "Load a file first.",
            facts={"dataset": dataset, "newest": str(newest)},
        )


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One committed state of a table."""

    version: int
    snapshot_id: int
    committed_at: datetime
    """UTC, milliseconds."""
    rows_added: int
    total_rows: int
    batch_id: str
    properties: Mapping[str, str] = field(default_factory=dict)
    """What the writer noted (`contract-version`, …), without the prefix `plaza.`."""
    rows_removed: int = 0
    """Rows of the version before that this one replaced or left out."""


def versions(lake: Lake, dataset: str, table: TableKind = "rows") -> tuple[VersionInfo, ...]:
    """All versions, oldest first. Raises `TableNotFound`."""
    return versions_of(lake.load(dataset, table))


def version_info(
    lake: Lake, dataset: str, version: int | None = None, table: TableKind = "rows"
) -> VersionInfo:
    """One version; the newest when no number is given. Raises `TableNotFound`, `VersionNotFound`."""
    return pick(versions(lake, dataset, table), dataset, version)


def versions_of(table: Table) -> tuple[VersionInfo, ...]:
    """The versions that a loaded table knows, oldest first."""
    found = []
    snapshot = table.current_snapshot()
    while snapshot is not None:
        info = _info(snapshot)
        if info is not None:
            found.append(info)
        parent = snapshot.parent_snapshot_id
        snapshot = None if parent is None else table.metadata.snapshot_by_id(parent)
    return tuple(reversed(found))


def pick(known: tuple[VersionInfo, ...], dataset: str, version: int | None) -> VersionInfo:
    """The one with this number, or the newest. Raises `VersionNotFound`."""
    if known and version is None:
        return known[-1]
    for info in known:
        if info.version == version:
            return info
    raise VersionNotFound(dataset, version, known[-1].version if known else 0)


def find_batch(table: Table, batch_id: str) -> VersionInfo | None:
    """The version that holds this batch, if one does."""
    return next((info for info in versions_of(table) if info.batch_id == batch_id), None)


def _info(snapshot: Snapshot) -> VersionInfo | None:
    """None for a snapshot that Plaza did not commit as a version (maintenance by another engine)."""
    summary = snapshot.summary.additional_properties if snapshot.summary is not None else {}
    if VERSION not in summary:
        return None
    return VersionInfo(
        version=int(summary[VERSION]),
        snapshot_id=snapshot.snapshot_id,
        committed_at=datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC),
        rows_added=int(summary.get(ROWS_ADDED, summary.get("added-records", "0"))),
        total_rows=int(summary.get("total-records", "0")),
        batch_id=summary[BATCH_ID],
        properties={
            name.removeprefix(PREFIX): value
            for name, value in summary.items()
            if name.startswith(PREFIX) and name not in _OWN
        },
        rows_removed=int(summary.get(ROWS_REMOVED, "0")),
    )
