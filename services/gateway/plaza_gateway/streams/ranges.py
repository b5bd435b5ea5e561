"""`Range` of one part (RFC 9110, section 14): which bytes of a file of known size are asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"bytes=[ \t]*(?:([0-9]{1,30})-([0-9]{0,30})|-([0-9]{1,30}))[ \t]*", re.ASCII | re.I)


class Unsatisfiable(ValueError):
    """No byte of the file lies in the range: 416."""


@dataclass(frozen=True, slots=True)
class Span:
    """Some bytes of a file."""

    offset: int
    length: int

    def content_range(self, size: int) -> str:
        """The `Content-Range` of these bytes."""
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{size}"


def span_of(header: str, size: int) -> Span | None:
    """The bytes that a `Range` asks for; None when it is to be ignored: ill-formed, another unit, or several
    ranges, which a server may answer with the whole. Raises Unsatisfiable."""
    found = _ONE_RANGE.fullmatch(header.strip())
    if found is None:
        return None
    if found[3] is not None:
        length = min(int(found[3]), size)
        if length == 0:
            raise Unsatisfiable(header)
        return Span(size - length, length)
    first, last = int(found[1]), int(found[2]) if found[2] else size - 1
    if found[2] and last < first:
        return None
    if first >= size:
        raise Unsatisfiable(header)
    return Span(first, min(last, size - 1) - first + 1)
