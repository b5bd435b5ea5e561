"""The worker beside a small ingestion on a Unix socket: work is leased, kept, done and handed back."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pyarrow.parquet as pq
import pytest
from plaza.common.v1 import contract_pb2 as contract_pb
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza.ingestion.v1 import worker_pb2, worker_pb2_grpc
from plaza_ingestion.worker.client import WorkerClient
from plaza_ingestion.worker.places import Folder
from plaza_ingestion.worker.process import Worker, WorkerStep
from plaza_ingestion.worker.pull_secrets import Secrets
from plaza_kit.identity import ServiceTokens
from plaza_kit.rpc.client import Peers

pytestmark = pytest.mark.integration

ISSUER = "http://issuer.test/realms/plaza"


@dataclass
class FakeIngestion(worker_pb2_grpc.WorkerServiceServicer):
    """Hands out the work of its queue once and writes down what it is told."""

    socket: Path
    queue: list[worker_pb2.Work] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)
    renewals: list[pb.Progress] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    server: grpc.aio.Server | None = None

    async def start(self) -> None:
        self.server = grpc.aio.server()
        worker_pb2_grpc.add_WorkerServiceServicer_to_server(self, self.server)
        self.server.add_insecure_port(f"unix:{self.socket}")
        await self.server.start()

    async def stop(self) -> None:
        assert self.server is not None
        await self.server.stop(grace=0)

    async def LeaseWork(self, request: Any, context: Any) -> worker_pb2.LeaseWorkResponse:
        assert request.department == "departments/ecology"
        self.tokens.add(dict(context.invocation_metadata())["authorization"])
        until = time.monotonic() + request.wait.ToTimedelta().total_seconds()
        while not self.queue and time.monotonic() < until:  # noqa: ASYNC110 - tests poll
            await asyncio.sleep(0.02)
        return worker_pb2.LeaseWorkResponse(work=self.queue.pop(0) if self.queue else None)

    async def RenewLease(self, request: Any, context: Any) -> worker_pb2.RenewLeaseResponse:
        self.renewals.append(request.progress)
        await self._held(request.lease, context)
        answer = worker_pb2.RenewLeaseResponse()
        answer.expire_time.FromNanoseconds(time.time_ns() + 300_000_000)
        return answer

    async def CompleteLoad(self, request: Any, context: Any) -> worker_pb2.CompleteLoadResponse:
        await self._held(request.lease, context)
        self.told.append(request)
        return worker_pb2.CompleteLoadResponse()

    async def CompleteInference(self, request: Any, context: Any) -> worker_pb2.CompleteInferenceResponse:
        await self._held(request.lease, context)
        self.told.append(request)
        return worker_pb2.CompleteInferenceResponse()

    async def CompletePull(self, request: Any, context: Any) -> worker_pb2.CompletePullResponse:
        await self._held(request.lease, context)
        self.told.append(request)
        return worker_pb2.CompletePullResponse()

    async def FailWork(self, request: Any, context: Any) -> worker_pb2.FailWorkResponse:
        await self._held(request.lease, context)
        self.told.append(request)
        return worker_pb2.FailWorkResponse()

    async def ListWaitingDepartments(
        self, request: Any, context: Any
    ) -> worker_pb2.ListWaitingDepartmentsResponse:
        return worker_pb2.ListWaitingDepartmentsResponse()

    async def _held(self, lease: str, context: Any) -> None:
        if lease in self.lost:
            await context.abort(grpc.StatusCode.ABORTED, "the lease was lost")


@pytest.fixture
async def ingestion(tmp_path: Path) -> AsyncIterator[FakeIngestion]:
    fake = FakeIngestion(tmp_path / "ingestion.sock")
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    (tmp_path / "ecology" / "uploads").mkdir(parents=True)
    return tmp_path / "ecology"


StartWorker = Callable[..., Awaitable["asyncio.Task[None]"]]


@pytest.fixture
async def start(ingestion: FakeIngestion, prefix: Path) -> AsyncIterator[StartWorker]:
    """Starts a worker; all are ended with the test."""

    def issuer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/.well-known/openid-configuration"):
            names = {"token_endpoint": "/token", "jwks_uri": "/jwks", "authorization_endpoint": "/auth"}
            return httpx.Response(
                200, json={"issuer": ISSUER} | {name: ISSUER + path for name, path in names.items()}
            )
        return httpx.Response(200, json={"access_token": "ecology-token", "expires_in": 300})

    http = httpx.AsyncClient(transport=httpx.MockTransport(issuer))
    peers = Peers({"ingestion": f"unix:{ingestion.socket}"})
    started: list[asyncio.Task[None]] = []

    async def make(**options: Any) -> asyncio.Task[None]:
        tokens = ServiceTokens(ISSUER, "ecology-worker", "secret", http=http)
        client = WorkerClient(peers.channel("ingestion"), tokens, "ecology")
        started.append(asyncio.create_task(Worker(client, Folder(prefix), **options).work()))
        return started[-1]

    yield make
    for task in started:
        task.cancel()
    await asyncio.gather(*started, return_exceptions=True)
    await peers.close()
    await http.aclose()


def work(
    prefix: Path, text: str, kind: pb.RunKind.ValueType = pb.RUN_KIND_LOAD, n: int = 1
) -> worker_pb2.Work:
    """A piece of work on a new upload."""
    upload = prefix / "uploads" / f"{n}.csv"
    upload.write_text(text)
    made = worker_pb2.Work(
        lease=f"lease-{n}",
        run=f"departments/ecology/runs/{n}",
        kind=kind,
        upload_path=f"uploads/{n}.csv",
        upload_sha256=hashlib.sha256(text.encode()).hexdigest(),
        output_path=f"runs/{n}/lease-{n}",
    )
    if kind == pb.RUN_KIND_LOAD:
        made.contract.fields.add(name="id", type=contract_pb.FIELD_TYPE_INTEGER, required=True)
        made.contract.fields.add(name="name", type=contract_pb.FIELD_TYPE_STRING)
        made.contract.key.append("id")
    made.expire_time.FromNanoseconds(time.time_ns() + 300_000_000)
    return made


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(15):
        while not true():  # noqa: ASYNC110 - tests poll
            await asyncio.sleep(0.02)


def many_rows(rows: int) -> str:
    return "id,name\n" + "".join(
        f"{i},a name that is long enough to fill the file {i}\n" for i in range(rows)
    )


async def test_a_load(ingestion: FakeIngestion, prefix: Path, start: StartWorker) -> None:
    steps: list[tuple[WorkerStep, int]] = []
    ingestion.queue.append(work(prefix, "id,name,other\n1,a,x\n1,b,x\nbad,c,x\n"))
    await start(on_step=lambda step: steps.append((step, len(ingestion.told))))
    await until(lambda: len(steps) == 3)
    [request] = ingestion.told
    assert isinstance(request, worker_pb2.CompleteLoadRequest)
    assert (request.rows_read, request.accepted.rows, request.refused.rows) == (3, 1, 2)
    assert request.refused_by_reason == {"duplicate_key": 1, "type": 1}
    for file in (request.accepted, request.positions, request.refused):
        content = (prefix / file.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size_bytes, file.sha256)
    assert pq.read_table(prefix / request.accepted.path).to_pylist() == [{"id": 1, "name": "a"}]
    assert '"other"' in request.warnings[0]
    # The manifest is sent between the last two steps.
    assert steps == [(WorkerStep.LEASED, 0), (WorkerStep.STAGED, 0), (WorkerStep.ACKNOWLEDGED, 1)]
    assert ingestion.tokens == {"Bearer ecology-token"}
    assert {path.name for path in prefix.iterdir()} == {"uploads", "runs"}  # noqa: ASYNC240


def pull_work(url: str, n: int = 1) -> worker_pb2.Work:
    """A file to be fetched; no upload is there yet."""
    made = worker_pb2.Work(
        lease=f"lease-{n}",
        run=f"departments/ecology/runs/{n}",
        kind=pb.RUN_KIND_LOAD,
        output_path=f"runs/{n}/lease-{n}",
    )
    made.pull.max_bytes = 1 << 20
    made.pull.http.url, made.pull.http.credential = url, "token"
    made.expire_time.FromNanoseconds(time.time_ns() + 300_000_000)
    return made


async def test_a_pull(
    ingestion: FakeIngestion, prefix: Path, start: StartWorker, web: Any, tmp_path: Path
) -> None:
    web.give(b"id,name\n1,a\n", ETag='"a"')
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/token").write_text("Bearer s3cret")
    steps: list[tuple[WorkerStep, int]] = []
    ingestion.queue.append(pull_work(f"{web.url}/air.csv"))
    await start(
        secrets=Secrets(tmp_path / "secrets"), on_step=lambda step: steps.append((step, len(ingestion.told)))
    )
    await until(lambda: len(steps) == 3)
    [request] = ingestion.told
    content = (prefix / request.file.path).read_bytes()
    assert content == b"id,name\n1,a\n"
    assert request.file.sha256 == hashlib.sha256(content).hexdigest() == request.cursor.sha256
    assert (request.file_name, request.cursor.etag) == ("air.csv", '"a"')
    assert web.asked[0][1]["authorization"] == "Bearer s3cret"
    assert steps == [(WorkerStep.LEASED, 0), (WorkerStep.FETCHED, 0), (WorkerStep.BROUGHT, 1)]


async def test_a_pull_without_its_credential_fails_with_a_word(
    ingestion: FakeIngestion, start: StartWorker, web: Any
) -> None:
    ingestion.queue.append(pull_work(web.url))
    await start()
    await until(lambda: ingestion.told)
    assert ingestion.told[0].error.reason == "CREDENTIAL_MISSING"
    assert not web.asked


async def test_an_inference(ingestion: FakeIngestion, prefix: Path, start: StartWorker) -> None:
    ingestion.queue.append(work(prefix, "id,name\n1,a\n2,b\n", pb.RUN_KIND_INFER))
    await start()
    await until(lambda: ingestion.told)
    [request] = ingestion.told
    assert isinstance(request, worker_pb2.CompleteInferenceRequest)
    assert [field.name for field in request.proposal.contract.fields] == ["id", "name"]
    assert list(request.proposal.contract.key) == ["id"]
    assert list((prefix / "runs/1/lease-1").iterdir()) == []


async def test_a_long_load_keeps_its_lease_and_tells_how_far_it_is(
    ingestion: FakeIngestion, prefix: Path, start: StartWorker
) -> None:
    ingestion.queue.append(work(prefix, many_rows(400_000)))
    await start()
    await until(lambda: ingestion.told)
    assert ingestion.told[0].accepted.rows == 400_000
    assert len(ingestion.renewals) >= 2
    assert any(0 < one.rows_read == one.rows_accepted for one in ingestion.renewals)


async def test_a_lost_lease_ends_the_load_and_the_next_work_is_taken(
    ingestion: FakeIngestion, prefix: Path, start: StartWorker
) -> None:
    ingestion.lost.add("lease-1")
    ingestion.queue += [work(prefix, many_rows(400_000)), work(prefix, "id,name\n1,a\n", n=2)]
    steps: list[WorkerStep] = []
    await start(on_step=steps.append)
    await until(lambda: ingestion.told)
    assert [request.lease for request in ingestion.told] == ["lease-2"]
    assert steps[:3] == [WorkerStep.LEASED, WorkerStep.LEASED, WorkerStep.STAGED]
    assert list((prefix / "runs/1/lease-1").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        (lambda one: one.contract.fields.add(name="x", type=1), "HEADER_MISMATCH", 'no column "x"'),
        (lambda one: one.contract.key.append("y"), "INVALID_PLAN", "key field 'y'"),
        (lambda one: setattr(one, "upload_sha256", "0" * 64), "SOURCE_CHANGED", "not 000"),
        (lambda one: setattr(one, "upload_path", "uploads/none.csv"), "SOURCE_CHANGED", "no longer there"),
        (lambda one: setattr(one, "output_path", "../transport"), "OUTSIDE_PREFIX", "../transport"),
        (lambda one: setattr(one, "kind", 9), "UNKNOWN_WORK", "kind 9"),
        (lambda one: setattr(one, "output_path", "uploads/1.csv/x"), "WORKER_ERROR", "unexpectedly"),
    ],
)
async def test_work_that_cannot_be_done_fails_with_words(
    ingestion: FakeIngestion,
    prefix: Path,
    start: StartWorker,
    change: Callable[[worker_pb2.Work], object],
    reason: str,
    message: str,
) -> None:
    order = work(prefix, "id,name\n1,a\n")
    change(order)
    ingestion.queue += [order, work(prefix, "id,name\n1,a\n", n=2)]
    await start()
    await until(lambda: len(ingestion.told) == 2)
    failed, done = ingestion.told
    assert isinstance(failed, worker_pb2.FailWorkRequest)
    assert failed.error.reason == reason
    assert message in failed.error.message
    assert failed.error.remedy
    assert isinstance(done, worker_pb2.CompleteLoadRequest)


async def test_a_changed_file_is_not_inferred(
    ingestion: FakeIngestion, prefix: Path, start: StartWorker
) -> None:
    order = work(prefix, "id\n1\n", pb.RUN_KIND_INFER)
    (prefix / order.upload_path).write_text("id\n2\n")
    ingestion.queue.append(order)
    await start()
    await until(lambda: ingestion.told)
    assert ingestion.told[0].error.reason == "SOURCE_CHANGED"


async def test_ingestion_away_and_back(ingestion: FakeIngestion, prefix: Path, start: StartWorker) -> None:
    await ingestion.stop()
    worker = await start()
    await asyncio.sleep(0.5)
    assert not worker.done()
    ingestion.queue.append(work(prefix, many_rows(200_000)))
    await ingestion.start()
    # Away again while the load runs, and back: the result is still handed over.
    await until(lambda: not ingestion.queue)
    await ingestion.stop()
    await asyncio.sleep(1)
    await ingestion.start()
    await until(lambda: ingestion.told)
    assert ingestion.told[0].accepted.rows == 200_000


async def test_an_idle_worker_ends(start: StartWorker) -> None:
    worker = await start(idle_seconds=0.3)
    async with asyncio.timeout(5):
        await worker


async def test_a_stopped_worker_stops_its_load(
    ingestion: FakeIngestion, prefix: Path, start: StartWorker
) -> None:
    ingestion.queue.append(work(prefix, many_rows(400_000)))
    worker = await start()
    await until(lambda: ingestion.renewals)
    worker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await worker
    assert not ingestion.told
    assert list((prefix / "runs/1/lease-1").iterdir()) == []
