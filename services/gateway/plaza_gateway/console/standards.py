"""The city's code lists."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from plaza.catalogue.v1 import code_lists_pb2 as cl
from starlette.responses import Response

from plaza_gateway.console import forms, standards_form, standards_pages
from plaza_gateway.console.standards_view import counted, differences, list_view
from plaza_gateway.console.visits import Visit, go, html, request_id, status_of
from plaza_gateway.transcode.problems import Complaint, Problem

CODES = 100
"""Codes on one page."""
MOST_COMPARED = 20_000
"""Codes of each version that two versions are compared by."""
LARGEST_DOCUMENT = 8 * 1024 * 1024
"""Bytes of a version's file, as the catalogue takes it."""
_FORGOTTEN = (400, 409, 413)


async def lists(visit: Visit) -> Response:
    """The code lists."""
    found = await visit.desk.standards.lists()
    rows = tuple((list_view(one.latest_version), one.version_count) for one in found)
    return html(standards_pages.lists(visit, rows))


async def code_list(visit: Visit) -> Response:
    """A version of a code list, the newest where none is named: its codes, and all versions."""
    versions = await visit.desk.standards.list_versions(_list(visit))
    version = visit.request.path_params.get("version", versions[0].name.rpartition("/")[2])
    shown = next((one for one in versions if one.name.rpartition("/")[2] == version), None)
    if shown is None:
        raise Problem(404, "NO_SUCH_VERSION", f"{_list(visit)} has no version {version}")
    words = " ".join(visit.asked("q").split())[:200]
    page = await visit.desk.standards.codes(shown.name, words, CODES, visit.asked("page")[:1024])
    view = standards_pages.Codes(
        list_view(shown),
        tuple(map(list_view, versions)),
        tuple(page.codes),
        words,
        bool(visit.asked("page")),
        page.next_page_token,
    )
    return html(standards_pages.code_list(visit, view))


async def compare(visit: Visit) -> Response:
    """How two versions of a code list differ."""
    versions = {
        one.name.rpartition("/")[2]: one for one in await visit.desk.standards.list_versions(_list(visit))
    }
    older, newer = versions.get(visit.asked("from")), versions.get(visit.asked("to"))
    if older is None or newer is None:
        raise Problem(404, "NO_SUCH_VERSION", f"{_list(visit)} has no such two versions")
    if max(older.code_count, newer.code_count) > MOST_COMPARED:
        found = None
    else:
        before, after = await _all_codes(visit, older.name), await _all_codes(visit, newer.name)
        # A city's divisions are tens of thousands of rows: not on the loop that serves others.
        found = await asyncio.to_thread(differences, before, after)
    view = standards_pages.Compared(
        list_view(older),
        list_view(newer),
        found,
        counted(found or ()),
        tuple(map(list_view, versions.values())),
    )
    return html(standards_pages.compare(visit, view))


async def version_form(visit: Visit) -> Response:
    """A further version of a code list, or a new list: the facts of the version before it to begin with."""
    values = dict.fromkeys(standards_form.LIST_TEXTS, "")
    if "list" in visit.request.path_params:
        newest = list_view((await visit.desk.standards.list_versions(_list(visit)))[0])
        facts = ("standard", "edition", "description", "source", "licence")
        values |= {name: getattr(newest, name) for name in facts}
        values |= {"id": newest.id, "display_name": newest.title.zh, "display_name_en": newest.title.en}
    return _version_form(visit, values, None)


async def add_version(visit: Visit) -> Response:
    """A version of a code list, sent."""
    sent = forms.FileForm(visit.request, visit.session)
    await sent.open()
    values = standards_form.values_of(sent.fields, standards_form.LIST_TEXTS)
    if "list" in visit.request.path_params:
        values["id"] = visit.request.path_params["list"]
    try:
        document = standards_form.document_of(await _held(sent))
        made = await visit.desk.standards.add_version(
            f"codeLists/{values['id']}",
            values["version"],
            standards_form.facts_of(values),
            document,
            sent.fields.get("request_id", ""),
        )
    except Problem as problem:
        if problem.status not in _FORGOTTEN:
            raise
        return _version_form(visit, values, problem)
    id_, _, version = made.name.removeprefix("codeLists/").partition("/versions/")
    return go(f"/console/codes/{id_}/versions/{version}")


def _version_form(visit: Visit, values: Mapping[str, str], problem: Problem | None) -> Response:
    return html(standards_pages.version_form(visit, values, problem, request_id()), status_of(problem))


async def _held(sent: forms.FileForm) -> bytes:
    """The whole file, which the catalogue takes in one piece. Raises Problem when it is too large or missing."""
    if not sent.file_name:
        raise Problem(400, "NO_FILE", "", errors=(Complaint("body", "file", ""),))
    data = bytearray()
    async for piece in sent.pieces():
        data += piece
        if len(data) > LARGEST_DOCUMENT:
            detail = f"the file is larger than {LARGEST_DOCUMENT // 1024**2} MiB"
            raise Problem(413, "FILE_TOO_LARGE", detail, errors=(Complaint("body", "document", detail),))
    return bytes(data)


async def _all_codes(visit: Visit, version: str) -> list[cl.Code]:
    found: list[cl.Code] = []
    token = ""
    while True:
        page = await visit.desk.standards.codes(version, "", 1000, token)
        found.extend(page.codes)
        token = page.next_page_token
        if not token:
            return found


def _list(visit: Visit) -> str:
    return f"codeLists/{visit.request.path_params['list']}"
