"""A lake on disk with the embedded PostgreSQL, staged files, and grants signed by a key made for the test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_lake.tables import Lake, LakeSettings
from plaza_testing.grants import Granter
from plaza_testing.postgres import Postgres
from plaza_testing.staging import Stager

AIR = TableSchema(
    columns=(
        Column("station", FieldType.STRING, required=True),
        Column("hour", FieldType.INTEGER, required=True),
        Column("pm2_5", FieldType.NUMBER),
        Column("wd", FieldType.STRING),
        Column("time", FieldType.TIMESTAMP),
    ),
    key=("station", "hour"),
)


@dataclass(frozen=True)
class Air:
    """A small table of hourly measurements, and rows for it."""

    schema: TableSchema

    @staticmethod
    def row(station: str, hour: int, pm2_5: float | None = 1.0, wd: str | None = "N") -> dict[str, Any]:
        time = datetime(2013, 3, 1, tzinfo=UTC) + timedelta(hours=hour)
        return {"station": station, "hour": hour, "pm2_5": pm2_5, "wd": wd, "time": time}


@pytest.fixture(scope="session")
def catalog_url(postgres: Postgres) -> str:
    return postgres.lake()


@pytest.fixture
def air() -> Air:
    return Air(AIR)


@pytest.fixture
def dataset() -> str:
    """A department of its own for every test: they share one catalog."""
    return f"departments/d{uuid.uuid4().hex[:12]}/datasets/air-quality"


@pytest.fixture
def new_lake(catalog_url: str, tmp_path: Path) -> Iterator[Callable[[], Lake]]:
    """Makes lakes over the same catalog and warehouse, as several processes would."""
    opened: list[Lake] = []

    def make() -> Lake:
        opened.append(Lake(LakeSettings(catalog_url, str(tmp_path / "lake"), memory_limit="256MB")))
        return opened[-1]

    yield make
    for lake in opened:
        lake.close()


@pytest.fixture
def lake(new_lake: Callable[[], Lake]) -> Lake:
    return new_lake()


@pytest.fixture
def stage(tmp_path: Path) -> Stager:
    folder = tmp_path / "staging"
    folder.mkdir()
    return Stager(folder, AIR)


@pytest.fixture
def grant(dataset: str) -> Granter:
    return Granter(dataset)
