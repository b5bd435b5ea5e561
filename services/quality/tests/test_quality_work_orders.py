"""Work orders over a real PostgreSQL and a real lake: loads open and close them, people take and answer them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, cast

import pytest
from plaza.common.v1 import grades_pb2
from plaza.quality.v1 import work_orders_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.paging import BadPageToken
from plaza_kit.policy import NotPermitted
from plaza_kit.rpc.context import set_caller
from plaza_kit.working_days import Due
from plaza_quality.domain.work_orders import NotPossible
from plaza_quality.rpc.work_orders import WorkOrderServicer
from plaza_quality.usecases import ordering
from plaza_quality.usecases.ordering import Ordering
from plaza_quality.usecases.work_orders import EtagMismatch, UnknownWorkOrder
from plaza_testing.callers import person
from sqlalchemy import text

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Quality = Any
"""The fixture's class lives in conftest, which tests do not import."""
HAS_X = {"id": "x-present", "dimension": "DIMENSION_COMPLETENESS", "notNull": {"field": "x"}}
X_SANE = {"id": "x-sane", "dimension": "DIMENSION_VALIDITY", "range": {"field": "x", "maximum": 10}}
STATE = pb.WorkOrderState


def rows(good: int, bad: int) -> list[dict[str, Any]]:
    """Rows with and without an x."""
    return [{"id": n, "x": 1.0 if n < good else None, "n": 1, "s": "a"} for n in range(good + bad)]


async def orders(quality: Quality, **more: Any) -> list[pb.WorkOrder]:
    parent = f"departments/{quality.name.split('/')[1]}"
    request = pb.ListWorkOrdersRequest(parent=parent, **more)
    return list((await WorkOrderServicer(quality.world).ListWorkOrders(request, RPC)).work_orders)


async def get(quality: Quality, name: str) -> pb.WorkOrder:
    return await WorkOrderServicer(quality.world).GetWorkOrder(pb.GetWorkOrderRequest(name=name), RPC)


async def accept(quality: Quality, name: str, etag: str = "") -> pb.WorkOrder:
    request = pb.AcceptWorkOrderRequest(name=name, etag=etag)
    return await WorkOrderServicer(quality.world).AcceptWorkOrder(request, RPC)


async def answer(quality: Quality, name: str, etag: str = "") -> pb.WorkOrder:
    request = pb.AnswerWorkOrderRequest(name=name, text="the sensor was changed", etag=etag)
    return await WorkOrderServicer(quality.world).AnswerWorkOrder(request, RPC)


async def events(quality: Quality) -> list[tuple[str, dict[str, Any]]]:
    async with quality.world.database.transaction(Scope.everything()) as connection:
        found = await connection.execute(
            text(
                "SELECT type, CAST(data AS jsonb) AS data FROM outbox WHERE subject LIKE :subject ORDER BY seq"
            ),
            {"subject": f"departments/{quality.name.split('/')[1]}/workOrders/%"},
        )
        return [(row.type.split("work_order.")[1], row.data) for row in found]


async def postpone(quality: Quality, days: int) -> None:
    """The deadlines of all its work orders move, as if time had passed."""
    async with quality.world.database.transaction(Scope.everything()) as connection:
        await connection.execute(
            text("UPDATE work_orders SET due_date = due_date + :days WHERE department = :department"),
            {"days": days, "department": quality.name.split("/")[1]},
        )


