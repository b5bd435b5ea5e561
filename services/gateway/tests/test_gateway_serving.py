"""A real process: how it ends, and what it takes from a connection before there is a request."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent / "protos"))
from gateway_city import DATASET, City, city

pytestmark = pytest.mark.integration
ROWS = f"/api/v1/{DATASET}/rows?format=csv"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@asynccontextmanager
async def gateway(plaza: City, **more: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A gateway before the city's services, and its address."""
    port = free_port()
    names = ("CATALOGUE", "INGESTION", "OPEN_DATA", "QUALITY", "SECURITY", "SHARING")
    told = {f"PLAZA_{name}_ADDRESS": plaza.address for name in names}
    told |= {"PLAZA_ISSUER": "http://issuer.test", "PLAZA_PORT": str(port)}
    told |= {f"PLAZA_{name.upper()}": value for name, value in more.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "plaza_gateway", env=os.environ | told, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(60):
            while not await _listens(port):
                assert process.returncode is None
                await asyncio.sleep(0.1)
        yield process, f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_an_end_is_told_and_what_is_under_way_is_ended() -> None:
    async with (
        city() as plaza,
        gateway(plaza, drain_notice_seconds="2", drain_seconds="20") as (process, url),
    ):
        plaza.rows.pause = 4
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            assert (await http.get("/readyz")).status_code == 200
            download = asyncio.create_task(http.get(ROWS, timeout=30))
            async with asyncio.timeout(20):
                while not plaza.rows.requests:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                while (ready := await http.get("/readyz")).status_code == 200:  # noqa: ASYNC110  # another process
                    await asyncio.sleep(0.05)
            assert (ready.status_code, ready.json()) == (503, {"ready": False, "draining": True})
            # Whoever has not heard of it yet is served, on a connection that ends with it.
            late = await http.get("/api/v1/identity")
            assert (late.status_code, late.headers["connection"]) == (200, "close")
            async with asyncio.timeout(10):
                while await _listens(int(url.rpartition(":")[2])):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert not download.done(), "new connections are refused while the old one goes on"
            assert (await download).text == "time,pm2_5\n1,2\n"
        async with asyncio.timeout(10):
            await process.wait()


async def test_a_stream_without_end_is_cut_off_at_the_limit() -> None:
    async with city() as plaza, gateway(plaza, drain_seconds="1") as (process, url):
        plaza.rows.endless = True
        async with (
            httpx.AsyncClient(base_url=url, trust_env=False) as http,
            http.stream("GET", ROWS) as response,
        ):
            parts = response.aiter_raw()
            await anext(parts)
            process.send_signal(signal.SIGTERM)
            with pytest.raises(httpx.HTTPError):
                async with asyncio.timeout(20):
                    async for _ in parts:
                        pass
        async with asyncio.timeout(15):
            await process.wait()
            await plaza.rows.cancelled.wait()


async def spoken(url: str, *pieces: bytes, pause: float = 0) -> tuple[int, dict[str, Any]]:
    """Status and problem that a connection answers to these bytes; (0, {}) when it says nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        async with asyncio.timeout(20):
            answer = await reader.read()
    except ConnectionError:
        return 0, {}
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]), json.loads(body)) if head else (0, {})


async def test_what_comes_before_a_request_has_bounds() -> None:
    limits = {"head_limit_bytes": "8192", "head_seconds": "1.5"}
    async with city() as plaza, gateway(plaza, **limits) as (_, url):
        host = b"Host: plaza\r\n"
        fine = b"GET /api/v1/identity HTTP/1.1\r\n" + host + b"Connection: close\r\n\r\n"
        assert (await spoken(url, fine))[0] == 200
        status, problem = await spoken(url, b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n" + host + b"\r\n")
        assert (status, problem["reason"]) == (414, "ADDRESS_TOO_LONG")
        many = b"".join(b"X-%d: %s\r\n" % (n, b"v" * 100) for n in range(100))
        status, problem = await spoken(url, b"GET / HTTP/1.1\r\n" + host + many + b"\r\n")
        assert (status, problem["reason"], problem["facts"]) == (
            431,
            "HEADERS_TOO_LONG",
            {"limit_bytes": "8192"},
        )
        status, problem = await spoken(url, b"GET / HTTP/1.1\r\nX: ", *[b"v" * 20_000] * 10, pause=0.02)
        assert status in (0, 431), "without an end: refused before it is held"
        assert (await spoken(url, b"\x16\x03\x01 nonsense\r\n\r\n"))[0] == 400
        started = time.monotonic()
        status, problem = await spoken(url, b"GET / HTTP/1.1\r\n", b"X: 1\r\n", pause=0.5)
        assert (status, problem["reason"]) == (408, "HEAD_TOO_SLOW")
        assert time.monotonic() - started < 10
        assert (await spoken(url))[0] == 0, "a connection on which nobody asks is closed without a word"


async def test_a_proxy_is_believed_only_when_it_is_ours() -> None:
    forwarded = {"x-forwarded-for": "203.0.113.9"}
    for trusted, expected in (("[]", 429), ('["127.0.0.0/8"]', 200)):
        limits = {"anonymous_per_minute": "1", "trusted_proxies": trusted}
        async with (
            city() as plaza,
            gateway(plaza, **limits) as (_, url),
            httpx.AsyncClient(base_url=url, trust_env=False) as http,
        ):
            await http.get("/api/v1/identity")
            first = await http.get("/api/v1/identity")
            assert first.status_code == 429
            assert (await http.get("/api/v1/identity", headers=forwarded)).status_code == expected
