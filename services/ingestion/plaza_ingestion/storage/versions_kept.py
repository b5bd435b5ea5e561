"""Tables `version_pins`, `expirations` and `upkeep`: which versions stay, which go, and who was told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from plaza_kit.names import DatasetName
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


async def alone(connection: AsyncConnection, dataset: str) -> None:
    """Pins of a dataset and the decision what expires wait for each other, until the transaction ends."""
    await connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"{dataset}/pins"}
    )


async def pin(
    connection: AsyncConnection,
    dataset: DatasetName,
    version: int,
    holder: str,
    until: datetime | None,
    now: datetime,
) -> bool:
    """Says whether the version was free before. A pin is prolonged, never shortened."""
    held = await connection.execute(
        text("SELECT 1 FROM version_pins WHERE dataset = :dataset AND version = :version LIMIT 1"),
        {"dataset": str(dataset), "version": version},
    )
    free = held.first() is None
    await connection.execute(
        text(
            "INSERT INTO version_pins (dataset, version, holder, department, until, create_time)"
            " VALUES (:dataset, :version, :holder, :department, :until, :now)"
            " ON CONFLICT (dataset, version, holder) DO UPDATE SET until = CASE"
            " WHEN version_pins.until IS NULL OR excluded.until IS NULL THEN NULL"
            " ELSE greatest(version_pins.until, excluded.until) END"
        ),
        {
            "dataset": str(dataset),
            "version": version,
            "holder": holder,
            "department": dataset.department,
            "until": until,
            "now": now,
        },
    )
    return free


async def let_go(connection: AsyncConnection, dataset: str, holder: str, but: int) -> None:
    """The holder depends on no version but this one any more (0: on none)."""
    await connection.execute(
        text("DELETE FROM version_pins WHERE dataset = :dataset AND holder = :holder AND version <> :but"),
        {"dataset": dataset, "holder": holder, "but": but},
    )


async def pinned(connection: AsyncConnection, dataset: str, now: datetime) -> frozenset[int]:
    """The versions that somebody depends on now."""
    found = await connection.execute(
        text(
            "SELECT DISTINCT version FROM version_pins"
            " WHERE dataset = :dataset AND (until IS NULL OR until > :now)"
        ),
        {"dataset": dataset, "now": now},
    )
    return frozenset(row.version for row in found)


async def forget_pins(connection: AsyncConnection, dataset: str, now: datetime) -> None:
    """Those whose time is over."""
    await connection.execute(
        text("DELETE FROM version_pins WHERE dataset = :dataset AND until <= :now"),
        {"dataset": dataset, "now": now},
    )


async def is_expiring(connection: AsyncConnection, dataset: str, version: int) -> bool:
    """Whether it was decided that the version goes."""
    found = await connection.execute(
        text("SELECT 1 FROM expirations WHERE dataset = :dataset AND version = :version"),
        {"dataset": dataset, "version": version},
    )
    return found.first() is not None


async def decide(
    connection: AsyncConnection, dataset: DatasetName, versions: Collection[int], rule: str, now: datetime
) -> None:
    """That these go. Final unless the lake will not have it (`withdraw`)."""
    await connection.execute(
        text(
            "INSERT INTO expirations (dataset, version, department, rule, decide_time)"
            " SELECT :dataset, unnest(CAST(:versions AS int[])), :department, :rule, :now"
            " ON CONFLICT (dataset, version) DO NOTHING"
        ),
        {
            "dataset": str(dataset),
            "versions": sorted(versions),
            "department": dataset.department,
            "rule": rule,
            "now": now,
        },
    )


async def undone(connection: AsyncConnection, dataset: str) -> Mapping[int, str]:
    """Versions that are to go and of which nobody was told yet, each with the rule."""
    found = await connection.execute(
        text("SELECT version, rule FROM expirations WHERE dataset = :dataset AND tell_time IS NULL"),
        {"dataset": dataset},
    )
    return {row.version: row.rule for row in found}


async def told(
    connection: AsyncConnection, dataset: str, versions: Sequence[int], now: datetime
) -> list[int]:
    """Marks them; answers those that were not marked before."""
    found = await connection.execute(
        text(
            "UPDATE expirations SET tell_time = :now WHERE dataset = :dataset"
            " AND version = ANY(:versions) AND tell_time IS NULL RETURNING version"
        ),
        {"dataset": dataset, "versions": list(versions), "now": now},
    )
    return sorted(row.version for row in found)


async def withdraw(connection: AsyncConnection, dataset: str, versions: Collection[int]) -> None:
    """Decisions that the lake did not carry out: somebody's tag stands on the version."""
    await connection.execute(
        text(
            "DELETE FROM expirations WHERE dataset = :dataset AND version = ANY(:versions)"
            " AND tell_time IS NULL"
        ),
        {"dataset": dataset, "versions": list(versions)},
    )


async def claim_neglected(
    connection: AsyncConnection, now: datetime, every: timedelta
) -> list[tuple[str, str]]:
    """Department and dataset of tables that were not maintained for so long; each is claimed once, by whoever
    asks first."""
    found = await connection.execute(
        text(
            "INSERT INTO upkeep (dataset, department, last_time)"
            " SELECT DISTINCT dataset, department, CAST(:now AS timestamptz) FROM batches"
            " WHERE state = 'committed' OR decision->'refused' <> 'null'"
            " ON CONFLICT (dataset) DO UPDATE SET last_time = excluded.last_time"
            " WHERE upkeep.last_time <= :limit RETURNING department, dataset"
        ),
        {"now": now, "limit": now - every},
    )
    return sorted((row.department, row.dataset) for row in found)
