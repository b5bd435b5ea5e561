"""What the door takes, what it refuses and where it says the fault is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent / "protos"))
from gateway_library import Channel, client, message

BOOK = "/api/v1/shelves/a/books/b"
BOOKS = "/api/v1/shelves/a/books"
GOOD = {"displayName": "水经注"}


async def ask(channel: Channel, verb: str, url: str, **options: Any) -> httpx.Response:
    async with client(channel) as http:
        return await http.request(verb, url, **options)


def places(response: httpx.Response) -> list[tuple[str, str]]:
    assert response.headers["content-type"] == "application/problem+json"
    return [(each["in"], each["pointer"]) for each in response.json()["errors"]]


async def test_path_query_and_body_become_one_message() -> None:
    channel = Channel()
    body = {**GOOD, "printRun": "9007199254740993", "tags": ["河"], "titles": {"zh": "水经注"}}
    response = await ask(channel, "POST", BOOKS + "?bookId=shui-jing", json=body)
    assert response.status_code == 200
    assert channel.last("CreateBookRequest") == {
        "parent": "shelves/a", "bookId": "shui-jing", "book": body,
    }  # fmt: skip


async def test_queries_are_typed_nested_and_repeated() -> None:
    channel = Channel()
    query = (
        "pageSize=5&bindings=BINDING_HARD&bindings=BINDING_SOFT&since=2020-01-01T00:00:00%2B08:00"
        "&rareOnly=true&range.from=-3&minPrintRun=9007199254740993&filter=a+%3D+1%2B1&readMask=displayName,etag"
    )
    response = await ask(channel, "GET", f"{BOOKS}?{query}")
    assert response.status_code == 200, response.text
    assert channel.last("ListBooksRequest") == {
        "parent": "shelves/a",
        "pageSize": 5,
        "bindings": ["BINDING_HARD", "BINDING_SOFT"],
        "since": "2019-12-31T16:00:00Z",
        "rareOnly": True,
        "range": {"from": -3},
        "minPrintRun": "9007199254740993",
        "filter": "a = 1+1",
        "readMask": "displayName,etag",
    }


@pytest.mark.parametrize(
    ("query", "name", "said"),
    [
        ("pageSiez=5", "pageSiez", "known are bindings, filter, minPrintRun, pageSize"),
        ("page_size=5", "page_size", "is unknown"),
        ("pageSize=5&pageSize=6", "pageSize", "once only"),
        ("pageSize=05", "pageSize", "whole number"),
        ("pageSize=", "pageSize", "whole number"),
        ("pageSize=5.0", "pageSize", "whole number"),
        ("pageSize=2147483648", "pageSize", "must be between"),
        ("pageSize=101", "pageSize", "less than or equal to 100"),
        ("rareOnly=1", "rareOnly", "true or false"),
        ("bindings=1", "bindings", "must be one of BINDING_UNSPECIFIED"),
        ("since=yesterday", "since", "RFC 3339"),
        ("since=2020-02-30T00:00:00Z", "since", "RFC 3339"),
        ("filter=%FF", "filter=%FF", "UTF-8"),
        ("filter=a%00", "filter", "U+0000"),
        ("readMask=display_name", "readMask", "lowerCamelCase"),
    ],
)
async def test_a_wrong_query_is_named(query: str, name: str, said: str) -> None:
    channel = Channel()
    response = await ask(channel, "GET", f"{BOOKS}?{query}")
    assert response.status_code == 400
    assert places(response) == [("query", name)]
    assert said in response.json()["errors"][0]["detail"]
    assert not channel.requests


async def test_a_missing_required_query_is_named() -> None:
    response = await ask(Channel(), "POST", BOOKS, json=GOOD)
    assert places(response) == [("query", "bookId")]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["#/displayName"]),
        ({**GOOD, "nope": 1}, ["#/nope"]),
        ({**GOOD, "print_run": "1"}, ["#/print_run"]),
        ({**GOOD, "printRun": 1}, ["#/printRun"]),
        ({**GOOD, "printRun": "1.0"}, ["#/printRun"]),
        ({**GOOD, "printRun": "9223372036854775808"}, ["#/printRun"]),
        ({**GOOD, "pages": "1"}, ["#/pages"]),
        ({**GOOD, "pages": True}, ["#/pages"]),
        ({**GOOD, "pages": 1.5}, ["#/pages"]),
        ({**GOOD, "rare": None}, ["#/rare"]),
        ({**GOOD, "binding": 1}, ["#/binding"]),
        ({**GOOD, "binding": "HARD"}, ["#/binding"]),
        ({**GOOD, "barcode": "AA"}, ["#/barcode"]),
        ({**GOOD, "barcode": "_-8="}, ["#/barcode"]),
        ({**GOOD, "weightKg": "NaN"}, ["#/weightKg"]),
        ({**GOOD, "rating": 1e39}, ["#/rating"]),
        ({**GOOD, "loanTime": "1"}, ["#/loanTime"]),
        ({**GOOD, "tags": "a"}, ["#/tags"]),
        ({**GOOD, "tags": ["a", None]}, ["#/tags/1"]),
        ({**GOOD, "tags": ["a", "a"]}, ["#/tags"]),
        ({**GOOD, "titles": {"zh/CN~": 1}}, ["#/titles/zh~1CN~0"]),
        ({**GOOD, "titles": {"zh": "x" * 41}}, ["#/titles/zh"]),
        ({**GOOD, "prices": {"x": 1}}, ["#/prices/x"]),
        ({**GOOD, "notes": []}, ["#/notes"]),
        (
            {**GOOD, "chapters": [{"title": "a", "font": "f", "parts": [{"font": "f"}]}]},
            ["#/chapters/0/parts/0/title"],
        ),
        ({**GOOD, "chapters": [{"title": "a"}]}, ["#/chapters/0"]),
        ({**GOOD, "shop": "s", "donor": {"displayName": "d"}}, ["#/donor"]),
        ({"displayName": "a\u0000", "pages": -1}, ["#/displayName"]),
        ({"displayName": "x" * 41, "pages": -1}, ["#/displayName", "#/pages"]),
        ([], ["#"]),
        ("book", ["#"]),
    ],
)
async def test_a_wrong_body_is_named(body: Any, pointers: list[str]) -> None:
    channel = Channel()
    response = await ask(channel, "POST", BOOKS + "?bookId=b", json=body)
    assert response.status_code == 400, response.text
    assert places(response) == [("body", each) for each in pointers]
    assert not channel.requests


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"displayName": "a",}', "line 1, column 21"),
        (b'{"displayName": "a", "displayName": "b"}', '"displayName" stands twice'),
        (b'{"notes": {"a": 1, "a": 1}}', '"a" stands twice'),
        (b'{"weightKg": NaN}', "NaN is not JSON"),
        (b'{"displayName": "\xff"}', "byte 17"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"pages": ' + b"9" * 5000 + b"}", "too long"),
    ],
)
async def test_what_is_not_json_is_told_with_its_position(text: bytes, said: str) -> None:
    headers = {"content-type": "application/json"}
    response = await ask(Channel(), "POST", BOOKS + "?bookId=b", content=text, headers=headers)
    assert response.status_code == 400
    assert response.json()["reason"] == "MALFORMED_BODY"
    assert said in response.json()["detail"]


async def test_half_a_surrogate_and_deep_nesting_are_refused() -> None:
    chapter: dict[str, Any] = {"title": "end"}
    for _ in range(80):
        chapter = {"title": "t", "parts": [chapter]}
    for body in ({"displayName": "\ud800"}, {**GOOD, "chapters": [chapter]}):
        text = json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        response = await ask(Channel(), "POST", BOOKS + "?bookId=b", content=text, headers=headers)
        assert response.status_code == 400
        assert response.json()["reason"] == "INVALID_REQUEST"


async def test_what_the_server_sets_is_ignored_so_that_a_read_object_can_be_sent_back() -> None:
    read = message(
        "Book", name="shelves/a/books/b", displayName="t", createTime="2020-01-01T00:00:00Z", etag="e"
    )
    channel = Channel({"GetBook": read})
    book = (await ask(channel, "GET", BOOK)).json()
    assert book["createTime"] == "2020-01-01T00:00:00Z"
    response = await ask(channel, "PATCH", BOOK, json=book)
    assert response.status_code == 200, response.text
    sent = channel.last("UpdateBookRequest")
    assert sent["book"] == {"name": "shelves/a/books/b", "displayName": "t", "etag": "e"}
    assert "createTime" not in sent["updateMask"]
    assert "etag" not in sent["updateMask"]
    other = await ask(channel, "PATCH", BOOK, json={**book, "name": "shelves/a/books/c"})
    assert places(other) == [("body", "#/name")]


async def test_an_update_names_what_it_changes() -> None:
    channel = Channel()
    await ask(channel, "PATCH", BOOK, json={"pages": 5, "publisher": {"displayName": "p"}})
    assert channel.last("UpdateBookRequest") == {
        "book": {"name": "shelves/a/books/b", "pages": 5, "publisher": {"displayName": "p"}},
        "updateMask": "pages,publisher",
    }
    await ask(channel, "PATCH", BOOK + "?updateMask=publisher.email", json={"publisher": {"email": "a@b.cn"}})
    assert channel.last("UpdateBookRequest")["updateMask"] == "publisher.email"
    await ask(channel, "PATCH", BOOK + "?updateMask=*", json=GOOD)
    assert channel.last("UpdateBookRequest")["updateMask"] == "*"


@pytest.mark.parametrize(
    ("query", "body", "status", "place"),
    [
        ("", {}, 400, ("body", "#")),
        ("", {"pages": -1}, 400, ("body", "#/pages")),
        ("", {"publisher": {}}, 400, ("body", "#/publisher/displayName")),
        ("", {"publisher": {"displayName": "p", "email": "x"}}, 400, ("body", "#/publisher/email")),
        ("?updateMask=nope", {"pages": 1}, 400, ("query", "updateMask")),
        ("?updateMask=publisher.nope", {"pages": 1}, 400, ("query", "updateMask")),
        ("?updateMask=*", {"pages": 1}, 400, ("body", "#/displayName")),
        # named to be cleared, which no schema of the body can forbid
        ("?updateMask=displayName", {"pages": 1}, 422, ("body", "#/displayName")),
    ],
)
async def test_a_wrong_update_is_named(query: str, body: Any, status: int, place: tuple[str, str]) -> None:
    response = await ask(Channel(), "PATCH", BOOK + query, json=body)
    assert response.status_code == status, response.text
    assert places(response) == [place]


async def test_fields_an_update_does_not_name_are_left_to_the_service() -> None:
    # displayName is required, and the rule about hard-bound books needs what is stored: the service's matter.
    assert (await ask(Channel(), "PATCH", BOOK, json={"binding": "BINDING_HARD", "pages": 9999})).is_success


async def test_a_rule_without_words_in_the_document_answers_422() -> None:
    body = {"reader": "r", "days": 28, "phone": "1"}
    response = await ask(Channel(), "POST", BOOK + ":lend", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["detail"] == "a loan of 28 days needs an e-mail address"
    both = await ask(Channel(), "POST", BOOK + ":lend", json={**body, "reader": ""})
    assert both.status_code == 400


async def test_a_body_that_is_the_whole_request_leaves_out_what_the_path_says() -> None:
    body = {"reader": "r", "days": 7, "phone": "1"}
    channel = Channel()
    assert (await ask(channel, "POST", BOOK + ":lend", json=body)).is_success
    assert channel.last("LendBookRequest") == {"name": "shelves/a/books/b", **body}
    twice = await ask(channel, "POST", BOOK + ":lend", json={**body, "name": "shelves/a/books/b"})
    assert places(twice) == [("body", "#/name")]
    assert "path" in twice.json()["errors"][0]["detail"]
    neither = await ask(channel, "POST", BOOK + ":lend", json={"reader": "r", "days": 7})
    assert places(neither) == [("body", "#")]
    nothing = await ask(channel, "POST", BOOK + ":lend")
    assert ("body", "#/reader") in places(nothing)


async def test_a_wrong_path_is_named() -> None:
    response = await ask(Channel(), "GET", "/api/v1/shelves/A%2FB/books/b")
    assert response.status_code == 400
    assert places(response) == [("path", "name")]


async def test_if_match_becomes_the_etag_of_the_request() -> None:
    channel = Channel()
    await ask(channel, "DELETE", BOOK, headers={"if-match": '"e1"'})
    assert channel.last("DeleteBookRequest")["etag"] == "e1"
    await ask(channel, "PATCH", BOOK, json={"pages": 1}, headers={"if-match": '"e2"'})
    sent = channel.last("UpdateBookRequest")
    assert (sent["book"]["etag"], sent["updateMask"]) == ("e2", "pages")
    await ask(channel, "DELETE", BOOK, headers={"if-match": "*"})
    assert "etag" not in channel.last("DeleteBookRequest")


@pytest.mark.parametrize(
    ("verb", "url", "tag", "status"),
    [
        ("DELETE", BOOK, "e1", 400),
        ("DELETE", BOOK, '"a", "b"', 400),
        ("DELETE", BOOK, 'W/"a"', 412),
        ("DELETE", BOOK + "?etag=b", '"a"', 412),
        ("POST", BOOKS + "?bookId=b", '"a"', 400),
    ],
)
async def test_an_if_match_that_cannot_hold_is_refused(verb: str, url: str, tag: str, status: int) -> None:
    channel = Channel()
    body = {"json": GOOD} if verb == "POST" else {}
    response = await ask(channel, verb, url, headers={"if-match": tag}, **body)
    assert response.status_code == status
    assert not channel.requests
