"""The door stays on this machine: no other address may be listened on, no other caller is answered."""

from __future__ import annotations

import ipaddress

from plaza_kit.errors import InvalidArgument
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

HOST_NAMES = ("127.0.0.1", "localhost")
"""What a `Host` header may name; anything else is a stranger's name pointing here (DNS rebinding)."""


class NotLoopback(InvalidArgument):
    """The development issuer was asked to listen where other machines could reach it."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"The development issuer does not listen on {host!r}: its passwords are public.",
            remedy="Leave PLAZA_ISSUER_HOST unset (127.0.0.1); where others must log in, run Keycloak.",
            facts={"host": host},
        )


def require_loopback(host: str) -> str:
    """The numeric loopback address to listen on. Raises NotLoopback for every other address or name.

    Names other than `localhost` are refused unresolved: what they mean tomorrow is not ours to say.
    """
    if host == "localhost":
        return "127.0.0.1"
    if not _is_loopback(host):
        raise NotLoopback(host)
    return host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class LoopbackOnly:
    """ASGI middleware: whoever starts the app on an open address still gets no answer out of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 403 unless both ends of the connection are loopback addresses."""
        if scope["type"] == "http":
            ends = (scope.get("client"), scope.get("server"))
            if not all(end and _is_loopback(end[0]) for end in ends):
                refusal = JSONResponse({"error": "access_denied", "error_description": "loopback only"}, 403)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)
