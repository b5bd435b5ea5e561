"""A file from the upload to rows, quarantine and event."""

from __future__ import annotations

import asyncio
import hashlib
import io
import uuid
import zipfile
from typing import Any, cast

import pytest
from plaza.common.v1 import runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza_ingestion.domain.batches import AlreadyIngested
from plaza_ingestion.usecases.commit import ALL_REFUSED, NOTHING_READ, Commit
from plaza_ingestion.usecases.leases import COMMIT_JOB
from plaza_ingestion.usecases.ports import ContractInForce, UnknownUpload
from plaza_ingestion.usecases.starting import UploadElsewhere
from plaza_kit.db import Scope
from plaza_kit.db.jobs import Jobs
from plaza_kit.db.requests import RequestIdReused
from plaza_kit.policy import NotPermitted
from plaza_lake.schema import InvalidFieldName
from sqlalchemy import text

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Ingestion = Any
"""The fixture's class lives in conftest, which tests do not import."""

HEADING = b"Station,Hour,PM2.5\n"
FIRST = HEADING + b"a,1,35\na,2,NA\nb,1,x\na,1,36\n\xff,3,1\nb,2,4\n"
"""Three good rows; one bad number (line 4), a duplicate key (5), bad UTF-8 (6)."""


async def test_a_file_becomes_a_version_and_its_bad_rows_quarantine(ingestion: Ingestion) -> None:
    run = await ingestion.whole(FIRST)
    assert run.state == runs_pb2.RUN_STATE_SUCCEEDED
    assert (run.version, run.attempts, run.started_by) == (1, 1, "王数据")
    progress = run.progress
    assert (progress.rows_read, progress.rows_accepted, progress.rows_refused) == (6, 3, 3)
    assert progress.bytes_done == progress.bytes_total == len(FIRST)
    assert dict(run.refused_by_reason) == {"duplicate_key": 1, "encoding": 1, "type": 1}
    assert run.HasField("end_time")
    assert [(r["station"], r["hour"], r["pm2_5"]) for r in ingestion.rows()] == [
        ("a", 1, 35.0),
        ("a", 2, None),
        ("b", 2, 4.0),
    ]
    refused = await ingestion.api.ListQuarantinedRows(
        pb.ListQuarantinedRowsRequest(parent=ingestion.dataset, run=run.name), RPC
    )
    assert [(r.line, r.field, r.reason, r.original) for r in refused.rows] == [
        (4, "pm2_5", "type", b"b,1,x"),
        (5, "", "duplicate_key", b"a,1,36"),
        (6, "station", "encoding", b"\xff,3,1"),
    ]
    assert refused.total_size == 3
    assert refused.rows[2].original_text == "\ufffd,3,1"
    batch = refused.rows[0].batch
    assert refused.rows[0].name == f"{ingestion.dataset}/quarantine/{batch}-4"
    assert refused.rows[0].file_name == "air.csv"
    assert await ingestion.events() == [
        (
            "city.plaza.ingestion.version.committed.v1",
            f"{ingestion.dataset}/versions/1",
            {
                "dataset": ingestion.dataset,
                "version": 1,
                "rows": 3,
                "rows_added": 3,
                "rows_removed": 0,
                "mode": "append",
                "rows_refused": 3,
                "batch": batch,
                "contract_version": 1,
                "run": run.name,
                "source_sha256": hashlib.sha256(FIRST).hexdigest(),
            },
        )
    ]
    staging = ingestion.root / "staging"
    left = [path.relative_to(staging).parts for path in staging.rglob("*") if path.is_file()]
    assert [(parts[:3], parts[-1]) for parts in left] == [
        (("departments", ingestion.department, "uploads"), "air.csv")
    ]


async def test_the_same_file_is_told_so(ingestion: Ingestion) -> None:
    first = await ingestion.loaded(FIRST)
    with pytest.raises(AlreadyIngested, match="is being ingested already by") as raised:
        await ingestion.ingest(FIRST)
    assert "version" not in raised.value.facts
    await ingestion.commit()
    with pytest.raises(AlreadyIngested, match="already ingested as version 1 by") as raised:
        await ingestion.ingest(FIRST)
    assert raised.value.facts["run"] == first.name
    assert raised.value.facts["version"] == "1"
    assert "--reload" in raised.value.remedy
    ingestion.peer.force = ContractInForce(ingestion.peer.force.contract, 2)
    again = await ingestion.whole(FIRST)
    assert (again.version, again.progress.rows_refused) == (0, 6)


