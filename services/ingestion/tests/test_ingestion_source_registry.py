"""Registering sources, changing them, and pulls whose time has come."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import grpc
import orjson
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from plaza.common.v1 import runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza.ingestion.v1 import sources_pb2, worker_pb2
from plaza_ingestion.domain.sources import BadSource
from plaza_ingestion.usecases import source_words as words
from plaza_ingestion.usecases.ports import SystemState
from plaza_kit.db import Scope
from plaza_kit.errors import Unavailable
from plaza_kit.policy import NotPermitted
from plaza_kit.rpc.guard import InvalidRequest
from sqlalchemy import text

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Ingestion = Any
Web = Any
BODY = b"Station,Hour,PM2.5\na,1,35\n"
HTTP = sources_pb2.HttpConnector(url="https://example.org/air.csv")
HOURLY = sources_pb2.PullSchedule(cron="0 * * * *")


class Clock:
    """A service's clock in the test's hand."""

    def __init__(self, ingestion: Ingestion) -> None:
        self.now = datetime.now(UTC).replace(minute=30, second=0, microsecond=0)
        ingestion.world = replace(ingestion.world, now=lambda: self.now)
        ingestion.peer.granter.now = self.now

    def on(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)


async def update(ingestion: Ingestion, paths: list[str], **fields: Any) -> sources_pb2.Source:
    name = f"departments/{ingestion.department}/sources/feed"
    request = sources_pb2.UpdateSourceRequest(
        source=sources_pb2.Source(name=name, **fields), update_mask=FieldMask(paths=paths)
    )
    return await ingestion.sources.UpdateSource(request, RPC)


async def test_a_source_is_registered_once(ingestion: Ingestion) -> None:
    made = await ingestion.source(http=HTTP, state=sources_pb2.SOURCE_STATE_PAUSED, last_run="x")
    assert made == await ingestion.shown()
    assert (made.http, made.state, made.last_run) == (HTTP, sources_pb2.SOURCE_STATE_ACTIVE, "")
    assert made.create_time == made.update_time
    assert not made.HasField("next_pull_time")
    with pytest.raises(words.SourceExists):
        await ingestion.source(http=HTTP)
    request = sources_pb2.CreateSourceRequest(
        parent=f"departments/{ingestion.department}",
        source_id="other",
        source=made,
        request_id=str(uuid.uuid4()),
    )
    first = await ingestion.sources.CreateSource(request, RPC)
    assert await ingestion.sources.CreateSource(request, RPC) == first
    request = sources_pb2.ListSourcesRequest(parent=f"departments/{ingestion.department}", page_size=1)
    page = await ingestion.sources.ListSources(request, RPC)
    assert [one.name for one in page.sources] == [made.name]
    request.page_token = page.next_page_token
    page = await ingestion.sources.ListSources(request, RPC)
    assert [one.name.rpartition("/")[2] for one in page.sources] == ["other"]
    assert not page.next_page_token
    with pytest.raises(words.UnknownSource):
        await ingestion.sources.GetSource(sources_pb2.GetSourceRequest(name=made.name + "x"), RPC)


async def test_who_registers(ingestion: Ingestion) -> None:
    with pytest.raises(BadSource):
        await ingestion.source(http=HTTP, dataset="departments/other/datasets/air")
    ingestion.be("reader")
    request = sources_pb2.CreateSourceRequest(
        parent=f"departments/{ingestion.department}", source_id="feed", source=sources_pb2.Source(http=HTTP)
    )
    with pytest.raises(NotPermitted):
        await ingestion.sources.CreateSource(request, RPC)
    ingestion.be_worker()
    with pytest.raises(NotPermitted):
        await ingestion.sources.CreateSource(request, RPC)


async def test_changes_are_told_and_checked(ingestion: Ingestion) -> None:
    made = await ingestion.source(http=HTTP)
    changed = await update(ingestion, ["owner"], owner="新的处", etag=made.etag)
    assert (changed.owner, changed.display_name, changed.etag == made.etag) == (
        "新的处",
        made.display_name,
        False,
    )
    with pytest.raises(words.EtagMismatch):
        await update(ingestion, ["owner"], owner="x", etag=made.etag)
    assert (await update(ingestion, ["owner"], owner="新的处")).etag == changed.etag
    with pytest.raises(InvalidRequest):
        await update(ingestion, ["owner"], owner="")
    with pytest.raises(InvalidRequest):
        await update(ingestion, ["http"])
    with pytest.raises(BadSource):
        await update(ingestion, ["dataset"], dataset="departments/other/datasets/air")
    async with ingestion.world.database.transaction(Scope.everything()) as connection:
        found = await connection.execute(
            text("SELECT type, data FROM outbox WHERE subject = :name ORDER BY seq"), {"name": made.name}
        )
        events = [(row.type.split(".")[-2], orjson.loads(row.data)) for row in found]
    assert [what for what, _ in events] == ["created", "updated"]
    assert events[1][1] == {
        "source": made.name,
        "dataset": ingestion.dataset,
        "class": "government",
        "owner": "新的处",
        "lawful_basis": made.lawful_basis,
        "connector": "http",
        "etag": changed.etag,
    }


async def test_what_is_pulled_cannot_change_under_a_pull(ingestion: Ingestion, web: Web) -> None:
    web.give(BODY, ETag='"a"')
    await ingestion.source(http=sources_pb2.HttpConnector(url=web.url))
    run = await ingestion.start_pull()
    for field, value in (("mode", pb.LOAD_MODE_REPLACE), ("http", HTTP)):
        with pytest.raises(words.SourceBusy):
            await update(ingestion, [field], **{field: value})
    await update(ingestion, ["owner"], owner="anybody")
    await ingestion.carried_out(run.name)
    assert (await ingestion.shown()).cursor.etag
    ingestion.be()
    changed = await update(ingestion, ["mode"], mode=pb.LOAD_MODE_REPLACE)
    assert changed.cursor == sources_pb2.PullCursor()
    again = await ingestion.pulled()
    assert (again.version, again.rows_removed) == (2, 1)


async def waiting(ingestion: Ingestion) -> bool:
    ingestion.be_service()
    answer = await ingestion.work.ListWaitingDepartments(worker_pb2.ListWaitingDepartmentsRequest(), RPC)
    return f"departments/{ingestion.department}" in answer.departments


async def test_a_pull_whose_time_has_come(ingestion: Ingestion, web: Web) -> None:
    clock = Clock(ingestion)
    web.give(BODY)
    made = await ingestion.source(http=sources_pb2.HttpConnector(url=web.url), schedule=HOURLY)
    assert made.next_pull_time.ToDatetime(tzinfo=UTC) == clock.now + timedelta(minutes=30)
    assert not await waiting(ingestion)
    assert await ingestion.lease() is None
    clock.on(minutes=31)
    ingestion.peer.granter.now = clock.now
    assert await waiting(ingestion)
    work = await ingestion.lease()
    assert work.pull.source == made.name
    assert await ingestion.lease() is None
    assert not await waiting(ingestion)
    run = await ingestion.get(work.run)
    assert run.started_by
    await ingestion.lease()  # with the machine's own right, in nobody else's name
    fetched = await ingestion.fetch(work)
    await ingestion.work.CompletePull(fetched, RPC)
    assert await waiting(ingestion)
    work = await ingestion.lease()
    await ingestion.work.CompleteLoad(await ingestion.stage(work), RPC)
    await ingestion.commit()
    done = await ingestion.get(run.name)
    assert (done.state, done.version, done.error.message) == (runs_pb2.RUN_STATE_SUCCEEDED, 1, "")
    shown = await ingestion.shown()
    assert shown.next_pull_time.ToDatetime(tzinfo=UTC) == clock.now + timedelta(minutes=59)
    async with ingestion.world.database.transaction(Scope.everything()) as connection:
        principal = await connection.execute(
            text(
                "SELECT principal FROM outbox WHERE type LIKE '%version.committed%' AND subject LIKE :dataset"
            ),
            {"dataset": f"{ingestion.dataset}%"},
        )
        assert principal.scalar_one() == f"machines/{ingestion.department}-worker"


async def test_a_failing_source_is_tried_less_and_less(ingestion: Ingestion, web: Web) -> None:
    clock = Clock(ingestion)
    web.give(b"", 404)
    await ingestion.source(http=sources_pb2.HttpConnector(url=web.url), schedule=HOURLY)
    clock.on(minutes=31)
    for pause in (1, 2, 4):
        work = await ingestion.lease()
        run = work.run
        error = pb.RunError(reason="SOURCE_REFUSES", message="HTTP 404")
        await ingestion.work.FailWork(worker_pb2.FailWorkRequest(lease=work.lease, error=error), RPC)
        assert (await ingestion.get(run)).state == runs_pb2.RUN_STATE_FAILED
        shown = await ingestion.shown()
        assert shown.state == sources_pb2.SOURCE_STATE_FAILING
        assert shown.next_pull_time.ToDatetime(tzinfo=UTC) == clock.now + timedelta(minutes=pause)
        assert await ingestion.lease() is None
        clock.on(minutes=pause)
    web.give(BODY)
    work = await ingestion.lease()
    await ingestion.work.CompletePull(await ingestion.fetch(work), RPC)
    work = await ingestion.lease()
    await ingestion.work.CompleteLoad(await ingestion.stage(work), RPC)
    await ingestion.commit()
    shown = await ingestion.shown()
    assert shown.state == sources_pb2.SOURCE_STATE_ACTIVE
    assert shown.next_pull_time.ToDatetime(tzinfo=UTC).minute == 0


class Refused(grpc.aio.AioRpcError):
    """As a peer answers."""

    def __init__(self) -> None:
        empty = grpc.aio.Metadata()
        super().__init__(grpc.StatusCode.NOT_FOUND, empty, empty, details="there is no such dataset")


class Away(Unavailable):
    """As a peer that does not answer."""


@pytest.mark.parametrize("error", [Refused(), Away("catalogue does not answer")])
async def test_a_pull_that_cannot_be_started_is_told_on_its_source(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    clock = Clock(ingestion)
    await ingestion.source(http=HTTP, schedule=HOURLY)
    clock.on(minutes=31)

    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(ingestion.peer, "contract", fail)
    assert await ingestion.lease() is None
    shown = await ingestion.shown()
    assert (shown.state, shown.last_run) == (sources_pb2.SOURCE_STATE_FAILING, "")
    assert shown.last_error.reason in ("NOT_FOUND", "AWAY")
    assert shown.last_error.message
    monkeypatch.undo()
    clock.on(minutes=1)
    assert await ingestion.lease() is not None


async def test_two_workers_start_a_due_pull_once(ingestion: Ingestion) -> None:
    import asyncio

    clock = Clock(ingestion)
    await ingestion.source(http=HTTP, schedule=HOURLY)
    clock.on(minutes=31)
    found = await asyncio.gather(*(ingestion.lease() for _ in range(4)))
    assert sum(work is not None for work in found) == 1
    ingestion.be()
    request = pb.ListRunsRequest(parent=f"departments/{ingestion.department}")
    assert len((await ingestion.api.ListRuns(request, RPC)).runs) == 1


async def test_pausing(ingestion: Ingestion) -> None:
    clock = Clock(ingestion)
    made = await ingestion.source(http=HTTP, schedule=HOURLY)
    stale = sources_pb2.PauseSourceRequest(name=made.name, etag="other")
    with pytest.raises(words.EtagMismatch):
        await ingestion.sources.PauseSource(stale, RPC)
    paused = await ingestion.sources.PauseSource(sources_pb2.PauseSourceRequest(name=made.name), RPC)
    assert not paused.HasField("next_pull_time")
    await update(ingestion, ["schedule"], schedule=sources_pb2.PullSchedule(cron="5 * * * *"))
    clock.on(minutes=90)
    assert await ingestion.lease() is None
    ingestion.be()
    resumed = await ingestion.sources.ResumeSource(sources_pb2.ResumeSourceRequest(name=made.name), RPC)
    assert resumed.next_pull_time.ToDatetime(tzinfo=UTC) == clock.now + timedelta(minutes=5)
    await update(ingestion, ["schedule"])
    assert not (await ingestion.shown()).HasField("next_pull_time")


async def test_progress_of_a_fetch_is_seen(ingestion: Ingestion) -> None:
    await ingestion.source(http=HTTP)
    run = await ingestion.start_pull()
    work = await ingestion.lease()
    request = worker_pb2.RenewLeaseRequest(lease=work.lease, progress=pb.Progress(bytes_done=12_345))
    await ingestion.work.RenewLease(request, RPC)
    shown = await ingestion.get(run.name)
    assert (shown.progress.bytes_done, shown.progress.bytes_total) == (12_345, 0)
    assert not shown.HasField("remaining_seconds")


async def test_the_source_system_is_one_of_the_department_that_gives_data(ingestion: Ingestion) -> None:
    own = f"departments/{ingestion.department}/sourceSystems"
    ingestion.peer.systems = {
        f"{own}/stations": SystemState.ACTIVE,
        f"{own}/old": SystemState.RETIRED,
        "departments/other/sourceSystems/theirs": SystemState.ACTIVE,
    }
    with pytest.raises(words.UnknownSourceSystem, match="is not registered") as refused:
        await ingestion.source(http=HTTP, source_system=f"{own}/nowhere")
    assert f"source-system add {ingestion.department}/nowhere" in refused.value.remedy
    with pytest.raises(words.UnknownSourceSystem, match="is retired"):
        await ingestion.source(http=HTTP, source_system=f"{own}/old")
    with pytest.raises(BadSource, match="source_system: is not of departments/"):
        await ingestion.source(http=HTTP, source_system="departments/other/sourceSystems/theirs")
    made = await ingestion.source(http=HTTP, source_system=f"{own}/stations")
    with pytest.raises(words.UnknownSourceSystem):
        await update(ingestion, ["source_system"], source_system=f"{own}/nowhere")
    # One that is retired later hinders no other change.
    ingestion.peer.systems[made.source_system] = SystemState.RETIRED
    assert (await update(ingestion, ["owner"], owner="新的处")).source_system == made.source_system
    assert (await update(ingestion, ["source_system"])).source_system == ""
