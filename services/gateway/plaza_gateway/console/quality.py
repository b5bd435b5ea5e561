"""The quality of a dataset's versions, and the board of scores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from plaza_design.i18n import LocalText
from starlette.responses import Response

from plaza_gateway.console import quality_pages, views
from plaza_gateway.console.desk import each
from plaza_gateway.console.quality_pages import SORTS, Board
from plaza_gateway.console.quality_view import ScoreRow, assessment_view, order_view, score_row
from plaza_gateway.console.visits import Visit, html, whole_number
from plaza_gateway.transcode.problems import Problem


async def dataset(visit: Visit) -> Response:
    """What the rules say about a version, the newest when none is named."""
    name = visit.dataset
    found, versions, orders = await asyncio.gather(
        visit.desk.dataset(name),
        visit.desk.versions(name),
        visit.desk.quality.orders(visit.department, name),
    )
    row = views.dataset_row(found)
    newest = row.version.version if row.version else 0
    number = whole_number(visit.asked("version"), newest)
    assessed = await visit.desk.quality.assessment(name, number) if number else None
    if assessed is None and visit.asked("version") and number not in {one.version for one in versions}:
        raise Problem(404, "NO_SUCH_VERSION", f"there is nothing at {name}/versions/{number}")
    title = {name: row.title}
    body = quality_pages.dataset(
        visit,
        row,
        assessment_view(assessed) if assessed is not None else None,
        number,
        views.version_rows(versions),
        tuple(order_view(one, title, visit.frame.now) for one in orders),
    )
    return html(body)


async def board(visit: Visit) -> Response:
    """Score → department → dataset."""
    desk = visit.desk
    scores, datasets, own_days, city_days = await asyncio.gather(
        desk.quality.scores(),
        desk.datasets(visit.department),
        desk.quality.days(visit.department),
        desk.quality.days("departments/-"),
    )
    titles = await names_of(visit, {one.name.split("/")[1] for one in scores.scores})
    rows = [score_row(one, titles) for one in scores.scores]
    sort = visit.asked("sort") if visit.asked("sort") in SORTS else "score"
    shown = [views.dataset_row(one) for one in datasets]
    measured = [row for row in shown if row.version is not None]
    view = Board(
        city=score_row(scores.city, {}),
        own=next((row for row in rows if row.id == visit.person.department), None),
        departments=tuple(sorted(rows, key=_order(sort))),
        datasets=tuple(sorted(measured, key=_lowest)),
        unmeasured=len(shown) - len(measured),
        sort=sort,
        own_days=[(day.date[5:], day.score) for day in own_days],
        city_days=[(day.date[5:], day.score) for day in city_days],
    )
    return html(quality_pages.board(visit, view))


async def names_of(visit: Visit, ids: set[str]) -> Mapping[str, LocalText]:
    """Departments by id; one that the directory does not have keeps its id."""

    async def one(id_: str) -> tuple[str, LocalText]:
        try:
            found = await visit.desk.department(f"departments/{id_}")
        except Problem as problem:
            if problem.status != 404:
                raise
            return id_, LocalText(id_)
        return id_, LocalText(found.display_name, found.display_name_en)

    known = dict(visit.person.departments)
    return known | dict(await each([one(id_) for id_ in sorted(ids - known.keys())]))


def _lowest(row: views.DatasetRow) -> tuple[float, str]:
    score = row.version.score if row.version else None
    return (101.0 if score is None else score, row.id)


def _order(sort: str) -> Callable[[ScoreRow], tuple[float, float, str]]:
    """The worst first, whatever it is sorted by; departments by id."""
    keys: dict[str, Callable[[ScoreRow], tuple[float, float, str]]] = {
        "score": lambda row: (101.0 if row.score is None else row.score, 0, row.id),
        "department": lambda row: (0, 0, row.id),
        "datasets": lambda row: (-row.red, -row.yellow, row.id),
        "orders": lambda row: (-row.overdue, -row.orders, row.id),
    }
    return keys[sort]
