"""Removing files that nothing needs any more: of expired versions, of rewrites, of loads that were never committed.

A file goes when no snapshot that is kept names it, when it has not for a whole grace period, and when nothing
wrote to it for as long. The grace period is longer than the longest reading: a stream has its list of files
before the first row, and gRPC ends a connection after minutes. When a file was first found to be unneeded is
remembered beside the table; a memory that is lost only makes files stay longer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import orjson
from plaza_kit.errors import InvalidArgument
from pyiceberg.table import Table

from plaza_lake import tombstones
from plaza_lake.files import local_path, sync_directory
from plaza_lake.schema import TableKind
from plaza_lake.tables import Lake

GRACE: Final = timedelta(hours=24)
SHORTEST: Final = timedelta(minutes=10)
"""The longest reading by gRPC (a connection's age and its grace, `plaza_kit.rpc.server`) and some more."""
_MEMORY: Final = "unneeded.json"


class GraceTooShort(InvalidArgument):
    """A reader could lose a file that it is about to open."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep came to."""

    removed: int
    bytes: int
    waiting: int
    """Not needed, and inside the grace period."""
    busy: bool = False
    """A load was under way: nothing was done."""


def sweep(
    lake: Lake,
    dataset: str,
    now: datetime,
    *,
    grace: timedelta = GRACE,
    table: TableKind = "rows",
    on_removed: Callable[[Path], None] = lambda _: None,
) -> Swept:
    """Removes what is not needed since `grace`. May be cut off anywhere and repeated; does nothing while a load
    or a rewrite is under way. Raises `TableNotFound`, `GraceTooShort`, `LakeUnavailable`."""
    if grace < SHORTEST:
        raise GraceTooShort(f"a grace period of {grace} is too short", remedy=f"Give at least {SHORTEST}.")
    with lake.alone(dataset, table) as held:
        if not held:
            return Swept(0, 0, 0, busy=True)
        loaded = lake.load(dataset, table)
        needed = _needed(loaded)
        memory = tombstones.folder(loaded) / _MEMORY
        known = _remembered(memory)
        unneeded = {path: known.get(str(path), now) for path in _files(loaded) if path not in needed}
        # Written first: what is new in it must be remembered even if the removal is cut off.
        _remember(memory, unneeded)
        removed = size = 0
        for path, since in sorted(unneeded.items()):
            try:
                if now - since < grace or now - _changed(path) < grace:
                    continue
                size += path.stat().st_size
                path.unlink()
            except FileNotFoundError:
                continue  # old metadata, which commits remove too
            removed += 1
            on_removed(path)
            with suppress(OSError):  # not empty
                path.parent.rmdir()
        return Swept(removed, size, len(unneeded) - removed)


def _needed(table: Table) -> set[Path]:
    """Every file that the table's metadata leads to."""
    metadata = table.metadata
    found = {table.metadata_location, *(entry.metadata_file for entry in metadata.metadata_log)}
    found.update(file.statistics_path for file in metadata.statistics)
    seen: set[str] = set()
    for snapshot in metadata.snapshots:
        found.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in seen:
                continue
            seen.add(manifest.manifest_path)
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
            found.update(entry.data_file.file_path for entry in entries)
    return {local_path(address) for address in found | seen} | tombstones.files(table)


def _files(table: Table) -> Iterator[Path]:
    home = tombstones.folder(table)
    for folder in (local_path(table.location()), home):
        for parent, _, names in os.walk(folder):
            for name in names:
                path = Path(parent) / name
                if path != home / _MEMORY:
                    yield path


def _changed(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _remembered(memory: Path) -> dict[str, datetime]:
    try:
        found: dict[str, str] = orjson.loads(memory.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return {path: datetime.fromisoformat(since) for path, since in found.items()}


def _remember(memory: Path, unneeded: dict[Path, datetime]) -> None:
    memory.parent.mkdir(parents=True, exist_ok=True)
    part = memory.with_name(f".{memory.name}.part")
    with part.open("wb") as file:
        file.write(orjson.dumps({str(path): since.isoformat() for path, since in unneeded.items()}))
        file.flush()
        os.fsync(file.fileno())
    part.replace(memory)
    sync_directory(memory.parent)
