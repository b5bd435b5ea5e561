"""Ingestion with a real PostgreSQL and a lake on disk; catalogue, security and the policy played by the test."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, cast

import orjson
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from plaza.common.v1 import contract_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza.ingestion.v1 import sources_pb2, worker_pb2
from plaza_ingestion.domain.load_step import LoadStep
from plaza_ingestion.rpc.build import SPEC
from plaza_ingestion.rpc.ingestion import IngestionServicer
from plaza_ingestion.rpc.sources import SourceServicer
from plaza_ingestion.rpc.worker import WorkerServicer
from plaza_ingestion.storage.staging import Staging
from plaza_ingestion.usecases.bringing import Bringing
from plaza_ingestion.usecases.commit import Commit
from plaza_ingestion.usecases.leases import Leases
from plaza_ingestion.usecases.ports import ContractInForce, Failing, SystemState, WorkOrder, World
from plaza_ingestion.worker.load import LoadManifest, run_load
from plaza_ingestion.worker.plan import FieldSpec, LoadPlan
from plaza_ingestion.worker.pull import pull
from plaza_ingestion.worker.pull_secrets import Secrets
from plaza_ingestion.worker.translate import error_message, load_plan
from plaza_kit.db import Database, Scope
from plaza_kit.db.migrate import migrate
from plaza_kit.db.outbox import Outbox
from plaza_kit.errors import PlazaError
from plaza_kit.identity import Principal, PrincipalKind, ServiceTokens
from plaza_kit.policy import PersonRemoved, Resource
from plaza_kit.rpc.client import Peers
from plaza_kit.rpc.context import caller, set_caller
from plaza_lake.read import RowQuery, read_rows
from plaza_lake.tables import Lake, LakeSettings, TableNotFound
from plaza_testing.callers import Rights, machine, person, service
from plaza_testing.grants import Granter
from plaza_testing.postgres import Postgres
from sqlalchemy import text

RPC = cast(Any, None)
RIGHTS = Rights(
    {
        "data-officer": {
            "upload.create",
            "infer.start",
            "load.start",
            "run.read",
            "quarantine.read",
            "work-order.work",
            "source.read",
            "source.manage",
        },
        "reader": {"run.read"},
        "department-machine": {"upload.create", "work.lease", "load.start", "source.read"},
        "plaza-service": {"work.list"},
    }
)
PLAN = LoadPlan(
    fields=(
        FieldSpec("station", "Station", "string"),
        FieldSpec("hour", "Hour", "integer"),
        FieldSpec("pm2_5", "PM2.5", "number", missing=("NA",)),
    ),
    key=("station", "hour"),
)
HEADING = b"Station,Hour,PM2.5\n"


@dataclass
class Policy:
    """The table of rights, and persons whose account was closed."""

    removed: set[str] = field(default_factory=set)

    def authorize(self, action: str, resource: Resource, facts: Mapping[str, Any] | None = None) -> Principal:
        return RIGHTS.authorize(action, resource, facts)

    def decider(self) -> Policy.Decider:
        return Policy.Decider(self.removed)

    @dataclass
    class Decider:
        removed: set[str]

        def authorize(
            self,
            principal: Principal,
            action: str,
            resource: Resource,
            facts: Mapping[str, Any] | None = None,
        ) -> None:
            if principal.subject in self.removed:
                raise PersonRemoved("this account was closed")
            assert action == "load.start"
            assert principal.roles & {"data-officer", "department-machine"}
            assert resource.department in principal.departments


@dataclass
class Peer:
    """Catalogue and security in one."""

    granter: Granter
    force: ContractInForce
    systems: dict[str, SystemState] = field(default_factory=dict)
    """By resource name."""
    order: WorkOrder | None = None
    found: Failing | None = None
    """What quality says of the rows of a work order."""

    async def contract(self, dataset: str) -> ContractInForce:
        return self.force

    async def source_system(self, name: str) -> SystemState | None:
        return self.systems.get(name)

    async def run_grant(self, run: str, dataset: str) -> str:
        who = caller()
        roles = {"roles": ("department-machine",)} if who.kind is PrincipalKind.MACHINE else {}
        return self.granter.run(
            run, "load", dataset=dataset, principal=who.name, username=who.username, **roles
        )

    async def work_order(self, name: str) -> WorkOrder:
        assert self.order is not None
        return self.order

    async def failing(self, work_order: str, most: int) -> Failing:
        assert self.found is not None
        return replace(self.found, places=self.found.places[:most])

    async def rows_grant(self, dataset: str, version: int) -> str:
        return self.granter(dataset=dataset, version=version, purpose="own")

    async def quarantine_grant(self, dataset: str) -> str:
        return self.granter(dataset=dataset, table="quarantine", purpose="quarantine")


@dataclass
class Ingestion:
    """The service as a test sees it, and a worker."""

    world: World
    department: str
    policy: Policy
    peer: Peer
    root: Path

    @property
    def api(self) -> IngestionServicer:
        return IngestionServicer(self.world)

    @property
    def work(self) -> WorkerServicer:
        return WorkerServicer(Leases(self.world), Bringing(self.world))

    @property
    def sources(self) -> SourceServicer:
        return SourceServicer(self.world)

    @property
    def dataset(self) -> str:
        return f"departments/{self.department}/datasets/air"

    def be(self, role: str = "data-officer", *departments: str) -> None:
        set_caller(person(role, *(departments or (self.department,))))

    def be_worker(self, department: str = "") -> None:
        set_caller(machine(department or self.department))

    def be_service(self) -> None:
        set_caller(service("supervisor"))

    def with_steps(self, on_step: Callable[[LoadStep], None]) -> None:
        self.world = replace(self.world, on_step=on_step)

    async def upload(self, data: bytes, name: str = "air.csv", size: int = 7) -> pb.Upload:
        """As its data officer, in small chunks."""
        self.be()

        async def messages() -> AsyncIterator[pb.UploadFileRequest]:
            header = pb.UploadHeader(parent=f"departments/{self.department}", file_name=name)
            yield pb.UploadFileRequest(header=header)
            for at in range(0, len(data), size):
                yield pb.UploadFileRequest(chunk=data[at : at + size])
            yield pb.UploadFileRequest(end=pb.UploadEnd(size_bytes=len(data)))

        return await self.api.UploadFile(messages(), RPC)

    async def replay(self, data: bytes) -> pb.Run:
        """A repair file, as its data officer; up to the queue."""
        upload = await self.upload(data, "repair.csv")
        return await self.api.ReplayQuarantine(
            pb.ReplayQuarantineRequest(dataset=self.dataset, upload=upload.name), RPC
        )

    async def replayed(self, data: bytes) -> pb.Run:
        """A repair file, all the way."""
        return await self.finished(await self.replay(data))

    async def finished(self, run: pb.Run) -> pb.Run:
        """A queued run, all the way."""
        await self.handed_over(run)
        await self.commit()
        return await self.get(run.name)

    async def handed_over(self, run: pb.Run) -> None:
        """A queued run, worked on."""
        work = await self.lease()
        assert work is not None
        assert work.run == run.name
        await self.work.CompleteLoad(await self.stage(work), RPC)

    async def ingest(self, data: bytes, **fields: Any) -> pb.Run:
        upload = await self.upload(data)
        request = pb.IngestUploadRequest(dataset=self.dataset, upload=upload.name, **fields)
        return await self.api.IngestUpload(request, RPC)

    async def lease(self, wait: float = 0) -> worker_pb2.Work | None:
        self.be_worker()
        request = worker_pb2.LeaseWorkRequest(
            department=f"departments/{self.department}", wait=Duration(nanos=int(wait * 1e9))
        )
        answer = await self.work.LeaseWork(request, RPC)
        return answer.work if answer.HasField("work") else None

    async def stage(self, work: worker_pb2.Work) -> worker_pb2.CompleteLoadRequest:
        """What the worker's core makes of it, and its manifest."""
        prefix = self.root / "staging" / "departments" / self.department
        manifest = await asyncio.to_thread(
            run_load,
            load_plan(work.contract, work.entry),
            prefix / work.upload_path,
            prefix / work.output_path,
            progress=lambda _: None,
            cancelled=lambda: False,
        )
        return manifest_of(work, manifest)

    async def loaded(self, data: bytes, **fields: Any) -> pb.Run:
        """A file on its way up to the hand-over."""
        run = await self.ingest(data, **fields)
        await self.handed_over(run)
        return run

    async def source(self, **fields: Any) -> sources_pb2.Source:
        """A registered source `feed` of the dataset `air`."""
        self.be()
        known: dict[str, Any] = {
            "display_name": "空气质量",
            "class": sources_pb2.SOURCE_CLASS_GOVERNMENT,
            "owner": "监测处",
            "lawful_basis": "大气污染防治法 第二十三条",
            "justification": "hourly values only, no names",
            "dataset": self.dataset,
        }
        request = sources_pb2.CreateSourceRequest(
            parent=f"departments/{self.department}",
            source_id="feed",
            source=sources_pb2.Source(**(known | fields)),
        )
        return await self.sources.CreateSource(request, RPC)

    async def shown(self) -> sources_pb2.Source:
        """The source as it is now."""
        self.be()
        name = f"departments/{self.department}/sources/feed"
        return await self.sources.GetSource(sources_pb2.GetSourceRequest(name=name), RPC)

    async def start_pull(self, **fields: Any) -> pb.Run:
        """By hand, up to the queue."""
        self.be()
        name = f"departments/{self.department}/sources/feed"
        return await self.sources.PullSource(sources_pb2.PullSourceRequest(name=name, **fields), RPC)

    async def fetch(self, work: worker_pb2.Work) -> worker_pb2.CompletePullRequest:
        """What the worker's core fetches."""
        folder = self.root / "staging" / "departments" / self.department / work.output_path
        secrets = Secrets(self.root / "secrets")
        return await asyncio.to_thread(
            pull, work, folder, secrets, progress=lambda _: None, cancelled=lambda: False
        )

    async def carried_out(self, name: str) -> pb.Run:
        """A pull that waits, all the way, as a worker does it."""
        work = await self.lease()
        assert work is not None
        assert work.run == name
        try:
            fetched = await self.fetch(work)
        except PlazaError as error:
            await self.work.FailWork(
                worker_pb2.FailWorkRequest(lease=work.lease, error=error_message(error)), RPC
            )
            return await self.get(name)
        await self.work.CompletePull(fetched, RPC)
        if (work := await self.lease()) is not None:
            assert work.run == name
            await self.work.CompleteLoad(await self.stage(work), RPC)
            await self.commit()
        return await self.get(name)

    async def pulled(self) -> pb.Run:
        """By hand, all the way."""
        return await self.carried_out((await self.start_pull()).name)

    async def commit(self) -> None:
        """Runs the jobs of this department that wait, as the queue would."""
        async with self.world.database.transaction(Scope.everything()) as connection:
            found = await connection.execute(
                text(
                    "SELECT id, args - 'traceparent' AS args, lock FROM procrastinate_jobs"
                    " WHERE task_name = 'commit-load'"
                    " AND args->>'department' = :department ORDER BY id"
                ),
                {"department": self.department},
            )
            jobs = list(found)
        for job in jobs:
            assert job.lock == self.dataset
            await Commit(self.world).run(**job.args)
            async with self.world.database.transaction(Scope.everything()) as connection:
                await connection.execute(
                    text("DELETE FROM procrastinate_jobs WHERE id = :id"), {"id": job.id}
                )

    async def whole(self, data: bytes, **fields: Any) -> pb.Run:
        """A file, all the way."""
        run = await self.loaded(data, **fields)
        await self.commit()
        return await self.get(run.name)

    async def get(self, name: str) -> pb.Run:
        self.be()
        return await self.api.GetRun(pb.GetRunRequest(name=name), RPC)

    def rows(self, table: str = "rows") -> list[dict[str, Any]]:
        """What the lake has."""
        grant = self.peer.granter(dataset=self.dataset, table=table)
        try:
            with read_rows(self.world.lake, self.world.grants, grant, RowQuery()) as stream:
                return [row for batch in stream.batches for row in batch.to_pylist()]
        except TableNotFound:
            return []

    async def events(self) -> list[tuple[str, str, dict[str, Any]]]:
        """(type, subject, data) of this department's events, oldest first."""
        async with self.world.database.transaction(Scope.everything()) as connection:
            found = await connection.execute(
                text("SELECT type, subject, data FROM outbox WHERE subject LIKE :subject ORDER BY seq"),
                {"subject": f"{self.dataset}/%"},
            )
            return [(row.type, row.subject, orjson.loads(row.data)) for row in found]


