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
from plaza_lake.snapshots import noted_in
from plaza_lake.tables import Lake
from plaza_lake.tables import TableNotFound as TableNotFound
from plaza_lake.tombstones import Tombstone, tombstone_of, tombstone_of_batch

VERSION: Final = "plaza.version"
"""Snapshot summary: the version's number, counted from 1."""
BATCH_ID: Final = "plaza.batch-id"
"""Snapshot summary: the batch that this snapshot holds."""
ROWS_ADDED: Final = "plaza.rows-added"
"""Snapshot summary of an overwrite: the batch's own rows. Iceberg's `added-records` also counts the rows of
rewritten files."""
ROWS_REMOVED: Final = "plaza.rows-removed"
"""Snapshot summary of an overwrite: rows of the version before that are in this one no more, or replaced."""
COMMITTED_AT: Final = "plaza.committed-at"
"""Snapshot summary of a rewrite: when its version was committed, in milliseconds since 1970. Its mark: no version
is made by a snapshot that has it."""
PREFIX: Final = "plaza."
_OWN: Final = frozenset({VERSION, BATCH_ID, ROWS_ADDED, ROWS_REMOVED, COMMITTED_AT})


class VersionNotFound(NotFound):
    """The table has no version of this number, or none at all."""

    def __init__(self, dataset: str, version: int | None, newest: int) -> None:
        asked = "a version" if version is None else f"version {version}"
        super().__init__(
            f"{dataset} has no {asked}" + ("" if newest else " yet"),
            remedy=f"The newest is version {newest}." if newest else "Load a file first.",
            facts={"dataset": dataset, "newest": str(newest)},
        )


class VersionExpired(NotFound):
    """The version was there, and its rows are kept no more; number and counts stay known."""

    def __init__(self, dataset: str, stone: Tombstone, newest: int) -> None:
        super().__init__(
            f"version {stone.version} of {dataset} expired on {stone.expired_at:%Y-%m-%d %H:%M} UTC: {stone.rule}",
            remedy=f"Read the newest, version {newest}, or one that is still listed. A version that was released"
            " or delivered is kept.",
            facts={
                "dataset": dataset,
                "version": str(stone.version),
                "rows": str(stone.total_rows),
                "expired": stone.expired_at.isoformat(timespec="seconds"),
                "newest": str(newest),
            },
        )


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One committed state of a table."""

    version: int
    snapshot_id: int
    """Of the newest snapshot with these rows: after a rewrite not the one that the load made."""
    committed_at: datetime
    """UTC, milliseconds."""
    rows_added: int
    total_rows: int
    batch_id: str
    properties: Mapping[str, str] = field(default_factory=dict)
    """What the writer noted (`contract-version`, …), without the prefix `plaza.`."""
    rows_removed: int = 0
    """Rows of the version before that this one replaced or left out."""
    rewritten: bool = False
    """Its files were written again since: the same rows in fewer files."""


def versions(lake: Lake, dataset: str, table: TableKind = "rows") -> tuple[VersionInfo, ...]:
    """All versions, oldest first. Raises `TableNotFound`."""
    return versions_of(lake.load(dataset, table))


def version_info(
    lake: Lake, dataset: str, version: int | None = None, table: TableKind = "rows"
) -> VersionInfo:
    """One version; the newest when no number is given. Raises `TableNotFound`, `VersionNotFound`,
    `VersionExpired`."""
    return find_version(lake.load(dataset, table), dataset, version)


def find_version(table: Table, dataset: str, version: int | None = None) -> VersionInfo:
    """One version of a loaded table; the newest when no number is given. Raises `VersionNotFound`,
    `VersionExpired`."""
    known = versions_of(table)
    try:
        return pick(known, dataset, version)
    except VersionNotFound:
        stone = None if version is None else tombstone_of(table, version)
        if stone is None:
            raise
        raise VersionExpired(dataset, stone, known[-1].version if known else 0) from None


def versions_of(table: Table) -> tuple[VersionInfo, ...]:
    """The versions that a loaded table still has, oldest first.

    Not by walking from child to parent: expiry cuts that chain. What an administrator rolled back lies behind
    the newest snapshot and does not count.
    """
    return tuple(info_of(snapshot) for _, snapshot in sorted(newest_snapshots(table).items()))


def newest_snapshots(table: Table) -> dict[int, Snapshot]:
    """By version: the newest snapshot that holds its rows."""
    current = table.current_snapshot()
    if current is None:
        return {}
    found: dict[int, Snapshot] = {}
    for snapshot in table.metadata.snapshots:
        number = number_of(snapshot)
        if number is None or _place(snapshot) > _place(current):
            continue
        before = found.get(number)
        if before is None or _place(before) < _place(snapshot):
            found[number] = snapshot
    return found


def number_of(snapshot: Snapshot) -> int | None:
    """The version whose rows it holds; None for a snapshot that Plaza did not make."""
    noted = noted_in(snapshot).get(VERSION)
    return None if noted is None else int(noted)


def newest_number(table: Table) -> int:
    """Of the newest version; 0 before the first."""
    return max(newest_snapshots(table), default=0)


def pick(known: tuple[VersionInfo, ...], dataset: str, version: int | None) -> VersionInfo:
    """The one with this number, or the newest. Raises `VersionNotFound`."""
    if known and version is None:
        return known[-1]
    for info in known:
        if info.version == version:
            return info
    raise VersionNotFound(dataset, version, known[-1].version if known else 0)


def find_batch(table: Table, batch_id: str) -> VersionInfo | None:
    """The version that holds this batch, or held it before it expired."""
    found = None
    for snapshot in newest_snapshots(table).values():
        if noted_in(snapshot).get(BATCH_ID) == batch_id:
            found = snapshot
    if found is not None:
        return info_of(found)
    stone = tombstone_of_batch(table, batch_id)
    return None if stone is None else _was(stone)


def _place(snapshot: Snapshot) -> int:
    return snapshot.sequence_number or 0


def info_of(snapshot: Snapshot) -> VersionInfo:
    """The version whose rows a snapshot of ours holds."""
    summary = noted_in(snapshot)
    rewritten = COMMITTED_AT in summary
    milliseconds = int(summary[COMMITTED_AT]) if rewritten else snapshot.timestamp_ms
    return VersionInfo(
        version=int(summary[VERSION]),
        snapshot_id=snapshot.snapshot_id,
        committed_at=datetime.fromtimestamp(milliseconds / 1000, UTC),
        rows_added=int(summary.get(ROWS_ADDED, summary.get("added-records", "0"))),
        total_rows=int(summary.get("total-records", "0")),
        batch_id=summary[BATCH_ID],
        properties={
            name.removeprefix(PREFIX): value
            for name, value in summary.items()
            if name.startswith(PREFIX) and name not in _OWN
        },
        rows_removed=int(summary.get(ROWS_REMOVED, "0")),
        rewritten=rewritten,
    )


def _was(stone: Tombstone) -> VersionInfo:
    return VersionInfo(
        version=stone.version,
        snapshot_id=stone.snapshot_id,
        committed_at=stone.committed_at,
        rows_added=stone.rows_added,
        total_rows=stone.total_rows,
        batch_id=stone.batch_id,
        properties=stone.noted(),
        rows_removed=stone.rows_removed,
    )
