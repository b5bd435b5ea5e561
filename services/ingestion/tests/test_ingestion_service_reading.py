"""Uploads, looking at runs, reading quarantine."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from plaza.common.v1 import runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza.ingestion.v1 import worker_pb2
from plaza_ingestion.usecases import quarantine as quarantine_module
from plaza_ingestion.usecases.ports import UnknownRun
from plaza_kit.paging import BadPageToken
from plaza_kit.policy import NotPermitted
from plaza_kit.rpc.file_stream import CutOff, FileTooLarge
from plaza_kit.rpc.guard import InvalidRequest

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Ingestion = Any
HEADING = b"Station,Hour,PM2.5\r\n"
FILE = HEADING + b"a,1,35\r\nb,1,x\r\nb,2,\xff\r\nb,3,y,\r\n"


def files(ingestion: Ingestion) -> list[str]:
    return [path.name for path in ingestion.root.rglob("*") if path.is_file()]


async def test_an_upload_is_kept_whole(ingestion: Ingestion) -> None:
    upload = await ingestion.upload(FILE, "../../二月 *.csv")
    assert (upload.file_name, upload.size_bytes) == ("../../二月 *.csv", len(FILE))
    assert upload.sha256 == hashlib.sha256(FILE).hexdigest()
    assert upload.name.startswith(f"departments/{ingestion.department}/uploads/")
    assert files(ingestion) == ["二月 _.csv"]


async def test_bad_uploads_leave_nothing(ingestion: Ingestion) -> None:
    header = pb.UploadFileRequest(
        header=pb.UploadHeader(parent=f"departments/{ingestion.department}", file_name="a.csv")
    )
    chunk = pb.UploadFileRequest(chunk=b"x" * 4000)
    bad_name = pb.UploadFileRequest(header=pb.UploadHeader(parent="departments/X", file_name="a"))

    async def send(*messages: pb.UploadFileRequest, then: BaseException | None = None) -> None:
        async def stream() -> AsyncIterator[pb.UploadFileRequest]:
            for message in messages:
                yield message
            if then is not None:
                raise then

        await ingestion.api.UploadFile(stream(), RPC)

    ingestion.be()
    for error, messages in (
        (CutOff, (header, chunk)),
        (FileTooLarge, (header, chunk, chunk, chunk)),
        (InvalidRequest, (bad_name,)),
    ):
        with pytest.raises(error):
            await send(*messages)
    with pytest.raises(asyncio.CancelledError):
        await send(header, chunk, then=asyncio.CancelledError())
    ingestion.be("data-officer", "other")
    with pytest.raises(NotPermitted):
        await send(header, chunk)
    assert files(ingestion) == []


async def test_what_a_killed_process_left_is_removed_later(ingestion: Ingestion) -> None:
    await ingestion.upload(FILE)
    incoming = ingestion.root / "staging" / "departments" / ingestion.department / "uploads" / ".incoming"
    for name, age in (("old", 25), ("young", 1)):
        (incoming / name).write_bytes(b"x")
        os.utime(incoming / name, (time.time() - age * 3600,) * 2)
    await ingestion.upload(FILE)
    assert [path.name for path in incoming.iterdir()] == ["young"]


async def test_runs_are_listed_newest_first(ingestion: Ingestion) -> None:
    made = [(await ingestion.ingest(FILE + b"c,%d,1\n" % n)).name for n in range(3)]
    upload = await ingestion.upload(FILE)
    infer = await ingestion.api.InferContract(pb.InferContractRequest(upload=upload.name), RPC)
    parent = f"departments/{ingestion.department}"

    async def listed(**fields: Any) -> list[str]:
        names: list[str] = []
        token = ""
        while True:
            request = pb.ListRunsRequest(parent=parent, page_size=2, page_token=token, **fields)
            page = await ingestion.api.ListRuns(request, RPC)
            names += [run.name for run in page.runs]
            if not (token := page.next_page_token):
                return names

    ingestion.be("reader")
    assert await listed() == [infer.name, *reversed(made)]
    assert await listed(dataset=ingestion.dataset) == list(reversed(made))
    assert await listed(dataset=f"{parent}/datasets/other") == []
    with pytest.raises(BadPageToken):
        await ingestion.api.ListRuns(pb.ListRunsRequest(parent=parent, page_token="x"), RPC)
    with pytest.raises(UnknownRun):
        await ingestion.api.GetRun(pb.GetRunRequest(name=f"{parent}/runs/{'-' * 36}"), RPC)
    ingestion.be("reader", "other")
    with pytest.raises(NotPermitted):
        await ingestion.api.ListRuns(pb.ListRunsRequest(parent=parent), RPC)


async def test_a_watcher_sees_every_state_and_then_the_end(ingestion: Ingestion) -> None:
    run = await ingestion.ingest(FILE)
    seen: list[int] = []
    changed = asyncio.Event()

    async def watch() -> None:
        ingestion.be("reader")
        async for state in ingestion.api.WatchRun(pb.WatchRunRequest(name=run.name), RPC):
            seen.append(state.state)
            changed.set()

    async def until(state: int) -> None:
        while state not in seen:
            await changed.wait()
            changed.clear()

    async with asyncio.timeout(20):
        watching = asyncio.create_task(watch())
        await until(runs_pb2.RUN_STATE_QUEUED)
        work = await ingestion.lease()
        await until(runs_pb2.RUN_STATE_LEASED)
        await ingestion.work.RenewLease(worker_pb2.RenewLeaseRequest(lease=work.lease), RPC)
        await until(runs_pb2.RUN_STATE_RUNNING)
        await ingestion.work.CompleteLoad(await ingestion.stage(work), RPC)
        await until(runs_pb2.RUN_STATE_COMMITTING)
        await ingestion.commit()
        await watching
    assert seen == [1, 2, 3, 4, 5]


async def export(ingestion: Ingestion, run: str = "") -> bytes:
    request = pb.ExportQuarantineRequest(parent=ingestion.dataset, run=run)
    pieces = [piece async for piece in ingestion.api.ExportQuarantine(request, RPC)]
    assert {piece.content_type for piece in pieces} == {"text/csv"}
    return b"".join(piece.data for piece in pieces)


async def test_quarantine_in_pages_and_as_a_file(ingestion: Ingestion) -> None:
    ingestion.be()
    empty = await ingestion.api.ListQuarantinedRows(
        pb.ListQuarantinedRowsRequest(parent=ingestion.dataset), RPC
    )
    assert (list(empty.rows), empty.total_size) == ([], 0)
    assert await export(ingestion) == b""
    first = await ingestion.whole(FILE)
    second = await ingestion.whole(HEADING + b"q,q,1\r\n")
    found: list[pb.QuarantinedRow] = []
    token = ""
    while True:
        request = pb.ListQuarantinedRowsRequest(parent=ingestion.dataset, page_size=1, page_token=token)
        page = await ingestion.api.ListQuarantinedRows(request, RPC)
        assert page.total_size == 4
        found += page.rows
        if not (token := page.next_page_token):
            break
    assert [row.name for row in found] == sorted(row.name for row in found)
    assert len({row.name for row in found}) == 4
    records = b"b,1,x\nb,2,\xff\nb,3,y,\n"
    line = HEADING.rstrip() + b"\n"
    assert await export(ingestion, first.name) == line + records
    assert await export(ingestion, second.name) == line + b"q,q,1\n"
    both = await export(ingestion)
    assert both in (line + records + b"q,q,1\n", line + b"q,q,1\n" + records)
    # Another heading: then none would be true for all records.
    third = await ingestion.whole(b"Hour,Station,PM2.5\nz,z,1\n")
    assert await export(ingestion, third.name) == b"Hour,Station,PM2.5\nz,z,1\n"
    assert b"Station" not in await export(ingestion)
    with pytest.raises(UnknownRun):
        await export(ingestion, f"departments/{ingestion.department}/runs/{'0' * 36}")
    ingestion.be("reader")
    with pytest.raises(NotPermitted):
        await export(ingestion)


async def test_a_long_export_renews_its_grant(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    await ingestion.whole(HEADING + b"".join(b"a,x%d,1\n" % n for n in range(700)))
    monkeypatch.setattr(quarantine_module, "_RENEW_SECONDS", -1.0)
    asked = 0
    sign = ingestion.peer.quarantine_grant

    async def counted(dataset: str) -> str:
        nonlocal asked
        asked += 1
        return await sign(dataset)

    monkeypatch.setattr(ingestion.peer, "quarantine_grant", counted)
    assert (await export(ingestion)).count(b"\n") == 701
    assert asked >= 2


async def test_a_page_is_never_too_large_for_a_message(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ingestion.whole(HEADING + b"".join(b"a,x%d,1\n" % n for n in range(5)))
    monkeypatch.setattr(quarantine_module, "_PAGE_BYTES", 13)
    sizes, token = [], ""
    while True:
        request = pb.ListQuarantinedRowsRequest(parent=ingestion.dataset, page_token=token)
        page = await ingestion.api.ListQuarantinedRows(request, RPC)
        sizes.append(len(page.rows))
        if not (token := page.next_page_token):
            break
    assert sizes == [2, 2, 1]
