"""Table `builds`: the right that the job of a release works with, and how often it failed."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_opendata.domain.releases import ReleaseName
from plaza_opendata.storage.releases import key

_ONE = " WHERE department = :department AND dataset = :dataset AND number = :number"


async def insert(connection: AsyncConnection, name: ReleaseName, run: str, run_grant: str) -> None:
    await connection.execute(
        text(
            "INSERT INTO builds (department, dataset, number, run, run_grant)"
            " VALUES (:department, :dataset, :number, :run, :run_grant)"
        ),
        key(name) | {"run": run, "run_grant": run_grant},
    )


async def run_grant(connection: AsyncConnection, name: ReleaseName) -> str | None:
    """The right of a build under way; None when it has ended."""
    found = await connection.execute(text(f"SELECT run_grant FROM builds{_ONE}"), key(name))  # noqa: S608
    row = found.first()
    return str(row.run_grant) if row is not None else None


async def count_failure(connection: AsyncConnection, name: ReleaseName) -> int:
    """How often the build failed, this time included. Kills do not count: they say nothing about the build."""
    counted = await connection.execute(
        text(f"UPDATE builds SET failures = failures + 1{_ONE} RETURNING failures"),  # noqa: S608
        key(name),
    )
    return int(counted.scalar() or 0)


async def end(connection: AsyncConnection, name: ReleaseName) -> None:
    """Forgets the right."""
    await connection.execute(text(f"DELETE FROM builds{_ONE}"), key(name))  # noqa: S608
