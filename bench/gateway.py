"""A small GET through the gateway, beside the same answer from a bare FastAPI application with the same server."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from urllib.parse import urlsplit

from story import Suite, free_port

CONNECTIONS = 8
SECONDS = 4.0
ROUNDS = 3

BARE = """
import json, sys, uvicorn
from fastapi import FastAPI
app = FastAPI(openapi_url=None)
BODY = json.loads(sys.argv[2])
@app.get("/{path:path}")
async def get(path: str) -> dict:
    return BODY
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical")
"""


async def load(url: str, headers: dict[str, str]) -> tuple[float, float]:
    """Requests a second and the 99th percentile in ms, over kept connections without pipelining."""
    parts = urlsplit(url)
    lines = [
        f"GET {parts.path} HTTP/1.1",
        f"host: {parts.netloc}",
        *(f"{k}: {v}" for k, v in headers.items()),
    ]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    times: list[float] = []
    end = time.perf_counter() + SECONDS

    async def one() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while time.perf_counter() < end:
            started = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head[:200]
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            times.append(time.perf_counter() - started)
        writer.close()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return len(times) / SECONDS, statistics.quantiles(times, n=100)[98] * 1000


def bare_fastapi(body: str) -> tuple[subprocess.Popen[bytes], str]:
    """The same answer from a constant: what HTTP, FastAPI and JSON cost alone."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", BARE, str(port), body])
    time.sleep(3)
    return process, f"http://127.0.0.1:{port}/x"


def measure(suite: Suite) -> None:
    """Print both, in turns."""
    body = suite.get("/departments/ecology", "ecology-officer").text
    process, bare = bare_fastapi(body)
    address = f"{suite.api}/departments/ecology"
    headers = {"authorization": f"Bearer {suite.token('ecology-officer')}"}
    try:
        for number in range(1, ROUNDS + 1):
            ours, baseline = asyncio.run(load(address, headers)), asyncio.run(load(bare, {}))
            print(
                f"GET, round {number}: gateway → catalogue → PostgreSQL {ours[0]:6.0f}/s p99 {ours[1]:5.1f} ms"
                f"   bare FastAPI, a constant {baseline[0]:6.0f}/s p99 {baseline[1]:5.1f} ms"
            )
    finally:
        process.terminate()
        process.wait()
