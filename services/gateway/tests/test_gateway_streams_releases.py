"""Released files: ranges are slices, copies are revalidated, parts never look whole."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_gateway.streams.content import attachment
from plaza_gateway.streams.ranges import Unsatisfiable, span_of
from plaza_gateway.transcode.responses import StreamBroken

sys.path.insert(0, str(Path(__file__).parent / "protos"))
from gateway_city import CONTENT, DATASET, FILE, City, city

URL = f"/api/v1/{DATASET}/releases/2/files/{FILE}"
ETAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'


@pytest.fixture
async def plaza() -> AsyncIterator[City]:
    async with city(("public",)) as running:
        yield running


NUMBERS = st.integers(0, 40)


@given(st.binary(max_size=30), NUMBERS, st.none() | NUMBERS)
def test_a_range_is_a_slice(content: bytes, first: int, last: int | None) -> None:
    header = f"bytes={first}-{'' if last is None else last}"
    if last is not None and last < first:
        assert span_of(header, len(content)) is None
    elif first >= len(content):
        with pytest.raises(Unsatisfiable):
            span_of(header, len(content))
    else:
        span = span_of(header, len(content))
        assert span is not None
        wanted = content[first:] if last is None else content[first : last + 1]
        assert content[span.offset : span.offset + span.length] == wanted
        assert span.length == len(wanted)


@given(st.binary(max_size=30), NUMBERS)
def test_a_suffix_is_a_slice(content: bytes, length: int) -> None:
    if length == 0 or not content:
        with pytest.raises(Unsatisfiable):
            span_of(f"bytes=-{length}", len(content))
    else:
        span = span_of(f"bytes=-{length}", len(content))
        assert span is not None
        assert content[span.offset : span.offset + span.length] == content[-length:]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5",
        "bytes=0-1,3-4",
        "lines=0-1",
        "bytes=٣-٤",
        f"bytes=0-{'9' * 31}",
    ],
)
def test_other_headers_are_ignored_not_guessed(header: str) -> None:
    assert span_of(header, 10) is None


@given(st.text(max_size=20))
def test_no_header_is_a_fault(text: str) -> None:
    try:
        span = span_of(f"bytes={text}", 10)
    except Unsatisfiable:
        return
    assert span is None or (span.offset >= 0 and 0 < span.length <= 10 - span.offset)


@given(st.text(min_size=1, max_size=30))
def test_any_file_name_makes_one_header_line(name: str) -> None:
    header = attachment(name.encode("utf-8", "ignore").decode())
    assert all(" " <= char <= "~" for char in header)
    assert header.count('"') == 2


@pytest.mark.integration
async def test_a_file_is_for_everybody(plaza: City) -> None:
    response = await plaza.http.get(URL)
    assert (response.status_code, response.content) == (200, CONTENT)
    said = {name for name in response.headers if not name.startswith(("ratelimit", "access-control"))}
    assert {name: response.headers[name] for name in said} == {
        "content-type": "text/csv; charset=utf-8",
        "content-length": str(len(CONTENT)),
        "content-disposition": f'attachment; filename="{FILE}"',
        "accept-ranges": "bytes",
        "etag": ETAG,
        "cache-control": "public, max-age=60, must-revalidate",
        "x-content-type-options": "nosniff",
    }
    assert len(plaza.portal.reads) == 1


@pytest.mark.integration
@pytest.mark.parametrize(
    ("wanted", "content"),
    [("0-0", CONTENT[:1]), ("10-250", CONTENT[10:251]), ("-300", CONTENT[-300:]), ("1000-", CONTENT[1000:])],
)
async def test_ranges_over_the_wire(plaza: City, wanted: str, content: bytes) -> None:
    response = await plaza.http.get(URL, headers={"range": f"bytes={wanted}"})
    assert (response.status_code, response.content) == (206, content)
    assert response.headers["content-length"] == str(len(content))
    start = int(wanted.partition("-")[0]) if wanted[0] != "-" else len(CONTENT) - 300
    stop = start + len(content) - 1
    assert response.headers["content-range"] == f"bytes {start}-{stop}/{len(CONTENT)}"
    assert plaza.portal.reads[-1].limit == len(content)


@pytest.mark.integration
async def test_a_range_holds_for_one_state_only(plaza: City) -> None:
    ranged = {"range": "bytes=0-9"}
    assert (await plaza.http.get(URL, headers={**ranged, "if-range": ETAG})).status_code == 206
    for other in ('"x"', f"W/{ETAG}", "Sat, 21 Nov 2026 00:00:00 GMT"):
        response = await plaza.http.get(URL, headers={**ranged, "if-range": other})
        assert (response.status_code, response.content) == (200, CONTENT), other
    beyond = await plaza.http.get(URL, headers={"range": f"bytes={len(CONTENT)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(CONTENT)}")
    assert beyond.headers["content-type"] == "application/problem+json"


@pytest.mark.integration
async def test_a_copy_is_revalidated_and_head_tells_the_size(plaza: City) -> None:
    for known in (ETAG, f'"x", W/{ETAG}', "*"):
        response = await plaza.http.get(URL, headers={"if-none-match": known, "range": "bytes=0-1"})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", ETAG)
    changed = await plaza.http.get(URL, headers={"if-none-match": '"x"'})
    assert (changed.status_code, changed.content) == (200, CONTENT)
    head = await plaza.http.head(URL, headers={"range": "bytes=0-1"})
    assert (head.status_code, head.content) == (200, b"")
    whole = (await plaza.http.get(URL)).headers
    said = {name for name in whole if not name.startswith("ratelimit")}
    assert {name: head.headers[name] for name in said} == {name: whole[name] for name in said}


@pytest.mark.integration
async def test_a_part_never_looks_whole(plaza: City) -> None:
    plaza.portal.short = 1
    with pytest.raises(StreamBroken):
        await plaza.http.get(URL)
    with pytest.raises(StreamBroken):
        await plaza.http.get(URL, headers={"range": "bytes=0-500"})


@pytest.mark.integration
async def test_an_empty_file_is_whole(plaza: City) -> None:
    plaza.portal.content = b""
    assert (await plaza.http.get(URL)).content == b""
    assert (await plaza.http.get(URL, headers={"range": "bytes=0-"})).status_code == 416


@pytest.mark.integration
async def test_what_is_wrong_is_told(plaza: City) -> None:
    missing = await plaza.http.get(URL + ".nope")
    assert (missing.status_code, missing.json()["remedy"]) == (404, "Look again.")
    for query in ("offset=1", "limit=1", "x=1"):
        assert (await plaza.http.get(f"{URL}?{query}")).status_code == 400
    assert (await plaza.http.get(URL.replace("/2/", "/two/"))).status_code == 400
    refused = await plaza.http.put(URL)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
