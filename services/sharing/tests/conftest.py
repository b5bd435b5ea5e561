"""Sharing over a real PostgreSQL and a lake on disk, with a directory and a security of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
import pytest_asyncio
from plaza.sharing.v1 import sharing_pb2 as pb
from plaza_kit.db import Database, Scope
from plaza_kit.db.migrate import migrate
from plaza_kit.db.outbox import Outbox
from plaza_kit.errors import NotFound
from plaza_kit.identity import Principal, ServiceTokens
from plaza_kit.names import DatasetName
from plaza_kit.policy import Decider, Resource
from plaza_kit.rpc.client import Peers
from plaza_kit.rpc.context import caller, set_caller
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_lake.tables import Lake, LakeSettings
from plaza_lake.write import commit_batch
from plaza_sharing.domain.gates import Gate
from plaza_sharing.domain.sharing import Dataset
from plaza_sharing.rpc.build import SPEC
from plaza_sharing.rpc.servicer import AgreementServicer, RowsServicer
from plaza_sharing.usecases.ports import ReadRight, World
from plaza_testing.callers import person
from plaza_testing.grants import Granter
from plaza_testing.postgres import Postgres
from plaza_testing.staging import Stager
from sqlalchemy import text

AIR = TableSchema(
    columns=(
        Column("station", FieldType.STRING, required=True),
        Column("hour", FieldType.INTEGER, required=True),
        Column("pm2_5", FieldType.NUMBER),
        Column("time", FieldType.TIMESTAMP),
    ),
    key=("station", "hour"),
)


def row(station: str, hour: int, pm2_5: float | None = 1.0) -> dict[str, Any]:
    """One measurement."""
    time = datetime(2013, 3, 1, tzinfo=UTC) + timedelta(hours=hour)
    return {"station": station, "hour": hour, "pm2_5": pm2_5, "time": time}


class RealPolicy:
    """The policies that security publishes, for whoever calls."""

    def __init__(self) -> None:
        folder = resources.files("plaza_security") / "policies"
        policies, schema = ((folder / f"plaza.{end}").read_text() for end in ("cedar", "cedarschema"))
        self._decider = Decider(policies, schema, version="test")

    def authorize(self, action: str, resource: Resource, facts: Any = None) -> Principal:
        self._decider.authorize(caller(), action, resource, facts)
        return caller()


@dataclass
class Directory:
    """The catalogue: every dataset is public and shared unconditionally unless the test grades it."""

    graded: dict[str, tuple[str, str]] = field(default_factory=dict)
    guarded: set[str] = field(default_factory=set)
    """Those with rules that may stop a version from being shared."""

    async def dataset(self, name: DatasetName) -> Dataset:
        if name.dataset == "unknown":
            raise NotFound(f"{name} is not in the directory")
        level, sharing_class = self.graded.get(str(name), ("public", "unconditional"))
        return Dataset(name, level, sharing_class, guarded=str(name) in self.guarded)


@dataclass
class Gates:
    """Quality: what the test says of a version, and a note of what was asked."""

    said: dict[tuple[str, int], Gate] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def gate(self, name: DatasetName, version: int) -> Gate:
        self.asked.append((str(name), version))
        return self.said[str(name), version]


@dataclass
class Grants:
    """Security: signs what is asked, but no agreement that it has not heard of."""

    granter: Granter
    database: Database
    asked: list[ReadRight] = field(default_factory=list)
    columns: tuple[str, ...] | None = None
    """Narrower than asked."""

    async def read_grant(self, right: ReadRight) -> str:
        self.asked.append(right)
        assert bool(right.agreement) == (right.purpose == "share")
        if right.agreement:
            async with self.database.transaction(Scope.everything()) as connection:
                found = await connection.execute(
                    text(
                        "SELECT 1 FROM outbox o JOIN outbox_pending p ON p.event_id = o.id"
                        " WHERE p.sink = 'security' AND o.subject = :subject"
                    ),
                    {"subject": right.agreement},
                )
                assert found.first() is None, "security has not heard of the agreement yet"
        return self.granter(
            dataset=str(right.dataset),
            version=right.version,
            columns=self.columns or right.columns or None,
            purpose=right.purpose,
            agreement=right.agreement,
            principal=caller().name,
        )


@dataclass
class Answer:
    """What came."""

    header: pb.RowsHeader
    body: bytes
    trailer: pb.RowsTrailer
    chunks: int

    @property
    def page(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Sharing:
    """The service as a test sees it."""

    rows: RowsServicer
    agreements: AgreementServicer
    world: World
    directory: Directory
    security: Grants
    quality: Gates
    stage: Stager

    def be(self, role: str, *departments: str) -> Principal:
        principal = person(role, *departments)
        set_caller(principal)
        return principal

    def load(self, rows: list[dict[str, Any]], schema: TableSchema = AIR, dataset: str = "") -> str:
        """Commits rows as the next version; answers the dataset's name, a new one unless given."""
        name = dataset or f"departments/d{uuid.uuid4().hex[:10]}/datasets/air"
        commit_batch(self.world.lake, name, schema, uuid.uuid4().hex, [self.stage(rows, schema)])
        return name

    def grant(self, dataset: str, **changes: Any) -> str:
        return self.security.granter(dataset=dataset, **changes)

    async def read(self, dataset: str, **fields: Any) -> Answer:
        parts = [
            part
            async for part in self.rows.ReadRows(
                pb.ReadRowsRequest(dataset=dataset, **fields), cast(Any, None)
            )
        ]
        assert [part.WhichOneof("part") for part in parts] == [
            "header",
            *["chunk"] * (len(parts) - 2),
            "trailer",
        ]
        body = b"".join(part.chunk for part in parts[1:-1])
        return Answer(parts[0].header, body, parts[-1].trailer, len(parts) - 2)

    async def events(self, type: str, member: str, value: str) -> list[dict[str, Any]]:
        """Data of the events of a type in which a member has a value."""
        async with self.world.database.transaction(Scope.everything()) as connection:
            found = await connection.execute(
                text("SELECT subject, data FROM outbox WHERE type = :type ORDER BY seq"), {"type": type}
            )
            all_of_them = [{"subject": row.subject, **orjson.loads(row.data)} for row in found]
        return [event for event in all_of_them if event[member] == value]


