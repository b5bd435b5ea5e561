"""Refused rows, corrected in the browser or in a spreadsheet."""

from __future__ import annotations

import re
from html import unescape

import httpx
from plaza.common.v1 import runs_pb2
from plaza_gateway.transcode.problems import Problem
from plaza_testing.console import (
    DEPARTMENT,
    RAGGED,
    ROW,
    RUN,
    SESSION_OF_TESTS,
    UPLOAD,
    City,
    Form,
    assert_page,
    page,
)

CELL = f"c.{ROW}."


async def repair_form(http: httpx.AsyncClient, language: str = "en") -> tuple[str, Form]:
    """The page and what a browser would send of its table as it stands."""
    text = await page(http, "/console/datasets/air/quarantine", language)
    (table,) = re.findall(
        r'<form method="post" action="/console/datasets/air/quarantine".*?</form>', text, re.S
    )
    form: Form = {}
    for tag in re.findall(r"<input[^>]*>", table):
        at = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if at.get("type") != "checkbox":
            form[at["name"]] = unescape(at.get("value", ""))
    return text, form


async def save(http: httpx.AsyncClient, form: Form, **changes: str) -> httpx.Response:
    return await http.post("/console/datasets/air/quarantine?lang=en", data=form | {"do": "all"} | changes)


async def test_quarantine_pages_and_its_export(http: httpx.AsyncClient) -> None:
    text = await page(http, f"/console/datasets/air/quarantine?run={RUN}&lang=en")
    assert f"run={RUN}&amp;page=next%2Bpage&amp;from=3" in text
    assert "Rows 1–2 of 3" in text
    assert "a-new-reason" in text
    answer = await http.get("/console/datasets/air/quarantine/export")
    assert answer.content == b"station,pm\r\nA,\xd4\xbc\r\n"
    assert "attachment" in answer.headers["content-disposition"]


async def test_refused_rows_are_a_table_of_cells(http: httpx.AsyncClient) -> None:
    text, form = await repair_form(http, "zh-CN")
    assert form[f"{CELL}0"] == 'say "A"'
    assert form[f"{CELL}1"] == "1000x"
    # The torn record was split for the officer, and says so.
    assert form[f"c.{RAGGED}.0"] == "B"
    assert "请逐格核对" in text
    assert re.search(rf'name="{re.escape(CELL)}1"[^>]*aria-invalid="true"[^>]*aria-describedby="d-', text)
    assert "不是数" in text


async def test_one_changed_row_is_repaired_by_its_cells(http: httpx.AsyncClient, city: City) -> None:
    _, form = await repair_form(http)
    answer = await save(http, form, **{f"{CELL}1": "100"})
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"/console/datasets/air/quarantine?replay={RUN}",
    )
    assert city.repaired == [(ROW, {"pm2_5": "100"})]
    assert city.replayed == []


async def test_several_changed_rows_are_one_run(http: httpx.AsyncClient, city: City) -> None:
    _, form = await repair_form(http)
    await save(http, form, **{f"{CELL}1": "100", f"c.{RAGGED}.1": "7"})
    assert city.repaired == []
    assert city.replayed == [UPLOAD]
    sent = city.uploaded["repair-2-rows.csv"].decode()
    assert sent == f'plaza_row,station,pm2_5\r\n{ROW},"say ""A""",100\r\n{RAGGED},B,7\r\n'


async def test_a_row_can_be_handed_back_as_it_stands(http: httpx.AsyncClient, city: City) -> None:
    _, form = await repair_form(http)
    await save(http, form, do=f"one:{RAGGED}")
    await save(http, form, do=f"one:{ROW}")
    assert city.repaired == [(RAGGED, {"station": "B"}), (ROW, {"station": 'say "A"'})]


async def test_what_is_refused_again_keeps_what_was_written(http: httpx.AsyncClient, city: City) -> None:
    city.refused, city.again = 1, {ROW}
    _, form = await repair_form(http)
    answer = await save(http, form, **{f"{CELL}1": "12 or so"})
    assert answer.status_code == 200
    assert_page(answer)
    assert "3 rows still do not fit" in answer.text
    assert "Refused again" in answer.text
    assert 'value="12 or so"' in answer.text


async def test_nothing_changed_and_changed_columns_are_told(http: httpx.AsyncClient, city: City) -> None:
    _, form = await repair_form(http)
    answer = await save(http, form)
    assert (answer.status_code, "correct a cell first" in answer.text) == (400, True)
    answer = await save(http, form, mark="0123456789abcdef", **{f"{CELL}1": "100"})
    assert (answer.status_code, "The columns changed" in answer.text) == (409, True)
    assert 'value="100"' in answer.text
    assert city.repaired == []


async def test_a_correction_that_was_tried_before_leads_to_that_run(
    http: httpx.AsyncClient, city: City
) -> None:
    _, form = await repair_form(http)
    facts = {"run": f"{DEPARTMENT}/runs/{RUN}"}
    city.refusal = Problem(409, "ALREADY_INGESTED", "again", facts=facts)
    answer = await save(http, form, **{f"{CELL}1": "100"})
    assert answer.headers["location"] == f"/console/datasets/air/quarantine?replay={RUN}"
    city.refusal = Problem(400, "ROW_NOT_HELD", "it was replayed")
    answer = await save(http, form, **{f"{CELL}1": "100"})
    assert (answer.status_code, "it was replayed" in answer.text) == (400, True)


async def test_rows_are_given_up_with_a_reason(http: httpx.AsyncClient, city: City) -> None:
    _, form = await repair_form(http)
    answer = await save(http, form, do="discard", reason="test rows")
    assert (answer.status_code, "Tick the rows" in answer.text) == (400, True)
    answer = await save(http, form, do="discard", reason=" ", **{f"p.{ROW}": "on"})
    assert (answer.status_code, "Enter the reason" in answer.text) == (400, True)
    assert re.search(rf'name="p\.{ROW}"[^>]* checked', answer.text)
    assert city.discarded == []
    answer = await save(http, form, do="discard", reason="test rows", **{f"p.{ROW}": "on"})
    assert answer.status_code == 303
    assert city.discarded == [(ROW, "test rows")]


async def test_a_repaired_spreadsheet_is_replayed(http: httpx.AsyncClient, city: City) -> None:
    path = "/console/datasets/air/quarantine"
    sheet = await http.get(f"{path}/export?form=repair")
    assert sheet.text.startswith("\ufeffplaza_row,")
    answer = await http.post(
        f"{path}/replay", data={"csrf": SESSION_OF_TESTS.csrf}, files={"file": ("mended.csv", sheet.content)}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?replay={RUN}")
    assert city.uploaded == {"mended.csv": sheet.content}
    assert city.replayed == [UPLOAD]


async def test_a_correction_under_way_is_watched(http: httpx.AsyncClient, city: City) -> None:
    city.state = runs_pb2.RUN_STATE_RUNNING
    text = await page(http, f"/console/datasets/air/quarantine?replay={RUN}")
    assert f'data-run="/console/runs/{RUN}/events"' in text
    assert '<noscript><meta http-equiv="refresh"' in text
