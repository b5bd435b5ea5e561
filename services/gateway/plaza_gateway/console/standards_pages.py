"""Views of source systems and code lists to HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from plaza.catalogue.v1 import code_lists_pb2 as cl
from plaza_design.pages import render

from plaza_gateway.console import editing, pages, rights, sources_view, standards_form
from plaza_gateway.console.editing import Edited
from plaza_gateway.console.standards_view import (
    SYSTEM_FIELDS,
    Change,
    Difference,
    ListView,
    SystemChange,
    SystemView,
)
from plaza_gateway.console.visits import Visit
from plaza_gateway.transcode.problems import Problem

SHOWN = 500
"""Differences on the page; of the rest their number is told."""


@dataclass(frozen=True, slots=True)
class Codes:
    """A page of a version's codes."""

    shown: ListView
    versions: tuple[ListView, ...]
    codes: tuple[cl.Code, ...]
    words: str
    later: bool
    """Not the first page."""
    next_page: str


@dataclass(frozen=True, slots=True)
class Compared:
    """Two versions side by side."""

    older: ListView
    newer: ListView
    found: tuple[Difference, ...] | None
    """None: there are too many codes to compare."""
    counts: Mapping[Change, int]
    versions: tuple[ListView, ...]


def systems(visit: Visit, rows: tuple[SystemView, ...]) -> str:
    """My department's source systems."""
    return _page(visit, "systems.html", "systems", rows=rows)


def system(
    visit: Visit, view: SystemView, history: tuple[SystemChange, ...], etag: str, refusal: Problem | None
) -> str:
    """One source system; `refusal`: what was not done."""
    return _page(
        visit,
        "system.html",
        "systems",
        system=view,
        history=history,
        etag=etag,
        refusal=refusal,
        fields=SYSTEM_FIELDS,
        classes=sources_view.CLASSES,
    )


def system_form(visit: Visit, values: Mapping[str, str], problem: Problem | None, request_id: str) -> str:
    """A new source system."""
    return _page(
        visit,
        "system_new.html",
        "systems",
        values=values,
        problem=problem,
        errors=standards_form.errors_of(problem) if problem is not None else {},
        request_id=request_id,
        classes=sources_view.CLASSES,
    )


def system_edit(
    visit: Visit, system: SystemView, view: Edited, problem: Problem | None, colleague: str
) -> str:
    """What is said about a source system, to be changed; `colleague`: who was faster."""
    conflict = problem is not None and problem.reason == editing.CONFLICT
    return _page(
        visit,
        "system_edit.html",
        "systems",
        system=system,
        view=view,
        values=view.values,
        problem=problem,
        conflict=conflict,
        colleague=colleague,
        errors=standards_form.errors_of(problem) if problem is not None and not conflict else {},
        classes=sources_view.CLASSES,
    )


def lists(visit: Visit, rows: tuple[tuple[ListView, int], ...]) -> str:
    """The code lists."""
    return _page(visit, "codes.html", "codes", rows=rows)


def code_list(visit: Visit, view: Codes) -> str:
    """A version of a code list."""
    here = f"/console/codes/{view.shown.id}/versions/{view.shown.version}"
    query = {"q": view.words} if view.words else {}
    return _page(
        visit,
        "code_list.html",
        "codes",
        view=view,
        here=here,
        first=f"{here}?{urlencode(query)}" if query else here,
        further=f"{here}?{urlencode(query | {'page': view.next_page})}" if view.next_page else "",
    )


def compare(visit: Visit, view: Compared) -> str:
    """Two versions of a code list."""
    return _page(visit, "code_differences.html", "codes", view=view, most=SHOWN)


def version_form(visit: Visit, values: Mapping[str, str], problem: Problem | None, request_id: str) -> str:
    """A further version of a code list, or a new one."""
    known = visit.request.path_params.get("list", "")
    return _page(
        visit,
        "code_list_new.html",
        "codes",
        known=known,
        action=f"/console/codes/{known}/add" if known else "/console/add-codes",
        values=values,
        problem=problem,
        errors=standards_form.errors_of(problem) if problem is not None else {},
        request_id=request_id,
    )


def _page(visit: Visit, template: str, part: str, **values: object) -> str:
    return render(
        pages.templates(),
        template,
        visit.frame,
        visit=visit,
        part=part,
        keeps=rights.keeps_code_lists(visit.person)
        if part == "codes"
        else rights.keeps_sources(visit.person),
        **values,
    )
