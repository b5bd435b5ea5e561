"""Who is calling: set by the server's guard, read by use cases."""

from __future__ import annotations

from contextvars import ContextVar

from plaza_kit.errors import Unauthenticated
from plaza_kit.identity import Principal

_caller: ContextVar[Principal | None] = ContextVar("plaza_caller", default=None)


class NoCaller(Unauthenticated):
    """The method needs a caller and the request brought none."""


def set_caller(principal: Principal | None) -> None:
    """Called by the guard, once a request; tests call it too."""
    _caller.set(principal)


def found() -> Principal | None:
    """The verified caller; None where the request brought no token."""
    return _caller.get()


def caller() -> Principal:
    """The verified caller of the current request. Raises NoCaller when the method was called without a token."""
    principal = _caller.get()
    if principal is None:
        raise NoCaller("this needs a caller", remedy="send `authorization: Bearer <access token>`")
    return principal
