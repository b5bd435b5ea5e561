"""The documentation's pages say what the document says, without a script, in both languages."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from plaza_gateway.app import create_app, peers_of
from plaza_gateway.interface import described
from plaza_gateway.reference.model import reference_of
from plaza_gateway.reference.prose import breakable, prose

sys.path.insert(0, str(Path(__file__).parent / "protos"))
from gateway_city import settings

DEAD = "unix:/nonexistent/plaza.sock"
DOCUMENT = described(frozenset({"public", "internal"}))
REFERENCE = reference_of(DOCUMENT)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    chosen = settings(DEAD)
    app = create_app(chosen, peers_of(chosen))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://plaza.test") as client:
        yield client


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.inline = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag == "a":
            self.links.append(str(given["href"]))
        self.inline |= "style" in given or any(name.startswith("on") for name in given)
        self.inline |= tag == "style" or (tag == "script" and "src" not in given)


def operations() -> list[Any]:
    return [each for service in REFERENCE.services for each in service.operations]


def test_every_operation_of_the_document_is_there() -> None:
    ids = {each["operationId"] for item in DOCUMENT["paths"].values() for each in item.values()}
    assert {each.id for each in operations()} == ids
    assert REFERENCE.operation("nothing") is None


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_every_page_is_whole(http: httpx.AsyncClient, language: str) -> None:
    index = await http.get(f"/api/v1/docs/{language}")
    page = Page(index.text)
    wanted = {f"/api/v1/docs/{language}/{each.id}" for each in operations()}
    assert wanted <= set(page.links)
    for address in [*sorted(wanted), f"/api/v1/docs/{language}"]:
        answer = await http.get(address)
        assert answer.status_code == 200, address
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        page = Page(answer.text)
        assert not page.inline, address
        assert len(page.ids) == len(set(page.ids)), address
        inside = {link[1:] for link in page.links if link.startswith("#")}
        assert inside <= set(page.ids), address
        assert not [link for link in page.links if link.startswith("http")]


async def test_an_operation_tells_all_that_a_caller_needs(http: httpx.AsyncClient) -> None:
    text = (await http.get("/api/v1/docs/en/Rows_ReadRows")).text
    plain = re.sub(r"<[^>]+>", "", text)
    for words in (
        "orderBy",
        "AIP-160",
        "application/vnd.apache.parquet",
        "RateLimit-Policy",
        "Plaza-Version",
    ):
        assert words in plain, words
    for status in ("200", "400", "401", "403", "404", "422", "429"):
        assert status in plain
    shown = "http://plaza.test/api/v1/departments/ecology/datasets/air-quality/rows"
    assert shown in plain
    assert "Authorization: Bearer $TOKEN" in plain
    upload = re.sub(r"<[^>]+>", "", (await http.get("/api/v1/docs/zh/Ingestion_UploadFile")).text)
    assert "--data-binary @FILE" in upload
    assert "413" in upload
    assert "408" in upload


def test_what_everybody_may_ask_needs_no_token_in_its_example() -> None:
    for each in operations():
        assert ("Authorization" in each.curl) is not each.for_everybody, each.id
        assert not re.search(r"\{(?!base)[a-z]\w*\}", each.curl.partition(" -d ")[0]), each.curl


async def test_words_are_found(http: httpx.AsyncClient) -> None:
    found = await http.get("/api/v1/docs/zh", params={"q": "uploads POST"})
    assert "Ingestion_UploadFile" in found.text
    assert "Rows_ReadRows" not in found.text
    nothing = await http.get("/api/v1/docs/zh", params={"q": '<b>"x"'})
    assert nothing.status_code == 200
    assert "<b>" not in nothing.text


async def test_the_reader_is_sent_to_their_language(http: httpx.AsyncClient) -> None:
    english = await http.get("/api/v1/docs", headers={"accept-language": "en-GB"})
    assert (english.status_code, english.headers["location"]) == (302, "/api/v1/docs/en")
    assert (await http.get("/api/v1/docs")).headers["location"] == "/api/v1/docs/zh"
    gone = await http.get("/api/v1/docs/en/Rows_WriteRows")
    assert (gone.status_code, gone.headers["content-type"]) == (404, "text/html; charset=utf-8")


@pytest.mark.parametrize("faces", [("public",), ("internal",)])
async def test_each_face_shows_what_it_answers(faces: tuple[str, ...]) -> None:
    chosen = settings(DEAD, faces)
    app = create_app(chosen, peers_of(chosen))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://plaza.test") as http:
        page = await http.get("/api/v1/docs/en")
        style = re.search(r'href="(/static/[^"]+plaza\.css)"', page.text)
        assert style is not None
        assert (await http.get(style[1])).status_code == 200
    assert ("Rows_ReadRows" in page.text) is (faces == ("internal",))
    assert "Portal_ReadReleaseFile" in page.text


def test_prose_is_escaped_and_has_its_parts() -> None:
    made = str(prose("One `a<b>` word.\nStill it.\n\n- first\n- `second`"))
    assert made == (
        "<p>One <code>a&lt;b&gt;</code> word. Still it.</p>"
        '<ul class="small"><li>first</li><li><code>second</code></li></ul>'
    )
    assert str(breakable("a/b.cD<")) == "a/<wbr>b.<wbr>c<wbr>D&lt;"