async def test_ten_bad_loads_open_one_and_a_good_one_closes_it(quality: Quality) -> None:
    quality.rules(HAS_X, X_SANE)
    for bad in range(2, 12):
        await quality.assessed(rows(10, bad))
    (order,) = await orders(quality)
    assert order.dataset == quality.name
    assert (order.dimension, order.state) == (grades_pb2.DIMENSION_COMPLETENESS, STATE.WORK_ORDER_STATE_OPEN)
    assert (order.opened_by_version, order.judged_version, order.target) == (1, 10, 95)
    # Appended: 100 of 165 rows have a value.
    assert (order.score, order.failed_rules[0].failed, order.failed_rules[0].judged) == (60.6060, 65, 165)
    assert [(rule.id, rule.threshold, rule.rows_filter) for rule in order.failed_rules] == [
        ("x-present", 90, "_verdict.x-present = fail")
    ]
    await quality.assessed(rows(3000, 0))
    assert await orders(quality) == []
    (closed,) = await orders(quality, show_closed=True)
    assert closed.state == STATE.WORK_ORDER_STATE_CLOSED
    assert closed.HasField("close_time")
    history = (await get(quality, closed.name)).history
    assert [(entry.state, entry.version) for entry in history] == [
        (STATE.WORK_ORDER_STATE_OPEN, 1),
        (STATE.WORK_ORDER_STATE_CLOSED, 11),
    ]
    assert [word for word, _ in await events(quality)] == ["opened.v1", "closed.v1"]
    assert (await events(quality))[0][1] == {
        "dataset": quality.name,
        "dimension": "completeness",
        "version": 1,
        "score": "83.3333",
    }


async def test_a_severe_rule_opens_one_though_the_score_is_good(quality: Quality) -> None:
    quality.rules(
        {**HAS_X, "severity": "RULE_SEVERITY_SEVERE", "thresholdPercent": 100},
        {**X_SANE, "weight": 900},
    )
    await quality.assessed(rows(99, 1))
    (order,) = await orders(quality)
    assert (order.dimension, order.score) == (grades_pb2.DIMENSION_COMPLETENESS, 99)


async def test_an_officer_takes_it_answers_and_the_next_load_judges(quality: Quality) -> None:
    quality.rules(HAS_X)
    await quality.assessed(rows(1, 1))
    (order,) = await orders(quality)
    taken = await accept(quality, order.name, order.etag)
    assert taken.state == STATE.WORK_ORDER_STATE_ACCEPTED
    assert taken.assignee == taken.history[-1].username != ""
    with pytest.raises(EtagMismatch):
        await answer(quality, order.name, order.etag)
    done = await answer(quality, order.name, taken.etag)
    assert (done.state, done.history[-1].text) == (STATE.WORK_ORDER_STATE_ANSWERED, "the sensor was changed")
    with pytest.raises(NotPossible, match="is answered cannot be accepted"):
        await accept(quality, order.name)
    version = quality.commit(rows(1, 1)).version
    await quality.deliver(quality.event(version))
    assert (await get(quality, order.name)).state == STATE.WORK_ORDER_STATE_RECHECKING
    await quality.work()
    assert (await get(quality, order.name)).state == STATE.WORK_ORDER_STATE_REOPENED
    await answer(quality, order.name)
    await quality.assessed(rows(200, 0))
    closed = await get(quality, order.name)
    assert [STATE.Name(entry.state).removeprefix("WORK_ORDER_STATE_") for entry in closed.history] == [
        "OPEN",
        "ACCEPTED",
        "ANSWERED",
        "RECHECKING",
        "REOPENED",
        "ANSWERED",
        "RECHECKING",
        "CLOSED",
    ]
    assert [word for word, _ in await events(quality)] == ["opened.v1", "reopened.v1", "closed.v1"]


async def test_a_remark_is_added_once(quality: Quality) -> None:
    quality.rules(HAS_X)
    await quality.assessed(rows(1, 1))
    (order,) = await orders(quality)
    request = pb.CommentWorkOrderRequest(
        name=order.name, text="asked the manufacturer", request_id="7b0a1c1e-6f4d-4c5e-9c55-0a52b7a4a001"
    )
    for _ in range(2):
        said = await WorkOrderServicer(quality.world).CommentWorkOrder(request, RPC)
    assert [entry.text for entry in said.history] == ["", "asked the manufacturer"]
    assert said.state == STATE.WORK_ORDER_STATE_OPEN


