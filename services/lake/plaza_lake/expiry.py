"""Letting versions go: their snapshots leave the table's metadata, their tombstones come in, in one commit.

Pins are Iceberg tags, so that another engine's expiry respects them too: `plaza-version-17` for a version that
somebody depends on, `plaza-day-2026-11-20` for the last of a day. Any other tag or branch that somebody set on a
snapshot keeps it as well. Files are not touched here: `sweep` removes them when no reader can still want them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.update import (
    RemovePropertiesUpdate,
    SetPropertiesUpdate,
    TableRequirement,
    TableUpdate,
)

from plaza_lake import tombstones
from plaza_lake.metadata import (
    MAX_ATTEMPTS,
    MaintenanceContended,
    commit,
    pause,
    ref_is,
    remove_ref,
    remove_snapshots,
    set_ref,
)
from plaza_lake.retention import Retention
from plaza_lake.schema import TableKind
from plaza_lake.tables import Lake
from plaza_lake.tombstones import Tombstone, tombstone_of
from plaza_lake.versions import VersionInfo, newest_snapshots, number_of, versions_of

_OURS: Final = re.compile(r"plaza-(?:version-\d+|day-\d{4}-\d\d-\d\d)")


class ExpiryStep(StrEnum):
    """Between these the process may die without harm."""

    PLANNED = "planned"
    WRITTEN = "written"
    """The tombstones are durable, nobody knows them yet."""
    COMMITTED = "committed"


@dataclass(frozen=True, slots=True)
class Expired:
    """What an expiry came to."""

    versions: tuple[int, ...]
    """Of those that were asked: the ones that are gone now, whoever let them go."""
    snapshots: int
    """That left the metadata in this call: also those that a rewrite took the place of."""


def pin_tag(version: int) -> str:
    """Name of the tag that keeps a version."""
    return f"plaza-version-{version}"


def foreign_pins(table: Table) -> frozenset[int]:
    """Versions that somebody else's tag or branch stands on."""
    held = {
        ref.snapshot_id
        for name, ref in table.metadata.refs.items()
        if name != MAIN_BRANCH and not _OURS.fullmatch(name)
    }
    numbers = (number_of(snapshot) for snapshot in table.metadata.snapshots if snapshot.snapshot_id in held)
    return frozenset(number for number in numbers if number is not None)


def due(
    lake: Lake,
    dataset: str,
    retention: Retention,
    pinned: Collection[int],
    now: datetime,
    table: TableKind = "rows",
) -> tuple[VersionInfo, ...]:
    """The versions that may go, oldest first. Raises `TableNotFound`."""
    loaded = lake.load(dataset, table)
    return retention.due(versions_of(loaded), {*pinned, *foreign_pins(loaded)}, now)


def expire(
    lake: Lake,
    dataset: str,
    chosen: Mapping[int, str],
    retention: Retention,
    pinned: Collection[int],
    now: datetime,
    *,
    table: TableKind = "rows",
    on_step: Callable[[ExpiryStep], None] = lambda _: None,
) -> Expired:
    """Lets the chosen versions go (number and reason), sets and removes our tags, and drops the snapshots that
    a rewrite took the place of. May be cut off anywhere and repeated.

    The newest version, one in `pinned` and one that somebody else's tag stands on stay, chosen or not. Raises
    `TableNotFound`, `MaintenanceContended`, `LakeUnavailable`.
    """
    snapshots = 0
    for attempt in range(MAX_ATTEMPTS):
        loaded = lake.load(dataset, table)
        plan = _plan(loaded, chosen, retention, pinned, now)
        if plan.is_empty:
            gone = tuple(number for number in sorted(chosen) if tombstone_of(loaded, number) is not None)
            return Expired(gone, snapshots)
        on_step(ExpiryStep.PLANNED)
        updates = plan.updates(loaded)
        on_step(ExpiryStep.WRITTEN)
        try:
            commit(loaded, plan.requirements(loaded), updates)
            snapshots += len(plan.gone)
            on_step(ExpiryStep.COMMITTED)
        except (CommitFailedException, ValueError, KeyError):
            # The latter two: how PyIceberg says that a snapshot or property to be removed is gone already.
            pause(attempt)
    raise MaintenanceContended(dataset, "expiry")


