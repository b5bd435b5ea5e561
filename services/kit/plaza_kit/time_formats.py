"""The small language in which a contract says how dates and moments are written.

A subset of C's strftime (ISO C 7.29.3.5 with GNU's `-` flag), cut down until every text has at most one
reading: no names of months, no two-digit years, no locale. Catalogue refuses a format that breaks the rules,
ingestion's worker reads files by it; both ask here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

DIRECTIVES: Final = {
    "%Y": ("year", (4,)),
    "%m": ("month", (2,)),
    "%-m": ("month", (1, 2)),
    "%d": ("day", (2,)),
    "%-d": ("day", (1, 2)),
    "%H": ("hour", (2,)),
    "%-H": ("hour", (1, 2)),
    "%M": ("minute", (2,)),
    "%-M": ("minute", (1, 2)),
    "%S": ("second", (2,)),
    "%-S": ("second", (1, 2)),
    "%f": ("fraction", (1, 2, 3, 4, 5, 6)),
    "%z": ("offset", (1, 3, 5, 6)),
}
"""What each stands for, and how many characters it may have: `%z` is Z, +08, +0800 or +08:00."""

_NEEDED: Final = ("year", "month", "day")
_COARSER: Final = {"minute": "hour", "second": "minute", "fraction": "second", "offset": "hour"}


class BadTimeFormat(ValueError):
    """The text is no format; the message says why, to stand behind the place that holds it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One directive."""

    name: str
    """year, month, day, hour, minute, second, fraction or offset."""
    widths: tuple[int, ...]
    """How many characters it may have."""


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """A format, cut into what stands for itself and what stands for a number."""

    text: str
    pieces: tuple[str | Part, ...]

    @property
    def has_clock(self) -> bool:
        """Whether it says a time of day."""
        return self._has("hour")

    @property
    def has_offset(self) -> bool:
        """Whether it says the offset from UTC, so that it needs no time zone."""
        return self._has("offset")

    def _has(self, name: str) -> bool:
        return any(isinstance(piece, Part) and piece.name == name for piece in self.pieces)


def time_format(text: str) -> TimeFormat:
    """The format that a text says. Raises BadTimeFormat."""
    pieces = _pieces(text)
    parts = [piece.name for piece in pieces if isinstance(piece, Part)]
    for name in _NEEDED:
        if name not in parts:
            raise BadTimeFormat(f"{text!r} has no {name}")
    for name in parts:
        if parts.count(name) > 1:
            raise BadTimeFormat(f"{text!r} has the {name} twice")
        if (coarser := _COARSER.get(name)) and coarser not in parts:
            raise BadTimeFormat(f"{text!r} has the {name} without the {coarser}")
    _refuse_two_readings(text, pieces)
    return TimeFormat(text, pieces)


def _pieces(text: str) -> tuple[str | Part, ...]:
    pieces: list[str | Part] = []
    at = 0
    while at < len(text):
        if text[at] != "%":
            _append(pieces, text[at])
            at += 1
        elif text.startswith("%%", at):
            _append(pieces, "%")
            at += 2
        else:
            width = 3 if text.startswith("%-", at) else 2
            directive = text[at : at + width]
            if directive not in DIRECTIVES:
                known = ", ".join([*DIRECTIVES, "%%"])
                raise BadTimeFormat(f"{text!r} has {directive!r}, which is none of {known}")
            pieces.append(Part(*DIRECTIVES[directive]))
            at += width
    return tuple(pieces)


def _append(pieces: list[str | Part], sign: str) -> None:
    if pieces and isinstance(pieces[-1], str):
        pieces[-1] += sign
    else:
        pieces.append(sign)


def _refuse_two_readings(text: str, pieces: tuple[str | Part, ...]) -> None:
    """A part of changing width next to a digit could end in two places."""
    for one, other in pairwise(pieces):
        if isinstance(one, Part) and one.name == "offset":
            raise BadTimeFormat(f"{text!r} goes on behind the offset")
        changes = any(isinstance(piece, Part) and len(piece.widths) > 1 for piece in (one, other))
        starts_with_sign = isinstance(other, Part) and other.name == "offset"
        if changes and not starts_with_sign and _is_digit(one, -1) and _is_digit(other, 0):
            raise BadTimeFormat(f"{text!r} has a part of one or more digits next to another digit")


def _is_digit(piece: str | Part, end: int) -> bool:
    return isinstance(piece, Part) or (piece[end].isascii() and piece[end].isdigit())
