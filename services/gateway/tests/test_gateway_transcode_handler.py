"""Answers of the door: problems, conditions, streams, and callers who leave."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.api import httpbody_pb2
from google.rpc import status_pb2
from plaza_gateway.transcode import ContractError, Problem, Transcoder
from plaza_kit.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)

sys.path.insert(0, str(Path(__file__).parent / "protos"))
from gateway_library import (
    INTERNAL,
    PACKAGE,
    Call,
    Channel,
    client,
    descriptor_set,
    message,
    refusal,
    retry_later,
)

BOOK = "/api/v1/shelves/a/books/b"
BOOKS = "/api/v1/shelves/a/books"
WATCH = "/api/v1/shelves/a:watch"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class BookMissing(NotFound):
    """No such book."""


async def get(answer: Any, url: str = BOOK, **options: Any) -> httpx.Response:
    name = {BOOK: "GetBook", WATCH: "WatchShelf"}.get(url.partition("?")[0], "ListBooks")
    async with client(Channel({name: answer})) as http:
        return await http.get(url, **options)


async def test_a_domain_error_becomes_a_problem_with_its_facts() -> None:
    error = BookMissing("there is no book b on shelf a", remedy="List the shelf.", facts={"book": "b"})
    response = await get(refusal(error), headers={"traceparent": TRACE})
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "urn:plaza:problem:book-missing",
        "title": "Book missing",
        "status": 404,
        "detail": "there is no book b on shelf a",
        "reason": "BOOK_MISSING",
        "remedy": "List the shelf.",
        "facts": {"book": "b"},
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    assert Problem.of_error(error).document() == {
        key: value for key, value in response.json().items() if key != "trace_id"
    }


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidArgument("x"), 400),
        (FailedPrecondition("x"), 400),
        (Unauthenticated("x"), 401),
        (PermissionDenied("x"), 403),
        (AlreadyExists("x"), 409),
        (Aborted("x"), 409),
        (ResourceExhausted("x"), 429),
        (Unavailable("x"), 503),
    ],
)
async def test_codes_are_http_statuses(error: Any, status: int) -> None:
    response = await get(refusal(error))
    assert response.status_code == error.http_status == status
    assert ("retry-after" in response.headers) == (status in (429, 503))
    assert (response.headers.get("www-authenticate") == "Bearer") == (status == 401)


async def test_the_service_says_when_to_come_back() -> None:
    response = await get(refusal(retry_later(7)))
    assert (response.status_code, response.headers["retry-after"]) == (503, "7")


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE]
)
async def test_texts_of_grpc_itself_stay_inside(code: grpc.StatusCode) -> None:
    error = refusal(status_pb2.Status(code=code.value[0], message="KeyError in /secret/place"))
    response = await get(error)
    assert response.status_code >= 500
    assert "secret" not in response.text


async def test_violations_of_a_service_point_to_what_the_caller_wrote() -> None:
    violations = (
        FieldViolation("book.display_name", "is taken"),
        FieldViolation('book.titles["zh"]', "is no title"),
        FieldViolation("book.chapters[2].title", "is empty"),
        FieldViolation("book.name", "is odd"),
        FieldViolation("update_mask", "is odd"),
    )
    answers = {"UpdateBook": refusal(InvalidArgument("x", violations=violations))}
    async with client(Channel(answers)) as http:
        response = await http.patch(BOOK, json={"pages": 1})
    assert [(each["in"], each["pointer"]) for each in response.json()["errors"]] == [
        ("body", "#/displayName"),
        ("body", "#/titles/zh"),
        ("body", "#/chapters/2/title"),
        ("path", "book.name"),
        ("query", "updateMask"),
    ]


async def test_a_lost_race_under_if_match_is_412() -> None:
    async with client(Channel({"DeleteBook": refusal(Aborted("the book has changed"))})) as http:
        assert (await http.delete(BOOK)).status_code == 409
        stale = await http.delete(BOOK, headers={"if-match": '"e"'})
    assert (stale.status_code, stale.json()["reason"]) == (412, "PRECONDITION_FAILED")


async def test_only_who_calls_and_the_trace_go_on() -> None:
    channel = Channel()
    sent = {
        "authorization": "Bearer abc",
        "traceparent": TRACE,
        "tracestate": "a=b",
        "x-request-id": "r1",
        "cookie": "secret=1",
        "x-forwarded-user": "root",
    }
    async with client(channel) as http:
        await http.get(BOOK, headers=sent)
    assert channel.requests[0][2] == {key: sent[key] for key in list(sent)[:4]}


async def test_a_token_that_grpc_cannot_carry_is_no_token() -> None:
    response = await get(message("Book"), headers={"authorization": "Bearer \u00e9".encode("latin-1")})
    assert response.status_code == 401


async def test_the_etag_revalidates() -> None:
    book = message("Book", etag="e1")
    first = await get(book)
    assert first.headers["etag"] == '"e1"'
    for known in ('"e1"', 'W/"e1"', '"x", "e1"', "*"):
        response = await get(book, headers={"if-none-match": known})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", '"e1"')
    for other in ('"e2"', "e1", ""):
        assert (await get(book, headers={"if-none-match": other})).status_code == 200
    assert "etag" not in (await get(message("Book", etag='quo"ted'))).headers


async def test_head_is_a_get_without_its_body() -> None:
    async with client(Channel({"GetBook": message("Book", etag="e1")})) as http:
        full, head = await http.get(BOOK), await http.head(BOOK)
        assert (await http.head("/api/v1/nope")).status_code == 404
    assert head.content == b""
    assert head.headers == full.headers


async def test_options_405_and_404() -> None:
    async with client(Channel()) as http:
        options = await http.options(BOOK)
        refused = await http.put(BOOK)
        missing = await http.get("/api/v1/nope?x=1")
        broken = await http.get("/api/v1/works/%FF")
    assert (options.status_code, options.headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, PATCH")
    assert (refused.status_code, refused.headers["allow"]) == (405, options.headers["allow"])
    assert (missing.status_code, missing.json()["reason"]) == (404, "ROUTE_NOT_FOUND")
    assert (broken.status_code, broken.json()["reason"]) == (400, "MALFORMED_PATH")


async def test_the_public_face_has_no_internal_door() -> None:
    async with client(Channel({"GetBook": message("Book")}), face=frozenset({"public"})) as http:
        assert (await http.get(BOOK)).status_code == 200
        assert (await http.delete(BOOK)).status_code == 405
        assert (await http.get(WATCH)).status_code == 404


async def test_bodies_have_a_limit_and_a_type() -> None:
    async def drip() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 65_536

    channel = Channel()
    json_type = {"content-type": "application/json"}
    async with client(channel) as http:
        url = BOOKS + "?bookId=b"
        assert (await http.post(url, content=b"x" * 1_048_577, headers=json_type)).status_code == 413
        assert (await http.post(url, content=drip(), headers=json_type)).status_code == 413
        for kind in ("text/plain", "application/json; charset=gbk", "application/xml", ""):
            response = await http.post(url, content=b"{}", headers={"content-type": kind})
            assert response.status_code == 415, kind
        zipped = {**json_type, "content-encoding": "gzip"}
        assert (await http.post(url, content=b"{}", headers=zipped)).status_code == 415
        assert (await http.request("DELETE", BOOK, json={})).status_code == 400
        utf8 = {"content-type": 'Application/JSON; charset="UTF-8"'}
        assert (await http.post(url, content=b'{"displayName":"a"}', headers=utf8)).status_code == 200
    assert len(channel.requests) == 1


async def test_ready_bytes_pass_through() -> None:
    picture = httpbody_pb2.HttpBody(content_type="image/png", data=b"\x89PNG")
    odd = httpbody_pb2.HttpBody(content_type="text/html\r\nset-cookie: a=b", data=b"x")
    async with client(Channel({"GetCover": picture, "DownloadText": [picture, picture]})) as http:
        response = await http.get(BOOK + ":cover")
        text = await http.get(BOOK + ":text")
    assert (response.content, response.headers["content-type"]) == (b"\x89PNG", "image/png")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert (text.content, text.headers["content-type"]) == (b"\x89PNG\x89PNG", "image/png")
    async with client(Channel({"GetCover": odd})) as http:
        assert (await http.get(BOOK + ":cover")).headers["content-type"] == "application/octet-stream"


EVENTS = [
    message("ShelfEvent", sequence="1"),
    message("ShelfEvent", sequence="2", book={"displayName": "水"}),
]


async def test_a_stream_is_one_json_object_a_line() -> None:
    response = await get(EVENTS, WATCH)
    assert response.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert [line["sequence"] for line in lines] == ["1", "2"]
    assert lines[1]["book"]["displayName"] == "水"


async def test_a_stream_is_events_when_asked() -> None:
    response = await get(EVENTS, WATCH, headers={"accept": "text/event-stream"})
    assert response.headers["content-type"] == "text/event-stream"
    events = response.text.split("\n\n")
    assert json.loads(events[0].removeprefix("data: ")) == {"sequence": "1"}
    assert len(events) == 3
    assert events[2] == ""


async def test_an_early_error_of_a_stream_keeps_its_status() -> None:
    response = await get([refusal(PermissionDenied("not your shelf"))], WATCH)
    assert (response.status_code, response.json()["detail"]) == (403, "not your shelf")


async def test_a_late_error_of_a_stream_is_its_last_word() -> None:
    broken = [EVENTS[0], refusal(Unavailable("gone"))]
    lines = (await get(list(broken), WATCH)).text.splitlines()
    assert json.loads(lines[1])["error"]["reason"] == "UNAVAILABLE"
    events = (await get(list(broken), WATCH, headers={"accept": "text/event-stream"})).text.split("\n\n")
    assert events[1].startswith('event: problem\ndata: {"type":"urn:plaza:problem:unavailable"')


async def test_a_stream_without_messages_is_empty() -> None:
    response = await get([], WATCH)
    assert (response.status_code, response.content) == (200, b"")


async def test_bytes_that_break_off_cut_the_connection() -> None:
    from plaza_gateway.transcode.responses import StreamBroken

    part = httpbody_pb2.HttpBody(content_type="text/plain", data=b"half")
    async with client(Channel({"DownloadText": [part, refusal(Unavailable("gone"))]})) as http:
        with pytest.raises(StreamBroken):
            await http.get(BOOK + ":text")


async def test_an_idle_event_stream_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plaza_gateway.transcode.responses.KEEP_ALIVE_SECONDS", 0.01)

    class Slow(Call):
        async def read(self) -> Any:
            await asyncio.sleep(0.05 if len(self.answers) < 2 else 0)
            return await super().read()

    class Shelf(Channel):
        def unary_stream(self, path: str) -> Any:
            return lambda wire, *, timeout, metadata: Slow(list(EVENTS))

    async with client(Shelf()) as http:
        response = await http.get(WATCH, headers={"accept": "text/event-stream"})
    assert ": still here\n\n" in response.text
    assert response.text.count("data: ") == 2


async def test_a_caller_who_leaves_cancels_the_call() -> None:
    channel = Channel({"GetBook": message("Book")}, hang=True)
    app = Transcoder(descriptor_set(), {PACKAGE: channel}, face=INTERNAL)  # type: ignore[dict-item]
    events = [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return events.pop(0)

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "GET", "path": BOOK, "headers": [], "query_string": b""}
    async with asyncio.timeout(2):
        await app(scope, receive, send)
    assert channel.calls[0].cancelled.is_set()
    assert sent == []


async def test_an_answer_that_is_no_message_is_our_fault(caplog: pytest.LogCaptureFixture) -> None:
    response = await get(b"\xff\xff")
    assert (response.status_code, response.json()["reason"]) == (500, "INTERNAL")
    assert "gatewaytest.v1.LibraryService.GetBook" in caplog.text


async def test_a_fault_of_the_door_is_a_problem_too(caplog: pytest.LogCaptureFixture) -> None:
    response = await get(RuntimeError("secret"))
    assert (response.status_code, response.json()["reason"]) == (500, "INTERNAL")
    assert "secret" not in response.text
    assert "secret" in caplog.text


def test_a_route_without_a_channel_is_told_at_start() -> None:
    with pytest.raises(ContractError, match=r"no channel for gatewaytest\.v1; given are other\.v1"):
        Transcoder(descriptor_set(), {"other.v1": Channel()}, face=INTERNAL)  # type: ignore[dict-item]


def test_routes_tell_what_is_served() -> None:
    app = Transcoder(descriptor_set(), {PACKAGE: Channel()}, face=frozenset({"public"}))  # type: ignore[dict-item]
    served = {(each.verb, each.path): each for each in app.routes}
    book = served["GET", "/api/v1/{name=shelves/*/books/*}"]
    assert (book.full_name, book.face, book.anonymous) == (
        f"{PACKAGE}.LibraryService.GetBook",
        "public",
        True,
    )
    assert ("GET", "/api/v1/worksByPath/{identifier=**}") in served
