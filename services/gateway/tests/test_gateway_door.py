"""The door over ASGI: what it tells, what it refuses, and what scripts of other sites may read."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from plaza_gateway.app import create_app, peers_of
from plaza_gateway.settings import GatewaySettings
from plaza_kit.settings import BadSettings, load

sys.path.insert(0, str(Path(__file__).parent / "protos"))
from gateway_city import DATASET, FILE, City, city, settings

DEAD = "unix:/nonexistent/plaza.sock"
OPEN_FILE = f"/api/v1/{DATASET}/releases/2/files/{FILE}"
ROWS = f"/api/v1/{DATASET}/rows"
SUMMARY = "/api/v1/portal:summary"
UPLOADS = "/api/v1/departments/ecology/uploads?fileName=a.csv"
ORIGIN = {"origin": "https://elsewhere.example"}


def bearer(subject: str) -> dict[str, str]:
    claims = base64.urlsafe_b64encode(json.dumps({"sub": subject, "exp": 4e9}).encode()).decode()
    return {"authorization": f"Bearer e30.{claims.rstrip('=')}.c2ln"}


@pytest.fixture
async def plaza() -> AsyncIterator[City]:
    async with city() as running:
        yield running


@pytest.mark.integration
async def test_every_answer_of_the_interface_tells_the_quota(plaza: City) -> None:
    for path in ("/api/v1/openapi.json", "/api/v1/identity", "/api/v1/nowhere", ROWS):
        told = (await plaza.http.get(path)).headers
        assert told["ratelimit-policy"].startswith('"anonymous";q=1200;w=60'), path
        assert told["ratelimit"].startswith('"anonymous";r=1'), path
    for path in ("/healthz", "/readyz", "/metrics", "/zh/"):
        assert "ratelimit" not in (await plaza.http.get(path)).headers, path


@pytest.mark.integration
async def test_a_token_counts_from_the_moment_a_service_took_it(plaza: City) -> None:
    async def policy(path: str, **options: Any) -> str:
        return (await plaza.http.get(path, **options)).headers["ratelimit-policy"].partition(";")[0]

    clerk = bearer("clerk")
    for path in (SUMMARY, "/api/v1/nowhere", "/api/v1/identity", OPEN_FILE):
        assert await policy(path, headers=clerk) == '"anonymous"'
    await plaza.http.options(ROWS, headers=clerk)
    plaza.rows.breaks = "early"
    assert await policy(ROWS, headers=clerk) == '"anonymous"', "nobody has taken it yet"
    plaza.rows.breaks = ""
    assert await policy(ROWS, headers=clerk) == '"anonymous"'
    assert await policy(ROWS, headers=clerk) == '"signed-in"'
    assert await policy(ROWS, headers=bearer("another")) == '"anonymous"'
    assert "open-rows" not in (await plaza.http.get(OPEN_FILE, headers=clerk)).headers["ratelimit-policy"]


@pytest.mark.integration
async def test_beyond_the_quota_there_is_a_problem_and_health_goes_on() -> None:
    async with city(anonymous_per_minute=2, open_rows_per_day=1) as plaza:
        assert (await plaza.http.get(OPEN_FILE)).status_code == 200
        day = await plaza.http.get(OPEN_FILE, headers=ORIGIN)
        assert (day.status_code, day.json()["facts"]["policy"]) == (429, "open-rows")
        assert int(day.headers["retry-after"]) == 24 * 3600
        assert day.headers["access-control-allow-origin"] == "*", "a script must be able to read why"
        assert (await plaza.http.get(SUMMARY)).status_code == 200
        minute = await plaza.http.get(SUMMARY)
        assert (minute.status_code, minute.headers["content-type"]) == (429, "application/problem+json")
        assert minute.json()["reason"] == "QUOTA_USED_UP"
        assert len(plaza.portal.reads) == 1, "what is refused reaches no service"
        for _ in range(5):
            assert (await plaza.http.get("/healthz")).status_code == 200


async def test_pages_are_refused_as_pages() -> None:
    chosen = settings(DEAD, pages_per_minute=1)
    app = create_app(chosen, peers_of(chosen))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://plaza.test") as http:
        await http.get("/en/nowhere")
        refused = await http.get("/en/nowhere")
    assert (refused.status_code, refused.headers["content-type"]) == (429, "text/html; charset=utf-8")
    assert refused.headers["retry-after"] == "60"


@pytest.mark.integration
async def test_quotas_can_be_left_out() -> None:
    async with city(rate_limits=False, anonymous_per_minute=1) as plaza:
        for _ in range(3):
            answer = await plaza.http.get(SUMMARY)
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers


@pytest.mark.integration
async def test_scripts_of_other_sites_read_what_is_public(plaza: City) -> None:
    for path in (SUMMARY, OPEN_FILE, "/api/v1/openapi.json", "/api/v1/identity", OPEN_FILE + "x"):
        answer = await plaza.http.get(path, headers=ORIGIN)
        assert answer.headers["access-control-allow-origin"] == "*", path
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert {"ETag", "Content-Disposition", "RateLimit", "Link", "Retry-After"} <= set(exposed)
        assert "access-control-allow-credentials" not in answer.headers
    for path in (ROWS, "/api/v1/departments", "/api/v1/nowhere", "/zh/", "/healthz"):
        answer = await plaza.http.get(path, headers=ORIGIN)
        assert not [name for name in answer.headers if name.startswith("access-control")], path


@pytest.mark.integration
@pytest.mark.parametrize(
    ("path", "method", "yes"),
    [
        (OPEN_FILE, "GET", True),
        (OPEN_FILE, "HEAD", True),
        (OPEN_FILE, "DELETE", False),
        (OPEN_FILE, "get", False),
        (ROWS, "GET", False),
        (UPLOADS, "POST", False),
        ("/api/v1/nowhere", "GET", False),
    ],
)
async def test_preflights(plaza: City, path: str, method: str, yes: bool) -> None:
    asked = ORIGIN | {"access-control-request-method": method, "access-control-request-headers": "range"}
    answer = await plaza.http.options(path, headers=asked)
    assert ("access-control-allow-origin" in answer.headers) is yes
    assert "Access-Control-Request-Method" in answer.headers["vary"]
    if yes:
        assert answer.status_code == 204
        assert "Range" in answer.headers["access-control-allow-headers"]
        assert "Authorization" not in answer.headers["access-control-allow-headers"]


@pytest.mark.integration
async def test_a_file_has_a_largest_size() -> None:
    async with city(upload_limit_bytes=3000) as plaza:
        kind = {"content-type": "application/octet-stream"}
        told = await plaza.http.post(UPLOADS, content=b"x" * 3001, headers=kind)
        assert (told.status_code, told.json()["reason"]) == (413, "BODY_TOO_LARGE")
        assert told.json()["facts"] == {"limit_bytes": "3000"}
        assert told.headers["connection"] == "close"
        assert plaza.ingestion.header is None, "not a byte of it was read"

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(31):
                yield b"x" * 100

        grown = await plaza.http.post(UPLOADS, content=pieces(), headers=kind)
        assert grown.status_code == 413
        assert not plaza.ingestion.committed
        assert (await plaza.http.post(UPLOADS, content=b"x" * 3000, headers=kind)).status_code == 200


class Trickle(httpx.AsyncByteStream):
    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        await asyncio.sleep(30)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (UPLOADS, "application/octet-stream"),
        ("/api/v1/departments/ecology/datasets?datasetId=a", "application/json"),
    ],
)
async def test_a_body_that_stands_still_is_given_up(path: str, kind: str) -> None:
    async with city(body_idle_seconds=0.2) as plaza:
        answer = await plaza.http.post(path, content=Trickle(b"{"), headers={"content-type": kind})
        assert (answer.status_code, answer.json()["reason"]) == (408, "BODY_TOO_SLOW")
        assert not plaza.ingestion.committed


@pytest.mark.integration
async def test_waiting_for_an_answer_is_no_slow_body() -> None:
    async with city(body_idle_seconds=0.05, body_seconds=0.05) as plaza:
        plaza.rows.pause = 0.3
        assert (await plaza.http.get(ROWS + "?format=csv")).status_code == 200


def test_proxies_are_addresses_or_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ISSUER", "SECURITY_ADDRESS", "CATALOGUE_ADDRESS", "OPEN_DATA_ADDRESS"):
        monkeypatch.setenv(f"PLAZA_{name}", "x")
    monkeypatch.setenv("PLAZA_FACES", '["public"]')
    monkeypatch.setenv("PLAZA_TRUSTED_PROXIES", '["10.0.0.0/8", "::1"]')
    assert load(GatewaySettings).trusted_proxies == ("10.0.0.0/8", "::1")
    monkeypatch.setenv("PLAZA_TRUSTED_PROXIES", '["proxy"]')
    with pytest.raises(BadSettings, match="PLAZA_TRUSTED_PROXIES"):
        load(GatewaySettings)
