"""Uploads: the body arrives in chunks, whole or not at all."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from plaza_kit.errors import FieldViolation, InvalidArgument, PermissionDenied

sys.path.insert(0, str(Path(__file__).parent / "protos"))
from gateway_city import City, city

pytestmark = pytest.mark.integration
UPLOADS = "/api/v1/departments/ecology/uploads"
BYTES = {"content-type": "application/octet-stream"}


@pytest.fixture
async def plaza() -> AsyncIterator[City]:
    async with city() as running:
        yield running


async def test_a_file_arrives_in_chunks_and_equal(plaza: City) -> None:
    content = random.Random(1).randbytes(5 * 1024 * 1024 + 17)

    async def body() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 300_001):
            yield content[start : start + 300_001]

    headers = {**BYTES, "authorization": "Bearer t"}
    response = await plaza.http.post(
        UPLOADS, params={"fileName": "空气 2013.csv"}, content=body(), headers=headers
    )
    assert response.status_code == 200
    upload = response.json()
    assert (upload["fileName"], upload["sizeBytes"]) == ("空气 2013.csv", str(len(content)))
    assert plaza.ingestion.received == content
    assert plaza.ingestion.chunks == [1_048_576] * 5 + [17]
    assert plaza.ingestion.header is not None
    assert plaza.ingestion.header.parent == "departments/ecology"
    assert plaza.ingestion.metadata["authorization"] == "Bearer t"


async def test_an_empty_file_is_a_file(plaza: City) -> None:
    response = await plaza.http.post(UPLOADS, params={"fileName": "a"}, headers=BYTES)
    assert (response.status_code, plaza.ingestion.chunks) == (200, [])


async def cut_off(plaza: City) -> None:
    events = [
        {"type": "http.request", "body": b"half", "more_body": True},
        {"type": "http.request", "body": b"x" * 2_000_000, "more_body": True},
    ]

    async def receive() -> Any:
        if events:
            return events.pop(0)
        await plaza.ingestion.began.wait()
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        raise AssertionError(f"nobody is there to read {event}")

    scope = {"type": "http", "method": "POST", "path": UPLOADS, "query_string": b"fileName=a", "headers": []}
    await plaza.app(scope, receive, send)


async def test_an_upload_that_is_cut_off_is_never_kept(plaza: City) -> None:
    # Many times: a service may read the end of a stream before it learns that the call was cancelled.
    for _ in range(30):
        plaza.ingestion.began.clear()
        plaza.ingestion.cancelled.clear()
        async with asyncio.timeout(5):
            await cut_off(plaza)
            await plaza.ingestion.cancelled.wait()
        assert not plaza.ingestion.committed


async def test_a_service_that_does_not_answer_cannot_hold_a_cut_off_upload(plaza: City) -> None:
    plaza.ingestion.deaf = True
    async with asyncio.timeout(5):
        await cut_off(plaza)
        await plaza.ingestion.cancelled.wait()


async def test_a_refusal_is_heard_before_the_last_byte(plaza: City) -> None:
    plaza.ingestion.refusal = PermissionDenied("not your department")
    asked = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield b"x" * 65_536
            await asyncio.sleep(0)

    async with asyncio.timeout(5):
        response = await plaza.http.post(UPLOADS + "?fileName=a", content=endless(), headers=BYTES)
    assert (response.status_code, response.json()["detail"]) == (403, "not your department")


async def test_complaints_name_what_the_caller_wrote(plaza: City) -> None:
    bad = (FieldViolation("header.file_name", "is odd"), FieldViolation("chunk", "is too long"))
    plaza.ingestion.refusal = InvalidArgument("x", violations=bad)
    response = await plaza.http.post(UPLOADS + "?fileName=a", content=b"x", headers=BYTES)
    assert [(e["in"], e["pointer"]) for e in response.json()["errors"]] == [
        ("query", "fileName"),
        ("body", "#"),
    ]


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", BYTES, 400),
        ("?fileName=", BYTES, 400),
        ("?fileName=a&fileName=b", BYTES, 400),
        ("?fileName=a&parent=departments/b", BYTES, 400),
        ("?fileName=a&x=1", BYTES, 400),
        ("?fileName=a", {"content-type": "text/csv"}, 415),
        ("?fileName=a", {**BYTES, "content-encoding": "gzip"}, 415),
        ("?fileName=a", {**BYTES, "if-match": '"e"'}, 400),
    ],
)
async def test_what_is_wrong_is_told(plaza: City, query: str, headers: dict[str, str], status: int) -> None:
    response = await plaza.http.post(UPLOADS + query, content=b"x", headers=headers)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert plaza.ingestion.header is None


async def test_other_verbs_are_405(plaza: City) -> None:
    response = await plaza.http.get(UPLOADS)
    assert (response.status_code, response.headers["allow"]) == (405, "OPTIONS, POST")
