"""A department's source systems: the list, one of them with its history, a new one, changed and retired."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from plaza.catalogue.v1 import source_systems_pb2 as sy
from starlette.responses import Response

from plaza_gateway.console import editing, standards_form, standards_pages, views
from plaza_gateway.console.editing import Edited
from plaza_gateway.console.standards_view import system_change, system_view
from plaza_gateway.console.visits import Visit, go, html, request_id, status_of
from plaza_gateway.transcode.problems import Problem

_REFUSED = (400, 409)


async def systems(visit: Visit) -> Response:
    """My department's source systems."""
    found = await visit.desk.standards.systems(visit.department)
    return html(standards_pages.systems(visit, tuple(map(system_view, found))))


async def system(visit: Visit, refusal: Problem | None = None) -> Response:
    """One source system with its history; `refusal`: what was not done."""
    found, history = await asyncio.gather(
        visit.desk.standards.system(_name(visit)), visit.desk.standards.system_history(_name(visit))
    )
    changes = tuple(map(system_change, history))
    body = standards_pages.system(visit, system_view(found), changes, found.etag, refusal)
    return html(body, status_of(refusal))


async def system_form(visit: Visit) -> Response:
    """A new source system."""
    return _system_form(visit, dict.fromkeys(standards_form.SYSTEM_TEXTS, ""), None)


async def register_system(visit: Visit) -> Response:
    """A new source system, sent."""
    values = standards_form.values_of(visit.form, standards_form.SYSTEM_TEXTS)
    try:
        made = await visit.desk.standards.register_system(
            visit.department,
            values["id"],
            standards_form.system_of(values),
            visit.form.get("request_id", ""),
        )
    except Problem as problem:
        if problem.status not in _REFUSED:
            raise
        return _system_form(visit, values, problem)
    return go(_page(made.name))


def _system_form(visit: Visit, values: Mapping[str, str], problem: Problem | None) -> Response:
    return html(standards_pages.system_form(visit, values, problem, request_id()), status_of(problem))


async def edit_form(visit: Visit) -> Response:
    """What is said about a source system, to be changed."""
    found = await visit.desk.standards.system(_name(visit))
    return _editor(visit, found, editing.opened(standards_form.values_from(found), found.etag), None)


async def edit(visit: Visit) -> Response:
    """The same, sent: only what was changed here is changed there. After a conflict nothing is saved before the person
    has seen what a colleague wrote."""
    found = await visit.desk.standards.system(_name(visit))
    mine = editing.sent(visit.form, standards_form.values_from(found))
    if not mine.changed:
        return go(_page(found.name))
    try:
        changed = standards_form.system_of(mine.values)
        changed.name, changed.etag = found.name, mine.etag
        await visit.desk.standards.update_system(changed, mine.changed)
    except Problem as problem:
        if problem.status not in _REFUSED:
            raise
        if problem.reason != editing.CONFLICT:
            return _editor(visit, found, mine, problem)
        found, history = await asyncio.gather(
            visit.desk.standards.system(found.name), visit.desk.standards.system_history(found.name)
        )
        both = editing.together(mine, standards_form.values_from(found), found.etag)
        return _editor(visit, found, both, problem, history[0].author if history else "")
    return go(_page(found.name))


async def retire(visit: Visit) -> Response:
    """For good: no dataset and no source can name it any more."""
    try:
        await visit.desk.standards.retire_system(_name(visit), visit.form.get("etag", ""))
    except Problem as problem:
        if problem.status not in _REFUSED:
            raise
        return await system(visit, problem)
    return go(_page(_name(visit)))


def _editor(
    visit: Visit, found: sy.SourceSystem, view: Edited, problem: Problem | None, colleague: str = ""
) -> Response:
    body = standards_pages.system_edit(visit, system_view(found), view, problem, colleague)
    return html(body, status_of(problem))


def _name(visit: Visit) -> str:
    return f"{visit.department}/sourceSystems/{visit.request.path_params['system']}"


def _page(name: str) -> str:
    return f"/console/systems/{views.last(name)}"
