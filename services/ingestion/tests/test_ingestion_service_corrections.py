"""Rows of a work order out as a file of the source's own, corrected, and in again; what quality found goes back."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import orjson
import pyarrow.parquet as pq
import pytest
from plaza.common.v1 import contract_pb2, events_pb2, runs_pb2
from plaza.ingestion.v1 import corrections_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza_ingestion.domain.batches import AlreadyIngested
from plaza_ingestion.domain.corrections import Identity, NoKey, WorkOrderClosed
from plaza_ingestion.domain.events import VERSION_COMMITTED
from plaza_ingestion.domain.load_step import LoadStep
from plaza_ingestion.rpc.corrections import CorrectionServicer
from plaza_ingestion.usecases import correcting, pinning
from plaza_ingestion.usecases.correcting import RowsMoved, TooManyRows
from plaza_ingestion.usecases.ports import ContractInForce, Failing, OrderRule, WorkOrder
from plaza_kit.db import Scope
from plaza_kit.db.inbox import EventSink
from plaza_kit.policy import NotPermitted
from plaza_kit.rpc.context import set_caller
from plaza_lake.engine import planned_files
from plaza_lake.versions import versions, versions_of
from plaza_testing.callers import service
from sqlalchemy import text

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Ingestion = Any
TAIL = "0123456789ab"
FILE = "备注;站点;时刻;PM2.5\n甲;东城;1;35\n乙;东城;2;-1\n丙;西城;1;NA\n丁;西城;2;-7.5\n".encode("gb18030")
"""The second and the last row break the rule."""


class Killed(BaseException):
    """As if the process had ended here: nothing catches it."""


def order_of(ingestion: Ingestion, tail: str = TAIL) -> str:
    return f"departments/{ingestion.department}/workOrders/01980000-0000-7000-8000-{tail}"


async def failing(
    ingestion: Ingestion, wanted: Callable[[dict[str, Any]], bool] = lambda row: (row["pm2_5"] or 0) < 0
) -> None:
    """Quality finds these rows in the newest version."""
    table = ingestion.world.lake.load(ingestion.dataset)
    info = versions_of(table)[-1]
    (file,) = planned_files(table, info.snapshot_id)
    rows = pq.read_table(file).to_pylist()
    places = [(0, number, (0,)) for number, row in enumerate(rows) if wanted(row)]
    rules = (OrderRule("not-negative", "浓度不为负", ("pm2_5",)),)
    ingestion.peer.found = Failing(ingestion.dataset, info.version, rules, (file,), places)


@pytest.fixture
async def prepared(ingestion: Ingestion) -> Ingestion:
    """A contract over Chinese headings in GB18030 with semicolons, and one loaded version."""
    contract = ingestion.peer.force.contract
    contract.format.delimiter, contract.format.encoding = ";", "gb18030"
    for field, heading in zip(contract.fields, ("站点", "时刻", "PM2.5"), strict=True):
        field.source_name = heading
    await ingestion.whole(FILE)
    ingestion.peer.order = WorkOrder(ingestion.dataset, closed=False)
    await failing(ingestion)
    return ingestion


async def export(ingestion: Ingestion, language: int = 0, order: str = "") -> bytes:
    ingestion.be()
    request = corrections_pb2.ExportCorrectionFileRequest(
        work_order=order or order_of(ingestion), language=cast(Any, language)
    )
    api = CorrectionServicer(ingestion.world)
    return b"".join([piece.data async for piece in api.ExportCorrectionFile(request, RPC)])


def table(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("gb18030"), newline=""), delimiter=";"))


def written(rows: list[dict[str, str]], encoding: str = "gb18030", delimiter: str = ";") -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode(encoding)


async def hand_in(ingestion: Ingestion, data: bytes, **fields: Any) -> pb.Run:
    upload = await ingestion.upload(data, "fixed.csv")
    request = corrections_pb2.CorrectRowsRequest(work_order=order_of(ingestion), upload=upload.name, **fields)
    return await CorrectionServicer(ingestion.world).CorrectRows(request, RPC)


async def corrected(ingestion: Ingestion, data: bytes) -> pb.Run:
    return cast(pb.Run, await ingestion.finished(await hand_in(ingestion, data)))


def values(ingestion: Ingestion) -> list[tuple[Any, ...]]:
    return sorted(tuple(row.values()) for row in ingestion.rows())


async def test_the_file_is_the_sources_own(prepared: Ingestion) -> None:
    data = await export(prepared)
    heading, first, second, end = data.decode("gb18030").split("\r\n")
    assert heading == "plaza_row;plaza_reason;plaza_detail;备注;站点;时刻;PM2.5"
    name, rest = first.split(";", 1)
    identity = Identity.parse(name)
    assert identity is not None
    assert (identity.order, identity.version) == (TAIL, 1)
    assert rest == "未满足规则 not-negative（浓度不为负）;请核对：PM2.5;;东城;2;-1"
    assert second.endswith(";;西城;2;-7.5")
    assert not end
    english = table(await export(prepared, corrections_pb2.LANGUAGE_EN))
    assert english[0]["plaza_reason"] == "breaks rule not-negative (浓度不为负)"
    assert english[0]["plaza_detail"] == "look at: PM2.5"
    prepared.be("reader")
    with pytest.raises(NotPermitted):
        request = corrections_pb2.ExportCorrectionFileRequest(work_order=order_of(prepared))
        await anext(CorrectionServicer(prepared.world).ExportCorrectionFile(request, RPC))


@pytest.mark.parametrize(("encoding", "delimiter"), [("gb18030", ";"), ("utf-8-sig", ","), ("utf-16", "\t")])
async def test_corrected_rows_take_the_places_of_theirs(
    prepared: Ingestion, encoding: str, delimiter: str
) -> None:
    rows = table(await export(prepared))
    rows[0]["PM2.5"] = "12.25"
    run = await corrected(prepared, written(rows, encoding, delimiter))
    assert (run.state, run.version, run.work_order) == (runs_pb2.RUN_STATE_SUCCEEDED, 2, order_of(prepared))
    assert (run.progress.rows_accepted, run.rows_removed) == (1, 1)
    assert dict(run.refused_by_reason) == {"unchanged": 1}
    assert list(run.warnings) == ["lines that say what the table says, and change nothing: 1"]
    assert values(prepared) == [
        ("东城", 1, 35.0),
        ("东城", 2, 12.25),
        ("西城", 1, None),
        ("西城", 2, -7.5),
    ]
    type, subject, data = (await prepared.events())[-1]
    assert (type, subject) == (VERSION_COMMITTED, f"{prepared.dataset}/versions/2")
    assert data["work_order"] == order_of(prepared)
    assert "work_order" not in (await prepared.events())[0][2]


def edit(**cells: str) -> Callable[[list[dict[str, str]]], None]:
    return lambda rows: rows[0].update({name.replace("PM2_5", "PM2.5"): cell for name, cell in cells.items()})


def swap(rows: list[dict[str, str]]) -> None:
    rows[0]["plaza_row"], rows[1]["plaza_row"] = rows[1]["plaza_row"], rows[0]["plaza_row"]
    rows[0]["PM2.5"] = rows[1]["PM2.5"] = "3"


def renamed(rows: list[dict[str, str]]) -> None:
    rows[0]["plaza_row"] = rows[0]["plaza_row"].replace(TAIL, "ffffffffffff")


REFUSALS = {
    "not in the file": (edit(plaza_row="x", PM2_5="3"), {"not_in_file": 1, "unchanged": 1}),
    "no name": (edit(plaza_row="", PM2_5="3"), {"required": 1, "unchanged": 1}),
    "another work order": (renamed, {"other_work_order": 1, "unchanged": 1}),
    "the key was edited": (edit(时刻="9"), {"identity_edited": 1, "unchanged": 1}),
    "names were swapped": (swap, {"identity_edited": 2}),
    "the contract refuses": (edit(PM2_5="wet"), {"type": 1, "unchanged": 1}),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_lines_that_take_no_place(prepared: Ingestion, case: str) -> None:
    change, reasons = REFUSALS[case]
    before = values(prepared)
    rows = table(await export(prepared))
    change(rows)
    run = await corrected(prepared, written(rows))
    assert dict(run.refused_by_reason) == reasons
    assert (run.state, run.version) == (runs_pb2.RUN_STATE_SUCCEEDED, 0)
    assert any(warning.startswith("line 2: ") for warning in run.warnings)
    assert "no line takes the place of a row: there is no new version" in run.warnings
    assert "wet" not in " ".join(run.warnings), "no cell stands in what a run says"
    assert values(prepared) == before
    assert prepared.rows("quarantine") == [], "the row is in the table still"


async def test_what_changed_meanwhile_is_not_overwritten(prepared: Ingestion) -> None:
    rows = table(await export(prepared))
    for row in rows:
        row["PM2.5"] = "3"
    meanwhile = "站点;时刻;PM2.5\n东城;2;99\n".encode("gb18030")
    await prepared.whole(meanwhile, mode=pb.LOAD_MODE_UPSERT)
    run = await corrected(prepared, written(rows))
    assert dict(run.refused_by_reason) == {"changed_meanwhile": 1}
    assert list(run.warnings) == ["line 2: the row has changed in the table since version 1"]
    assert [row for row in values(prepared) if row[1] == 2] == [("东城", 2, 99.0), ("西城", 2, 3.0)]
    gone = "站点;时刻;PM2.5\n东城;1;1\n".encode("gb18030")
    await prepared.whole(gone, mode=pb.LOAD_MODE_REPLACE)
    rows[1]["PM2.5"] = "4"
    run = await corrected(prepared, written(rows))
    assert dict(run.refused_by_reason) == {"changed_meanwhile": 2}
    assert "the row is in the table no more since version 1" in run.warnings[0]


async def test_one_file_is_one_version_wherever_it_is_cut(prepared: Ingestion) -> None:
    rows = table(await export(prepared))
    rows[0]["PM2.5"] = "3"
    data = written(rows)
    request_id = str(uuid.uuid4())
    run = await hand_in(prepared, data, request_id=request_id)
    await prepared.handed_over(run)

    def cut(step: LoadStep) -> None:
        if step is LoadStep.CATALOGUE_COMMIT:
            raise Killed

    prepared.with_steps(cut)
    with pytest.raises(Killed):
        await prepared.commit()
    prepared.with_steps(lambda _: None)
    await prepared.commit()
    assert (await prepared.get(run.name)).version == 2
    assert [info.version for info in versions(prepared.world.lake, prepared.dataset)] == [1, 2]
    prepared.peer.order = WorkOrder(prepared.dataset, closed=True)
    upload = corrections_pb2.CorrectRowsRequest(
        work_order=order_of(prepared), upload=run.upload, request_id=request_id
    )
    again = await CorrectionServicer(prepared.world).CorrectRows(upload, RPC)
    assert again.name == run.name, "the same request has the same answer, whatever became of the work order"
    prepared.peer.order = WorkOrder(prepared.dataset, closed=False)
    with pytest.raises(AlreadyIngested, match="already ingested as version 2") as refusal:
        await hand_in(prepared, data)
    assert "correction file anew" in refusal.value.remedy


async def test_what_cannot_be_corrected_so(prepared: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = table(await export(prepared))
    prepared.peer.order = WorkOrder(prepared.dataset, closed=True)
    with pytest.raises(WorkOrderClosed):
        await hand_in(prepared, written(rows))
    prepared.peer.order = WorkOrder(prepared.dataset, closed=False)
    keyless = contract_pb2.Contract()
    keyless.CopyFrom(prepared.peer.force.contract)
    keyless.ClearField("key")
    force = prepared.peer.force
    prepared.peer.force = ContractInForce(keyless, force.version)
    assert "plaza_row" not in table(await export(prepared))[0], "a list to work by, nothing to hand in"
    with pytest.raises(NoKey, match="has no key"):
        await hand_in(prepared, written(rows))
    prepared.peer.force = force
    found = prepared.peer.found
    prepared.peer.found = replace(found, files=("gone.parquet",))
    with pytest.raises(RowsMoved):
        await export(prepared)
    prepared.peer.found = found
    monkeypatch.setattr(correcting, "MOST_ROWS", 1)
    with pytest.raises(TooManyRows):
        await export(prepared)


async def tell(ingestion: Ingestion, **data: object) -> None:
    event = events_pb2.Event(
        id=str(uuid.uuid4()),
        source="//plaza/quality",
        type=pinning.ASSESSED,
        data=orjson.dumps({"dataset": ingestion.dataset, **data}).decode(),
    )
    set_caller(service("quality"))
    sink = EventSink(ingestion.world.database, pinning.handlers(timedelta(days=180)))
    await sink.Deliver(events_pb2.DeliverRequest(events=[event]), RPC)


async def pins(ingestion: Ingestion) -> list[tuple[int, str]]:
    async with ingestion.world.database.transaction(Scope.everything()) as connection:
        found = await connection.execute(
            text("SELECT version, holder FROM version_pins WHERE dataset = :dataset ORDER BY version"),
            {"dataset": ingestion.dataset},
        )
        return [(row.version, row.holder) for row in found]


async def test_the_sender_is_answered_and_the_last_good_version_kept(ingestion: Ingestion) -> None:
    rule = ingestion.peer.force.contract.rules.add(id="sane", title="合理")
    rule.not_null.field = "pm2_5"
    names = []
    for number in range(1, 4):
        run = await ingestion.whole(f"Station,Hour,PM2.5\na,{number},1\n".encode())
        assert not run.HasField("assessment")
        names.append(run.name)
    order = order_of(ingestion)
    await tell(ingestion, version=1, score="100", light="green", stopped_sharing=[], last_shared_version=1)
    bad = {
        "score": "66.6666",
        "light": "red",
        "failed_rules": [{"id": "sane", "failed": 1, "judged": 3, "met": False}],
        "work_orders": [order],
        "stopped_sharing": ["sane"],
        "stopped_opening": [],
    }
    await tell(ingestion, version=2, last_shared_version=1, **bad)
    found = (await ingestion.get(names[1])).assessment
    assert (found.score, found.light, list(found.work_orders)) == ("66.6666", "red", [order])
    assert list(found.stopped_sharing) == ["sane"]
    assert [(r.id, r.title, r.failed, r.judged, r.met) for r in found.failed_rules] == [
        ("sane", "合理", 1, 3, False)
    ]
    assert (await ingestion.get(names[0])).assessment.score == "100"
    assert not (await ingestion.get(names[2])).HasField("assessment")
    assert await pins(ingestion) == [(1, pinning.GATE)]
    await tell(ingestion, version=3, score="100", light="green", stopped_sharing=[], last_shared_version=3)
    assert await pins(ingestion) == []
