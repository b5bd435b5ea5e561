"""Table `agreements`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from plaza_kit.names import DatasetName, DepartmentId
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_sharing.domain.agreements import IN_FORCE, Agreement, AgreementId


async def insert(connection: AsyncConnection, agreement: Agreement) -> bool:
    """Answers False when one is in force already; waits for somebody who is just making it."""
    inserted = await connection.execute(
        text(
            "INSERT INTO agreements (agreement, dataset, provider, consumer, basis, state, clauses, purpose,"
            " content_sha256, create_time) VALUES (:agreement, :dataset, :provider, :consumer, :basis, :state,"
            " :clauses, :purpose, :content_sha256, :create_time) ON CONFLICT DO NOTHING RETURNING 1"
        ),
        {
            "agreement": agreement.id,
            "dataset": str(agreement.dataset),
            "provider": agreement.provider,
            "consumer": agreement.consumer,
            "basis": agreement.basis,
            "state": agreement.state,
            "clauses": list(agreement.clauses),
            "purpose": agreement.purpose,
            "content_sha256": agreement.content_sha256,
            "create_time": agreement.create_time,
        },
    )
    return inserted.first() is not None


async def remember_event(connection: AsyncConnection, agreement: AgreementId, event_id: str) -> None:
    """Notes which event told of the agreement."""
    await connection.execute(
        text("UPDATE agreements SET event_id = :event_id WHERE agreement = :agreement"),
        {"event_id": event_id, "agreement": agreement},
    )


async def in_force(
    connection: AsyncConnection, dataset: DatasetName, consumer: DepartmentId
) -> Agreement | None:
    """The one agreement under which the department reads the dataset."""
    found = await connection.execute(
        text("SELECT * FROM agreements WHERE dataset = :dataset AND consumer = :consumer AND state = :state"),
        {"dataset": str(dataset), "consumer": consumer, "state": IN_FORCE},
    )
    row = found.first()
    return _agreement(row._mapping) if row is not None else None


async def find(connection: AsyncConnection, agreement: AgreementId) -> Agreement | None:
    found = await connection.execute(
        text("SELECT * FROM agreements WHERE agreement = :agreement"), {"agreement": agreement}
    )
    row = found.first()
    return _agreement(row._mapping) if row is not None else None


async def page(connection: AsyncConnection, before: UUID, limit: int) -> list[Agreement]:
    """Newest first (ids are UUIDv7), those made before `before`."""
    found = await connection.execute(
        text("SELECT * FROM agreements WHERE agreement < :before ORDER BY agreement DESC LIMIT :limit"),
        {"before": before, "limit": limit},
    )
    return [_agreement(row._mapping) for row in found]


def _agreement(row: Mapping[Any, Any]) -> Agreement:
    return Agreement(
        id=AgreementId(row["agreement"]),
        dataset=DatasetName.parse(row["dataset"]),
        consumer=DepartmentId(row["consumer"]),
        basis=row["basis"],
        state=row["state"],
        clauses=tuple(row["clauses"]),
        purpose=row["purpose"],
        create_time=row["create_time"],
        event_id=row["event_id"],
    )