def manifest_of(work: worker_pb2.Work, manifest: LoadManifest) -> worker_pb2.CompleteLoadRequest:
    def staged(file: Any) -> worker_pb2.StagedFile:
        return worker_pb2.StagedFile(
            path=f"{work.output_path}/{file.name}", rows=file.rows, size_bytes=file.bytes, sha256=file.sha256
        )

    return worker_pb2.CompleteLoadRequest(
        lease=work.lease,
        accepted=staged(manifest.files.accepted),
        positions=staged(manifest.files.positions),
        refused=staged(manifest.files.refused),
        rows_read=manifest.rows_read,
        refused_by_reason={reason.value: n for reason, n in manifest.refused_by_reason.items()},
    )


@dataclass
class Web:
    """A real HTTP server on loopback; `answer` is the test's."""

    url: str
    answer: Callable[[BaseHTTPRequestHandler], None]
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers (lower-case names) of each request."""

    def give(self, body: bytes, status: int = 200, **headers: str) -> None:
        """The same answer from now on; `_` in names of headers stands for `-`."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                request.send_header(name.replace("_", "-"), value)
            request.end_headers()
            request.wfile.write(body)

        self.answer = answer


@pytest.fixture
def web() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.asked.append((self.path, headers))
            found.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Web(f"http://127.0.0.1:{server.server_address[1]}", lambda _: None)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def ingestion_url(postgres: Postgres) -> str:
    url = postgres.role("ingestion")
    migrate(url, SPEC.schema, SPEC.package)
    return url


