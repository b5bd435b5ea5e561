"""Which fields may identify a row: a proposal, with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import Final

from plaza_ingestion.worker.headings import TIME_PARTS, Role, time_part

_WIDEST: Final = 6
"""Fields in a proposed key, at most."""
_COLUMNS_TRIED: Final = 12
_TESTS: Final = 200


@dataclass(frozen=True, slots=True)
class Candidate:
    """A column without missing values and of a type that may stand in a key."""

    name: str
    heading: str
    role: Role
    distinct: int
    """Different values, about."""
    counts_rows: bool
    """Its value grows by one with every row."""


@dataclass(frozen=True, slots=True)
class KeyProposal:
    """The proposed key (empty: none was found) and why, as a stable code and a sentence."""

    key: tuple[str, ...]
    code: str
    sentence: str


def propose_key(
    candidates: Sequence[Candidate], rows: int, is_unique: Callable[[tuple[str, ...]], bool]
) -> KeyProposal:
    """The key that reads most like one: an identifier; who and when; the fewest natural columns; a counter.

    `is_unique` says whether no two rows of the file agree in these fields. A place stays in the key even when
    this file has only one: other files of the dataset have others.
    """
    if not rows:
        return KeyProposal((), "no_rows", "the file has no rows to tell a key from")
    natural = [one for one in candidates if not _is_counter(one)]
    for one in natural:
        if one.role is Role.IDENTIFIER and is_unique((one.name,)):
            return KeyProposal((one.name,), "identifier", f"{one.name} is different in every row")
    when = _in_time_order([one for one in natural if one.role is Role.TIME])
    for who in _who(natural) if when else ():
        key = tuple(one.name for one in (*who, *when))
        if len(key) <= _WIDEST and is_unique(key):
            return KeyProposal(key, "who_and_when", _who_and_when(who, when))
    for key in _smallest_first(natural, rows):
        if is_unique(key):
            return KeyProposal(key, "smallest", "no smaller set of natural fields tells all rows apart")
    for one in candidates:
        if _is_counter(one) and is_unique((one.name,)):
            return KeyProposal(
                (one.name,),
                "row_counter",
                f"no natural fields tell the rows apart; {one.name} only counts the rows of this file, "
                "so it will clash with the next file",
            )
    return KeyProposal((), "none", f"no set of up to {_WIDEST} fields tells all rows apart")


def _is_counter(one: Candidate) -> bool:
    return one.role is Role.COUNTER or (one.counts_rows and one.role is Role.OTHER)


def _in_time_order(columns: Sequence[Candidate]) -> list[Candidate]:
    """Year before month before day …, then whole dates and times in the file's order."""

    def rank(one: Candidate) -> int:
        part = time_part(one.heading)
        return TIME_PARTS.index(part) if part else len(TIME_PARTS)

    return sorted(columns, key=rank)


def _who(natural: Sequence[Candidate]) -> Iterator[tuple[Candidate, ...]]:
    """Places and identifiers to stand beside the time: one, two, and none only where there are none."""
    who = [one for one in natural if one.role is Role.PLACE]
    who += [one for one in natural if one.role is Role.IDENTIFIER]
    for size in (1, 2):
        yield from combinations(who, size)
    if not who:
        yield ()


def _who_and_when(who: Sequence[Candidate], when: Sequence[Candidate]) -> str:
    moment = f"{', '.join(one.name for one in when)} when"
    if not who:
        return f"{moment}, and no two rows agree in that"
    says = f"{', '.join(one.name for one in who)} says who or where, {moment}"
    constant = [one.name for one in who if one.distinct == 1]
    if constant:
        says += f"; {', '.join(constant)} has one value in this file, other files will have others"
    return says


def _smallest_first(natural: Sequence[Candidate], rows: int) -> Iterator[tuple[str, ...]]:
    """Sets of columns that could tell the rows apart: fewest first, identifying headings first."""
    order = [Role.IDENTIFIER, Role.PLACE, Role.TIME, Role.OTHER]
    tried = sorted(natural, key=lambda one: order.index(one.role))[:_COLUMNS_TRIED]
    tests = 0
    for size in range(1, _WIDEST + 1):
        for some in combinations(tried, size):
            # A fifth more, because the numbers of different values are estimates.
            if prod(one.distinct for one in some) * 1.2 < rows:
                continue
            if (tests := tests + 1) > _TESTS:
                return
            yield tuple(one.name for one in some)
