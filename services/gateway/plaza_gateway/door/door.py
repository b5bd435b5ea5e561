"""The ASGI middleware before everything: cross-origin rules, quotas, sizes, time-outs, and saying goodbye."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plaza_gateway.door import cors
from plaza_gateway.door.bodies import Body, BodyLimits
from plaza_gateway.door.quotas import Quotas
from plaza_gateway.door.visits import Find, Visit, visit_of
from plaza_gateway.transcode.problems import Problem

FORM_BYTES = 5 * 1024 * 1024
"""Of a page's form without a file."""
Refuse = Callable[[Request, Problem], Response]


class Door:
    """Lets requests in. Refusals are given by `refuse`; everything else is `inner`'s."""

    def __init__(
        self,
        inner: ASGIApp,
        *,
        api: str,
        own: frozenset[str],
        pages: str,
        find: Find,
        limits: BodyLimits,
        quotas: Quotas | None,
        draining: Callable[[], bool],
        refuse: Refuse,
    ) -> None:
        """`own`: addresses under `api` that this process answers itself; `pages`: where its pages begin.
        `quotas`: None for no quotas. `draining`: the process is about to end, so that every answer is the last of
        its connection."""
        self._inner = inner
        self._api = api
        self._own = own
        self._pages = pages
        self._find = find
        self._limits = limits
        self._quotas = quotas
        self._draining = draining
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        headers = _headers(scope)
        visit = visit_of(scope, self._api, self._own, self._pages, self._find)
        method: str = scope["method"]
        said = cors.allowed(visit, method)
        if cors.is_preflight(method, headers) and visit.kind not in ("page", "free"):
            said = cors.preflight(visit, headers)
        is_file = visit.kind == "upload" or (
            visit.kind == "page" and headers.get("content-type", "").startswith("multipart/form-data")
        )
        body = Body(receive, headers, self._of(visit), is_file=is_file)
        try:
            if self._quotas is not None:
                peer = scope.get("client")
                said |= self._quotas.admit(visit, method, headers, peer[0] if peer else "")
            body.check()
            await self._inner(scope, body, self._telling(send, visit, method, headers, said))
        except Problem as problem:
            # Before the inner application has begun to answer: it turns its own into answers itself.
            answer = self._refuse(Request(scope), problem)
            await answer(scope, receive, self._telling(send, visit, method, headers, said))

    def _of(self, visit: Visit) -> BodyLimits:
        if visit.kind != "page":
            return self._limits
        given = self._limits
        return BodyLimits(FORM_BYTES, given.upload_bytes, given.idle_seconds, given.call_seconds)

    def _telling(
        self, send: Send, visit: Visit, method: str, headers: Mapping[str, str], said: Mapping[str, str]
    ) -> Callable[[Message], Awaitable[None]]:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = message.setdefault("headers", [])
                if "Vary" in said:
                    MutableHeaders(raw=answered).add_vary_header(said["Vary"])
                answered.extend(_raw(said, draining=self._draining()))
                if self._quotas is not None and _proves(visit, method, message["status"]):
                    self._quotas.callers.proven(headers)
            await send(message)

        return told


def _raw(said: Mapping[str, str], *, draining: bool) -> list[tuple[bytes, bytes]]:
    added = [
        (name.lower().encode(), value.encode("latin-1")) for name, value in said.items() if name != "Vary"
    ]
    return [*added, (b"connection", b"close")] if draining else added


def _proves(visit: Visit, method: str, status: int) -> bool:
    """Only a service makes a success of a route that demands a caller, and only when the caller's token holds;
    OPTIONS is answered by the gateway."""
    return visit.demands_caller and method != "OPTIONS" and status < 400


def _headers(scope: Mapping[str, Any]) -> dict[str, str]:
    """By lower-case name; of a repeated one the first, as `Exchange` joins them only for services."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), value.decode("latin-1").strip())
    return found
