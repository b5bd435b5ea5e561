"""Work orders: the inbox, one of them, taken, answered and remarked on."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable

from plaza.quality.v1 import work_orders_pb2 as wo
from plaza_design.i18n import LocalText
from starlette.responses import Response

from plaza_gateway.console import quality, quality_pages, rights
from plaza_gateway.console.quality_pages import Orders
from plaza_gateway.console.quality_view import STATES, OrderView, order_view
from plaza_gateway.console.visits import UUID, Visit, go, html, request_id, status_of, whole_number
from plaza_gateway.transcode.problems import Problem

ROWS = 50
"""Work orders on one page."""
ALL = "-"
_REFUSED = (400, 409)
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)


async def orders(visit: Visit) -> Response:
    """Mine and my department's; whoever oversees the city sees all of them."""
    oversees = rights.oversees(visit.person)
    asked = {name: visit.asked(name)[:100] for name in ("state", "mine", "late", "of", "dataset")}
    asked["state"] = asked["state"] if asked["state"] in STATES else ""
    asked["of"] = asked["of"] if oversees else ""
    parent = (
        "departments/-" if asked["of"] == ALL else f"departments/{asked['of'] or visit.person.department}"
    )
    if asked["of"] not in ("", ALL) and not _NAME.fullmatch(asked["of"]):
        raise Problem(404, "NO_SUCH_DEPARTMENT", f"there is nothing at {asked['of']}")
    found, titles = await asyncio.gather(
        visit.desk.quality.orders(parent, closed=asked["state"] == "closed"), _titles(visit)
    )
    rows = [order_view(one, titles, visit.frame.now) for one in found]
    matching = [one for one in rows if _matches(one, asked, visit.person.username)]
    page_count = max(-(-len(matching) // ROWS), 1)
    number = min(max(whole_number(visit.asked("page"), 1), 1), page_count)
    names = await quality.names_of(visit, {one.department for one in rows}) if oversees else {}
    view = Orders(
        rows=tuple(matching[(number - 1) * ROWS : number * ROWS]),
        found=len(matching),
        page=number,
        pages=page_count,
        asked=asked,
        departments=tuple(sorted(names.items())),
        late=sum(one.overdue for one in matching),
    )
    return html(quality_pages.orders(visit, view))


async def order(visit: Visit) -> Response:
    """One with its rules and its history."""
    return await _shown(visit, await visit.desk.quality.order(_name(visit)), "", None)


async def accept(visit: Visit) -> Response:
    """I see to it."""
    return await _done(visit, visit.desk.quality.accept(_name(visit), visit.form.get("etag", "")))


async def answer(visit: Visit) -> Response:
    """What was done about it."""
    said = visit.form.get("text", "").strip()
    return await _done(visit, visit.desk.quality.answer(_name(visit), said, visit.form.get("etag", "")))


async def comment(visit: Visit) -> Response:
    """A remark."""
    said, once = visit.form.get("text", "").strip(), visit.form.get("request_id", "")
    return await _done(visit, visit.desk.quality.comment(_name(visit), said, once))


async def _done(visit: Visit, call: Awaitable[wo.WorkOrder]) -> Response:
    """After a conflict nothing is done before the person has seen what a colleague did; what was written stays."""
    try:
        await call
    except Problem as problem:
        if problem.status not in _REFUSED:
            raise
        found = await visit.desk.quality.order(_name(visit))
        return await _shown(visit, found, visit.form.get("text", ""), problem)
    return go(_page(visit))


async def _shown(visit: Visit, found: wo.WorkOrder, said: str, problem: Problem | None) -> Response:
    view: OrderView = order_view(found, await _titles(visit), visit.frame.now)
    seen = whole_number(visit.form.get("seen", ""), len(view.events))
    return html(quality_pages.order(visit, view, said, seen, problem, request_id()), status_of(problem))


async def _titles(visit: Visit) -> dict[str, LocalText]:
    """Of my own department's datasets; others go by their ids."""
    return {
        one.name: LocalText(one.display_name, one.display_name_en)
        for one in await visit.desk.datasets(visit.department)
    }


def _matches(one: OrderView, asked: dict[str, str], username: str) -> bool:
    return (
        (not asked["state"] or one.state == asked["state"])
        and (not asked["mine"] or one.assignee == username)
        and (not asked["late"] or one.overdue)
        and (not asked["dataset"] or one.dataset == asked["dataset"])
    )


def _name(visit: Visit) -> str:
    department, id_ = (visit.request.path_params[name] for name in ("department", "order"))
    if not (_NAME.fullmatch(department) and UUID.fullmatch(id_)):
        raise Problem(404, "NO_SUCH_ADDRESS", f"there is nothing at {visit.request.url.path}")
    return f"departments/{department}/workOrders/{id_}"


def _page(visit: Visit) -> str:
    _, department, _, id_ = _name(visit).split("/")
    return f"/console/orders/{department}/{id_}"
