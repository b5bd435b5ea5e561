"""A load of GET requests over kept connections, without pipelining; each connection asks its own addresses."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Rate:
    """What a load came to."""

    a_second: float
    p50: float
    """ms"""
    p99: float
    """ms"""
    body: int
    """Bytes of the last answer."""

    def __str__(self) -> str:
        return f"{self.a_second:6.0f}/s p50 {self.p50:6.1f} p99 {self.p99:6.1f} ms"


async def load(
    base: str, targets: Iterator[str], headers: dict[str, str], connections: int, seconds: float
) -> Rate:
    """Asks for `targets` (path and query), one after the other, from all connections together."""
    parts = urlsplit(base)
    lines = [f"host: {parts.netloc}", *(f"{name}: {value}" for name, value in headers.items())]
    rest = ("\r\n".join(lines) + "\r\n\r\n").encode()
    times: list[float] = []
    size = 0
    end = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal size
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while time.perf_counter() < end:
            started = time.perf_counter()
            writer.write(f"GET {next(targets)} HTTP/1.1\r\n".encode() + rest)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head[:300]
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            size = len(await reader.readexactly(int(length.split(b":")[1])))
            times.append(time.perf_counter() - started)
        writer.close()

    begin = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    spent = time.perf_counter() - begin
    cuts = statistics.quantiles(times, n=100)
    return Rate(len(times) / spent, cuts[49] * 1000, cuts[98] * 1000, size)