async def test_one_of_many_at_once_gets_the_file(ingestion: Ingestion) -> None:
    upload = await ingestion.upload(FIRST)
    request = pb.IngestUploadRequest(dataset=ingestion.dataset, upload=upload.name)
    answers = await asyncio.gather(
        *(ingestion.api.IngestUpload(request, RPC) for _ in range(6)), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["AlreadyIngested"] * 5 + ["Run"]


async def test_a_reload_is_a_batch_of_its_own(ingestion: Ingestion) -> None:
    await ingestion.whole(FIRST)
    run = await ingestion.whole(FIRST, reload_reason="the station's clock was wrong")
    assert run.state == runs_pb2.RUN_STATE_SUCCEEDED
    assert run.version == 0
    assert list(run.warnings) == [ALL_REFUSED]
    assert dict(run.refused_by_reason) == {"duplicate_key": 4, "encoding": 1, "type": 1}
    assert len(ingestion.rows()) == 3
    assert len(ingestion.rows("quarantine")) == 9
    kind, subject, data = (await ingestion.events())[-1]
    assert kind == "city.plaza.ingestion.batch.refused.v1"
    assert subject == f"{ingestion.dataset}/batches/{data['batch']}"
    assert (data["rows_refused"], data["run"]) == (6, run.name)
    assert "version" not in data


async def test_keys_of_the_table_are_refused_with_their_bytes(ingestion: Ingestion) -> None:
    await ingestion.whole(FIRST)
    second = HEADING + b"c,1,1\na,2,99\n\nz,z,z\nb,2,NA\n"
    run = await ingestion.whole(second)
    assert (run.version, run.progress.rows_read, run.progress.rows_refused) == (2, 4, 3)
    assert dict(run.refused_by_reason) == {"duplicate_key": 2, "type": 1}
    listed = await ingestion.api.ListQuarantinedRows(
        pb.ListQuarantinedRowsRequest(parent=ingestion.dataset, run=run.name), RPC
    )
    assert [(r.line, r.reason, r.original) for r in listed.rows] == [
        (3, "duplicate_key", b"a,2,99"),
        (5, "type", b"z,z,z"),
        (6, "duplicate_key", b"b,2,NA"),
    ]
    assert [(r["station"], r["hour"], r["pm2_5"]) for r in ingestion.rows()][-1] == ("c", 1, 1.0)
    event = (await ingestion.events())[-1][2]
    assert (event["version"], event["rows"], event["rows_added"]) == (2, 4, 1)


async def test_a_refused_batch_may_come_again_and_is_counted_once(ingestion: Ingestion) -> None:
    bad = HEADING + b"a,x,1\na,y,1\n"
    first = await ingestion.whole(bad)
    second = await ingestion.whole(bad)
    for run in (first, second):
        assert (run.version, run.progress.rows_refused) == (0, 2)
    assert len(ingestion.rows("quarantine")) == 2
    assert ingestion.rows() == []


async def test_a_file_without_rows(ingestion: Ingestion) -> None:
    run = await ingestion.whole(HEADING)
    assert run.state == runs_pb2.RUN_STATE_SUCCEEDED
    assert list(run.warnings) == [NOTHING_READ]
    assert ingestion.rows() == ingestion.rows("quarantine") == []
    assert [kind for kind, _, _ in await ingestion.events()] == ["city.plaza.ingestion.batch.refused.v1"]


async def test_a_repeated_request_is_harmless(ingestion: Ingestion) -> None:
    upload = await ingestion.upload(FIRST)
    request = pb.IngestUploadRequest(
        dataset=ingestion.dataset, upload=upload.name, request_id=str(uuid.uuid4())
    )
    first = await ingestion.api.IngestUpload(request, RPC)
    assert await ingestion.api.IngestUpload(request, RPC) == first
    request.reload_reason = "other"
    with pytest.raises(RequestIdReused):
        await ingestion.api.IngestUpload(request, RPC)


async def test_what_cannot_be_started(ingestion: Ingestion) -> None:
    upload = await ingestion.upload(FIRST)
    elsewhere = pb.IngestUploadRequest(dataset="departments/other/datasets/air", upload=upload.name)
    with pytest.raises(UploadElsewhere):
        await ingestion.api.IngestUpload(elsewhere, RPC)
    nothing = f"departments/{ingestion.department}/uploads/{uuid.uuid4()}"
    with pytest.raises(UnknownUpload):
        await ingestion.api.IngestUpload(
            pb.IngestUploadRequest(dataset=ingestion.dataset, upload=nothing), RPC
        )
    with pytest.raises(UnknownUpload):
        await ingestion.api.InferContract(pb.InferContractRequest(upload=nothing), RPC)
    ingestion.peer.force.contract.fields[0].name = "filename"
    with pytest.raises(InvalidFieldName):
        await ingestion.api.IngestUpload(
            pb.IngestUploadRequest(dataset=ingestion.dataset, upload=upload.name), RPC
        )
    ingestion.be("reader")
    with pytest.raises(NotPermitted):
        await ingestion.api.IngestUpload(
            pb.IngestUploadRequest(dataset=ingestion.dataset, upload=upload.name), RPC
        )


async def test_the_queue_runs_the_commit(ingestion: Ingestion, ingestion_url: str) -> None:
    jobs = Jobs(ingestion_url, "ingestion")
    jobs.register(COMMIT_JOB, Commit(ingestion.world).run)
    run = await ingestion.loaded(FIRST)
    task = asyncio.create_task(jobs.run())
    try:
        for _ in range(100):
            if (await ingestion.get(run.name)).version == 1:
                break
            await asyncio.sleep(0.1)
        else:
            pytest.fail("the job was not run")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_departments_do_not_see_each_other(ingestion: Ingestion) -> None:
    run = await ingestion.whole(FIRST)
    async with ingestion.world.database.transaction(Scope.department("other")) as connection:
        for table in ("uploads", "runs", "batches"):
            found = await connection.execute(
                text(f"SELECT 1 FROM {table} WHERE department = :d"), {"d": ingestion.department}
            )
            assert found.first() is None
    ingestion.be("reader", "other")
    with pytest.raises(NotPermitted):
        await ingestion.api.GetRun(pb.GetRunRequest(name=run.name), RPC)


async def test_each_file_of_an_archive_is_a_batch_of_its_own(ingestion: Ingestion) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", "Station,Hour,PM2.5\na,1,1\n")
        archive.writestr("b.csv", "Hour,Station,PM2.5\n1,b,2\n")
    data = packed.getvalue()
    assert (await ingestion.whole(data, entry="a.csv")).version == 1
    run = await ingestion.whole(data, entry="b.csv")
    assert (run.version, run.entry) == (2, "b.csv")
    assert sorted(row["station"] for row in ingestion.rows()) == ["a", "b"]
    with pytest.raises(AlreadyIngested):
        await ingestion.ingest(data, entry="a.csv")