async def test_it_is_due_in_ten_working_days_and_escalated_behind(quality: Quality) -> None:
    quality.rules(HAS_X)
    await quality.assessed(rows(1, 1))
    (order,) = await orders(quality)
    opened = order.create_time.ToDatetime().replace(tzinfo=None)
    assert timedelta(days=9) < datetime.fromisoformat(order.due_date) - opened < timedelta(days=30)
    await Ordering(quality.world).look()
    assert (await get(quality, order.name)).state == STATE.WORK_ORDER_STATE_OPEN
    await postpone(quality, -60)
    assert (await get(quality, order.name)).overdue
    await Ordering(quality.world).look()
    late = await get(quality, order.name)
    assert late.state == STATE.WORK_ORDER_STATE_ESCALATED
    assert [word for word, _ in await events(quality)] == ["opened.v1", "escalated.v1"]
    await Ordering(quality.world).look()
    assert len(await events(quality)) == 2


async def test_a_provisional_deadline_is_computed_again(
    quality: Quality, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ordering, "due", lambda begun, days: Due(date(2031, 1, 6), provisional=True))
    quality.rules(HAS_X)
    await quality.assessed(rows(1, 1))
    (order,) = await orders(quality)
    assert (order.due_date, order.due_provisional) == ("2031-01-06", True)
    monkeypatch.setattr(ordering, "due", lambda begun, days: Due(date(2031, 1, 8), provisional=False))
    await Ordering(quality.world).look()
    (order,) = await orders(quality)
    assert (order.due_date, order.due_provisional) == ("2031-01-08", False)


async def test_lists_begin_with_what_is_due_first_and_page(quality: Quality) -> None:
    quality.rules(HAS_X, {**X_SANE, "range": {"field": "x", "maximum": 0}})
    await quality.assessed(rows(1, 1))
    by_dimension = {order.dimension: order for order in await orders(quality)}
    assert len(by_dimension) == 2
    urgent = by_dimension[grades_pb2.DIMENSION_VALIDITY]
    async with quality.world.database.transaction(Scope.everything()) as connection:
        await connection.execute(
            text("UPDATE work_orders SET due_date = due_date - 3 WHERE id = CAST(:id AS uuid)"),
            {"id": urgent.name.rpartition("/")[2]},
        )
    servicer = WorkOrderServicer(quality.world)
    parent = f"departments/{quality.name.split('/')[1]}"
    seen, token = [], ""
    while True:
        page = await servicer.ListWorkOrders(
            pb.ListWorkOrdersRequest(parent=parent, page_size=1, page_token=token), RPC
        )
        seen += [order.name for order in page.work_orders]
        if not (token := page.next_page_token):
            break
    assert seen == [urgent.name, by_dimension[grades_pb2.DIMENSION_COMPLETENESS].name]
    assert await orders(quality, dataset="departments/other/datasets/air") == []
    with pytest.raises(BadPageToken):
        await servicer.ListWorkOrders(pb.ListWorkOrdersRequest(parent=parent, page_token="x"), RPC)


async def test_departments_do_not_see_each_others(quality: Quality) -> None:
    quality.rules(HAS_X)
    await quality.assessed(rows(1, 1))
    (order,) = await orders(quality)
    servicer = WorkOrderServicer(quality.world)
    set_caller(person("data-officer", "elsewhere"))
    with pytest.raises(NotPermitted):
        await get(quality, order.name)
    with pytest.raises(UnknownWorkOrder):
        await get(quality, order.name.replace(quality.name.split("/")[1], "elsewhere"))
    everywhere = await servicer.ListWorkOrders(pb.ListWorkOrdersRequest(parent="departments/-"), RPC)
    assert order.name not in [one.name for one in everywhere.work_orders]
    set_caller(person("reader", quality.name.split("/")[1]))
    with pytest.raises(NotPermitted):
        await accept(quality, order.name)
