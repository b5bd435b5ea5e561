"""Tables `versions` and `gradings`: what other services say about datasets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from plaza_kit.names import DatasetName
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Grading:
    """In the words of the policies; empty: not graded, not declared."""

    city_level: str
    sharing_class: str


UNGRADED: Final = Grading(city_level="", sharing_class="not_shared")
"""Before the first assessment nothing is known of a dataset: its own department alone may ask."""


def _key(name: DatasetName) -> dict[str, Any]:
    return {"department": name.department, "dataset": name.dataset}


@dataclass(frozen=True, slots=True)
class Intake:
    """What a load brought; None: it was not told."""

    rows_added: int | None = None
    rows_refused: int | None = None


async def note(
    connection: AsyncConnection,
    name: DatasetName,
    version: int,
    commit_time: datetime,
    intake: Intake = Intake(),
) -> bool:
    """Notes a committed version. Answers whether it was new."""
    inserted = await connection.execute(
        text(
            "INSERT INTO versions (department, dataset, version, commit_time, rows_added, rows_refused)"
            " VALUES (:department, :dataset, :version, :time, :added, :refused) ON CONFLICT DO NOTHING RETURNING 1"
        ),
        _key(name)
        | {
            "version": version,
            "time": commit_time,
            "added": intake.rows_added,
            "refused": intake.rows_refused,
        },
    )
    return inserted.first() is not None


async def is_committed(connection: AsyncConnection, name: DatasetName, version: int) -> bool:
    found = await connection.execute(
        text(
            "SELECT 1 FROM versions WHERE department = :department AND dataset = :dataset"
            " AND version = :version"
        ),
        _key(name) | {"version": version},
    )
    return found.first() is not None


async def grade(connection: AsyncConnection, name: DatasetName, grading: Grading) -> None:
    """Notes the grading that holds from now on, for all versions."""
    await connection.execute(
        text(
            "INSERT INTO gradings (department, dataset, city_level, sharing_class)"
            " VALUES (:department, :dataset, :city_level, :sharing_class)"
            " ON CONFLICT (department, dataset) DO UPDATE SET city_level = excluded.city_level,"
            " sharing_class = excluded.sharing_class"
        ),
        _key(name) | {"city_level": grading.city_level, "sharing_class": grading.sharing_class},
    )


async def grading(connection: AsyncConnection, name: DatasetName) -> Grading | None:
    """None before the first assessment."""
    found = await connection.execute(
        text(
            "SELECT city_level, sharing_class FROM gradings"
            " WHERE department = :department AND dataset = :dataset"
        ),
        _key(name),
    )
    row = found.first()
    return Grading(row.city_level, row.sharing_class) if row is not None else None
