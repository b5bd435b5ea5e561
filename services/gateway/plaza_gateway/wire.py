"""HTTP/1.1 as uvicorn speaks it, with bounds on what comes before a request is one: its address and headers.

uvicorn bounds neither their size nor their time with this parser. Answers are problem documents.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from plaza_gateway.transcode.problems import Problem


class _TooMuch(Exception):
    """Goes through the parser, which stops."""


def bounded_http(head_bytes: int, head_seconds: float) -> type[HttpToolsProtocol]:
    """The protocol of one connection: a request's line and headers have at most `head_bytes` and are there after
    `head_seconds`. Answers 414 (address), 431 (headers), 408 (time) and 400, and closes."""

    class Bounded(HttpToolsProtocol):
        _in_head = False
        _head_size = 0
        _header_bytes = 0
        _refusal: Problem | None = None
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
            super().connection_made(transport)
            self._timer = self.loop.call_later(head_seconds, self._late)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._head_size += len(data) if self._in_head else 0
            if self._head_size > head_bytes + _SLACK:
                # A name or value without an end: the parser has not shown any of it yet.
                self._refusal = _too_long(head_bytes)
                self.send_400_response("")
                return
            super().data_received(data)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._in_head, self._head_size, self._header_bytes = True, 0, 0
            if self._timer is None:
                self._timer = self.loop.call_later(head_seconds, self._late)

        def on_url(self, url: bytes) -> None:
            super().on_url(url)
            if len(self.url) > head_bytes // 2:
                self._refusal = Problem(
                    414,
                    "ADDRESS_TOO_LONG",
                    f"the address has more than {head_bytes // 2} bytes",
                    remedy="Ask for fewer columns, or shorten the filter.",
                    facts={"limit_bytes": str(head_bytes // 2)},
                )
                raise _TooMuch

        def on_header(self, name: bytes, value: bytes) -> None:
            super().on_header(name, value)
            self._header_bytes += len(name) + len(value) + 4
            if self._header_bytes > head_bytes:
                self._refusal = _too_long(head_bytes)
                raise _TooMuch

        def on_headers_complete(self) -> None:
            self._in_head, self._head_size = False, 0
            self._stop_timer()
            super().on_headers_complete()

        def send_400_response(self, msg: str) -> None:
            """What the parser refuses."""
            self._stop_timer()
            problem = self._refusal or Problem(400, "MALFORMED_REQUEST", "this is no HTTP request")
            self._refuse(problem)

        def _late(self) -> None:
            self._timer = None
            if self.transport.is_closing():
                return
            if self.cycle is not None and not self.cycle.response_complete:
                # The next request is on its way behind an answer that is not ended: its time begins then.
                self._timer = self.loop.call_later(head_seconds, self._late)
                return
            if not self._in_head:
                # Nobody asked anything: browsers open connections in advance.
                self.transport.close()
                return
            self._refuse(
                Problem(
                    408,
                    "HEAD_TOO_SLOW",
                    f"the headers of the request did not come within {head_seconds:g} seconds",
                    remedy="Send the request again.",
                )
            )

        def _refuse(self, problem: Problem) -> None:
            if self.cycle is None or self.cycle.response_complete:
                # Never into the middle of another answer.
                self.transport.write(_answer(problem, self.server_state.default_headers))
            self.transport.close()

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Bounded


_SLACK = 64 * 1024
"""What one reading may bring beyond the head: the beginning of a body."""


def _too_long(limit: int) -> Problem:
    return Problem(
        431,
        "HEADERS_TOO_LONG",
        f"the headers of the request have more than {limit} bytes",
        remedy="Send fewer or shorter headers; cookies are the usual reason.",
        facts={"limit_bytes": str(limit)},
    )


def _answer(problem: Problem, defaults: list[tuple[bytes, bytes]]) -> bytes:
    body = problem.body()
    headers: list[tuple[bytes, Any]] = [
        *defaults,
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return STATUS_LINE[problem.status] + lines + b"\r\n" + body
