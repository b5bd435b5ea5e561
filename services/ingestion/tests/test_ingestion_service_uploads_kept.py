"""Which uploads are removed by rule, and that a removed one says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza.ingestion.v1 import sources_pb2
from plaza_ingestion.domain.batches import AlreadyIngested
from plaza_ingestion.storage.staging import Staging
from plaza_ingestion.usecases.ports import UploadExpired
from plaza_ingestion.usecases.upload_retention import UploadRetention
from plaza_kit.db import Scope
from sqlalchemy import text

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Ingestion = Any
Web = Any
FILE = b"Station,Hour,PM2.5\na,1,35\nb,1,x\n"
KEEP = timedelta(days=30)


def later(ingestion: Ingestion, days: float) -> None:
    ingestion.world = replace(ingestion.world, now=lambda: datetime.now(UTC) + timedelta(days=days))


async def look(ingestion: Ingestion) -> None:
    await UploadRetention(ingestion.world, KEEP, "services/ingestion").look()


def files(ingestion: Ingestion) -> list[str]:
    folder: Path = ingestion.root / "staging" / "departments" / ingestion.department / "uploads"
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


async def events(ingestion: Ingestion) -> list[str]:
    async with ingestion.world.database.transaction(Scope.everything()) as connection:
        found = await connection.execute(
            text("SELECT subject FROM outbox WHERE type LIKE '%.upload.expired.v1' AND subject LIKE :own"),
            {"own": f"departments/{ingestion.department}/%"},
        )
        return sorted(row.subject for row in found)


async def test_an_upload_goes_so_long_after_its_last_run(ingestion: Ingestion, web: Web) -> None:
    run = await ingestion.whole(FILE)
    unused = await ingestion.upload(b"x\n1\n", "unused.csv")
    web.give(FILE)
    await ingestion.source(
        http=sources_pb2.HttpConnector(url=f"{web.url}/feed.csv"), mode=pb.LOAD_MODE_UPSERT
    )
    pulled = await ingestion.pulled()
    later(ingestion, 29)
    await look(ingestion)
    assert files(ingestion) == ["air.csv", "feed.csv", "unused.csv"]
    # A new run, and its upload stays for as long as if it had come then.
    request = pb.IngestUploadRequest(dataset=ingestion.dataset, upload=run.upload, reload_reason="again")
    again = await ingestion.finished(await ingestion.api.IngestUpload(request, RPC))
    later(ingestion, 31)
    await look(ingestion)
    assert files(ingestion) == ["air.csv"]
    assert await events(ingestion) == sorted([unused.name, pulled.upload])
    later(ingestion, 60)
    await look(ingestion)
    await look(ingestion)
    assert (files(ingestion), len(await events(ingestion))) == ([], 3)
    assert (await ingestion.get(again.name)).file_name == "air.csv"
    for call in (
        ingestion.api.IngestUpload(request, RPC),
        ingestion.api.InferContract(pb.InferContractRequest(upload=run.upload), RPC),
    ):
        with pytest.raises(UploadExpired, match=r"air\.csv .* was removed on") as refused:
            await call
        assert "upload the file again" in refused.value.remedy
    # What it brought is still known by its hash.
    with pytest.raises(AlreadyIngested):
        await ingestion.ingest(FILE)


async def test_an_upload_stays_under_a_run(ingestion: Ingestion) -> None:
    run = await ingestion.ingest(FILE)
    later(ingestion, 365)
    await look(ingestion)
    assert files(ingestion) == ["air.csv"]
    assert (await ingestion.finished(run)).version == 1
    await look(ingestion)
    assert files(ingestion) == ["air.csv"]


async def test_an_upload_stays_while_quarantine_has_a_record_that_it_could_not_keep_whole(
    ingestion: Ingestion,
) -> None:
    ingestion.world = replace(ingestion.world, upload_limit_bytes=4_000_000)
    data = b"Station,Hour,PM2.5\na,1,35\n" + b"b" * 1_100_000 + b",1,2\n"
    upload = await ingestion.upload(data, size=1 << 20)
    request = pb.IngestUploadRequest(dataset=ingestion.dataset, upload=upload.name)
    run = await ingestion.finished(await ingestion.api.IngestUpload(request, RPC))
    assert dict(run.refused_by_reason) == {"too_long": 1}
    later(ingestion, 31)
    await look(ingestion)
    assert files(ingestion) == ["air.csv"]
    (row,) = (
        await ingestion.api.ListQuarantinedRows(pb.ListQuarantinedRowsRequest(parent=ingestion.dataset), RPC)
    ).rows
    await ingestion.api.DiscardQuarantinedRow(
        pb.DiscardQuarantinedRowRequest(name=row.name, reason="no such station"), RPC
    )
    await look(ingestion)
    assert files(ingestion) == []


async def test_a_removal_that_is_cut_off_is_carried_through(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await ingestion.upload(FILE)
    later(ingestion, 31)
    remove: Callable[[Staging, str, str], None] = Staging.remove_upload

    def fails(self: Staging, department: str, relative: str) -> None:
        raise OSError("no such luck")

    monkeypatch.setattr(Staging, "remove_upload", fails)
    await look(ingestion)
    with pytest.raises(UploadExpired):
        await ingestion.api.InferContract(pb.InferContractRequest(upload=upload.name), RPC)
    assert files(ingestion) == ["air.csv"]
    monkeypatch.setattr(Staging, "remove_upload", remove)
    await look(ingestion)
    assert (files(ingestion), await events(ingestion)) == ([], [upload.name])
