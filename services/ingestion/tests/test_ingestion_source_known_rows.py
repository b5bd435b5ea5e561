"""Refused rows that a source brings again are held once; rows that are out of date take nobody's place."""

from __future__ import annotations

import csv
import io
from typing import Any, cast

import pytest
from plaza.common.v1 import contract_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza.ingestion.v1 import sources_pb2
from plaza_ingestion.usecases.ports import ContractInForce
from plaza_lake.versions import versions

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Ingestion = Any
Web = Any
HEADING = b"Station,Hour,PM2.5\n"
BAD = b"b,1,x\n"


async def pulls(ingestion: Ingestion, web: Web, mode: pb.LoadMode.ValueType) -> None:
    web.give(HEADING + b"a,1,35\n" + BAD)
    await ingestion.source(http=sources_pb2.HttpConnector(url=f"{web.url}/air.csv"), mode=mode)
    await ingestion.pulled()


async def repaired(ingestion: Ingestion, value: str) -> pb.Run:
    ingestion.be()
    request = pb.ExportQuarantineRequest(parent=ingestion.dataset, form=pb.EXPORT_FORM_REPAIR)
    data = b"".join([piece.data async for piece in ingestion.api.ExportQuarantine(request, RPC)])
    (row,) = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(row))
    writer.writeheader()
    writer.writerow(row | {"PM2.5": value})
    return await ingestion.replayed(out.getvalue().encode())


def values(ingestion: Ingestion) -> dict[tuple[str, int], float]:
    return {(row["station"], row["hour"]): row["pm2_5"] for row in ingestion.rows()}


async def test_a_row_that_comes_again_is_held_once(ingestion: Ingestion, web: Web) -> None:
    await pulls(ingestion, web, pb.LOAD_MODE_UPSERT)
    web.give(HEADING + b"a,1,36\n" + BAD)
    run = await ingestion.pulled()
    counts = (run.progress.rows_read, run.progress.rows_refused, run.rows_held_already)
    assert counts == (2, 1, 1)
    assert run.warnings == [
        "refused rows that an earlier pull of this source brought too, and that are not held again: 1"
    ]
    assert [data["rows_refused"] for _, _, data in await ingestion.events()] == [1, 0]
    # Once more than before in one file: one of the two is new; other bytes are another row.
    web.give(HEADING + b"a,1,37\n" + BAD + BAD + b"b,1,y\n")
    run = await ingestion.pulled()
    assert (run.progress.rows_refused, run.rows_held_already) == (3, 1)
    held = sorted(row["original"] for row in ingestion.rows("quarantine"))
    assert held == [b"b,1,x", b"b,1,x", b"b,1,y"]
    web.give(HEADING + b"a,1,38\n" + BAD + BAD + b"b,1,y\n")
    assert (await ingestion.pulled()).rows_held_already == 3
    assert len(ingestion.rows("quarantine")) == 3


async def test_a_repair_outlives_the_bad_copy(ingestion: Ingestion, web: Web) -> None:
    await pulls(ingestion, web, pb.LOAD_MODE_UPSERT)
    assert (await repaired(ingestion, "7")).version == 2
    web.give(HEADING + b"a,1,36\n" + BAD)
    run = await ingestion.pulled()
    assert run.rows_held_already == 1
    assert values(ingestion) == {("a", 1): 36.0, ("b", 1): 7.0}
    assert len(ingestion.rows("quarantine")) == 1
    # Corrected at the source: what it says counts.
    web.give(HEADING + b"a,1,36\nb,1,8\n")
    await ingestion.pulled()
    assert values(ingestion) == {("a", 1): 36.0, ("b", 1): 8.0}


async def test_where_all_rows_are_replaced_a_repair_is_gone(ingestion: Ingestion, web: Web) -> None:
    await pulls(ingestion, web, pb.LOAD_MODE_REPLACE)
    web.give(HEADING + b"a,1,36\n" + BAD)
    assert (await ingestion.pulled()).rows_held_already == 1
    assert (await repaired(ingestion, "7")).version == 3
    web.give(HEADING + b"a,1,37\n" + BAD)
    assert (await ingestion.pulled()).rows_held_already == 0
    assert values(ingestion) == {("a", 1): 37.0}
    assert len(ingestion.rows("quarantine")) == 2
    request = pb.ListQuarantinedRowsRequest(parent=ingestion.dataset, state=pb.QUARANTINE_STATE_HELD)
    assert (await ingestion.api.ListQuarantinedRows(request, RPC)).total_size == 1


