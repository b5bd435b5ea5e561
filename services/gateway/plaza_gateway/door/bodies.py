"""Bodies of requests: not more than the limit is read, and not for ever waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from plaza_gateway.transcode.problems import Problem

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What a body may be."""

    call_bytes: int
    """Of a JSON document or a form."""
    upload_bytes: int
    """Of a file."""
    idle_seconds: float
    """Without a byte."""
    call_seconds: float
    """Until a JSON document or a form is there; a file may take as long as it moves."""


class Body:
    """A request's `receive` under limits. Raises Problem: 413 too large, 408 too slow.

    When the body is whole, waiting is free: that is how a caller who leaves is noticed.
    """

    def __init__(
        self, receive: Receive, headers: Mapping[str, str], limits: BodyLimits, *, is_file: bool
    ) -> None:
        self._receive = receive
        self._length = headers.get("content-length", "0")
        self._limits = limits
        self._is_file = is_file
        self._size = 0
        # Nothing is announced: there is none (RFC 9112, section 6.3), and nothing to wait for.
        self._whole = "content-length" not in headers and "transfer-encoding" not in headers
        self._until: float | None = None

    def check(self) -> None:
        """Before the first byte is read: what says itself that it is too large."""
        length = self._length
        if length.isascii() and length.isdigit() and int(length[:20]) > self._most:
            raise self._too_large(length[:20])

    async def __call__(self) -> MutableMapping[str, Any]:
        if self._whole:
            return await self._receive()
        loop = asyncio.get_running_loop()
        if self._until is None and not self._is_file:
            self._until = loop.time() + self._limits.call_seconds
        wait = self._limits.idle_seconds
        if self._until is not None:
            wait = min(wait, self._until - loop.time())
        try:
            async with asyncio.timeout(wait):
                event = await self._receive()
        except TimeoutError as error:
            raise _too_slow(self._limits, self._is_file) from error
        if event["type"] == "http.request":
            self._size += len(event.get("body", b""))
            self._whole = not event.get("more_body", False)
            if self._size > self._most:
                raise self._too_large(f"more than {self._most}")
        return event

    @property
    def whole(self) -> bool:
        """The body was read to its end."""
        return self._whole

    @property
    def _most(self) -> int:
        return self._limits.upload_bytes if self._is_file else self._limits.call_bytes

    def _too_large(self, size: str) -> Problem:
        if self._is_file:
            remedy = (
                "Split the file, or ask the data bureau to raise PLAZA_UPLOAD_LIMIT_BYTES of the gateway."
            )
        else:
            remedy = "Send less at once, or upload files by the upload route."
        return Problem(
            413,
            "BODY_TOO_LARGE",
            f"the request body has {size} bytes; {self._most} are the most that is taken here",
            remedy=remedy,
            facts={"limit_bytes": str(self._most)},
            # What is still under way will not be read: the connection ends here.
            headers={"Connection": "close"},
        )


def _too_slow(limits: BodyLimits, is_file: bool) -> Problem:
    seconds = limits.idle_seconds if is_file else min(limits.idle_seconds, limits.call_seconds)
    return Problem(
        408,
        "BODY_TOO_SLOW",
        f"the request body did not come within {seconds:g} seconds",
        remedy="Send it again over a better connection, or in smaller parts.",
        facts={"limit_seconds": f"{seconds:g}"},
        headers={"Connection": "close"},
    )
