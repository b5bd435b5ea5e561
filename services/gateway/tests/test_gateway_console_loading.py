"""A file on its way in, and runs."""

from __future__ import annotations

import re

import httpx
from plaza.common.v1 import runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as ing
from plaza_gateway.console.desk import Load
from plaza_gateway.transcode.problems import Problem
from plaza_testing.console import (
    AIR,
    DEPARTMENT,
    RUN,
    SESSION_OF_TESTS,
    UPLOAD,
    City,
    assert_page,
    page,
)


async def test_a_file_goes_in_as_it_comes(http: httpx.AsyncClient, city: City) -> None:
    content = bytes(range(256)) * 9000
    answer = await http.post(
        "/console/datasets/air/load",
        data={"csrf": SESSION_OF_TESTS.csrf},
        files={"file": ("C:\\数据\\air.csv", content)},
    )
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/runs/{RUN}")
    assert city.uploaded == {"air.csv": content}
    assert city.ingested == [AIR]


async def test_the_same_file_again_is_told_kindly(http: httpx.AsyncClient, city: City) -> None:
    facts = {"run": f"{DEPARTMENT}/runs/{RUN}", "version": "2"}
    city.refusal = Problem(409, "ALREADY_INGESTED", "again", facts=facts)
    answer = await http.post(
        "/console/datasets/air/load?lang=en",
        data={"csrf": SESSION_OF_TESTS.csrf},
        files={"file": ("air.csv", b"x")},
    )
    assert answer.status_code == 409
    assert "This file is in already" in answer.text
    assert f'href="/console/runs/{RUN}"' in answer.text


async def test_a_form_without_a_file_says_so(http: httpx.AsyncClient) -> None:
    boundary = "xx"
    for body in (
        f'--xx\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{SESSION_OF_TESTS.csrf}\r\n--xx--\r\n',
        f'--xx\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{SESSION_OF_TESTS.csrf}\r\n'
        '--xx\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\n\r\n--xx--\r\n',
    ):
        answer = await http.post(
            "/console/register?lang=en",
            content=body.encode(),
            headers={"content-type": f"multipart/form-data; boundary={boundary}"},
        )
        assert answer.status_code == 400
        assert "Choose a file" in answer.text


async def test_a_file_that_is_cut_off_is_not_taken(http: httpx.AsyncClient, city: City) -> None:
    body = (
        f'--xx\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{SESSION_OF_TESTS.csrf}\r\n'
        '--xx\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\na,b\n1,'
    )
    answer = await http.post(
        "/console/register",
        content=body.encode(),
        headers={"content-type": "multipart/form-data; boundary=xx"},
    )
    assert answer.status_code == 400
    assert city.uploaded == {}


async def test_a_run_under_way_works_without_script(http: httpx.AsyncClient, city: City) -> None:
    city.state = runs_pb2.RUN_STATE_RUNNING
    text = await page(http, f"/console/runs/{RUN}")
    assert '<noscript><meta http-equiv="refresh"' in text
    assert 'value="500"' in text
    city.state = runs_pb2.RUN_STATE_FAILED
    ended = await page(http, f"/console/runs/{RUN}")
    assert "<noscript>" not in ended
    assert "mend the file" in ended


async def test_progress_comes_as_events(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"/console/runs/{RUN}/events", params={"lang": "zh-CN"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line for line in answer.text.split("\n\n") if line]
    assert len(events) == 2
    assert "正在读取" in events[0]
    assert '"ended":true' in events[1]


async def test_an_inference_that_ended_leads_to_the_editor(http: httpx.AsyncClient, city: City) -> None:
    city.inferred = True
    answer = await http.get(f"/console/runs/{RUN}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/register/{RUN}")


async def test_how_a_file_is_loaded_is_chosen(http: httpx.AsyncClient, city: City) -> None:
    text = await page(http, "/console/datasets/air/load")
    assert 'value="append" checked' in text
    for mode, wanted in (("replace", ing.LOAD_MODE_REPLACE), ("odd", ing.LOAD_MODE_APPEND)):
        await http.post(
            "/console/datasets/air/load",
            data={"csrf": SESSION_OF_TESTS.csrf, "mode": mode},
            files={"file": ("air.csv", b"x")},
        )
        assert city.loads[-1] == Load(UPLOAD, wanted)


async def test_the_same_file_once_more_needs_a_reason(http: httpx.AsyncClient, city: City) -> None:
    city.refusal = Problem(409, "ALREADY_INGESTED", "again", facts={"version": "2"})
    answer = await http.post(
        "/console/datasets/air/load?lang=en",
        data={"csrf": SESSION_OF_TESTS.csrf, "mode": "upsert"},
        files={"file": ("air.csv", b"x")},
    )
    assert_page(answer)
    (again,) = re.findall(r'<form[^>]*action="/console/datasets/air/load/again".*?</form>', answer.text, re.S)
    form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', again))
    assert (form["upload"], form["mode"]) == (UPLOAD, "upsert")
    city.refusal = None
    answer = await http.post("/console/datasets/air/load/again?lang=en", data=form | {"reason": " "})
    assert (answer.status_code, "Enter the reason" in answer.text) == (400, True)
    answer = await http.post("/console/datasets/air/load/again", data=form | {"reason": "table was emptied"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/runs/{RUN}")
    assert city.loads == [Load(UPLOAD, ing.LOAD_MODE_UPSERT, reason="table was emptied")]


async def test_a_run_is_cancelled(http: httpx.AsyncClient, city: City) -> None:
    city.state = runs_pb2.RUN_STATE_RUNNING
    assert f'action="/console/runs/{RUN}/cancel"' in await page(http, f"/console/runs/{RUN}")
    form = {"csrf": SESSION_OF_TESTS.csrf}
    answer = await http.post(f"/console/runs/{RUN}/cancel", data=form)
    assert (answer.status_code, city.cancelled) == (303, [f"{DEPARTMENT}/runs/{RUN}"])
    city.refusal = Problem(400, "ILLEGAL_TRANSITION", "it is being committed")
    assert (await http.post(f"/console/runs/{RUN}/cancel", data=form)).status_code == 303
    city.state = runs_pb2.RUN_STATE_COMMITTING
    assert "/cancel" not in await page(http, f"/console/runs/{RUN}")