@pytest.fixture(scope="session")
def ingestion_catalog(postgres: Postgres) -> str:
    return postgres.lake()


@pytest.fixture
def air_contract() -> contract_pb2.Contract:
    kinds = {"string": contract_pb2.FIELD_TYPE_STRING, "integer": contract_pb2.FIELD_TYPE_INTEGER}
    return contract_pb2.Contract(
        fields=[
            contract_pb2.Field(
                name=spec.name,
                source_name=spec.source,
                missing_values=spec.missing,
                type=kinds.get(spec.type, contract_pb2.FIELD_TYPE_NUMBER),
            )
            for spec in PLAN.fields
        ],
        key=PLAN.key,
    )


@pytest_asyncio.fixture
async def ingestion(
    ingestion_url: str, ingestion_catalog: str, air_contract: contract_pb2.Contract, tmp_path: Path
) -> AsyncIterator[Ingestion]:
    department = f"d{uuid.uuid4().hex[:10]}"
    granter = Granter(f"departments/{department}/datasets/air", audience="ingestion")
    policy, peer = Policy(), Peer(granter, ContractInForce(air_contract, 1))
    database = Database(ingestion_url, SPEC.schema)
    lake = Lake(LakeSettings(ingestion_catalog, str(tmp_path / "lake"), memory_limit="256MB"))
    world = World(
        database=database,
        policy=policy,
        outbox=Outbox(database, SPEC.name, SPEC.routes, cast(Peers, None), cast(ServiceTokens, None)),
        grants=granter.verifier,
        lake=lake,
        staging=Staging(str(tmp_path / "staging")),
        catalogue=peer,
        security=peer,
        quality=peer,
        lease_seconds=15,
        upload_limit_bytes=10_000,
    )
    yield Ingestion(world, department, policy, peer, tmp_path)
    set_caller(None)
    async with database.transaction(Scope.everything()) as connection:
        await connection.execute(text("DELETE FROM procrastinate_jobs"))
    lake.close()
    await database.close()
