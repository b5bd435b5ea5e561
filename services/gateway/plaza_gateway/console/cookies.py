"""Cookies that only the server reads, in pieces where one would be too long for browsers (RFC 6265, 6.1)."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

PIECE = 3800
"""Characters of one cookie; browsers keep 4,096 bytes with its name and attributes."""
MOST_PIECES = 8


def name_of(name: str, *, secure: bool) -> str:
    """On https the name says that no other host or path can have set it (RFC 6265bis, 4.1.3.2)."""
    return f"__Host-{name}" if secure else name


def read(cookies: Mapping[str, str], name: str, *, secure: bool) -> str:
    """The whole text; empty when there is none."""
    base = name_of(name, secure=secure)
    pieces = []
    for number in range(MOST_PIECES):
        piece = cookies.get(_piece(base, number))
        if piece is None:
            break
        pieces.append(piece)
    return "".join(pieces)


def write(
    response: Response,
    name: str,
    text: str,
    present: Mapping[str, str],
    *,
    secure: bool,
    seconds: int,
) -> None:
    """Sets the text, and removes what is left of a longer one. Raises ValueError when it is too long for all
    pieces."""
    base = name_of(name, secure=secure)
    pieces = [text[i : i + PIECE] for i in range(0, len(text), PIECE)]
    if len(pieces) > MOST_PIECES:
        raise ValueError(f"{len(text)} characters do not fit into {MOST_PIECES} cookies")
    for number, piece in enumerate(pieces):
        response.set_cookie(
            _piece(base, number),
            piece,
            max_age=seconds,
            path="/",
            secure=secure,
            httponly=True,
            samesite="lax",
        )
    _forget(response, base, present, len(pieces), secure)


def clear(response: Response, name: str, present: Mapping[str, str], *, secure: bool) -> None:
    """Removes all pieces."""
    _forget(response, name_of(name, secure=secure), present, 0, secure)


def _forget(response: Response, base: str, present: Mapping[str, str], first: int, secure: bool) -> None:
    for number in range(first, MOST_PIECES):
        if _piece(base, number) in present:
            response.delete_cookie(
                _piece(base, number), path="/", secure=secure, httponly=True, samesite="lax"
            )


def _piece(base: str, number: int) -> str:
    return base if number == 0 else f"{base}.{number}"
