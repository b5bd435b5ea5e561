"""An archive with several tables: its files are shown, one of them is chosen."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza.ingestion.v1 import ingestion_pb2 as ing
from plaza_gateway.console import archives
from plaza_gateway.console.archives import Choice, Entry, Passing, readable
from plaza_gateway.console.desk import Load
from plaza_gateway.transcode.problems import Problem
from plaza_testing.console import (
    RUN,
    SESSION_OF_TESTS,
    UPLOAD,
    City,
    Form,
    assert_page,
    page,
    sent,
)

CSRF = {"csrf": SESSION_OF_TESTS.csrf}
GBK = "站点表.csv".encode("gb18030").decode("cp437")
"""As a Chinese Windows packs it."""
NAMES = ("stops.txt", "feed/stop_times.txt", GBK)
ADDRESSES = {
    "register": ("/console/register", "/console/register/table"),
    "load": ("/console/datasets/air/load", "/console/datasets/air/load/table"),
    "contract": ("/console/datasets/air/contract/infer", "/console/datasets/air/contract/infer/table"),
}


def archive(*names: str, size: int = 3) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as packed:
        for name in names:
            packed.writestr(name, "x" * size)
    return held.getvalue()


async def drop(http: httpx.AsyncClient, what: str, data: bytes, **more: str) -> httpx.Response:
    return await http.post(
        f"{ADDRESSES[what][0]}?lang=en", data=CSRF | more, files={"file": ("feed.zip", data)}
    )


async def choose(http: httpx.AsyncClient, what: str, form: Form, **more: str) -> httpx.Response:
    return await http.post(f"{ADDRESSES[what][1]}?lang=en", data=form | more)


def choice_in(answer: httpx.Response, what: str) -> Form:
    assert_page(answer)
    return sent(answer.text, ADDRESSES[what][1])


@pytest.mark.parametrize("what", ["register", "load", "contract"])
async def test_the_files_are_shown_before_anything_is_read(
    http: httpx.AsyncClient, city: City, what: str
) -> None:
    data = archive(*NAMES, "__MACOSX/._stops.txt", "feed/", ".hidden", size=2000)
    answer = await drop(http, what, data)
    # No 2xx: the script that sends the file puts the answer in the page's place.
    assert answer.status_code == 409
    assert "3 files in this archive" in answer.text
    assert re.findall(r"<b>([^<]*)</b><small", answer.text) == [
        "stops.txt",
        "feed/stop_times.txt",
        "站点表.csv",
        "All files as one table",
    ]
    assert "2.0 kB" in answer.text
    assert city.uploaded == {"feed.zip": data}
    assert (city.read, city.loads) == ([], [])
    none = await choose(http, what, choice_in(answer, what))
    assert none.status_code == 400
    assert 'id="entry-error">Choose a file' in none.text
    went = await choose(http, what, choice_in(none, what), pick="2")
    assert went.status_code == 303
    assert went.headers["location"].startswith(f"/console/runs/{RUN}")
    if what == "load":
        assert city.loads == [Load(UPLOAD, ing.LOAD_MODE_APPEND, GBK)]
    else:
        assert city.read == [(UPLOAD, GBK)]


async def test_all_files_can_be_one_table(http: httpx.AsyncClient, city: City) -> None:
    answer = await drop(http, "load", archive(*NAMES), mode="upsert")
    await choose(http, "load", choice_in(answer, "load"), pick="all")
    assert city.loads == [Load(UPLOAD, ing.LOAD_MODE_UPSERT)]


@pytest.mark.parametrize(
    "data", [archive("one.csv"), archive("[Content_Types].xml", "xl/a.xml"), b"PK\x03\x04 cut off", b"a,b\n"]
)
async def test_of_one_table_nothing_is_asked(http: httpx.AsyncClient, city: City, data: bytes) -> None:
    assert (await drop(http, "register", data)).status_code == 303
    assert city.read == [(UPLOAD, "")]


async def test_the_table_that_came_last_is_proposed(http: httpx.AsyncClient, city: City) -> None:
    city.entry = "feed/stop_times.txt"
    answer = await drop(http, "load", archive(*NAMES))
    assert re.search(r'value="1" checked', answer.text)
    city.entry = ""
    assert re.search(r'value="all" checked', (await drop(http, "load", archive(*NAMES))).text)
    for gone in ("gone.txt", None):
        city.entry = gone
        assert " checked" not in (await drop(http, "load", archive(*NAMES))).text


async def test_what_was_loaded_before_is_loaded_again_from_the_same_table(
    http: httpx.AsyncClient, city: City
) -> None:
    answer = await drop(http, "load", archive(*NAMES), mode="replace")
    city.refusal = Problem(409, "ALREADY_INGESTED", "again", facts={"version": "2"})
    told = await choose(http, "load", choice_in(answer, "load"), pick="0")
    assert told.status_code == 409
    form = sent(told.text, "/console/datasets/air/load/again")
    city.refusal = None
    await http.post("/console/datasets/air/load/again", data=form | {"reason": "emptied"})
    assert city.loads == [Load(UPLOAD, ing.LOAD_MODE_REPLACE, "stops.txt", "emptied")]


async def test_a_proposal_says_its_table_and_another_can_be_taken(
    http: httpx.AsyncClient, city: City
) -> None:
    city.inferred, city.entry, city.entries = True, NAMES[1], NAMES
    text = await page(http, f"/console/register/{RUN}")
    assert "feed.zip › feed/stop_times.txt" in text
    assert 'name="id" value="stop-times"' in text
    form = sent(text, "/console/register/table")
    assert {form[f"entry.{n}"] for n in range(3)} == set(NAMES)
    await choose(http, "register", form, pick="0")
    assert city.read == [(UPLOAD, "stops.txt")]
    form = sent(text, f"/console/register/{RUN}") | {"grade": "public", "sharing": "unconditional"}
    went = await http.post(f"/console/register/{RUN}", data=form)
    assert went.status_code == 303
    assert city.registered[0][1].format == "TXT"
    assert city.loads == [Load(UPLOAD, entry=NAMES[1])]


async def test_addresses_of_forms_lead_to_their_pages(http: httpx.AsyncClient) -> None:
    for address, page_of_it in (
        ("/console/register/table", "/console/register"),
        ("/console/datasets/air/contract/infer/table", "/console/datasets/air/contract"),
        ("/console/datasets/air/load/again", "/console/datasets/air/load"),
        ("/console/sources/feed/pause", "/console/sources/feed"),
        ("/console/datasets/air/history/2/restore", "/console/datasets/air/history"),
    ):
        answer = await http.get(f"{address}?lang=en")
        assert (answer.status_code, answer.headers["location"]) == (302, f"{page_of_it}?lang=en")


@given(st.lists(st.text("ab中文", min_size=1, max_size=6), unique=True, max_size=6), st.integers(1, 400))
async def test_the_directory_is_read_however_the_bytes_come(names: list[str], step: int) -> None:
    data = archive(*names)
    passing = Passing(_pieces(data, step))
    assert b"".join([piece async for piece in passing.pieces()]) == data
    assert [one.name for one in passing.entries()] == (names if len(names) > 1 else [])


async def test_of_a_large_archive_only_the_end_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_TAIL", 2000)
    data = archive(*(f"{n}.csv" for n in range(9)), size=5000)
    passing = Passing(_pieces(data, 700))
    assert b"".join([piece async for piece in passing.pieces()]) == data
    assert len(passing._tail) < 5000
    assert [one.name for one in passing.entries()] == [f"{n}.csv" for n in range(9)]


def test_of_very_many_files_the_rest_is_counted() -> None:
    entries = tuple(Entry(f"{n}.csv", n) for n in range(archives.MOST + 7))
    choice = Choice.of("u", "a.zip", entries)
    assert (len(choice.entries), choice.left_out) == (archives.MOST, 7)


@pytest.mark.parametrize("name", ["stops.txt", "Übersicht.csv", "空气.csv", "╔═╗", "站点表（最终版）.csv"])
def test_names_are_as_they_were_written(name: str) -> None:
    assert readable(name) == name
    if "站" in name:
        assert readable(name.encode("gb18030").decode("cp437")) == name


async def _pieces(data: bytes, step: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), step):
        yield data[start : start + step]