@pytest.fixture(scope="session")
def sharing_url(postgres: Postgres) -> str:
    url = postgres.role("sharing")
    migrate(url, SPEC.schema, SPEC.package)
    return url


@pytest.fixture(scope="session")
def sharing_lake(postgres: Postgres) -> str:
    return postgres.lake()


async def _take_events(database: Database) -> None:
    """Security's end of the outbox: events are taken a little late."""
    while True:
        await asyncio.sleep(0.05)
        async with database.transaction(Scope.everything()) as connection:
            await connection.execute(text("DELETE FROM outbox_pending"))


@pytest_asyncio.fixture
async def sharing(sharing_url: str, sharing_lake: str, tmp_path: Path) -> AsyncIterator[Sharing]:
    staging = tmp_path / "staging"
    staging.mkdir()
    database = Database(sharing_url, SPEC.schema)
    lake = Lake(LakeSettings(sharing_lake, str(tmp_path / "lake"), memory_limit="256MB"))
    outbox = Outbox(database, SPEC.name, SPEC.routes, cast(Peers, None), cast(ServiceTokens, None))
    granter = Granter("-")
    directory, security, quality = Directory(), Grants(granter, database), Gates()
    world = World(
        database=database,
        policy=RealPolicy(),
        outbox=outbox,
        lake=lake,
        grants=granter.verifier,
        catalogue=directory,
        security=security,
        quality=quality,
        now=lambda: granter.now,
    )
    taking = asyncio.create_task(_take_events(database))
    yield Sharing(
        RowsServicer(world),
        AgreementServicer(world),
        world,
        directory,
        security,
        quality,
        Stager(staging, AIR),
    )
    taking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await taking
    set_caller(None)
    lake.close()
    await database.close()


@pytest.fixture
def measured() -> list[dict[str, Any]]:
    """Rows with equal, absent and special values in what they may be sorted by."""
    values = [3.0, None, 3.0, float("nan"), -0.5, None, 1e300, 3.0, 0.0]
    return [row("东城" if i % 3 else "b", i, value) for i, value in enumerate(values)]


@pytest.fixture
def many() -> list[dict[str, Any]]:
    """More rows than one batch of the engine holds."""
    return [row("a", hour, hour / 8) for hour in range(70_000)]
