"""`make bench`: what we claim about speed and memory, each beside its baseline, in one run.

Rows so far: start-up time, memory of each process, and a small GET through the gateway against the same answer
from a bare FastAPI application under the same server and the same client. Load is bounded and stays on loopback.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e-tests"))

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


def memory(pid: int) -> float:
    """Resident memory in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def bare_fastapi(body: str) -> tuple[subprocess.Popen[bytes], str]:
    """The same answer from a constant: what HTTP, FastAPI and JSON cost alone."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", BARE, str(port), body])
    time.sleep(3)
    return process, f"http://127.0.0.1:{port}/x"


def started(suite: Suite) -> float:
    """Seconds from the command to its line that says ready."""
    begin = time.perf_counter()
    suite.start()
    return time.perf_counter() - begin


def main() -> None:
    """Print the rows."""
    with tempfile.TemporaryDirectory(prefix="plaza-bench-") as folder:
        suite = Suite(Path(folder) / "home", free_port(), free_port())
        print(f"start, first (migrations, demo)   {started(suite):6.1f} s")
        suite.stop()
        print(f"start, again                      {started(suite):6.1f} s")
        token = suite.token("ecology-officer")
        for child in suite.plaza("status")["processes"]:
            print(f"memory, {child['name']:<10} (RSS, idle)     {memory(child['pid']):6.0f} MiB")
        body = suite.get("/departments/ecology", "ecology-officer").text
        process, bare = bare_fastapi(body)
        address, headers = f"{suite.api}/departments/ecology", {"authorization": f"Bearer {token}"}
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
            suite.stop()


if __name__ == "__main__":
    main()
