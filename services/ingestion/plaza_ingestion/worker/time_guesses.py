"""How a date or moment seems to be written, guessed from one text; whether a whole column agrees is then tried."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from plaza_kit.time_formats import BadTimeFormat, TimeFormat, time_format

from plaza_ingestion.worker.steps.declared import ParseTime
from plaza_ingestion.worker.steps.times import TimeReader

ZONE: Final = "Asia/Shanghai"
"""Assumed where a text says no offset; the proposal says so."""

_LONGEST_TEXT: Final = 40
_YEARS: Final = range(1900, 2200)
_RUNS: Final = re.compile(r"[0-9]+|[^0-9]+")
_OFFSET: Final = re.compile(r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$")
_MIDNIGHT: Final = re.compile(r"[T ]0{1,2}:00(?::00(?:\.0{1,6})?)?$")
_YEAR_FIRST: Final = ("%Y", "%m", "%d", "%H", "%M", "%S", "%f")
_ORDERS: Final = (
    _YEAR_FIRST,
    ("%d", "%m", "%Y", *_YEAR_FIRST[3:]),
    ("%m", "%d", "%Y", *_YEAR_FIRST[3:]),
)
_WIDTHS: Final = {"%Y": 4, "%m": 2, "%d": 2, "%H": 2, "%M": 2, "%S": 2}


@dataclass(frozen=True, slots=True)
class TimeGuess:
    """One way to read a column."""

    type: str
    """`date` or `timestamp`."""
    format: str

    @property
    def step(self) -> ParseTime:
        """The step that reads so, without its field."""
        needs_zone = self.type == "timestamp" and not self._parts.has_offset
        return ParseTime("", (self.format,), ZONE if needs_zone else "")

    @property
    def is_compact(self) -> bool:
        """Digits alone, which any number could be."""
        return all(not isinstance(piece, str) for piece in self._parts.pieces)

    @property
    def has_one_form(self) -> bool:
        """Whether equal values always have equal texts, but for leading zeros of their parts."""
        return "%f" not in self.format and not self._parts.has_offset

    @property
    def _parts(self) -> TimeFormat:
        return time_format(self.format)


@lru_cache(maxsize=256)
def reader_of(guess: TimeGuess) -> TimeReader:
    """Reads columns by a guess."""
    return TimeReader(guess.step, guess.type)


def guesses(text: str) -> tuple[TimeGuess, ...]:
    """The ways in which this text can be read, the strictest first; none for most texts."""
    if len(text) > _LONGEST_TEXT or not any("0" <= sign <= "9" for sign in text):
        return ()
    found: dict[TimeGuess, None] = {}
    for type_, format_ in _formats(text):
        try:
            time_format(format_)
        except BadTimeFormat:
            continue
        found[TimeGuess(type_, format_)] = None
    return tuple(found)


def _formats(text: str) -> Iterator[tuple[str, str]]:
    midnight = _MIDNIGHT.search(text)
    if midnight:
        for format_ in _cut(text[: midnight.start()]):
            yield "date", format_ + midnight[0]
    offset = _OFFSET.search(text)
    if offset:
        for format_ in _cut(text[: offset.start()]):
            if "H" in format_:
                yield "timestamp", format_ + "%z"
    for format_ in _cut(text):
        yield ("timestamp" if "H" in format_ else "date"), format_


def _cut(text: str) -> Iterator[str]:
    """Formats that stand for the text's digits, first with two digits for each part, then with one or two."""
    runs = _RUNS.findall(text)
    # Digits without a sign between them are read with the year first, or not at all.
    for order in _ORDERS if all(len(run) <= 4 for run in runs if run[0].isdigit()) else _ORDERS[:1]:
        pieces = _directives(runs, order)
        if pieces is None:
            continue
        if not any(len(run) == 1 for run, piece in zip(runs, pieces, strict=True) if piece in _WIDTHS):
            yield "".join(pieces)
        yield "".join(
            piece.replace("%", "%-") if piece in _WIDTHS and piece != "%Y" else piece for piece in pieces
        )


def _directives(runs: Sequence[str], order: Sequence[str]) -> list[str] | None:
    """What stands for each run of digits or other signs; None when they do not go together."""
    left, pieces = list(order), list[str]()
    for before, run in pairwise(["", *runs]):
        if not run[0].isdigit():
            pieces.append(run.replace("%", "%%"))
            continue
        taken = _taken(run, before, left)
        if not taken or (taken.startswith("%Y") and int(run[:4]) not in _YEARS):
            return None
        pieces.append(taken)
    return pieces if not {"%Y", "%m", "%d"} & set(left) else None


def _taken(run: str, before: str, left: list[str]) -> str:
    """The directives that fill a run of digits, taken off those that are left; empty where none do."""
    is_fraction = left[:1] == ["%f"] and len(run) <= 6 and before in (".", ",")
    if is_fraction or (len(run) <= 2 and left and _WIDTHS.get(left[0]) == 2):
        return left.pop(0)
    taken, width = "", 0
    while width < len(run) and left and left[0] in _WIDTHS:
        width += _WIDTHS[left[0]]
        taken += left.pop(0)
    return taken if width == len(run) else ""
