"""Pages (AIP-158): opaque tokens that hold where to go on, bound to the request they came from."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import orjson

from plaza_kit.errors import InvalidArgument

T = TypeVar("T")
Position = tuple[str | int, ...]


class BadPageToken(InvalidArgument):
    """The page token was not made for this request."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page asked for: its size and where it starts."""

    method: str
    filters: tuple[str, ...]
    size: int
    start: Position

    @classmethod
    def of(
        cls,
        method: str,
        filters: tuple[str, ...],
        size: int,
        token: str,
        first: Position,
        *,
        default: int = 50,
    ) -> Page:
        """`first`: where the first page starts; its types are those of every token. Raises BadPageToken."""
        start = _decode(token, _mark(method, filters), first) if token else first
        return cls(method, filters, size or default, start)

    def token(self, position: Position) -> str:
        """The token of the page that starts at a position."""
        raw = orjson.dumps([_mark(self.method, self.filters), *position])
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    def cut(self, found: Sequence[T]) -> tuple[list[T], bool]:
        """Of `size + 1` things found: the page, and whether more follow."""
        return list(found[: self.size]), len(found) > self.size


def _mark(method: str, filters: tuple[str, ...]) -> str:
    return hashlib.sha256(orjson.dumps([method, *filters])).hexdigest()[:16]


def _decode(token: str, mark: str, like: Position) -> Position:
    try:
        raw = orjson.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raw = None
    if isinstance(raw, list) and raw[:1] == [mark] and [type(v) for v in raw[1:]] == [type(v) for v in like]:
        start: Position = tuple(raw[1:])
        if all(not isinstance(v, int) or 0 <= v < 2**31 for v in start) and "\x00" not in "".join(
            map(str, start)
        ):
            return start
    raise BadPageToken(
        "page_token: was not given out for this request",
        remedy="take next_page_token from the answer before and leave the rest of the request as it was",
        facts={"field": "page_token"},
    )