@dataclass(frozen=True, slots=True)
class _Plan:
    now: datetime
    chosen: Mapping[int, str]
    """The versions that really go."""
    gone: frozenset[int]
    """Snapshot ids."""
    tags: Mapping[str, int]
    """To be set: name and snapshot id."""
    stale: tuple[str, ...]
    """Our tags that nothing stands for any more."""

    @property
    def is_empty(self) -> bool:
        return not (self.gone or self.tags or self.stale)

    def updates(self, table: Table) -> tuple[TableUpdate, ...]:
        """In this order: a tag must be off a snapshot before that goes. Writes the tombstones."""
        found: list[TableUpdate] = [
            set_ref(name, SnapshotRefType.TAG, snapshot) for name, snapshot in self.tags.items()
        ]
        found += [remove_ref(name) for name in self.stale]
        if self.chosen:
            stones = [self._stone(info) for info in versions_of(table) if info.version in self.chosen]
            change = tombstones.write(table, stones)
            found.append(SetPropertiesUpdate(updates=change.set))
            if change.removed:
                found.append(RemovePropertiesUpdate(removals=change.removed))
        if self.gone:
            found.append(remove_snapshots(self.gone))
        return tuple(found)

    def requirements(self, table: Table) -> tuple[TableRequirement, ...]:
        """That no load and no pin came in between."""
        refs = table.metadata.refs
        names = {MAIN_BRANCH, *self.tags, *self.stale, *(pin_tag(number) for number in self.chosen)}
        return tuple(ref_is(name, refs[name].snapshot_id if name in refs else None) for name in sorted(names))

    def _stone(self, info: VersionInfo) -> Tombstone:
        return Tombstone(
            version=info.version,
            batch_id=info.batch_id,
            snapshot_id=info.snapshot_id,
            committed_at=info.committed_at,
            rows_added=info.rows_added,
            rows_removed=info.rows_removed,
            total_rows=info.total_rows,
            properties=json.dumps(dict(info.properties), ensure_ascii=False, sort_keys=True),
            expired_at=self.now,
            rule=self.chosen[info.version],
        )


def _plan(
    table: Table, chosen: Mapping[int, str], retention: Retention, pinned: Collection[int], now: datetime
) -> _Plan:
    newest = newest_snapshots(table)
    held = {*pinned, *foreign_pins(table), max(newest, default=0)}
    going = {number: rule for number, rule in chosen.items() if number in newest and number not in held}
    staying = [info for info in versions_of(table) if info.version not in going]
    wanted = {pin_tag(number): newest[number].snapshot_id for number in pinned if number in newest}
    today = retention.day(now)
    for day, info in retention.days(staying, now).items():
        if day < today:
            wanted[f"plaza-day-{day.isoformat()}"] = info.snapshot_id
    refs = table.metadata.refs
    kept = {newest[info.version].snapshot_id for info in staying}
    kept.update(ref.snapshot_id for name, ref in refs.items() if not _OURS.fullmatch(name))
    return _Plan(
        now=now,
        chosen=going,
        gone=frozenset(
            snapshot.snapshot_id
            for snapshot in table.metadata.snapshots
            if number_of(snapshot) is not None
            and number_of(snapshot) in {*newest}
            and snapshot.snapshot_id not in kept
        ),
        tags={
            name: snapshot
            for name, snapshot in wanted.items()
            if name not in refs or refs[name].snapshot_id != snapshot
        },
        stale=tuple(sorted(name for name in refs if _OURS.fullmatch(name) and name not in wanted)),
    )
