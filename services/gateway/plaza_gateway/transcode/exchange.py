"""One HTTP exchange over raw ASGI: headers, the body under a limit, the answer, and a caller who leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import quote

from plaza_kit import telemetry

from plaza_gateway.transcode.problems import CONTENT_TYPE, Problem

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_LIMIT = 1024 * 1024
"""Bytes of a request body; larger things are uploaded by the streaming routes."""
_FORWARDED = ("authorization", "traceparent", "tracestate", "x-request-id")


def raw_path(scope: Scope) -> str:
    """The path of a request as it came, still percent-encoded."""
    raw = scope.get("raw_path")
    if raw:
        return str(raw.partition(b"?")[0].decode("latin-1"))
    return quote(scope["path"], safe="/:@!$&'()*+,;=~")


class CallerLeft(Exception):
    """The caller closed the connection; nobody waits for an answer."""


class Cancellable(Protocol):
    """A call under way."""

    def cancel(self) -> bool:
        """Stop it."""
        ...


class Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            # Repeated headers are one list (RFC 9110, section 5.3).
            key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
            self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text
        self.verb: str = scope["method"]
        self.query: bytes = scope.get("query_string", b"")
        self.raw_path: str = raw_path(scope)
        self.started = False

    @property
    def head(self) -> bool:
        """Only the headers are wanted."""
        return self.verb == "HEAD"

    @property
    def trace_id(self) -> str:
        """Id of the trace that this request belongs to; empty when nobody traces."""
        parts = self.headers.get("traceparent", "").split("-")
        return telemetry.current_trace_id() or (parts[1] if len(parts) == 4 and len(parts[1]) == 32 else "")

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata of the call: who calls, and the trace. Raises Problem (401) for what is no token."""
        carried = {name: self.headers[name] for name in _FORWARDED if name in self.headers}
        carried.update(telemetry.inject())
        if not _plain(carried.get("authorization", "")):
            raise Problem(
                401, "UNAUTHENTICATED", "the Authorization header is not a token",
                headers={"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        return tuple((name, value) for name, value in carried.items() if value and _plain(value))

    async def body(self) -> bytes:
        """The whole request body. Raises Problem (413), CallerLeft."""
        length = self.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > BODY_LIMIT:
            raise _too_large()
        parts: list[bytes] = []
        size = 0
        while True:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                raise CallerLeft
            part: bytes = event.get("body", b"")
            size += len(part)
            if size > BODY_LIMIT:
                raise _too_large()
            parts.append(part)
            if not event.get("more_body", False):
                return b"".join(parts)

    async def pieces(self, size: int) -> AsyncIterator[bytes]:
        """The request body in pieces of `size` bytes, the last one shorter, no more than one held at a time:
        the next is asked of the caller when this one was taken. Raises CallerLeft when it was cut off."""
        held = bytearray()
        more = True
        while more:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                raise CallerLeft
            held += event.get("body", b"")
            more = event.get("more_body", False)
            while len(held) >= size or (held and not more):
                yield bytes(held[:size])
                del held[:size]

    @asynccontextmanager
    async def watching(self, call: Cancellable) -> AsyncIterator[None]:
        """While inside, a caller who leaves cancels the call. Raises CallerLeft then."""
        gone = False

        async def watch() -> None:
            nonlocal gone
            while (await self._receive())["type"] != "http.disconnect":
                pass
            gone = True
            call.cancel()

        watcher = asyncio.create_task(watch())
        try:
            yield
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if gone and not (current and current.cancelling()):
                raise CallerLeft from None
            raise
        finally:
            watcher.cancel()
            call.cancel()

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send status and headers."""
        self.started = True
        encoded = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def part(self, data: bytes, *, more: bool) -> None:
        """Send a piece of the body."""
        body = b"" if self.head else data
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
        """Send a whole answer. A HEAD has the headers of its GET, length included."""
        length = {} if status in (204, 304) else {"Content-Length": str(len(data))}
        await self.start(status, {**headers, **length})
        await self.part(data, more=False)

    async def refuse(self, problem: Problem) -> None:
        """Send a problem document."""
        headers = {
            "Content-Type": CONTENT_TYPE.decode(),
            "Content-Language": "en",
            "Cache-Control": "no-store",
            **problem.headers,
        }
        await self.answer(problem.status, problem.body(self.trace_id), headers)


def _plain(value: str) -> bool:
    """Visible ASCII and spaces: what gRPC metadata can hold."""
    return len(value) <= 16_384 and value.isascii() and value.isprintable()


def _too_large() -> Problem:
    return Problem(
        413,
        "BODY_TOO_LARGE",
        f"the request body is larger than {BODY_LIMIT} bytes",
        remedy="Send less at once, or upload files by the upload route.",
        facts={"limit_bytes": str(BODY_LIMIT)},
    )
