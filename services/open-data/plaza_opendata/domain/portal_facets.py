"""Counting what open datasets can be narrowed down by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Facet(StrEnum):
    """The names are the columns of table `portal`."""

    DEPARTMENT = "department"
    CATEGORY = "category"
    FORMAT = "formats"
    UPDATE_CYCLE = "update_cycle"
    LICENCE = "licence"
    KEYWORD = "keywords"


SEVERAL: Final = frozenset({Facet.FORMAT, Facet.KEYWORD})
"""A dataset has any number of values."""
GROUPED: Final = tuple(facet for facet in Facet if facet is not Facet.KEYWORD)
"""Few values in few combinations. Keywords are as different as datasets, so they are counted where they lie."""


Filters = Mapping[Facet, Sequence[str]]
"""Alternatives by facet; all facets must hold. No facet without a value."""


@dataclass(frozen=True, slots=True)
class Group:
    """Open datasets that are alike in every grouped facet, and have one of the keywords that are asked for."""

    values: Mapping[Facet, Sequence[str]]
    count: int

    def has(self, filters: Filters) -> bool:
        """Whether they pass."""
        return all(
            set(self.values[facet]) & set(wanted)
            for facet, wanted in filters.items()
            if facet is not Facet.KEYWORD
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """A facet's values with their counts."""

    values: tuple[tuple[str, int], ...]
    different: int
    """How many values there are in all."""


NONE: Final = Counts((), 0)


def total(groups: Sequence[Group], filters: Filters) -> int:
    """How many datasets pass all filters."""
    return sum(group.count for group in groups if group.has(filters))


def counts(groups: Sequence[Group], filters: Filters, facet: Facet, limit: int) -> Counts:
    """The most frequent values where all filters but the facet's own hold, equal ones in alphabetical order; values
    that are filtered by are always there."""
    others = {other: wanted for other, wanted in filters.items() if other is not facet}
    found: Counter[str] = Counter()
    for group in groups:
        if group.has(others):
            for value in group.values[facet]:
                found[value] += group.count if value else 0
    found = +found
    best = sorted(found.items(), key=lambda each: (-each[1], each[0]))[:limit]
    return with_selected(best, found, filters.get(facet, ()), len(found))


def with_selected(
    best: Sequence[tuple[str, int]], found: Mapping[str, int], selected: Sequence[str], different: int
) -> Counts:
    """The best values, and those that are filtered by behind them."""
    shown = dict(best)
    rest = [(value, found.get(value, 0)) for value in dict.fromkeys(selected) if value not in shown]
    return Counts((*best, *rest), different)
