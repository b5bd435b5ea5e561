"""Removing files that nothing needs any more: of expired versions, of rewrites, of loads that were never committed.

A file goes when no snapshot that is kept names it, when it has not for a whole grace period, and when nothing
wrote to it for as long. The grace period is longer than the longest reading: a stream has its list of files
before the first row, and gRPC ends a connection after minutes. When a file was first found to be unneeded is
remembered beside the table; a memory that is lost only makes files stay longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import orjson
from plaza_kit.errors import InvalidArgument
from pyiceberg.table import Table

from plaza_lake import tombstones
from plaza_lake.files import FILE, Files, StoredFile
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
    on_removed: Callable[[str], None] = lambda _: None,
) -> Swept:
    """Removes what is not needed since `grace`. May be cut off anywhere and repeated; does nothing while a load
    or a rewrite is under way. Raises `TableNotFound`, `GraceTooShort`, `LakeUnavailable`.

    `on_removed` hears the address of each."""
    if grace < SHORTEST:
        raise GraceTooShort(f"a grace period of {grace} is too short", remedy=f"Give at least {SHORTEST}.")
    with lake.alone(dataset, table) as held:
        if not held:
            return Swept(0, 0, 0, busy=True)
        loaded, files = lake.load(dataset, table), lake.files
        needed = _needed(loaded, files)
        memory = f"{tombstones.folder(loaded)}/{_MEMORY}"
        known = _remembered(files, memory)
        found = {file.uri: file for file in _files(loaded, files) if files.path(file.uri) not in needed}
        found.pop(memory, None)
        unneeded = {uri: known.get(_place(uri), now) for uri in found}
        # Written first: what is new in it must be remembered even if the removal is cut off.
        _remember(files, memory, unneeded)
        removed = size = 0
        for uri, since in sorted(unneeded.items()):
            if now - since < grace or now - found[uri].changed < grace:
                continue
            files.remove(uri)
            removed, size = removed + 1, size + found[uri].size
            on_removed(uri)
            files.remove_empty(uri.rpartition("/")[0])
        return Swept(removed, size, len(unneeded) - removed)


def _needed(table: Table, files: Files) -> set[str]:
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
    return {files.path(address) for address in found | seen | tombstones.addresses(table)}


def _files(table: Table, files: Files) -> Iterator[StoredFile]:
    for folder in (table.location(), tombstones.folder(table)):
        yield from files.listed(folder)


def _place(uri: str) -> str:
    """As it is remembered."""
    return uri.removeprefix(FILE)


def _remembered(files: Files, memory: str) -> dict[str, datetime]:
    try:
        found: dict[str, str] = orjson.loads(files.read(memory))
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return {place: datetime.fromisoformat(since) for place, since in found.items()}


def _remember(files: Files, memory: str, unneeded: dict[str, datetime]) -> None:
    files.write(memory, orjson.dumps({_place(uri): since.isoformat() for uri, since in unneeded.items()}))
