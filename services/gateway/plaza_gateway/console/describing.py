"""A dataset's directory fields: changed without overwriting a colleague, their old versions, and back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from plaza.catalogue.v1 import catalogue_pb2 as cat
from starlette.responses import Response

from plaza_gateway.console import contract_form, editing, pages, views
from plaza_gateway.console.editing import Edited
from plaza_gateway.console.visits import Visit, go, html, status_of, whole_number
from plaza_gateway.transcode.problems import Problem

TEXTS = (
    "display_name",
    "display_name_en",
    "category",
    "description",
    "description_en",
    "cycle",
    "licence",
    "keywords",
    "related_codes",
    "opened",
    "opening_condition",
)
"""Names in the form."""
_LISTS = ("keywords", "related_codes")
_PATHS = {"cycle": "update_cycle", "opened": "opening.allowed", "opening_condition": "opening.condition"}
"""Places in the catalogue's message that are called otherwise."""


async def edit_form(visit: Visit) -> Response:
    """The directory fields, to be changed."""
    found = await visit.desk.dataset(visit.dataset)
    view = editing.opened(values_of(found), found.etag)
    return html(pages.edit(visit, views.dataset_row(found), view, found.metadata_version, None, {}, ()))


async def edit(visit: Visit) -> Response:
    """The directory fields, sent: only what was changed here is changed there."""
    mine = editing.sent(visit.form, TEXTS)
    if not mine.changed:
        return go(visit.dataset_page)
    try:
        fields = tuple(dict.fromkeys(map(_mask, mine.changed)))
        await visit.desk.update(_message(visit.dataset, mine.values, mine.etag), fields)
    except Problem as problem:
        if problem.status not in (400, 409):
            raise
        return await _edit_again(visit, mine, problem)
    return go(visit.dataset_page)


async def _edit_again(visit: Visit, mine: Edited, problem: Problem) -> Response:
    """Refused. After a conflict the form shows what a colleague wrote; what was written here stays where it was
    written, with theirs beside it, and nothing is saved before the person has seen that."""
    found = await visit.desk.dataset(visit.dataset)
    row, seen = views.dataset_row(found), whole_number(visit.form.get("seen", ""), 0)
    if problem.reason != editing.CONFLICT:
        return html(pages.edit(visit, row, mine, seen, problem, _errors(problem), ()), problem.status)
    both = editing.together(mine, values_of(found), found.etag)
    versions = await visit.desk.history(visit.dataset)
    since = tuple(views.metadata_row(each) for each in versions if each.version > seen)
    return html(pages.edit(visit, row, both, found.metadata_version, problem, {}, since), problem.status)


async def history(visit: Visit, problem: Problem | None = None) -> Response:
    """Who changed what and when; two versions side by side."""
    found, versions = await asyncio.gather(
        visit.desk.dataset(visit.dataset), visit.desk.history(visit.dataset)
    )
    newer = min(whole_number(visit.asked("version"), found.metadata_version), found.metadata_version)
    older = min(whole_number(visit.asked("from"), 0), newer)
    difference = await visit.desk.differences(visit.dataset, older, newer)
    body = pages.history(
        visit,
        views.dataset_row(found),
        tuple(views.metadata_row(each) for each in versions),
        difference,
        found.etag,
        problem,
    )
    return html(body, status_of(problem))


async def restore(visit: Visit) -> Response:
    """An old version's directory fields, again: that makes a new version."""
    number = visit.request.path_params["version"]
    try:
        await visit.desk.restore(
            f"{visit.dataset}/metadataVersions/{whole_number(number, 0)}", visit.form.get("etag", "")
        )
    except Problem as problem:
        if problem.status not in (400, 409):
            raise
        return await history(visit, problem)
    return go(f"{visit.dataset_page}/history")


def values_of(found: cat.Dataset) -> dict[str, str]:
    """The form's texts of a dataset."""
    cycle = cat.UpdateCycle.Name(found.update_cycle).removeprefix("UPDATE_CYCLE_").lower()
    return {
        "display_name": found.display_name,
        "display_name_en": found.display_name_en,
        "category": found.category,
        "description": found.description,
        "description_en": found.description_en,
        "cycle": cycle,
        "licence": found.licence,
        "keywords": "\n".join(found.keywords),
        "related_codes": "\n".join(found.related_codes),
        "opened": "on" if found.opening.allowed else "",
        "opening_condition": found.opening.condition,
    }


def _message(name: str, values: Mapping[str, str], etag: str) -> cat.Dataset:
    cycle = values["cycle"] if values["cycle"] in contract_form.CYCLES else "unspecified"
    return cat.Dataset(
        name=name,
        etag=etag,
        display_name=values["display_name"],
        display_name_en=values["display_name_en"],
        category=values["category"],
        description=values["description"],
        description_en=values["description_en"],
        update_cycle=cat.UpdateCycle.Value(f"UPDATE_CYCLE_{cycle.upper()}"),
        licence=values["licence"],
        keywords=_lines(values["keywords"]),
        related_codes=_lines(values["related_codes"]),
        opening=cat.Opening(allowed=bool(values["opened"]), condition=values["opening_condition"]),
    )


def place_of(pointer: str) -> str:
    """The form's field that the catalogue complains about; `main` when the form has none."""
    path = pointer.removeprefix("dataset.")
    names = {_PATHS.get(name, name): name for name in TEXTS}
    return next((name for place, name in names.items() if path.partition("[")[0] == place), "main")


def _errors(problem: Problem) -> dict[str, str]:
    """What is wrong by the place in the form; empty where the console has words of its own."""
    found: dict[str, str] = {}
    for complaint in problem.errors:
        place = place_of(complaint.pointer)
        found[place] = "" if place in pages.OWN_COMPLAINTS else complaint.detail
    return found


def _mask(name: str) -> str:
    return "opening" if name.startswith("open") else _PATHS.get(name, name)


def _lines(text: str) -> list[str]:
    return list(dict.fromkeys(line for line in map(str.strip, editing.plain(text).split("\n")) if line))
