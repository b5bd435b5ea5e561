"""Pulls from end to end: a file at a web address becomes versions of a table, each change once."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from plaza.common.v1 import contract_pb2, runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza.ingestion.v1 import sources_pb2, worker_pb2
from plaza_ingestion.domain.load_step import LoadStep, PullStep
from plaza_ingestion.domain.manifest import PathOutsideLease
from plaza_ingestion.domain.runs import LeaseLost
from plaza_ingestion.storage.staging import StagedFileChanged, StagedFileMissing
from plaza_ingestion.usecases.bringing import NoPull
from plaza_ingestion.usecases.leases import Leases, WrongKind
from plaza_ingestion.usecases.source_words import SourcePaused
from plaza_kit.policy import NotPermitted
from plaza_kit.rpc.file_stream import FileTooLarge
from plaza_lake.overwrite import UpsertWithoutKey
from plaza_lake.versions import versions

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Ingestion = Any
Web = Any
HEADING = b"Station,Hour,PM2.5\n"
A = HEADING + b"a,1,35\nb,1,x\n"
B = HEADING + b"a,1,35\nc,2,7\n"
REPLACE = pb.LOAD_MODE_REPLACE


def http(web: Web) -> sources_pb2.HttpConnector:
    return sources_pb2.HttpConnector(url=f"{web.url}/air.csv")


def stations(ingestion: Ingestion) -> list[str]:
    return sorted(row["station"] for row in ingestion.rows())


def known(ingestion: Ingestion) -> int:
    return len(versions(ingestion.world.lake, ingestion.dataset))


async def test_a_file_comes_in(ingestion: Ingestion, web: Web) -> None:
    web.give(A, ETag='"a"', Last_Modified="Sat, 21 Nov 2026 08:00:00 GMT")
    source = await ingestion.source(http=http(web))
    assert (source.state, source.last_run) == (sources_pb2.SOURCE_STATE_ACTIVE, "")
    started = await ingestion.start_pull()
    assert (started.kind, started.upload, started.source) == (pb.RUN_KIND_LOAD, "", source.name)
    run = await ingestion.carried_out(started.name)
    assert (run.state, run.version, run.unchanged) == (runs_pb2.RUN_STATE_SUCCEEDED, 1, False)
    assert (run.file_name, run.upload.rpartition("/")[2]) == ("air.csv", run.name.rpartition("/")[2])
    assert (run.progress.rows_accepted, run.progress.rows_refused) == (1, 1)
    assert stations(ingestion) == ["a"]
    assert [row["file"] for row in ingestion.rows("quarantine")] == ["air.csv"]
    source = await ingestion.shown()
    assert (source.last_run, source.cursor.etag) == (run.name, '"a"')
    assert source.cursor.last_modified.startswith("Sat")
    assert source.HasField("last_success_time")
    assert list((ingestion.root / "staging").rglob("pulled")) == []


async def test_what_has_not_changed_makes_no_version(ingestion: Ingestion, web: Web) -> None:
    web.give(A, ETag='"a"')
    await ingestion.source(http=http(web))
    first = await ingestion.pulled()
    web.give(b"", 304, ETag='"a"')
    second = await ingestion.pulled()
    assert web.asked[-1][1]["if-none-match"] == '"a"'
    assert (second.state, second.unchanged, second.version) == (runs_pb2.RUN_STATE_SUCCEEDED, True, 0)
    # A server without validators: the same bytes tell.
    web.give(A)
    third = await ingestion.pulled()
    assert (third.unchanged, first.version, known(ingestion)) == (True, 1, 1)
    assert (await ingestion.shown()).cursor.etag == ""
    web.give(A)
    await ingestion.pulled()
    assert "if-none-match" not in web.asked[-1][1]
    assert len(await ingestion.events()) == 1


async def test_contents_may_come_back(ingestion: Ingestion, web: Web) -> None:
    await ingestion.source(http=http(web), mode=REPLACE)
    for body, wanted in ((A, ["a"]), (B, ["a", "c"]), (A, ["a"]), (A, ["a"])):
        web.give(body)
        await ingestion.pulled()
        assert stations(ingestion) == wanted
    assert known(ingestion) == 3


async def test_the_same_file_under_a_new_contract_is_read_again(ingestion: Ingestion, web: Web) -> None:
    web.give(A, ETag='"a"')
    await ingestion.source(http=http(web), mode=REPLACE)
    await ingestion.pulled()
    ingestion.peer.force = replace(ingestion.peer.force, version=2)
    run = await ingestion.pulled()
    assert "if-none-match" not in web.asked[-1][1]
    assert (run.unchanged, run.version) == (False, 2)
    assert (await ingestion.pulled()).unchanged


async def test_a_batch_of_refused_rows_moves_the_cursor(ingestion: Ingestion, web: Web) -> None:
    web.give(HEADING + b"a,x,1\n", ETag='"bad"')
    await ingestion.source(http=http(web))
    run = await ingestion.pulled()
    assert (run.state, run.version, run.progress.rows_refused) == (runs_pb2.RUN_STATE_SUCCEEDED, 0, 1)
    assert (await ingestion.shown()).cursor.etag == '"bad"'
    assert (await ingestion.pulled()).unchanged
    assert len(ingestion.rows("quarantine")) == 1


async def test_a_failed_pull_moves_nothing(ingestion: Ingestion, web: Web) -> None:
    web.give(A, ETag='"a"')
    await ingestion.source(http=http(web))
    await ingestion.pulled()
    before = (await ingestion.shown()).cursor
    web.give(b"gone", 404)
    run = await ingestion.pulled()
    assert (run.state, run.error.reason) == (runs_pb2.RUN_STATE_FAILED, "SOURCE_REFUSES")
    source = await ingestion.shown()
    assert (source.state, source.cursor) == (sources_pb2.SOURCE_STATE_FAILING, before)
    assert "404" in source.last_error.message
    # A file that was fetched but does not fit fails as its load does.
    web.give(b"x,y\n1,2\n", ETag='"y"')
    run_name = (await ingestion.start_pull()).name
    work = await ingestion.lease()
    await ingestion.work.CompletePull(await ingestion.fetch(work), RPC)
    work = await ingestion.lease()
    error = pb.RunError(reason="HEADER_MISMATCH", message="no column Station", remedy="correct it")
    await ingestion.work.FailWork(worker_pb2.FailWorkRequest(lease=work.lease, error=error), RPC)
    assert (await ingestion.get(run_name)).state == runs_pb2.RUN_STATE_FAILED
    assert (await ingestion.shown()).cursor == before
    web.give(B)
    assert (await ingestion.pulled()).version == 2
    source = await ingestion.shown()
    assert (source.state, source.HasField("last_error")) == (sources_pb2.SOURCE_STATE_ACTIVE, False)


async def test_one_pull_of_a_source_at_a_time(ingestion: Ingestion, web: Web) -> None:
    web.give(A)
    await ingestion.source(http=http(web))
    request_id = str(uuid.uuid4())
    first = await ingestion.start_pull(request_id=request_id)
    assert (await ingestion.start_pull()).name == first.name
    await ingestion.carried_out(first.name)
    assert (await ingestion.start_pull(request_id=request_id)).name == first.name
    assert (await ingestion.start_pull()).name != first.name


async def test_a_cancelled_pull(ingestion: Ingestion, web: Web) -> None:
    web.give(A)
    await ingestion.source(http=http(web))
    run = await ingestion.start_pull()
    work = await ingestion.lease()
    fetched = await ingestion.fetch(work)
    ingestion.be()
    await ingestion.api.CancelRun(pb.CancelRunRequest(name=run.name), RPC)
    ingestion.be_worker()
    with pytest.raises(LeaseLost):
        await ingestion.work.CompletePull(fetched, RPC)
    assert (await ingestion.shown()).state == sources_pb2.SOURCE_STATE_ACTIVE
    assert (await ingestion.pulled()).version == 1


async def test_who_may(ingestion: Ingestion, web: Web) -> None:
    source = await ingestion.source(http=http(web))
    ingestion.be("reader")
    for call, request in (
        ("PullSource", sources_pb2.PullSourceRequest(name=source.name)),
        ("PauseSource", sources_pb2.PauseSourceRequest(name=source.name)),
        ("GetSource", sources_pb2.GetSourceRequest(name=source.name)),
    ):
        with pytest.raises(NotPermitted):
            await getattr(ingestion.sources, call)(request, RPC)
    ingestion.be("data-officer", "elsewhere")
    with pytest.raises(NotPermitted):
        await ingestion.sources.GetSource(sources_pb2.GetSourceRequest(name=source.name), RPC)


async def test_upsert_needs_a_key(ingestion: Ingestion, web: Web) -> None:
    keyless = contract_pb2.Contract()
    keyless.CopyFrom(ingestion.peer.force.contract)
    del keyless.key[:]
    ingestion.peer.force = replace(ingestion.peer.force, contract=keyless)
    with pytest.raises(UpsertWithoutKey):
        await ingestion.source(http=http(web), mode=pb.LOAD_MODE_UPSERT)


async def test_the_wrong_way_to_hand_back(ingestion: Ingestion, web: Web) -> None:
    web.give(A)
    await ingestion.source(http=http(web))
    await ingestion.start_pull()
    work = await ingestion.lease()
    assert work.HasField("pull")
    assert not work.upload_path
    assert not work.HasField("contract")
    good = await ingestion.fetch(work)
    with pytest.raises(WrongKind):
        await ingestion.work.CompleteLoad(worker_pb2.CompleteLoadRequest(lease=work.lease), RPC)

    async def refused(error: type[Exception], **file: Any) -> None:
        request = worker_pb2.CompletePullRequest()
        request.CopyFrom(good)
        for name, value in file.items():
            setattr(request.file, name, value)
        with pytest.raises(error):
            await ingestion.work.CompletePull(request, RPC)

    await refused(StagedFileChanged, sha256="0" * 64)
    await refused(StagedFileChanged, size_bytes=1)
    await refused(PathOutsideLease, path="uploads/x/y")
    await refused(PathOutsideLease, path=f"{work.output_path}/../x")
    await refused(StagedFileMissing, path=f"{work.output_path}/other")
    roomy = ingestion.world
    ingestion.world = replace(roomy, upload_limit_bytes=10)
    await refused(FileTooLarge)
    ingestion.world = roomy
    for _ in range(2):
        await ingestion.work.CompletePull(good, RPC)
    work = await ingestion.lease()
    with pytest.raises(NoPull):
        request = worker_pb2.CompletePullRequest(lease=work.lease, not_modified=True)
        await ingestion.work.CompletePull(request, RPC)


class Killed(BaseException):
    """As if the process had ended here: nothing catches it."""


@pytest.mark.parametrize("step", [*PullStep, *LoadStep])
async def test_cut_off_at_each_step(ingestion: Ingestion, web: Web, step: PullStep | LoadStep) -> None:
    seen: list[PullStep | LoadStep] = []

    def cut(at: PullStep | LoadStep) -> None:
        seen.append(at)
        if at is step and seen.count(at) == 1:
            raise Killed

    ingestion.world = replace(ingestion.world, on_step=cut, on_pull_step=cut)
    web.give(A, ETag='"a"')
    await ingestion.source(http=http(web), mode=REPLACE)
    run = await ingestion.start_pull()
    work = await ingestion.lease()
    fetched = await ingestion.fetch(work)

    async def again(call: Any) -> None:
        try:
            await call()
        except Killed:
            await call()

    await again(lambda: ingestion.work.CompletePull(fetched, RPC))
    work = await ingestion.lease()
    manifest = await ingestion.stage(work)
    await ingestion.work.CompleteLoad(manifest, RPC)
    await again(ingestion.commit)
    assert step in seen
    done = await ingestion.get(run.name)
    assert (done.state, done.version) == (runs_pb2.RUN_STATE_SUCCEEDED, 1)
    assert (stations(ingestion), known(ingestion), len(await ingestion.events())) == (["a"], 1, 1)
    assert (await ingestion.shown()).cursor.etag == '"a"'
    assert (await ingestion.pulled()).unchanged


async def test_a_worker_killed_with_its_file_fetched(ingestion: Ingestion, web: Web) -> None:
    """Its lease runs out; another one fetches again, also when the file was moved already and is a newer one."""
    now = datetime.now(UTC)
    ingestion.world = replace(ingestion.world, now=lambda: now)
    web.give(A)
    await ingestion.source(http=http(web))
    run = await ingestion.start_pull()

    def die(_: PullStep) -> None:
        raise Killed

    ingestion.world = replace(ingestion.world, on_pull_step=die)
    first = await ingestion.fetch(await ingestion.lease())
    with pytest.raises(Killed):
        await ingestion.work.CompletePull(first, RPC)
    now += timedelta(seconds=60)
    ingestion.world = replace(ingestion.world, on_pull_step=lambda _: None)
    web.give(B)
    done = await ingestion.carried_out(run.name)
    assert (done.version, stations(ingestion)) == (1, ["a", "c"])
    ingestion.be_worker()
    with pytest.raises(LeaseLost):
        await ingestion.work.CompletePull(first, RPC)


async def test_five_lost_workers_fail_the_source(ingestion: Ingestion, web: Web) -> None:
    now = datetime.now(UTC)
    ingestion.world = replace(ingestion.world, now=lambda: now)
    web.give(A)
    await ingestion.source(http=http(web))
    await ingestion.start_pull()
    for _ in range(5):
        assert await ingestion.lease() is not None
        now += timedelta(seconds=16)
    await Leases(ingestion.world).bury_lost()
    source = await ingestion.shown()
    assert (source.state, source.last_error.reason) == (sources_pb2.SOURCE_STATE_FAILING, "WORKER_LOST")
    assert (await ingestion.pulled()).version == 1


async def test_a_paused_source_is_not_pulled(ingestion: Ingestion, web: Web) -> None:
    source = await ingestion.source(http=http(web))
    for _ in range(2):
        paused = await ingestion.sources.PauseSource(sources_pb2.PauseSourceRequest(name=source.name), RPC)
    assert paused.state == sources_pb2.SOURCE_STATE_PAUSED
    with pytest.raises(SourcePaused):
        await ingestion.start_pull()
    await ingestion.sources.ResumeSource(sources_pb2.ResumeSourceRequest(name=source.name), RPC)
    web.give(A)
    assert (await ingestion.pulled()).version == 1
