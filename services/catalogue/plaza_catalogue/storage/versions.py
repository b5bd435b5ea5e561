"""Table `versions`, and the newest release: what other services say about a dataset's data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit.db import Reader
from plaza_kit.names import DatasetName
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_catalogue.storage import rows


@dataclass(frozen=True, slots=True)
class Commit:
    """A committed version as ingestion tells of it."""

    version: int
    rows: int
    rows_added: int
    rows_refused: int
    batch: str
    contract_version: int
    time: datetime


def _key(name: DatasetName, version: int) -> dict[str, Any]:
    return {"department": name.department, "dataset": name.dataset, "version": version}


async def commit(connection: AsyncConnection, name: DatasetName, commit: Commit) -> None:
    """Notes a committed version; the same again changes nothing."""
    await connection.execute(
        text(
            'INSERT INTO versions (department, dataset, version, "rows", rows_added, rows_refused, batch,'
            " contract_version, commit_time) VALUES (:department, :dataset, :version, :rows, :rows_added,"
            " :rows_refused, :batch, :contract_version, :time)"
            ' ON CONFLICT (department, dataset, version) DO UPDATE SET "rows" = excluded."rows",'
            " rows_added = excluded.rows_added, rows_refused = excluded.rows_refused, batch = excluded.batch,"
            " contract_version = excluded.contract_version, commit_time = excluded.commit_time"
        ),
        _key(name, commit.version)
        | {
            "rows": commit.rows,
            "rows_added": commit.rows_added,
            "rows_refused": commit.rows_refused,
            "batch": commit.batch,
            "contract_version": commit.contract_version,
            "time": commit.time,
        },
    )


async def expire(
    connection: AsyncConnection, name: DatasetName, numbers: list[int], rule: str, time: datetime
) -> None:
    """Notes that versions are kept no more, also before their commit is known; the first time stays."""
    await connection.execute(
        text(
            "INSERT INTO versions (department, dataset, version, expire_time, expire_rule)"
            " SELECT :department, :dataset, unnest(CAST(:numbers AS int[])), :time, :rule"
            " ON CONFLICT (department, dataset, version) DO UPDATE SET expire_time = excluded.expire_time,"
            " expire_rule = excluded.expire_rule WHERE versions.expire_time IS NULL"
        ),
        {
            "department": name.department,
            "dataset": name.dataset,
            "numbers": sorted(numbers),
            "time": time,
            "rule": rule,
        },
    )


async def assess(
    connection: AsyncConnection, name: DatasetName, version: int, score: Decimal | None, light: str
) -> None:
    """Notes the score and light of a version, also before its commit is known."""
    await connection.execute(
        text(
            "INSERT INTO versions (department, dataset, version, score, light)"
            " VALUES (:department, :dataset, :version, :score, :light)"
            " ON CONFLICT (department, dataset, version) DO UPDATE SET score = excluded.score,"
            " light = excluded.light"
        ),
        _key(name, version) | {"score": score, "light": light},
    )


async def release(connection: AsyncConnection, name: DatasetName, number: int) -> None:
    """Notes a published release; an older one changes nothing."""
    await connection.execute(
        text(
            "UPDATE datasets SET latest_release = greatest(latest_release, :number)"
            " WHERE department = :department AND dataset = :dataset"
        ),
        {"department": name.department, "dataset": name.dataset, "number": number},
    )


async def withdraw(connection: AsyncConnection, name: DatasetName, number: int, latest: int) -> None:
    """Notes which release is the newest (0: none) after one was withdrawn; an older one's end changes nothing."""
    await connection.execute(
        text(
            "UPDATE datasets SET latest_release = :latest"
            " WHERE department = :department AND dataset = :dataset AND latest_release <= :number"
        ),
        {"department": name.department, "dataset": name.dataset, "number": number, "latest": latest},
    )


async def find(reader: Reader, name: DatasetName, version: int) -> pb.Version | None:
    found = await reader.rows(
        "SELECT * FROM versions WHERE department = :department AND dataset = :dataset"
        " AND version = :version AND commit_time IS NOT NULL",
        _key(name, version),
    )
    return rows.version_of(found[0]) if found else None


async def page(reader: Reader, name: DatasetName, before: int, limit: int) -> list[pb.Version]:
    """Newest first, those with a smaller number than `before`."""
    found = await reader.rows(
        "SELECT * FROM versions WHERE department = :department AND dataset = :dataset"
        " AND version < :version AND commit_time IS NOT NULL ORDER BY version DESC LIMIT :limit",
        _key(name, before) | {"limit": limit},
    )
    return [rows.version_of(row) for row in found]
