"""The service over a PostgreSQL and a lake of its own; catalogue and security are what the test says."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
import pytest_asyncio
from google.protobuf.json_format import ParseDict
from plaza.catalogue.v1 import catalogue_pb2
from plaza.common.v1 import contract_pb2, events_pb2, grades_pb2
from plaza.quality.v1 import quality_pb2 as pb
from plaza_kit.db import Database, Scope
from plaza_kit.db.inbox import EventSink
from plaza_kit.db.migrate import migrate
from plaza_kit.db.outbox import Outbox
from plaza_kit.identity import Principal, ServiceTokens
from plaza_kit.names import DatasetName
from plaza_kit.rpc.client import Peers
from plaza_kit.rpc.context import set_caller
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_lake.tables import Lake, LakeSettings
from plaza_lake.write import CommittedVersion, commit_batch
from plaza_quality.domain.scores import LightProfile
from plaza_quality.rpc.build import SPEC
from plaza_quality.rpc.peers import registered
from plaza_quality.rpc.servicer import QualityServicer
from plaza_quality.spark.server import Spark
from plaza_quality.storage.failing_rows import JudgedAgain
from plaza_quality.storage.versions import Grading
from plaza_quality.usecases.assessing import Assessing
from plaza_quality.usecases.events import handlers
from plaza_quality.usecases.ordering import Ordering
from plaza_quality.usecases.ports import ListedCode, Registered, World
from plaza_testing.callers import Rights, person, service
from plaza_testing.grants import Granter
from plaza_testing.postgres import Postgres
from plaza_testing.staging import Stager
from sqlalchemy import text

RPC = cast(Any, None)
RIGHTS = {
    "assessment.read",
    "assessment.run",
    "gate.read",
    "health-report.create",
    "health-report.read",
    "score.read",
    "work-order.list",
    "work-order.read",
    "work-order.work",
}
SCHEMA = TableSchema(
    (
        Column("id", FieldType.INTEGER),
        Column("x", FieldType.NUMBER),
        Column("n", FieldType.INTEGER),
        Column("s", FieldType.STRING),
    )
)


@dataclass
class Peer:
    """Catalogue and security at once: one dataset, signed grants, and a note of what was asked."""

    dataset: catalogue_pb2.Dataset
    granter: Granter
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    gradings: dict[str, Grading] = field(default_factory=dict)
    """Of other departments' datasets."""
    code_lists: dict[str, tuple[str, list[ListedCode]]] = field(default_factory=dict)

    async def assessing(self, name: DatasetName, version: int) -> str:
        self.asked.append(("grant", str(name), version))
        return self.granter(dataset=str(name), version=version or None, purpose="assess")

    columns: tuple[str, ...] | None = None
    """What a caller may read; None: everything."""

    async def own(self, name: DatasetName, version: int) -> str:
        self.asked.append(("own", str(name), version))
        return self.granter(dataset=str(name), version=version, purpose="own", columns=self.columns)


@dataclass(frozen=True)
class Directory:
    """The catalogue's half of the peer."""

    peer: Peer

    async def dataset(self, name: DatasetName) -> Registered:
        self.peer.asked.append(("dataset", str(name)))
        return registered(self.peer.dataset)

    async def grading(self, name: DatasetName) -> Grading | None:
        return self.peer.gradings.get(str(name))

    async def codes(self, code_list: str) -> tuple[str, list[ListedCode]] | None:
        return self.peer.code_lists.get(code_list)

    async def names(self, department: str) -> dict[str, tuple[str, str]]:
        self.peer.asked.append(("names", department))
        return {f"departments/{department}/datasets/a": ("空气", "Air")}