async def test_a_pull_that_appends_reads_each_row_once(ingestion: Ingestion, web: Web) -> None:
    await pulls(ingestion, web, pb.LOAD_MODE_APPEND)
    web.give(HEADING + b"a,2,36\n" + BAD)
    assert (await ingestion.pulled()).rows_held_already == 0
    assert len(ingestion.rows("quarantine")) == 2


async def test_files_of_people_are_held_as_they_come(ingestion: Ingestion, web: Web) -> None:
    await pulls(ingestion, web, pb.LOAD_MODE_UPSERT)
    run = await ingestion.whole(HEADING + BAD, mode=pb.LOAD_MODE_UPSERT)
    assert (run.progress.rows_refused, run.rows_held_already) == (1, 0)


@pytest.fixture
def keeps_latest(ingestion: Ingestion) -> None:
    """Of equal stations and hours that with the greatest reading `seen`."""
    contract = contract_pb2.Contract()
    contract.CopyFrom(ingestion.peer.force.contract)
    contract.fields.add(name="seen", source_name="Seen", type=contract_pb2.FIELD_TYPE_INTEGER)
    contract.steps.add(name="newest").keep_latest.field = "seen"
    ingestion.peer.force = ContractInForce(contract, 2)


@pytest.mark.usefixtures("keeps_latest")
async def test_an_older_row_does_not_take_the_place_of_a_newer_one(ingestion: Ingestion) -> None:
    heading = b"Station,Hour,PM2.5,Seen\n"
    upsert = {"mode": pb.LOAD_MODE_UPSERT}
    await ingestion.whole(heading + b"a,1,1,5\nb,1,1,\nc,1,1,5\nd,1,1,5\n", **upsert)
    run = await ingestion.whole(heading + b"a,1,2,4\nb,1,2,\nc,1,2,5\nd,1,2,\ne,1,2,1\n", **upsert)
    assert values(ingestion) == {("a", 1): 1, ("b", 1): 2, ("c", 1): 2, ("d", 1): 1, ("e", 1): 2}
    assert dict(run.refused_by_reason) == {"duplicate_key": 2}
    first, last = sorted(ingestion.rows("quarantine"), key=lambda row: int(row["line"]))
    assert (first["original"], last["original"]) == (b"a,1,2,4", b"d,1,2,")
    assert first["detail"] == "same key as a row of the table that has a later seen (step newest)"
    await ingestion.whole(heading + b"a,1,3,6\nd,1,3,5\n", **upsert)
    assert (values(ingestion)[("a", 1)], values(ingestion)[("d", 1)]) == (3, 3)


async def test_rows_from_before_the_order_was_a_field_are_older_than_any(ingestion: Ingestion) -> None:
    await ingestion.whole(HEADING + b"a,1,1\n")
    contract = contract_pb2.Contract()
    contract.CopyFrom(ingestion.peer.force.contract)
    contract.fields.add(name="seen", source_name="Seen", type=contract_pb2.FIELD_TYPE_INTEGER)
    contract.steps.add().keep_latest.field = "seen"
    ingestion.peer.force = ContractInForce(contract, 2)
    heading = b"Station,Hour,PM2.5,Seen\n"
    await ingestion.whole(heading + b"a,1,2,1\n", mode=pb.LOAD_MODE_UPSERT)
    await ingestion.whole(heading + b"a,1,3,0\n", mode=pb.LOAD_MODE_UPSERT)
    assert values(ingestion) == {("a", 1): 2}
    # A load that replaces everything knows no older rows.
    await ingestion.whole(heading + b"a,1,3,0\n", mode=pb.LOAD_MODE_REPLACE)
    assert values(ingestion) == {("a", 1): 3}
    assert len(versions(ingestion.world.lake, ingestion.dataset)) == 3
