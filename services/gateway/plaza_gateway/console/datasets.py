"""A department's datasets: the list, one of them, and its way to the public."""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from plaza_gateway.console import pages, views
from plaza_gateway.console.visits import Visit, go, html, request_id, status_of, whole_number
from plaza_gateway.transcode.problems import Problem

ROWS = 50
"""Datasets on one page of the list."""


async def datasets(visit: Visit) -> Response:
    """My department's datasets; words are looked for in names and ids."""
    found = await visit.desk.datasets(visit.department)
    words = " ".join(visit.asked("q").split())[:200]
    unloaded = visit.asked("show") == "unloaded"
    matching = [
        one
        for one in found
        if _matches(words, one.name, one.display_name, one.display_name_en)
        and not (unloaded and one.latest_version.version)
    ]
    page_count = max(-(-len(matching) // ROWS), 1)
    number = min(max(whole_number(visit.asked("page"), 1), 1), page_count)
    shown = matching[(number - 1) * ROWS : number * ROWS]
    held = await visit.desk.held_rows(visit.department)
    rows = tuple(views.dataset_row(one, held.get(one.name, 0)) for one in shown)
    listed = pages.Listed(rows, len(matching), len(found), number, page_count, words, unloaded)
    return html(pages.datasets(visit, listed))


async def dataset(visit: Visit, refusal: Problem | None = None) -> Response:
    """One dataset."""
    name = visit.dataset
    found, versions, runs, releases, held = await asyncio.gather(
        visit.desk.dataset(name),
        visit.desk.versions(name),
        visit.desk.runs(visit.department, name),
        visit.desk.releases(name),
        visit.desk.held_rows(visit.department),
    )
    body = pages.dataset(
        visit,
        views.dataset_row(found, held.get(name, 0)),
        views.version_rows(versions),
        tuple(views.run_view(run) for run in runs),
        tuple(views.release_row(release) for release in releases),
        refusal,
        request_id(),
    )
    return html(body, status_of(refusal))


async def release(visit: Visit) -> Response:
    """Asks for the newest version to be opened; what the gates refuse is said on the dataset's page."""
    try:
        await visit.desk.release(visit.dataset, 0, visit.form.get("request_id", ""))
    except Problem as problem:
        if problem.status not in (400, 409):
            raise
        return await dataset(visit, problem)
    return go(f"{visit.dataset_page}#releases")


def _matches(words: str, *texts: str) -> bool:
    said = " ".join(texts).casefold()
    return all(word in said for word in words.casefold().split())