@dataclass(frozen=True)
class Quality:
    """The service as a test sees it."""

    name: str
    api: QualityServicer
    world: World
    sink: EventSink
    peer: Peer
    stage: Stager

    def be(self, role: str, *departments: str) -> Principal:
        principal = person(role, *(departments or (self.name.split("/")[1],)))
        set_caller(principal)
        return principal

    def rules(self, *rules: dict[str, Any], contract_version: int = 1) -> None:
        """The contract in force has these rules; a threshold of 90 and a dimension unless they say."""
        del self.peer.dataset.contract.rules[:]
        for number, rule in enumerate(rules):
            base = {"id": f"r{number}", "dimension": "DIMENSION_VALIDITY", "thresholdPercent": 90}
            self.peer.dataset.contract.rules.append(ParseDict(base | rule, contract_pb2.QualityRule()))
        self.peer.dataset.contract_version = contract_version

    def commit(
        self, rows: list[dict[str, Any]], schema: TableSchema = SCHEMA, name: str = ""
    ) -> CommittedVersion:
        """One version more with these rows."""
        files = [self.stage(rows, schema)]
        return commit_batch(self.world.lake, name or self.name, schema, uuid.uuid4().hex, files)

    def event(self, version: int, **changes: Any) -> events_pb2.Event:
        data = {
            "dataset": self.name,
            "version": version,
            "rows": 1,
            "rows_added": 1,
            "rows_refused": 0,
            "batch": "b",
            "contract_version": 1,
            "run": "departments/d/runs/r",
            "source_sha256": "0" * 64,
        }
        event = events_pb2.Event(
            id=str(uuid.uuid4()),
            source=changes.pop("source", "//plaza/ingestion"),
            type="city.plaza.ingestion.version.committed.v1",
            subject=f"{self.name}/versions/{version}",
            data=orjson.dumps(data | changes).decode(),
        )
        event.time.GetCurrentTime()
        return event

    async def deliver(self, *events: events_pb2.Event) -> None:
        set_caller(service("ingestion"))
        await self.sink.Deliver(events_pb2.DeliverRequest(events=events), RPC)
        self.be("data-officer")

    async def jobs(self) -> list[dict[str, Any]]:
        """Arguments of the waiting jobs of this dataset, with their lock."""
        found = await self._select(
            "SELECT args - 'traceparent' || jsonb_build_object('lock', lock) AS found FROM procrastinate_jobs"
            " WHERE args ->> 'dataset' = :name ORDER BY id"
        )
        return [dict(row.found) for row in found]

    async def work(self) -> None:
        """Runs the function of every waiting job."""
        for job in await self.jobs():
            await Assessing(self.world).assess(job["dataset"], job["version"])

    async def outbox(self) -> list[tuple[Any, ...]]:
        """(type, subject, data, principal, sinks) of the events about this dataset."""
        found = await self._select(
            "SELECT o.type, o.subject, o.data, o.principal, (SELECT array_agg(sink ORDER BY sink)"
            " FROM outbox_pending p WHERE p.event_id = o.id) AS sinks"
            " FROM outbox o WHERE o.subject LIKE :name || '/%' ORDER BY o.seq"
        )
        return [(row.type, row.subject, orjson.loads(row.data), row.principal, row.sinks) for row in found]

    async def _select(self, statement: str) -> list[Any]:
        async with self.world.database.transaction(Scope.everything()) as connection:
            return list(await connection.execute(text(statement), {"name": self.name}))

    async def get(self, version: int) -> pb.Assessment:
        name = f"{self.name}/versions/{version}/assessment"
        return await self.api.GetAssessment(pb.GetAssessmentRequest(name=name), RPC)

    async def assessed(self, rows: list[dict[str, Any]], schema: TableSchema = SCHEMA) -> pb.Assessment:
        """A new version with these rows, assessed."""
        version = self.commit(rows, schema).version
        await self.deliver(self.event(version))
        await self.work()
        return await self.get(version)


@pytest.fixture(scope="session")
def quality_url(postgres: Postgres) -> str:
    url = postgres.role("quality")
    migrate(url, SPEC.schema, SPEC.package)
    return url


@pytest.fixture(scope="session")
def quality_catalog_url(postgres: Postgres) -> str:
    return postgres.lake()


@pytest.fixture
def dataset_name() -> str:
    """A department of its own for every test: they share one database."""
    return f"departments/d{uuid.uuid4().hex[:12]}/datasets/air"


@pytest.fixture
def lake(quality_catalog_url: str, tmp_path: Path) -> Iterator[Lake]:
    lake = Lake(LakeSettings(quality_catalog_url, str(tmp_path / "lake"), memory_limit="256MB"))
    yield lake
    lake.close()


@pytest.fixture
def stage(tmp_path: Path) -> Stager:
    folder = tmp_path / "staging"
    folder.mkdir()
    return Stager(folder, SCHEMA)


@pytest.fixture
def peer(dataset_name: str) -> Peer:
    dataset = catalogue_pb2.Dataset(name=dataset_name, city_level=grades_pb2.CITY_LEVEL_INTERNAL)
    setattr(dataset.sharing, "class", grades_pb2.SHARING_CLASS_UNCONDITIONAL)
    return Peer(dataset, Granter(dataset_name, audience="quality"))


@pytest_asyncio.fixture
async def new_quality(
    quality_url: str, dataset_name: str, lake: Lake, stage: Stager, peer: Peer
) -> AsyncIterator[Callable[..., Quality]]:
    """Makes the service with rights that the test may choose."""
    database = Database(quality_url, SPEC.schema)
    outbox = Outbox(database, SPEC.name, SPEC.routes, cast(Peers, None), cast(ServiceTokens, None))

    def make(policy: Any = None, spark: Spark | None = None) -> Quality:
        world = World(
            database=database,
            policy=policy or Rights({"data-officer": RIGHTS}),
            outbox=outbox,
            lake=lake,
            grants=peer.granter.verifier,
            catalogue=Directory(peer),
            granting=peer,
            failing=JudgedAgain(lake, peer.granter.verifier),
            profile=LightProfile(),
            principal="services/plaza-quality",
            spark=spark,
        )
        sink = EventSink(database, handlers(Ordering(world)))
        return Quality(dataset_name, QualityServicer(world), world, sink, peer, stage)

    yield make
    set_caller(None)
    await database.close()


@pytest.fixture
def quality(new_quality: Callable[..., Quality]) -> Quality:
    return new_quality()


@pytest.fixture(scope="session")
def spark() -> Iterator[Spark]:
    """Sail, a Spark Connect server from a wheel, as a process of its own with two threads; or the one that
    PLAZA_TEST_SPARK_CONNECT names."""
    if url := os.environ.get("PLAZA_TEST_SPARK_CONNECT"):
        yield Spark(url, partitions=2)
        return
    for package in ("pysail", "pyspark"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: nothing is tested on Spark Connect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ("-m", "pysail", "spark", "server", "--ip", "127.0.0.1", "--port", str(port))
    options = {"SAIL_EXECUTION__DEFAULT_PARALLELISM": "2", "RUST_LOG": "error", "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen((sys.executable, *command), env=os.environ | options)
    try:
        _wait_for(server, port)
        yield Spark(f"sc://127.0.0.1:{port}", partitions=2)
    finally:
        server.kill()  # it holds nothing, and takes its time to say good-bye
        server.wait()


def _wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(600):
        assert server.poll() is None, "the Spark Connect server ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise AssertionError("the Spark Connect server does not listen")
