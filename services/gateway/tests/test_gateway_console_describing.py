"""The directory entry: changed, compared, brought back."""

from __future__ import annotations

import re
from html import unescape

import httpx
from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza_gateway.transcode.problems import Complaint, Problem
from plaza_testing.console import (
    AIR,
    SESSION_OF_TESTS,
    City,
    Form,
    assert_page,
    page,
)


async def edit_form(http: httpx.AsyncClient) -> Form:
    text = await page(http, "/console/datasets/air/edit")
    form = dict(re.findall(r'<input[^>]*name="([\w.]+)" value="([^"]*)"', text))
    form |= dict(re.findall(r'<textarea[^>]*name="(\w+)"[^>]*>\n(.*?)</textarea>', text, re.S))
    form |= dict(re.findall(r'<select[^>]*name="(\w+)".*?value="(\w+)" selected', text))
    return {name: unescape(value) for name, value in form.items() if name not in ("theme", "q", "next")}


async def test_only_what_was_changed_is_changed(http: httpx.AsyncClient, city: City) -> None:
    form = await edit_form(http)
    answer = await http.post("/console/datasets/air/edit", data=form)
    assert (answer.status_code, city.updated) == (303, [])
    await http.post(
        "/console/datasets/air/edit", data=form | {"keywords": "空气\r\n 监测 \r\n空气", "cycle": "daily"}
    )
    ((changed, fields),) = city.updated
    assert sorted(fields) == ["keywords", "update_cycle"]
    assert (changed.name, changed.etag, list(changed.keywords)) == (AIR, "e3", ["空气", "监测"])
    assert changed.update_cycle == cat.UPDATE_CYCLE_DAILY


async def test_a_colleagues_change_is_shown_and_not_overwritten(http: httpx.AsyncClient, city: City) -> None:
    form = await edit_form(http)
    # The colleague wrote another English name and another abstract since this form was opened.
    mine = form | {
        "etag": "e2",
        "seen": "2",
        "was.display_name_en": "Air",
        "display_name_en": "Air in town",
        "was.description": "old",
        "description": "old",
    }
    city.refusal = Problem(409, "ETAG_MISMATCH", "changed since")
    answer = await http.post("/console/datasets/air/edit?lang=en", data=mine)
    assert answer.status_code == 409
    assert_page(answer)
    assert "高山 changed this in the meantime" in answer.text
    assert 'name="display_name_en" value="Air in town"' in answer.text
    assert re.search(r'id="display_name_en-theirs">A colleague wrote: <b>Air quality</b>', answer.text)
    assert 'id="description-theirs"' not in answer.text
    assert 'name="etag" value="e3"' in answer.text
    assert 'name="was.display_name_en" value="Air quality"' in answer.text
    assert "&lt;script&gt;" in answer.text


async def test_what_the_catalogue_refuses_is_said_at_the_field(http: httpx.AsyncClient, city: City) -> None:
    form = await edit_form(http)
    errors = (
        Complaint("body", "dataset.display_name", "too short"),
        Complaint("body", "dataset.keywords[3]", "long"),
    )
    city.refusal = Problem(400, "INVALID_REQUEST", "no", errors=errors)
    answer = await http.post("/console/datasets/air/edit?lang=en", data=form | {"display_name": ""})
    assert answer.status_code == 400
    assert 'href="#display_name"' in answer.text
    assert 'id="keywords-error"' in answer.text


async def test_old_versions_are_compared_and_brought_back(http: httpx.AsyncClient, city: City) -> None:
    text = await page(http, "/console/datasets/air/history?from=1&version=3")
    assert city.compared == [(1, 3)]
    assert "contract.fields.pm2_5.unit" in text
    assert "&lt;script&gt;" in text
    form = {"csrf": SESSION_OF_TESTS.csrf, "etag": "e3"}
    answer = await http.post("/console/datasets/air/history/2/restore", data=form)
    assert answer.status_code == 303
    assert city.restored == [(f"{AIR}/metadataVersions/2", "e3")]
    city.refusal = Problem(409, "ETAG_MISMATCH", "changed since")
    answer = await http.post("/console/datasets/air/history/2/restore?lang=en", data=form)
    assert (answer.status_code, "Not brought back" in answer.text) == (409, True)
