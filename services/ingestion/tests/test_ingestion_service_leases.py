"""Workers: leases, fences, manifests."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from plaza.common.v1 import runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza.ingestion.v1 import worker_pb2
from plaza_ingestion.domain.manifest import ManifestContradicts, PathOutsideLease
from plaza_ingestion.domain.runs import LeaseLost
from plaza_ingestion.storage.staging import NotAPlainFile, StagedFileChanged, StagedFileMissing
from plaza_ingestion.usecases.leases import Leases, WrongKind
from plaza_kit.policy import NotPermitted

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Ingestion = Any
FILE = b"Station,Hour,PM2.5\na,1,35\nb,1,x\n"


class Clock:
    """A service's clock in the test's hand."""

    def __init__(self, ingestion: Ingestion) -> None:
        self.now = datetime.now(UTC)
        ingestion.world = replace(ingestion.world, now=lambda: self.now)

    def on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


async def test_work_says_what_is_to_be_done(ingestion: Ingestion) -> None:
    assert await ingestion.lease() is None
    run = await ingestion.ingest(FILE)
    work = await ingestion.lease()
    assert work is not None
    assert (work.run, work.kind) == (run.name, pb.RUN_KIND_LOAD)
    assert work.contract == ingestion.peer.force.contract
    prefix = ingestion.root / "staging" / "departments" / ingestion.department
    assert (prefix / work.upload_path).read_bytes() == FILE
    assert work.output_path == f"runs/{run.name.rpartition('/')[2]}/{work.lease}"
    assert await ingestion.lease() is None
    answer = await ingestion.work.RenewLease(
        worker_pb2.RenewLeaseRequest(lease=work.lease, progress=pb.Progress(bytes_done=9, rows_read=1)), RPC
    )
    assert answer.expire_time.ToDatetime(tzinfo=UTC) > datetime.now(UTC)
    shown = await ingestion.get(run.name)
    assert (shown.state, shown.attempts) == (runs_pb2.RUN_STATE_RUNNING, 1)
    assert (shown.progress.bytes_done, shown.progress.rows_read) == (9, 1)


async def test_a_waiting_worker_gets_work_at_once(ingestion: Ingestion) -> None:
    waiting = asyncio.create_task(ingestion.lease(wait=0.9))
    await asyncio.sleep(0.1)
    run = await ingestion.ingest(FILE)
    work = await waiting
    assert work is not None
    assert work.run == run.name


async def test_oldest_first_and_each_once(ingestion: Ingestion) -> None:
    made = [(await ingestion.ingest(FILE + f"c,{n},1\n".encode())).name for n in range(3)]
    found = await asyncio.gather(*(ingestion.lease() for _ in range(5)))
    assert sorted(work.run for work in found if work is not None) == sorted(made)
    assert sum(work is None for work in found) == 2


async def test_a_late_worker_is_fenced_off(ingestion: Ingestion) -> None:
    clock = Clock(ingestion)
    run = await ingestion.ingest(FILE)
    first = await ingestion.lease()
    manifest = await ingestion.stage(first)
    clock.on(16)
    second = await ingestion.lease()
    assert second.run == run.name
    assert second.lease != first.lease
    assert second.output_path != first.output_path
    for call, request in (
        ("RenewLease", worker_pb2.RenewLeaseRequest(lease=first.lease)),
        ("CompleteLoad", manifest),
        ("FailWork", worker_pb2.FailWorkRequest(lease=first.lease, error=pb.RunError(reason="X"))),
    ):
        with pytest.raises(LeaseLost):
            await getattr(ingestion.work, call)(request, RPC)
    await ingestion.work.CompleteLoad(await ingestion.stage(second), RPC)
    await ingestion.commit()
    done = await ingestion.get(run.name)
    assert (done.state, done.version, done.attempts) == (runs_pb2.RUN_STATE_SUCCEEDED, 1, 2)


async def test_a_late_worker_that_nobody_replaced_goes_on(ingestion: Ingestion) -> None:
    clock = Clock(ingestion)
    await ingestion.ingest(FILE)
    work = await ingestion.lease()
    clock.on(60)
    await ingestion.work.RenewLease(worker_pb2.RenewLeaseRequest(lease=work.lease), RPC)
    assert await ingestion.lease() is None


@pytest.mark.parametrize("by", ["worker", "sweep"])
async def test_five_lost_workers_are_enough(ingestion: Ingestion, by: str) -> None:
    clock = Clock(ingestion)
    run = await ingestion.ingest(FILE)
    for _ in range(5):
        await ingestion.stage(await ingestion.lease())
        clock.on(16)
    if by == "worker":
        assert await ingestion.lease() is None
    else:
        await Leases(ingestion.world).bury_lost()
    done = await ingestion.get(run.name)
    assert (done.state, done.error.reason) == (runs_pb2.RUN_STATE_FAILED, "WORKER_LOST")
    assert list((ingestion.root / "staging").rglob("*.parquet")) == []
    await ingestion.ingest(FILE)


async def test_a_repeated_hand_over_commits_once(ingestion: Ingestion) -> None:
    run = await ingestion.ingest(FILE)
    manifest = await ingestion.stage(await ingestion.lease())
    await ingestion.work.CompleteLoad(manifest, RPC)
    await ingestion.work.CompleteLoad(manifest, RPC)
    with pytest.raises(LeaseLost):
        await ingestion.work.RenewLease(worker_pb2.RenewLeaseRequest(lease=manifest.lease), RPC)
    await ingestion.commit()
    ingestion.be_worker()
    await ingestion.work.CompleteLoad(manifest, RPC)
    assert (await ingestion.get(run.name)).version == 1
    assert len(await ingestion.events()) == 1


async def test_a_file_that_cannot_be_read_fails_with_the_workers_words(ingestion: Ingestion) -> None:
    run = await ingestion.ingest(FILE)
    work = await ingestion.lease()
    error = pb.RunError(reason="HEADER_MISMATCH", message="no column Station", remedy="correct it")
    for _ in range(2):
        await ingestion.work.FailWork(worker_pb2.FailWorkRequest(lease=work.lease, error=error), RPC)
    done = await ingestion.get(run.name)
    assert (done.state, done.error) == (runs_pb2.RUN_STATE_FAILED, error)
    again = await ingestion.whole(FILE)
    assert again.version == 1


async def test_an_inference(ingestion: Ingestion) -> None:
    upload = await ingestion.upload(FILE)
    request = pb.InferContractRequest(upload=upload.name, missing_values=["-9999", "缺测"])
    run = await ingestion.api.InferContract(request, RPC)
    assert (run.kind, run.state, run.dataset) == (pb.RUN_KIND_INFER, runs_pb2.RUN_STATE_QUEUED, "")
    work = await ingestion.lease()
    assert work.kind == pb.RUN_KIND_INFER
    assert list(work.missing_values) == ["-9999", "缺测"]
    assert not work.HasField("contract")
    proposal = pb.Proposal(contract=ingestion.peer.force.contract, key_reason="unique", rows=2, faulty_rows=1)
    proposal.format_reasons.append("the file is text, cut by ','")
    done_with = worker_pb2.CompleteInferenceRequest(lease=work.lease, proposal=proposal)
    with pytest.raises(WrongKind):
        await ingestion.work.CompleteLoad(worker_pb2.CompleteLoadRequest(lease=work.lease), RPC)
    for _ in range(2):
        await ingestion.work.CompleteInference(done_with, RPC)
    done = await ingestion.get(run.name)
    assert (done.state, done.proposal) == (runs_pb2.RUN_STATE_SUCCEEDED, proposal)


async def test_manifests_that_are_not_believed(ingestion: Ingestion) -> None:
    await ingestion.ingest(FILE)
    work = await ingestion.lease()
    good = await ingestion.stage(work)
    folder = ingestion.root / "staging" / "departments" / ingestion.department / work.output_path
    (folder / "link.parquet").symlink_to(folder / "accepted.parquet")
    os.mkfifo(folder / "pipe.parquet")

    async def refused(error: type[Exception], **changes: Any) -> None:
        manifest = worker_pb2.CompleteLoadRequest()
        manifest.CopyFrom(good)
        for name, value in changes.items():
            target, _, leaf = name.rpartition("__")
            setattr(getattr(manifest, target) if target else manifest, leaf, value)
        with pytest.raises(error):
            await ingestion.work.CompleteLoad(manifest, RPC)

    await refused(ManifestContradicts, rows_read=3)
    await refused(ManifestContradicts, positions__rows=2)
    await refused(StagedFileChanged, accepted__size_bytes=1)
    await refused(StagedFileMissing, accepted__path=f"{work.output_path}/other.parquet")
    await refused(NotAPlainFile, accepted__path=f"{work.output_path}/link.parquet")
    await refused(NotAPlainFile, accepted__path=f"{work.output_path}/pipe.parquet")
    for path in ("/etc/passwd", f"{work.output_path}/../x", work.upload_path, f"{work.output_path}/a/b", "x"):
        await refused(PathOutsideLease, accepted__path=path)
    outside = ingestion.root / "outside"
    folder.rename(outside)
    folder.symlink_to(outside)
    await refused(NotAPlainFile)
    folder.unlink()
    outside.rename(folder)
    await ingestion.work.CompleteLoad(good, RPC)


async def test_only_its_own_departments_work(ingestion: Ingestion) -> None:
    await ingestion.ingest(FILE)
    work = await ingestion.lease()
    ingestion.be_worker("other")
    request = worker_pb2.LeaseWorkRequest(department=f"departments/{ingestion.department}")
    with pytest.raises(NotPermitted):
        await ingestion.work.LeaseWork(request, RPC)
    with pytest.raises(LeaseLost):
        await ingestion.work.RenewLease(worker_pb2.RenewLeaseRequest(lease=work.lease), RPC)
    ingestion.be()
    with pytest.raises(NotPermitted):
        await ingestion.work.RenewLease(worker_pb2.RenewLeaseRequest(lease=work.lease), RPC)


async def test_who_waits(ingestion: Ingestion) -> None:
    clock = Clock(ingestion)
    name = f"departments/{ingestion.department}"

    async def waiting() -> tuple[int, int]:
        ingestion.be_service()
        answer = await ingestion.work.ListWaitingDepartments(worker_pb2.ListWaitingDepartmentsRequest(), RPC)
        queues = [(one.waiting, one.leased) for one in answer.queues if one.department == name]
        assert (name in answer.departments) is bool(queues and queues[0][0])
        return queues[0] if queues else (0, 0)

    assert await waiting() == (0, 0)
    await ingestion.ingest(FILE)
    await ingestion.ingest(FILE + b"4,5,6\n")
    assert await waiting() == (2, 0)
    await ingestion.lease()
    assert await waiting() == (1, 1)
    clock.on(16)
    assert await waiting() == (2, 0)
    ingestion.be()
    with pytest.raises(NotPermitted):
        await ingestion.work.ListWaitingDepartments(worker_pb2.ListWaitingDepartmentsRequest(), RPC)
