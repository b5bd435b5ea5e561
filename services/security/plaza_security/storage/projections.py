"""Gradings and agreements as told by events; an older event never overwrites a newer one."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_security.domain.projections import Agreement, Grading


async def keep_grading(connection: AsyncConnection, grading: Grading) -> None:
    """Store the grading of a dataset."""
    await connection.execute(
        text(
            "INSERT INTO gradings AS g (dataset, city_level, sharing_class, confirmed_by, confirmed_at)"
            " VALUES (:dataset, :city_level, :sharing_class, :confirmed_by, :confirmed_at)"
            " ON CONFLICT (dataset) DO UPDATE SET city_level = excluded.city_level,"
            " sharing_class = excluded.sharing_class, confirmed_by = excluded.confirmed_by,"
            " confirmed_at = excluded.confirmed_at WHERE g.confirmed_at <= excluded.confirmed_at"
        ),
        asdict(grading),
    )


async def grading(connection: AsyncConnection, dataset: str) -> Grading | None:
    """The grading of a dataset."""
    found = await connection.execute(
        text(
            "SELECT dataset, city_level, sharing_class, confirmed_by, confirmed_at"
            " FROM gradings WHERE dataset = :dataset"
        ),
        {"dataset": dataset},
    )
    row = found.first()
    return None if row is None else Grading(*row)


async def keep_agreement(connection: AsyncConnection, agreement: Agreement) -> None:
    """Store the state of an agreement."""
    await connection.execute(
        text(
            "INSERT INTO agreements AS a (name, dataset, provider, consumer, state, signed_at)"
            " VALUES (:name, :dataset, :provider, :consumer, :state, :signed_at)"
            " ON CONFLICT (name) DO UPDATE SET dataset = excluded.dataset, provider = excluded.provider,"
            " consumer = excluded.consumer, state = excluded.state, signed_at = excluded.signed_at"
            " WHERE a.signed_at <= excluded.signed_at"
        ),
        asdict(agreement),
    )


async def agreement(connection: AsyncConnection, name: str) -> Agreement | None:
    """An agreement by its name."""
    found = await connection.execute(
        text("SELECT name, dataset, provider, consumer, state, signed_at FROM agreements WHERE name = :name"),
        {"name": name},
    )
    row = found.first()
    return None if row is None else Agreement(*row)
