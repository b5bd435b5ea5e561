"""Views of sources to HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from plaza_design.i18n import LocalText
from plaza_design.pages import page_numbers, render

from plaza_gateway.console import editing, pages, rights, schedules, sources_form, sources_view
from plaza_gateway.console.editing import Edited
from plaza_gateway.console.schedules import Rhythm
from plaza_gateway.console.sources_form import Way
from plaza_gateway.console.sources_view import Pull, SourceView
from plaza_gateway.console.views import RunView
from plaza_gateway.console.visits import Visit
from plaza_gateway.transcode.problems import Problem


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of the list."""

    rows: tuple[Pull, ...]
    total: int
    failing: int
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class Choices:
    """What a new source can name."""

    datasets: tuple[tuple[str, LocalText], ...]
    systems: tuple[tuple[str, LocalText], ...]
    """Id and name."""


def listed(visit: Visit, view: Listed) -> str:
    """My department's sources."""
    links = {n: f"/console/sources?page={n}" for n in range(1, view.pages + 1)}
    return _page(visit, "sources.html", view=view, links=links, numbers=page_numbers(view.page, view.pages))


def one(
    visit: Visit,
    view: SourceView,
    runs: tuple[RunView, ...],
    refusal: Problem | None,
    rhythm: Rhythm | None,
    errors: Mapping[str, str],
    request_id: str,
) -> str:
    """One source."""
    return _page(
        visit,
        "source.html",
        source=view,
        runs=runs,
        refusal=refusal,
        rhythm=rhythm or view.rhythm,
        errors=errors,
        request_id=request_id,
        every=schedules.EVERY,
    )


def form(
    visit: Visit,
    kind: Way,
    values: Mapping[str, str],
    choices: Choices,
    problem: Problem | None,
    request_id: str,
) -> str:
    """A new source."""
    return _page(
        visit,
        "source_new.html",
        kind=kind,
        values=values,
        choices=choices,
        problem=problem,
        errors=sources_form.errors_of(problem) if problem is not None else {},
        request_id=request_id,
        every=schedules.EVERY,
        classes=sources_view.CLASSES,
        modes=sources_form.MODES,
        tls=sources_view.TLS,
    )


def edit(visit: Visit, source: SourceView, view: Edited, choices: Choices, problem: Problem | None) -> str:
    """What is registered of a source, to be changed."""
    conflict = problem is not None and problem.reason == editing.CONFLICT
    return _page(
        visit,
        "source_edit.html",
        source=source,
        kind=source.kind,
        view=view,
        values=view.values,
        choices=choices,
        problem=problem,
        conflict=conflict,
        errors=sources_form.errors_of(problem) if problem is not None and not conflict else {},
        classes=sources_view.CLASSES,
        modes=sources_form.MODES,
        tls=sources_view.TLS,
    )


def _page(visit: Visit, template: str, **values: object) -> str:
    return render(
        pages.templates(),
        template,
        visit.frame,
        visit=visit,
        part="sources",
        keeps=rights.keeps_sources(visit.person),
        **values,
    )
