"""One atomic change of a table's metadata: how loads and maintenance commit.

PyIceberg's own retry is not used; what a change was planned on is stated and checked; whoever lost looks again
before trying again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from plaza_kit.errors import Unavailable
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.update import (
    AssertRefSnapshotId,
    AssertTableUUID,
    RemoveSnapshotRefUpdate,
    RemoveSnapshotsUpdate,
    SetSnapshotRefUpdate,
    TableRequirement,
    TableUpdate,
)

from plaza_lake.tables import catalog_errors

MAX_ATTEMPTS: Final = 10


class MaintenanceContended(Unavailable):
    """Loads were faster every time. Nothing is lost: the next run goes on."""

    def __init__(self, dataset: str, what: str) -> None:
        super().__init__(
            f"{what} of {dataset} lost {MAX_ATTEMPTS} times against loads", remedy="Try again later."
        )


def commit(
    table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
) -> TableMetadata:
    """Applies the updates to the newest metadata, if the requirements hold there; answers what came of it.

    Raises `CommitFailedException` when they do not hold or somebody else was faster; `LakeUnavailable` when the
    answer was lost, and it may or may not have been done.
    """
    same_table: tuple[TableRequirement, ...] = (AssertTableUUID(uuid=table.metadata.table_uuid),)
    with catalog_errors():
        done = table.catalog.commit_table(table, same_table + requirements, updates).metadata
    _forget_old_metadata(table, done)
    return done


def _forget_old_metadata(table: Table, done: TableMetadata) -> None:
    """Files of metadata that fell out of the log (`write.metadata.delete-after-commit.enabled`)."""
    logged = {entry.metadata_file for entry in done.metadata_log}
    for entry in table.metadata.metadata_log:
        if entry.metadata_file not in logged:
            with suppress(OSError):  # gone already, or the sweep's
                table.io.delete(entry.metadata_file)


def pause(attempt: int) -> None:
    """Before another try, so that writers spread."""
    time.sleep(random.uniform(0.2, 1) * min(0.02 * 2**attempt, 1))  # noqa: S311  (no secret)


# PyIceberg's models are made from the names of the specification, which are no Python names.


def ref_is(name: str, snapshot_id: int | None) -> TableRequirement:
    """That a tag or branch stands where it stood, or is still missing."""
    return AssertRefSnapshotId.model_validate({"ref": name, "snapshot-id": snapshot_id})


def set_ref(name: str, kind: SnapshotRefType, snapshot_id: int) -> TableUpdate:
    """A tag or branch on a snapshot."""
    return SetSnapshotRefUpdate.model_validate({"ref-name": name, "type": kind, "snapshot-id": snapshot_id})


def remove_ref(name: str) -> TableUpdate:
    """No such tag any more."""
    return RemoveSnapshotRefUpdate.model_validate({"ref-name": name})


def remove_snapshots(snapshot_ids: Collection[int]) -> TableUpdate:
    """These snapshots leave the metadata; their files stay until the sweep."""
    return RemoveSnapshotsUpdate.model_validate({"snapshot-ids": sorted(snapshot_ids)})
