"""A department's sources: the list, one of them, a new one, and when they are pulled."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from plaza.catalogue.v1 import source_systems_pb2 as sy
from plaza.ingestion.v1 import ingestion_pb2 as ing
from plaza.ingestion.v1 import sources_pb2 as src
from plaza_design.i18n import LocalText
from starlette.responses import Response

from plaza_gateway.console import editing, sources_form, sources_pages, views
from plaza_gateway.console.desk import each
from plaza_gateway.console.editing import Edited
from plaza_gateway.console.schedules import BadTime, Rhythm
from plaza_gateway.console.sources_form import Way
from plaza_gateway.console.sources_pages import Choices
from plaza_gateway.console.sources_view import pull_of, source_view
from plaza_gateway.console.visits import Visit, go, html, request_id, status_of, whole_number
from plaza_gateway.transcode.problems import Problem

ROWS = 50
"""Sources on one page of the list."""
RUNS = 10
"""Pulls that a source's page shows."""


async def sources(visit: Visit) -> Response:
    """My department's sources, those that fail first."""
    found = await visit.desk.sources.all(visit.department)
    found.sort(key=lambda one: one.state != src.SOURCE_STATE_FAILING)
    page_count = max(-(-len(found) // ROWS), 1)
    number = min(max(whole_number(visit.asked("page"), 1), 1), page_count)
    shown = found[(number - 1) * ROWS : number * ROWS]
    pulled = [one for one in shown if one.last_run]
    runs = await each([_run(visit, one.last_run) for one in pulled])
    last = dict(zip((one.name for one in pulled), runs, strict=True))
    failing = sum(one.state == src.SOURCE_STATE_FAILING for one in found)
    rows = tuple(pull_of(one, last.get(one.name)) for one in shown)
    listed = sources_pages.Listed(rows, len(found), failing, number, page_count)
    return html(sources_pages.listed(visit, listed))


async def source(
    visit: Visit,
    refusal: Problem | None = None,
    rhythm: Rhythm | None = None,
    errors: Mapping[str, str] | None = None,
) -> Response:
    """One source; `refusal`: what was not done, `rhythm`: as it stood in the form then."""
    found = await visit.desk.sources.one(_name(visit))
    runs = await visit.desk.runs(visit.department, found.dataset)
    pulls = [run for run in runs if run.source == found.name]
    if found.last_run and found.last_run not in {run.name for run in pulls}:
        older = await _run(visit, found.last_run)
        pulls += [older] if older is not None else []
    body = sources_pages.one(
        visit,
        source_view(found),
        tuple(views.run_view(run) for run in pulls[:RUNS]),
        refusal,
        rhythm,
        errors or {},
        request_id(),
    )
    return html(body, status_of(refusal))


async def register_form(visit: Visit) -> Response:
    """A new source: first how it is got at."""
    kind = _kind(visit.asked("kind"))
    return await _form(visit, kind, sources_form.first_values(visit.asked("dataset")), None)


async def register(visit: Visit) -> Response:
    """A new source, sent."""
    kind, values = _kind(visit.form.get("kind", "")), sources_form.values_of(visit.form)
    try:
        made = await visit.desk.sources.register(
            visit.department,
            values["id"],
            sources_form.message_of(visit.department, kind, values),
            visit.form.get("request_id", ""),
        )
    except Problem as problem:
        if problem.status not in (400, 404, 409):
            raise
        return await _form(visit, kind, values, problem)
    return go(_page(made.name))


async def edit_form(visit: Visit) -> Response:
    """What is registered of a source, to be changed."""
    found = await visit.desk.sources.one(_name(visit))
    return await _editor(visit, found, editing.opened(sources_form.values_from(found), found.etag), None)


async def edit(visit: Visit) -> Response:
    """The same, sent: only what was changed here is changed there. After a conflict nothing is saved before the person
    has seen what a colleague wrote."""
    found = await visit.desk.sources.one(_name(visit))
    now, way = sources_form.values_from(found), sources_form.way_of(found)
    mine = editing.sent(visit.form, now)
    if not mine.changed:
        return go(_page(found.name))
    try:
        changed = sources_form.changed_source(found, visit.department, mine.values)
        changed.etag = mine.etag
        await visit.desk.sources.update(changed, sources_form.mask_of(way, mine.changed))
    except Problem as problem:
        if problem.status not in (400, 404, 409):
            raise
        if problem.reason != editing.CONFLICT:
            return await _editor(visit, found, mine, problem)
        found = await visit.desk.sources.one(_name(visit))
        both = editing.together(mine, sources_form.values_from(found), found.etag)
        return await _editor(visit, found, both, problem)
    return go(_page(found.name))


async def pull(visit: Visit) -> Response:
    """Pulls now: to the run's page, which shows how far it is."""
    try:
        run = await visit.desk.sources.pull(_name(visit), visit.form.get("request_id", ""))
    except Problem as problem:
        return await _again(visit, problem)
    return go(f"/console/runs/{views.last(run.name)}")


async def pause(visit: Visit) -> Response:
    """No pulls until somebody resumes it."""
    try:
        await visit.desk.sources.pause(_name(visit))
    except Problem as problem:
        return await _again(visit, problem)
    return go(_page(_name(visit)))


async def resume(visit: Visit) -> Response:
    """Pulls again."""
    try:
        await visit.desk.sources.resume(_name(visit))
    except Problem as problem:
        return await _again(visit, problem)
    return go(_page(_name(visit)))


async def schedule(visit: Visit) -> Response:
    """Another schedule, or none."""
    rhythm = Rhythm.of_form(visit.form)
    try:
        try:
            cron = rhythm.to_cron()
        except BadTime as error:
            raise sources_form.incomplete([str(error)]) from error
        wanted = src.PullSchedule(cron=cron, zone=rhythm.zone) if cron else None
        changed = src.Source(name=_name(visit), schedule=wanted, etag=visit.form.get("etag", ""))
        await visit.desk.sources.update(changed, ("schedule",))
    except Problem as problem:
        return await _again(visit, problem, rhythm, sources_form.errors_of(problem))
    return go(f"{_page(_name(visit))}#schedule")


async def _again(
    visit: Visit, problem: Problem, rhythm: Rhythm | None = None, errors: Mapping[str, str] | None = None
) -> Response:
    if problem.status not in (400, 409):
        raise problem
    return await source(visit, problem, rhythm, errors)


async def _form(visit: Visit, kind: Way, values: Mapping[str, str], problem: Problem | None) -> Response:
    body = sources_pages.form(visit, kind, values, await _choices(visit), problem, request_id())
    return html(body, status_of(problem))


async def _editor(visit: Visit, found: src.Source, view: Edited, problem: Problem | None) -> Response:
    choices = await _choices(visit, views.last(found.source_system))
    return html(sources_pages.edit(visit, source_view(found), view, choices, problem), status_of(problem))


async def _choices(visit: Visit, system: str = "") -> Choices:
    """`system`: one that is named already, retired or not."""
    datasets, systems = await asyncio.gather(
        visit.desk.datasets(visit.department), visit.desk.standards.systems(visit.department)
    )
    named = [(views.last(one.name), one) for one in systems]
    return Choices(
        tuple((views.last(one.name), LocalText(one.display_name, one.display_name_en)) for one in datasets),
        tuple(
            (id_, LocalText(one.display_name, one.display_name_en))
            for id_, one in named
            if id_ == system or one.state != sy.SOURCE_SYSTEM_STATE_RETIRED
        ),
    )


async def _run(visit: Visit, name: str) -> ing.Run | None:
    """None when it is kept no more."""
    try:
        return await visit.desk.run(name)
    except Problem as problem:
        if problem.status != 404:
            raise
        return None


def _kind(text: str) -> Way:
    return "postgres" if text == "postgres" else "http"


def _name(visit: Visit) -> str:
    return f"{visit.department}/sources/{visit.request.path_params['source']}"


def _page(name: str) -> str:
    return f"/console/sources/{views.last(name)}"
