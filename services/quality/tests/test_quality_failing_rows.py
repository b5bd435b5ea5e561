"""The rows that a work order is about: under the caller's grant, as the assessment found them; and their correction."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
from plaza.quality.v1 import failing_rows_pb2 as pb
from plaza.quality.v1 import work_orders_pb2
from plaza_kit.policy import NotPermitted
from plaza_quality.rpc.failing_rows import FailingRowsServicer
from plaza_quality.rpc.work_orders import WorkOrderServicer
from plaza_quality.usecases.events import BadEvent
from plaza_quality.usecases.work_orders import UnknownWorkOrder

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Quality = Any
SANE = {
    "id": "sane",
    "title": "合理",
    "dimension": "DIMENSION_ACCURACY",
    "range": {"field": "x", "minimum": 0},
}
SMALL = {"id": "small", "dimension": "DIMENSION_ACCURACY", "range": {"field": "n", "maximum": 100}}
MET = {"id": "met", "dimension": "DIMENSION_ACCURACY", "range": {"field": "n", "minimum": 0}}
ONCE = {"id": "once", "dimension": "DIMENSION_UNIQUENESS", "unique": {"fields": ["s"]}}
MANY = {"id": "many", "dimension": "DIMENSION_ACCURACY", "rowCount": {"minimum": 1000}}


def row(id: int, x: float | None = 1.0, n: int | None = 1, s: str | None = "") -> dict[str, Any]:
    return {"id": id, "x": x, "n": n, "s": f"s{id}" if s == "" else s}


ROWS = [row(1), row(2, -1.0), row(3, None, 500), row(4, math.nan, 2**60, None), row(5, s="s1")]


async def orders(quality: Quality) -> dict[int, work_orders_pb2.WorkOrder]:
    """By dimension, with their histories."""
    api = WorkOrderServicer(quality.world)
    quality.be("data-officer")
    department = quality.name.split("/datasets")[0]
    request = work_orders_pb2.ListWorkOrdersRequest(parent=department, show_closed=True)
    found = (await api.ListWorkOrders(request, RPC)).work_orders
    return {
        each.dimension: await api.GetWorkOrder(work_orders_pb2.GetWorkOrderRequest(name=each.name), RPC)
        for each in found
    }


async def order_of(quality: Quality, dimension: str) -> work_orders_pb2.WorkOrder:
    values = work_orders_pb2.WorkOrder.DESCRIPTOR.fields_by_name["dimension"].enum_type.values_by_name
    return (await orders(quality))[values[f"DIMENSION_{dimension}"].number]


async def shown(quality: Quality, order: str, **fields: Any) -> pb.ListFailingRowsResponse:
    request = pb.ListFailingRowsRequest(parent=order, **fields)
    return await FailingRowsServicer(quality.world).ListFailingRows(request, RPC)


def told(found: pb.ListFailingRowsResponse) -> list[tuple[Any, ...]]:
    return [(*(_plain(value) for value in each.values), list(each.rules)) for each in found.rows]


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    return None if kind == "null_value" else getattr(value, kind)


async def test_evidence_rows_of_a_work_order(quality: Quality) -> None:
    quality.rules(SANE, SMALL, MET, ONCE, MANY)
    await quality.assessed(ROWS)
    order = await order_of(quality, "ACCURACY")
    found = await shown(quality, order.name)
    assert (found.version, list(found.columns), found.next_page_token) == (1, ["id", "x", "n", "s"], "")
    assert told(found) == [
        (2, -1, 1, "s2", ["sane"]),
        (3, None, 500, "s3", ["small"]),
        (4, "nan", str(2**60), None, ["sane", "small"]),
    ]
    assert ("own", quality.name, 1) in quality.peer.asked
    first = await shown(quality, order.name, page_size=2)
    assert [each[0] for each in told(first)] == [2, 3]
    second = await shown(quality, order.name, page_size=2, page_token=first.next_page_token)
    assert ([each[0] for each in told(second)], second.next_page_token) == ([4], "")
    twice = await order_of(quality, "UNIQUENESS")
    assert told(await shown(quality, twice.name)) == [(5, 1, 1, "s1", ["once"])]
    # A newer version that was not judged for it changes nothing.
    quality.commit([row(6, -5.0)])
    assert told(await shown(quality, order.name)) == told(found)


async def test_a_column_that_may_not_be_read_shows_nowhere(quality: Quality) -> None:
    quality.rules(SANE, SMALL)
    await quality.assessed(ROWS)
    order = await order_of(quality, "ACCURACY")
    quality.peer.columns = ("id", "n")
    found = await shown(quality, order.name)
    assert list(found.columns) == ["id", "n"]
    assert told(found) == [(3, 500, ["small"]), (4, str(2**60), ["small"])], "nor what breaks its rules"


async def test_places_for_the_correction_file(quality: Quality) -> None:
    quality.rules(SANE, SMALL, MANY)
    await quality.assessed(ROWS)
    order = await order_of(quality, "ACCURACY")
    request = pb.FindFailingRowsRequest(work_order=order.name)
    head, *rest = [part async for part in FailingRowsServicer(quality.world).FindFailingRows(request, RPC)]
    assert (head.head.dataset, head.head.version, len(head.head.files)) == (quality.name, 1, 1)
    assert [(r.id, r.title, list(r.fields)) for r in head.head.rules] == [
        ("sane", "合理", ["x"]),
        ("small", "", ["n"]),
    ]
    places = [(p.file, p.row, list(p.rules)) for part in rest for p in part.places]
    assert places == [(0, 1, [0]), (0, 2, [1]), (0, 3, [0, 1])]


async def test_whose_work_order(quality: Quality) -> None:
    quality.rules(SANE)
    await quality.assessed(ROWS)
    order = await order_of(quality, "ACCURACY")
    with pytest.raises(UnknownWorkOrder):
        await shown(quality, order.name[:-12] + "0" * 12)
    quality.be("data-officer", "elsewhere")
    with pytest.raises(NotPermitted):
        await shown(quality, order.name)
    assert not [each for each in quality.peer.asked if each[0] == "own"]


def states(order: work_orders_pb2.WorkOrder) -> list[str]:
    name = work_orders_pb2.WorkOrderState.Name
    return [name(entry.state).removeprefix("WORK_ORDER_STATE_").lower() for entry in order.history]


async def test_a_correction_answers_and_the_assessment_decides(quality: Quality) -> None:
    quality.rules(SANE, ONCE)
    await quality.assessed(ROWS)
    order = await order_of(quality, "ACCURACY")
    run = "departments/d/runs/r"
    for rows, outcome in (([], "reopened"), ([row(n) for n in range(10, 60)], "closed")):
        version = quality.commit(rows or [row(9, -3.0)]).version
        event = quality.event(version, work_order=order.name, run=run)
        event.principal = "people/王"
        await quality.deliver(event, event)
        answered = await order_of(quality, "ACCURACY")
        assert states(answered)[-2:] == ["answered", "rechecking"]
        entry = answered.history[-2]
        assert (entry.principal, entry.text, entry.version) == ("people/王", run, version)
        await quality.work()
        assert states(await order_of(quality, "ACCURACY"))[-1] == outcome
    assert "answered" not in states(await order_of(quality, "UNIQUENESS"))
    # One that is closed, and one of another dataset, stay as they are.
    version = quality.commit([row(99)]).version
    await quality.deliver(quality.event(version, work_order=order.name))
    assert states(await order_of(quality, "ACCURACY"))[-1] == "closed"
    with pytest.raises(BadEvent):
        await quality.deliver(quality.event(version + 1, work_order="departments/x/workOrders/1"))
