"""What stays of an expired version: its number, its batch, its counts, when and why it went.

Tombstones are part of the truth of the lake, as the snapshots are: "is this batch in?" must be answered rightly
for ever, and an old number must say that it expired rather than that it never was. They lie in Parquet files
beside the table's folder (so that no engine's clean-up takes them for strays), each named by a table property of
its own: an expiry adds its property in the same commit that removes the snapshots, and two that run at once
cannot overwrite each other's.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.table import Table

from plaza_lake.file_io import files_of
from plaza_lake.files import Files

PROPERTY: Final = "plaza.tombstones."
"""Table property, followed by an id: the address of one file of tombstones."""
FULL_ROWS: Final = 10_000
"""A file with so many is left as it is; smaller ones are taken together by the next expiry."""
_SCHEMA: Final = pa.schema(
    [
        pa.field("version", pa.int64(), nullable=False),
        pa.field("batch_id", pa.string(), nullable=False),
        pa.field("snapshot_id", pa.int64(), nullable=False),
        pa.field("committed_at", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("rows_added", pa.int64(), nullable=False),
        pa.field("rows_removed", pa.int64(), nullable=False),
        pa.field("total_rows", pa.int64(), nullable=False),
        pa.field("properties", pa.string(), nullable=False),
        pa.field("expired_at", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A version that was."""

    version: int
    batch_id: str
    snapshot_id: int
    """Of the snapshot that is gone."""
    committed_at: datetime
    rows_added: int
    rows_removed: int
    total_rows: int
    properties: str
    """What the writer noted, a JSON object."""
    expired_at: datetime
    rule: str
    """Why, in words for people."""

    def noted(self) -> Mapping[str, str]:
        """`properties` by name."""
        found: dict[str, str] = json.loads(self.properties)
        return found


def tombstone_of(table: Table, version: int) -> Tombstone | None:
    """What stays of this version, if it expired."""
    for address in _addresses(table.properties).values():
        if (found := _read(address, files_of(table)).by_version.get(version)) is not None:
            return found
    return None


def tombstone_of_batch(table: Table, batch_id: str) -> Tombstone | None:
    """What stays of the version that held this batch, if it expired."""
    for address in _addresses(table.properties).values():
        if (found := _read(address, files_of(table)).by_batch.get(batch_id)) is not None:
            return found
    return None


def tombstones(table: Table) -> tuple[Tombstone, ...]:
    """All of a table, oldest version first."""
    files = (_read(address, files_of(table)) for address in _addresses(table.properties).values())
    found = {stone.version: stone for file in files for stone in file.by_version.values()}
    return tuple(found[version] for version in sorted(found))


def addresses(table: Table) -> set[str]:
    """Where they lie."""
    return set(_addresses(table.properties).values())


def folder(table: Table) -> str:
    """Beside the table's own folder: `…/{dataset}/expired/{table}`."""
    home, _, name = table.location().rpartition("/")
    return f"{home}/expired/{name}"


@dataclass(frozen=True, slots=True)
class Change:
    """Table properties to set and to remove in the commit that expires."""

    set: dict[str, str]
    removed: list[str]


def write(table: Table, new: Iterable[Tombstone]) -> Change:
    """A durable file with the new tombstones and those of files that are not full. Nothing of it counts before
    the commit; a file that is never committed is removed by the sweep."""
    storage = files_of(table)
    rows = list(new)
    removed = []
    for name, address in _addresses(table.properties).items():
        known = _read(address, storage).by_version
        if len(known) < FULL_ROWS:
            rows.extend(known.values())
            removed.append(name)
    name = uuid.uuid4().hex
    target = f"{folder(table)}/{name}.parquet"
    part = storage.part(target)
    found = pa.Table.from_pylist([_row(stone) for stone in sorted(rows, key=_number)], schema=_SCHEMA)
    pq.write_table(found, part, compression="zstd")
    storage.keep(part, target)
    return Change({f"{PROPERTY}{name}": target}, removed)


@dataclass(frozen=True, slots=True)
class _File:
    by_version: Mapping[int, Tombstone]
    by_batch: Mapping[str, Tombstone]


@lru_cache(maxsize=256)
def _read(address: str, storage: Files) -> _File:
    """Files never change, so that each is read once by a process."""
    path = storage.path(address)
    with storage.opened([path]):
        found = [Tombstone(**row) for row in pq.read_table(path, schema=_SCHEMA).to_pylist()]
    return _File({stone.version: stone for stone in found}, {stone.batch_id: stone for stone in found})


def _addresses(properties: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in properties.items() if name.startswith(PROPERTY)}


def _number(stone: Tombstone) -> int:
    return stone.version


def _row(stone: Tombstone) -> dict[str, object]:
    return {name: getattr(stone, name) for name in _SCHEMA.names}
