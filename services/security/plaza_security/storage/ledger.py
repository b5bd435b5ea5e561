"""The stored tree. Every function works inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from plaza_kit.tlog.merkle import NodeId, NodeMap
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_security.domain.leaf import NewLeaf

_APPEND_LOCK = 7_130_254_401
"""Advisory lock of those who append; any number that nothing else in this database uses."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored leaf."""

    index: int
    type: str
    subject: str
    event_time: datetime
    leaf: str


async def lock_for_append(connection: AsyncConnection) -> None:
    """Wait until nobody else appends; held until the transaction ends."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _APPEND_LOCK})


async def tree_size(connection: AsyncConnection) -> int:
    """Number of leaves. Indices have no gaps."""
    found = await connection.execute(text("SELECT coalesce(max(index) + 1, 0) FROM ledger_entries"))
    return int(found.scalar_one())


async def nodes(connection: AsyncConnection, wanted: Iterable[NodeId]) -> NodeMap:
    """Some complete subtrees; one that is missing raises DataLoss when it is read."""
    ids = list(wanted)
    found = await connection.execute(
        text(
            "SELECT 0 AS level, index AS position, leaf_hash AS hash FROM ledger_entries WHERE index = ANY(:leaves)"
            " UNION ALL SELECT n.level, n.index, n.hash FROM ledger_nodes n"
            " JOIN unnest(CAST(:levels AS smallint[]), CAST(:indices AS bigint[])) AS w (level, index)"
            " ON n.level = w.level AND n.index = w.index"
        ),
        {
            "leaves": [node.index for node in ids if node.level == 0],
            "levels": [node.level for node in ids if node.level > 0],
            "indices": [node.index for node in ids if node.level > 0],
        },
    )
    return NodeMap({NodeId(row.level, row.position): bytes(row.hash) for row in found})


async def add_leaf(connection: AsyncConnection, index: int, leaf: NewLeaf) -> None:
    """Store a leaf at the end. The caller holds the append lock."""
    await connection.execute(
        text(
            "INSERT INTO ledger_entries (index, event_id, type, subject, event_time, leaf, leaf_hash)"
            " VALUES (:index, :event_id, :type, :subject, :time, :leaf, :hash)"
        ),
        {
            "index": index,
            "event_id": leaf.event_id,
            "type": leaf.type,
            "subject": leaf.subject,
            "time": leaf.time,
            "leaf": leaf.text,
            "hash": leaf.hash,
        },
    )


async def add_nodes(connection: AsyncConnection, made: dict[NodeId, bytes]) -> None:
    """Store interior nodes that became complete."""
    if made:
        await connection.execute(
            text("INSERT INTO ledger_nodes (level, index, hash) VALUES (:level, :index, :hash)"),
            [{"level": node.level, "index": node.index, "hash": value} for node, value in made.items()],
        )


async def add_checkpoint(connection: AsyncConnection, size: int, note: str) -> None:
    """Store a signed head."""
    await connection.execute(
        text("INSERT INTO ledger_checkpoints (tree_size, note) VALUES (:size, :note)"),
        {"size": size, "note": note},
    )


async def newest_checkpoint(connection: AsyncConnection) -> tuple[int, str] | None:
    """Size and note of the newest signed head; None while the log is empty."""
    found = await connection.execute(
        text("SELECT tree_size, note FROM ledger_checkpoints ORDER BY tree_size DESC LIMIT 1")
    )
    row = found.first()
    return None if row is None else (int(row.tree_size), str(row.note))


async def entry_of_event(connection: AsyncConnection, event_id: UUID) -> Entry | None:
    """The leaf of an event."""
    found = await connection.execute(
        text("SELECT index, type, subject, event_time, leaf FROM ledger_entries WHERE event_id = :id"),
        {"id": event_id},
    )
    row = found.first()
    return None if row is None else Entry(*row)


async def entries(connection: AsyncConnection, start: int, limit: int, subject: str) -> list[Entry]:
    """Leaves from index `start`, of one subject or (empty) of all."""
    found = await connection.execute(
        text(
            "SELECT index, type, subject, event_time, leaf FROM ledger_entries"
            " WHERE index >= :start AND (CAST(:subject AS text) = '' OR subject = :subject)"
            " ORDER BY index LIMIT :limit"
        ),
        {"start": start, "limit": limit, "subject": subject},
    )
    return [Entry(*row) for row in found]
