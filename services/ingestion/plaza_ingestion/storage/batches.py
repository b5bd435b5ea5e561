"""Table `batches`: which file came in under which contract, and what of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_ingestion.domain.batches import BatchId, BatchIdentity, BatchState, Decision


@dataclass(frozen=True, slots=True)
class KnownBatch:
    """A batch that is there already."""

    run: str
    version: int


async def claim(
    connection: AsyncConnection,
    identity: BatchIdentity,
    *,
    department: str,
    run: str,
    reload_reason: str,
    now: datetime,
) -> KnownBatch | None:
    """Makes the batch this run's; or tells whose it is. Of two runs at once the second waits and is told."""
    inserted = await connection.execute(
        text(
            "INSERT INTO batches (batch, department, dataset, sha256, contract_version, nonce, reload_reason,"
            " run, state, mode, replay, entry, create_time) VALUES (:batch, :department, :dataset, :sha256,"
            " :contract_version, :nonce, :reload_reason, :run, 'staged', :mode, :replay, :entry, :now)"
            " ON CONFLICT DO NOTHING RETURNING 1"
        ),
        {
            "batch": identity.id,
            "department": department,
            "dataset": identity.dataset,
            "sha256": identity.sha256,
            "contract_version": identity.contract_version,
            "nonce": identity.nonce,
            "mode": identity.mode.value,
            "replay": identity.replay,
            "entry": identity.entry,
            "reload_reason": reload_reason,
            "run": run,
            "now": now,
        },
    )
    if inserted.first() is not None:
        return None
    revived = await connection.execute(
        text(
            "UPDATE batches SET state = 'staged', run = :run WHERE batch = :batch AND state = 'refused' RETURNING 1"
        ),
        {"batch": identity.id, "run": run},
    )
    if revived.first() is not None:
        return None
    row = (
        await connection.execute(
            text("SELECT run, version FROM batches WHERE batch = :batch"), {"batch": identity.id}
        )
    ).one()
    return KnownBatch(row.run, row.version)


async def decision(connection: AsyncConnection, batch: BatchId) -> Decision | None:
    """What was decided about it, if anything was."""
    found = await connection.execute(
        text("SELECT decision FROM batches WHERE batch = :batch"), {"batch": batch}
    )
    kept = found.scalar_one_or_none()
    return Decision.from_json(kept) if kept is not None else None


async def decide(connection: AsyncConnection, batch: BatchId, decided: Decision, heading: bytes) -> None:
    """Keeps the decision; `heading`: the source's first record, as it stands there."""
    await connection.execute(
        text(
            "UPDATE batches SET decision = CAST(:decision AS jsonb), heading = :heading WHERE batch = :batch"
        ),
        {"decision": orjson.dumps(decided.to_json()).decode(), "heading": heading, "batch": batch},
    )


async def end(connection: AsyncConnection, batch: BatchId, state: BatchState, version: int = 0) -> None:
    """Committed as a version, or refused."""
    await connection.execute(
        text("UPDATE batches SET state = :state, version = :version WHERE batch = :batch"),
        {"state": state.value, "version": version, "batch": batch},
    )


@dataclass(frozen=True, slots=True)
class SourceForm:
    """How the file of a batch was written, as far as taking its records apart needs it."""

    heading: bytes
    contract: Mapping[str, Any]
    """In JSON, with the names of the proto."""


async def forms(connection: AsyncConnection, dataset: str, batch: str) -> dict[str, SourceForm]:
    """By batch id, of the batches that brought refused rows (of one, or of all: empty), oldest first."""
    found = await connection.execute(
        text(
            "SELECT b.batch, b.heading, r.contract FROM batches b JOIN runs r ON r.run = b.run"
            " WHERE b.dataset = :dataset AND b.heading IS NOT NULL AND b.decision->'refused' <> 'null'"
            " AND (:batch = '' OR b.batch = :batch) ORDER BY b.create_time, b.batch"
        ),
        {"dataset": dataset, "batch": batch},
    )
    return {row.batch: SourceForm(bytes(row.heading), row.contract or {}) for row in found}


async def newest_form(connection: AsyncConnection, dataset: str) -> SourceForm | None:
    """Of the newest file of the source that came in: neither a repair nor a correction, which have columns of ours."""
    found = await connection.execute(
        text(
            "SELECT b.heading, r.contract FROM batches b JOIN runs r ON r.run = b.run WHERE b.dataset = :dataset"
            " AND b.state = 'committed' AND NOT b.replay AND r.work_order = '' AND b.heading IS NOT NULL"
            " ORDER BY b.create_time DESC, b.batch LIMIT 1"
        ),
        {"dataset": dataset},
    )
    row = found.first()
    return SourceForm(bytes(row.heading), row.contract or {}) if row is not None else None


async def headings(connection: AsyncConnection, dataset: str, batch: str) -> list[bytes]:
    """The different headings of the files that brought refused rows (of one batch, or of all: empty)."""
    found = await connection.execute(
        text(
            "SELECT DISTINCT heading FROM batches WHERE dataset = :dataset AND heading IS NOT NULL"
            " AND decision->'refused' <> 'null' AND (:batch = '' OR batch = :batch)"
        ),
        {"dataset": dataset, "batch": batch},
    )
    return [bytes(row.heading) for row in found]


async def refused_of_source(connection: AsyncConnection, dataset: str, source: str) -> tuple[str, ...]:
    """The batches with refused rows that pulls of a source brought into a dataset."""
    found = await connection.execute(
        text(
            "SELECT b.batch FROM batches b JOIN runs r ON r.run = b.run WHERE b.dataset = :dataset"
            " AND r.source = :source AND b.decision->'refused' <> 'null' ORDER BY b.batch"
        ),
        {"dataset": dataset, "source": source},
    )
    return tuple(row.batch for row in found)
