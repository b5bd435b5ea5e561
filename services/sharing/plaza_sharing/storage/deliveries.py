"""Table `deliveries`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from plaza_kit.names import DatasetName
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_sharing.domain.agreements import AgreementId
from plaza_sharing.domain.deliveries import Delivery, DeliveryId


async def insert(connection: AsyncConnection, delivery: Delivery) -> None:
    await connection.execute(
        text(
            "INSERT INTO deliveries (delivery, agreement, dataset, version, columns, filter, purpose, principal,"
            " create_time) VALUES (:delivery, :agreement, :dataset, :version, :columns, :filter, :purpose,"
            " :principal, :create_time)"
        ),
        {
            "delivery": delivery.id,
            "agreement": delivery.agreement,
            "dataset": str(delivery.dataset),
            "version": delivery.version,
            "columns": list(delivery.columns),
            "filter": delivery.filter,
            "purpose": delivery.purpose,
            "principal": delivery.principal,
            "create_time": delivery.create_time,
        },
    )


async def note_rows(connection: AsyncConnection, delivery: DeliveryId, rows: int) -> None:
    """That so many rows of the query were sent; never fewer than noted before."""
    await connection.execute(
        text('UPDATE deliveries SET "rows" = greatest("rows", :rows) WHERE delivery = :delivery'),
        {"delivery": delivery, "rows": rows},
    )


async def complete(connection: AsyncConnection, delivery: DeliveryId, rows: int, content_sha256: str) -> bool:
    """Closes a delivery; answers False when that was done before."""
    updated = await connection.execute(
        text(
            'UPDATE deliveries SET "rows" = :rows, content_sha256 = :content_sha256'
            " WHERE delivery = :delivery AND content_sha256 = '' RETURNING 1"
        ),
        {"delivery": delivery, "rows": rows, "content_sha256": content_sha256},
    )
    return updated.first() is not None


async def find(connection: AsyncConnection, agreement: AgreementId, delivery: DeliveryId) -> Delivery | None:
    found = await connection.execute(
        text("SELECT * FROM deliveries WHERE agreement = :agreement AND delivery = :delivery"),
        {"agreement": agreement, "delivery": delivery},
    )
    row = found.first()
    return _delivery(row._mapping) if row is not None else None


async def page(
    connection: AsyncConnection, agreement: AgreementId, before: UUID, limit: int
) -> list[Delivery]:
    """Newest first (ids are UUIDv7), those that began before `before`."""
    found = await connection.execute(
        text(
            "SELECT * FROM deliveries WHERE agreement = :agreement AND delivery < :before"
            " ORDER BY delivery DESC LIMIT :limit"
        ),
        {"agreement": agreement, "before": before, "limit": limit},
    )
    return [_delivery(row._mapping) for row in found]


def _delivery(row: Mapping[Any, Any]) -> Delivery:
    return Delivery(
        id=DeliveryId(row["delivery"]),
        agreement=AgreementId(row["agreement"]),
        dataset=DatasetName.parse(row["dataset"]),
        version=row["version"],
        columns=tuple(row["columns"]),
        filter=row["filter"],
        purpose=row["purpose"],
        principal=row["principal"],
        create_time=row["create_time"],
        rows=row["rows"],
        content_sha256=row["content_sha256"],
    )
