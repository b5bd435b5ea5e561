"""Views of quality to HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from plaza_design.i18n import LocalText
from plaza_design.pages import page_numbers, render

from plaza_gateway.console import pages, quality_charts, quality_view, rights
from plaza_gateway.console.quality_charts import NARROW, WIDE
from plaza_gateway.console.quality_view import AssessmentView, OrderView, ReportRow, ScoreRow
from plaza_gateway.console.views import DatasetRow, VersionRow
from plaza_gateway.console.visits import Visit
from plaza_gateway.transcode.problems import Problem

SORTS = ("score", "department", "datasets", "orders")
"""Of the board."""
Points = Sequence[tuple[str, float | None]]


@dataclass(frozen=True, slots=True)
class Board:
    """Departments, the city, and the own department's datasets."""

    city: ScoreRow
    own: ScoreRow | None
    departments: tuple[ScoreRow, ...]
    datasets: tuple[DatasetRow, ...]
    """The lowest first, those without a score last."""
    unmeasured: int
    sort: str
    own_days: Points
    city_days: Points


@dataclass(frozen=True, slots=True)
class Orders:
    """A page of work orders, and what was asked for."""

    rows: tuple[OrderView, ...]
    found: int
    page: int
    pages: int
    asked: Mapping[str, str]
    """`state`, `mine`, `late`, `of`, `dataset`; empty: not asked."""
    departments: tuple[tuple[str, LocalText], ...]
    """Whose work orders there are; one's own alone for most."""
    late: int


def dataset(
    visit: Visit,
    row: DatasetRow,
    view: AssessmentView | None,
    version: int,
    versions: tuple[VersionRow, ...],
    orders: tuple[OrderView, ...],
) -> str:
    """The quality of one version."""
    points = [(f"{each.version}", each.score) for each in reversed(versions)]
    return _page(
        visit,
        "quality.html",
        "quality",
        row=row,
        view=view,
        number=version,
        versions=versions,
        orders=orders,
        charts=_charts(points),
        ends=_ends(points),
    )


def board(visit: Visit, view: Board) -> str:
    """Scores of departments and datasets."""
    return _page(
        visit,
        "board.html",
        "quality",
        view=view,
        own_charts=_charts(view.own_days),
        city_charts=_charts(view.city_days),
        own_ends=_ends(view.own_days),
        city_ends=_ends(view.city_days),
        sorts=SORTS,
    )


def orders(visit: Visit, view: Orders) -> str:
    """The inbox of work orders."""
    query = {name: value for name, value in view.asked.items() if value}
    links = {
        n: f"/console/orders?{urlencode([*query.items(), ('page', str(n))])}"
        for n in range(1, view.pages + 1)
    }
    numbers = page_numbers(view.page, view.pages)
    return _page(visit, "orders.html", "orders", view=view, links=links, numbers=numbers)


def order(
    visit: Visit,
    view: OrderView,
    said: str,
    seen: int,
    problem: Problem | None,
    request_id: str,
) -> str:
    """One work order. `said`: what the person wrote; `seen`: how much of its history the form goes out from."""
    conflict = problem is not None and problem.reason == "ETAG_MISMATCH"
    return _page(
        visit,
        "order.html",
        "orders",
        order=view,
        said=said,
        since=view.events[seen:] if conflict else (),
        conflict=conflict,
        problem=problem,
        keeps=rights.works_on_orders(visit.person, view.department),
        own=view.department == visit.person.department,
        request_id=request_id,
    )


def reports(
    visit: Visit,
    rows: tuple[ReportRow, ...],
    month: str,
    city: bool,
    problem: Problem | None,
    request_id: str,
) -> str:
    """Health reports of the department, or of the city."""
    return _page(
        visit,
        "reports.html",
        "reports",
        rows=rows,
        month=month,
        city=city,
        problem=problem,
        errors={"month": problem.detail} if problem is not None else {},
        makes=rights.makes_reports(visit.person, city=city),
        request_id=request_id,
    )


def _charts(points: Points) -> tuple[quality_charts.LineChart, ...]:
    """The wide one and the narrow one; none of less than two points."""
    if sum(score is not None for _, score in points) < 2:
        return ()
    return tuple(quality_charts.line(points, quality_view.GREEN_FROM, width) for width in (WIDE, NARROW))


def _ends(points: Points) -> tuple[float, float]:
    """The first and the last score that is known: what a chart tells."""
    known = [score for _, score in points if score is not None] or [0.0]
    return known[0], known[-1]


def _page(visit: Visit, template: str, part: str, **values: object) -> str:
    values.setdefault("oversees", rights.oversees(visit.person))
    return render(
        pages.templates(),
        template,
        visit.frame,
        visit=visit,
        part=part,
        green_from=quality_view.GREEN_FROM,
        yellow_from=quality_view.YELLOW_FROM,
        states=quality_view.STATES,
        **values,
    )
