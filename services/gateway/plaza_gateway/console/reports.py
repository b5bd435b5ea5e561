"""Health reports: the list, one made now, and their files."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from plaza_kit.working_days import ZONE
from starlette.responses import Response, StreamingResponse

from plaza_gateway.console import pages, quality_pages, rights
from plaza_gateway.console.quality_view import report_row
from plaza_gateway.console.visits import UUID, Visit, go, html, request_id, status_of
from plaza_gateway.streams.content import attachment
from plaza_gateway.transcode.problems import Problem

CITY = "city"
_REFUSED = (400, 409)
_MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])", re.ASCII)
_TYPES = {"pdf": "application/pdf", "html": "text/html; charset=utf-8"}
_LANGUAGES = ("zh", "en")


async def reports(visit: Visit, problem: Problem | None = None) -> Response:
    """Those of my department, or of the city for those who oversee it."""
    city = _city(visit)
    found = await visit.desk.quality.reports(_parent(visit, city))
    month = visit.form.get("month", "") or f"{visit.frame.now.astimezone(ZONE):%Y-%m}"
    rows = tuple(map(report_row, found))
    return html(quality_pages.reports(visit, rows, month, city, problem, request_id()), status_of(problem))


async def make(visit: Visit) -> Response:
    """One more, now."""
    city, month = _city(visit), visit.form.get("month", "").strip()
    try:
        if not _MONTH.fullmatch(month):
            raise Problem(400, "NO_MONTH", "")
        await visit.desk.quality.make_report(_parent(visit, city), month, visit.form.get("request_id", ""))
    except Problem as problem:
        if problem.status not in _REFUSED:
            raise
        return await reports(visit, problem)
    return go(f"/console/reports?of={CITY}" if city else "/console/reports")


async def file(visit: Visit) -> Response:
    """A report as PDF or HTML, saved: it is a document of its own, no page of the console."""
    format_, language = visit.asked("format") or "pdf", visit.asked("language") or "zh"
    id_ = visit.request.path_params["report"]
    if format_ not in _TYPES or language not in _LANGUAGES or not UUID.fullmatch(id_):
        raise Problem(404, "NO_SUCH_ADDRESS", f"there is nothing at {visit.request.url.path}")
    city = _city(visit)
    name = f"{_parent(visit, city)}/healthReports/{id_}"
    pieces = visit.desk.quality.report_file(name, format_, language)
    # A refusal comes with the first piece, while there is still time to say so on a page.
    first = await anext(aiter(pieces), b"")

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    whose = "city" if city else visit.person.department
    headers = {
        **pages.HEADERS,
        "Content-Disposition": attachment(f"health-{whose}-{id_[-8:]}-{language}.{format_}"),
    }
    return StreamingResponse(whole(), media_type=_TYPES[format_], headers=headers)


def _city(visit: Visit) -> bool:
    asked = visit.form.get("of", "") or visit.asked("of")
    return asked == CITY and rights.oversees(visit.person)


def _parent(visit: Visit, city: bool) -> str:
    return "departments/-" if city else visit.department
