"""Rows, refused records and runs as they come; what breaks off never looks complete."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from plaza.sharing.v1 import sharing_pb2
from plaza_gateway.transcode.responses import StreamBroken

sys.path.insert(0, str(Path(__file__).parent / "protos"))
from gateway_city import DATASET, RUN, City, city

pytestmark = pytest.mark.integration
ROWS = f"/api/v1/{DATASET}/rows"


@pytest.fixture
async def plaza() -> AsyncIterator[City]:
    async with city() as running:
        yield running


async def test_a_page_of_json_has_its_hash_in_the_head(plaza: City) -> None:
    response = await plaza.http.get(ROWS, params={"pageSize": 10, "version": 7, "purpose": "研究"})
    assert response.json()["rows"] == [["1"]]
    assert response.headers["plaza-version"] == "7"
    assert response.headers["plaza-agreement"].startswith("agreements/")
    assert "plaza-delivery" not in response.headers
    assert (response.headers["plaza-rows"], response.headers["plaza-content-sha256"]) == ("1", "ab" * 32)
    assert response.headers["content-length"] == str(len(response.content))
    asked = plaza.rows.requests[0]
    assert (asked.dataset, asked.page_size, asked.version, asked.purpose) == (DATASET, 10, 7, "研究")


async def test_a_newer_version_that_is_held_back_is_told(plaza: City) -> None:
    assert "plaza-held-back" not in (await plaza.http.get(ROWS)).headers
    for held, told in (
        (sharing_pb2.HeldBack(version=8, rules=["sane", "once"]), "8; rules=sane,once"),
        (sharing_pb2.HeldBack(version=9, checking=True), "9; checking"),
    ):
        plaza.rows.held_back = held
        for form in ("json", "csv"):
            assert (await plaza.http.get(ROWS, params={"format": form})).headers["plaza-held-back"] == told


async def test_a_page_tells_where_the_next_one_is(plaza: City) -> None:
    assert "link" not in (await plaza.http.get(ROWS)).headers
    plaza.rows.token = "abc_-="
    response = await plaza.http.get(ROWS, params={"columns": "a,b", "pageToken": "old"})
    assert response.headers["link"] == '<?columns=a%2Cb&pageToken=abc_-%3D>; rel="next"'


async def test_the_query_in_the_words_of_the_contract(plaza: City) -> None:
    query = "columns=time,station&columns=pm2_5&filter=a+%3D+%22%26%2C%22&orderBy=time%20desc"
    query += "&format=jsonl&reader=departments/b"
    response = await plaza.http.get(f"{ROWS}?{query}")
    asked = plaza.rows.requests[0]
    assert list(asked.columns) == ["time", "station", "pm2_5"]
    assert (asked.filter, asked.order_by, asked.reader) == ('a = "&,"', "time desc", "departments/b")
    assert asked.format == 3
    assert response.headers["content-type"] == "application/x-ndjson"


async def test_a_table_is_a_file(plaza: City) -> None:
    response = await plaza.http.get(ROWS + "?format=csv")
    assert response.text == "time,pm2_5\n1,2\n"
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    named = response.headers["content-disposition"]
    assert named == "attachment; filename=\"__-v7.csv\"; filename*=UTF-8''%E7%A9%BA%E6%B0%94-v7.csv"
    assert "content-length" not in response.headers
    assert "plaza-rows" not in response.headers


@pytest.mark.parametrize(
    "query",
    ["format=xlsx", "format=ROW_FORMAT_CSV", "columns=", "columns=a,,b", "columns=a,a", "pageSize=10001",
     "dataset=x", "nope=1", "version=-1", "format=csv&format=json"],
)  # fmt: skip
async def test_what_the_document_does_not_know_is_refused(plaza: City, query: str) -> None:
    response = await plaza.http.get(f"{ROWS}?{query}")
    assert (response.status_code, response.json()["errors"][0]["in"]) == (400, "query")
    assert response.json()["errors"][0]["pointer"] in query
    assert plaza.rows.requests == []


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("*/*", 1),
        ("text/html", 1),
        ("text/csv", 2),
        ("application/vnd.apache.parquet", 4),
        ("text/csv;q=0.5, application/vnd.apache.arrow.stream", 5),
        ("application/jsonl;q=0, text/csv;q=0.1", 2),
        ("text/csv;q=x", 1),
    ],
)
async def test_a_form_can_be_asked_for_by_its_media_type(plaza: City, accept: str, form: int) -> None:
    response = await plaza.http.get(ROWS, headers={"accept": accept})
    assert plaza.rows.requests[-1].format == form
    assert "Accept" in response.headers["vary"]
    await plaza.http.get(ROWS + "?format=jsonl", headers={"accept": accept})
    assert plaza.rows.requests[-1].format == 3, "what is written out wins"


async def test_a_version_has_an_address_of_its_own(plaza: City) -> None:
    of_version = f"/api/v1/{DATASET}/versions/7/rows"
    response = await plaza.http.get(of_version + "?format=parquet&columns=time")
    assert response.headers["content-type"] == "application/vnd.apache.parquet"
    asked = plaza.rows.requests[-1]
    assert (asked.dataset, asked.version, asked.format) == (DATASET, 7, 4)
    for wrong in ("0", "00", "-1", "x", "2147483648"):
        refused = await plaza.http.get(of_version.replace("/7/", f"/{wrong}/"))
        assert (refused.status_code, refused.json()["errors"][0]["in"]) == (400, "path"), wrong
    assert (await plaza.http.get(of_version + "?version=6")).status_code == 400


@pytest.mark.parametrize("form", ["json", "csv", "jsonl", "parquet", "arrow"])
async def test_an_error_before_the_first_byte_is_a_problem(plaza: City, form: str) -> None:
    plaza.rows.breaks = "early"
    response = await plaza.http.get(f"{ROWS}?format={form}")
    assert (response.status_code, response.json()["detail"]) == (503, "the lake does not answer")


@pytest.mark.parametrize("how", ["late", "silent"])
async def test_an_error_after_it_is_one_for_a_page_and_breaks_a_table(plaza: City, how: str) -> None:
    plaza.rows.breaks = how
    page = await plaza.http.get(ROWS)
    assert page.status_code == 503
    assert page.headers["content-type"] == "application/problem+json"
    with pytest.raises(StreamBroken):
        await plaza.http.get(ROWS + "?format=csv")


async def test_over_a_real_connection_a_broken_table_is_incomplete(
    plaza: City, caplog: pytest.LogCaptureFixture
) -> None:
    plaza.rows.breaks = "late"
    config = uvicorn.Config(plaza.app, port=0, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  # uvicorn has no event to wait for
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    got = b""
    try:
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
            http.stream("GET", ROWS + "?format=csv") as response,
        ):
            assert response.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError):
                async for part in response.aiter_raw():
                    got += part
    finally:
        server.should_exit = True
        await serving
    assert got == b"time,pm2_5\n"


async def test_a_reader_who_leaves_stops_the_reading(plaza: City) -> None:
    plaza.rows.endless = True
    sent = 0
    asked = False
    enough = asyncio.Event()

    async def receive() -> Any:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        nonlocal sent
        sent += len(event.get("body", b""))
        await asyncio.sleep(0)
        if sent > 1_000_000:
            enough.set()

    scope = {"type": "http", "method": "GET", "path": ROWS, "query_string": b"format=csv", "headers": []}
    async with asyncio.timeout(10):
        await plaza.app(scope, receive, send)
        await plaza.rows.cancelled.wait()


async def test_refused_records_are_bytes(plaza: City) -> None:
    response = await plaza.http.get(f"/api/v1/{DATASET}/quarantine:export", params={"run": RUN})
    assert response.content == b"a,\xff\n" + RUN.encode()
    assert response.headers["content-disposition"] == 'attachment; filename="air-quarantine.csv"'
    assert (await plaza.http.get(f"/api/v1/{DATASET}/quarantine:export?run=x")).status_code == 400
    assert (await plaza.http.get(f"/api/v1/{DATASET}/quarantine:export?pageSize=1")).status_code == 400


async def test_a_run_is_watched_line_by_line(plaza: City) -> None:
    response = await plaza.http.get(f"/api/v1/{RUN}:watch")
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert response.headers["content-type"] == "application/x-ndjson"
    assert [line["state"] for line in lines] == ["RUN_STATE_RUNNING", "RUN_STATE_SUCCEEDED"]
    other = RUN.replace("ecology", "health")
    assert (await plaza.http.get(f"/api/v1/{other}:watch")).status_code == 404


async def test_a_watch_that_breaks_says_so_in_its_last_line(plaza: City) -> None:
    plaza.ingestion.break_watch = True
    first, last = (await plaza.http.get(f"/api/v1/{RUN}:watch")).text.splitlines()
    assert json.loads(first)["state"] == "RUN_STATE_RUNNING"
    assert json.loads(last)["error"]["status"] == 503
    assert json.loads(last)["error"]["detail"] == "going down"
