"""Reading in part, page by page, and repeating without harm."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_gateway.transcode.links import next_page

sys.path.insert(0, str(Path(__file__).parent / "protos"))
from gateway_library import Channel, client, message

BOOK = "/api/v1/shelves/a/books/b"
BOOKS = "/api/v1/shelves/a/books"
KEY = "01980000-0000-7000-8000-000000000000"
SHUI_JING = message(
    "Book",
    name="shelves/a/books/b",
    displayName="水经注",
    pages=40,
    etag="e1",
    titles={"zh": "水经注"},
    tags=["河"],
)


async def ask(channel: Channel, verb: str, url: str, **options: Any) -> httpx.Response:
    async with client(channel) as http:
        return await http.request(verb, url, **options)


async def read(fields: str) -> httpx.Response:
    return await ask(Channel({"GetBook": SHUI_JING}), "GET", BOOK, params={"fields": fields})


async def test_only_what_was_asked_for() -> None:
    response = await read("name,pages")
    assert response.json() == {"name": "shelves/a/books/b", "pages": 40}
    assert response.headers["content-type"] == "application/vnd.plaza.partial+json"
    assert response.headers["etag"] == '"e1"', "good for If-Match"


async def test_members_of_members_through_lists() -> None:
    page = message("ListBooksResponse", books=[{"displayName": "a", "pages": 1}, {"displayName": "b"}])
    channel = Channel({"ListBooks": page})
    response = await ask(
        channel, "GET", BOOKS, params={"fields": "books.displayName,nextPageToken", "pageSize": 2}
    )
    assert response.json() == {"books": [{"displayName": "a"}, {"displayName": "b"}], "nextPageToken": ""}
    assert channel.last("ListBooksRequest") == {"parent": "shelves/a", "pageSize": 2}


@pytest.mark.parametrize("fields", ["titles", "name,titles,name"])
async def test_data_under_a_name_come_whole(fields: str) -> None:
    assert (await read(fields)).json()["titles"] == {"zh": "水经注"}


async def test_a_member_and_its_members_are_the_member() -> None:
    page = message("ListBooksResponse", books=[{"displayName": "a", "pages": 1}])
    for fields in ("books,books.pages", "books.pages,books"):
        response = await ask(Channel({"ListBooks": page}), "GET", BOOKS, params={"fields": fields})
        assert set(response.json()) == {"books"}
        assert len(response.json()["books"][0]) > 2


async def test_everything_is_the_ordinary_answer() -> None:
    whole = await ask(Channel({"GetBook": SHUI_JING}), "GET", BOOK)
    everything = await read("*")
    assert (everything.content, everything.headers) == (whole.content, whole.headers)
    assert everything.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ("colour", 400),
        ("", 400),
        ("name,", 400),
        ("display_name", 400),
        ("name.x", 422),
        ("titles.zh", 422),
        ("x" * 3000, 400),
    ],
)
async def test_unknown_members_are_refused(fields: str, status: int) -> None:
    response = await read(fields)
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (status, "fields")


async def test_it_is_for_reading_once() -> None:
    twice = await ask(Channel(), "GET", BOOK + "?fields=name&fields=pages")
    assert (twice.status_code, twice.json()["errors"][0]["detail"]) == (400, "may be given once only")
    written = await ask(Channel(), "POST", BOOKS + "?bookId=b&fields=name", json={"displayName": "x"})
    assert written.status_code == 400


@pytest.mark.parametrize("key", [KEY, f'"{KEY}"'])
async def test_an_idempotency_key_is_the_request_id(key: str) -> None:
    channel = Channel()
    for url in (BOOKS + "?bookId=b", f"{BOOKS}?bookId=b&requestId={KEY}"):
        response = await ask(
            channel, "POST", url, json={"displayName": "x"}, headers={"idempotency-key": key}
        )
        assert response.status_code == 200, response.text
        assert channel.last("CreateBookRequest")["requestId"] == KEY


@pytest.mark.parametrize("key", ["1", f'"{KEY}', "", KEY + "0"])
async def test_a_key_is_a_uuid(key: str) -> None:
    response = await ask(
        Channel(), "POST", BOOKS + "?bookId=b", json={"displayName": "x"}, headers={"idempotency-key": key}
    )
    assert response.status_code == 400
    assert response.json()["errors"][0] | {"detail": ""} == {
        "in": "header",
        "pointer": "Idempotency-Key",
        "detail": "",
    }


async def test_two_keys_that_differ_are_a_mistake() -> None:
    response = await ask(
        Channel(),
        "POST",
        f"{BOOKS}?bookId=b&requestId={KEY.replace('7', '8')}",
        json={"displayName": "x"},
        headers={"idempotency-key": KEY},
    )
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, "Idempotency-Key")


async def test_what_cannot_be_repeated_says_so_and_reading_needs_no_key() -> None:
    headers = {"idempotency-key": KEY}
    changed = await ask(Channel(), "PATCH", BOOK, json={"pages": 1}, headers=headers)
    assert (changed.status_code, changed.json()["reason"]) == (400, "IDEMPOTENCY_UNSUPPORTED")
    assert (await ask(Channel({"GetBook": SHUI_JING}), "GET", BOOK, headers=headers)).status_code == 200
    assert (await ask(Channel(), "DELETE", BOOK, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", "<?pageToken=a%2Fb%3D%3E>"),
        (
            "pageSize=2&pageToken=old&filter=a%3D%221%22",
            "<?pageSize=2&filter=a%3D%221%22&pageToken=a%2Fb%3D%3E>",
        ),
        ("fields=nextPageToken", "<?fields=nextPageToken&pageToken=a%2Fb%3D%3E>"),
    ],
)
async def test_the_next_page_is_told_in_the_head(query: str, told: str) -> None:
    channel = Channel({"ListBooks": message("ListBooksResponse", nextPageToken="a/b=>")})
    response = await ask(channel, "GET", f"{BOOKS}?{query}")
    assert response.headers["link"] == f'{told}; rel="next"'
    following = response.url.join(response.links["next"]["url"])
    assert (await ask(channel, "GET", str(following))).status_code == 200
    assert channel.last("ListBooksRequest")["pageToken"] == "a/b=>"


async def test_the_last_page_has_no_next() -> None:
    response = await ask(Channel({"ListBooks": message("ListBooksResponse")}), "GET", BOOKS)
    assert "link" not in response.headers


@given(st.binary(max_size=40), st.text(min_size=1, max_size=20))
def test_any_query_makes_one_link(query: bytes, token: str) -> None:
    header = next_page(query, token.encode("utf-8", "ignore").decode() or "x")["Link"]
    assert header.isascii()
    assert header.isprintable()
    assert header.count("<") == header.count(">") == 1
