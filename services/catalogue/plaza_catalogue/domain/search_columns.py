"""The directory as columns in memory: which datasets have which facet value, counted in fractions of a millisecond.

Words are found by PostgreSQL; what is left is to narrow sets of up to 100,000 datasets down and to count every value of
every facet in them, which a database does row by row and numpy in one sweep. The columns are a copy that is brought up
to date before each search (`storage.search`), never a source.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int32]
_MORE = 1024
"""Rows for which room is made at a time, at least."""
_LOOKED_AT = 2_000
"""Titles that a suggestion looks at, one after the other."""
_COUNTED = 4
"""Words, the longest ones, of which the rarest is looked for: counting one is a sweep over all titles."""


class Facet(StrEnum):
    """What datasets are narrowed down by; the names are the columns of table `search`."""

    DEPARTMENT = "department"
    CATEGORY = "category"
    SHARING_CLASS = "sharing_class"
    CITY_LEVEL = "city_level"
    FORMAT = "format"
    UPDATE_CYCLE = "update_cycle"
    LICENCE = "licence"
    KEYWORD = "keyword"


SINGLE = tuple(facet for facet in Facet if facet is not Facet.KEYWORD)
"""Facets of which a dataset has one value at most."""
Filters = Mapping[Facet, Sequence[str]]
"""Alternatives by facet; all facets must hold. No facet without a value."""


@dataclass(frozen=True, slots=True)
class Item:
    """One dataset as the search knows it."""

    number: int
    """Never changes; greater for those registered later."""
    title: str
    """Normalised."""
    title_en: str
    """Normalised; may be empty."""
    values: tuple[str, ...]
    """One for each of `SINGLE`; empty where there is none."""
    keywords: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """A facet's value and how many datasets have it."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Counts:
    """A facet's values."""

    values: tuple[Count, ...]
    different: int
    """How many there are in all."""


class _Words:
    """Values as small numbers; 0 is no value."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {"": 0}
        self.values: list[str] = [""]
        self._order: list[int] = []
        self._ranks: Ints = np.empty(0, np.int32)

    def code(self, value: str) -> int:
        found = self._codes.get(value)
        if found is None:
            found = self._codes[value] = len(self.values)
            self.values.append(value)
        return found

    def known(self, values: Iterable[str]) -> list[int]:
        return [self._codes[value] for value in values if value in self._codes]

    @property
    def ranks(self) -> Ints:
        """Of each code its place in alphabetical order, so that equal counts have one order on every replica."""
        if len(self._ranks) != len(self.values):
            # New ones behind the sorted ones: quick to sort, also where there are 100,000 keywords.
            self._order += range(len(self._order), len(self.values))
            self._order.sort(key=self.values.__getitem__)
            self._ranks = np.empty(len(self.values), np.int32)
            self._ranks[self._order] = np.arange(len(self.values), dtype=np.int32)
        return self._ranks


class Columns:
    """All datasets, by position; positions stay as long as the process lives."""

    def __init__(self) -> None:
        self._positions: dict[int, int] = {}
        self._numbers: Ints = np.empty(0, np.int32)
        self._codes: Ints = np.empty((len(SINGLE), 0), np.int32)
        self._words = {facet: _Words() for facet in Facet}
        self._keyword_of: Ints = np.empty(0, np.int32)
        self._keyword: Ints = np.empty(0, np.int32)
        self._sorted: tuple[Ints, npt.NDArray[np.intp]] | None = None
        self.items: list[Item] = []
        """By position."""
        self.generation = 0
        """Changes with every change."""

    def __len__(self) -> int:
        return len(self.items)

    def put(self, items: Sequence[Item]) -> None:
        """New and changed datasets; of two with the same number the later one counts."""
        if not items:
            return
        positions = [self._place(item) for item in items]
        for item, position in zip(items, positions, strict=True):
            self._numbers[position] = item.number
            for row, value in enumerate(item.values):
                self._codes[row, position] = self._words[SINGLE[row]].code(value)
        self._put_keywords({p: item.keywords for item, p in zip(items, positions, strict=True)})
        self.generation += 1

    def _place(self, item: Item) -> int:
        position = self._positions.get(item.number)
        if position is not None:
            self.items[position] = item
            return position
        position = self._positions[item.number] = len(self.items)
        self.items.append(item)
        self._sorted = None
        if position >= len(self._numbers):
            more = max(_MORE, position // 4)
            self._numbers = np.append(self._numbers, np.zeros(more, np.int32))
            self._codes = np.append(self._codes, np.zeros((len(SINGLE), more), np.int32), axis=1)
        return position

    def _put_keywords(self, keywords: Mapping[int, Sequence[str]]) -> None:
        code = self._words[Facet.KEYWORD].code
        pairs = [
            (position, code(word)) for position, words in keywords.items() for word in set(words) if word
        ]
        stays = ~np.isin(self._keyword_of, np.fromiter(keywords, np.int32, len(keywords)))
        added = np.array(pairs, np.int32).reshape(-1, 2)
        self._keyword_of = np.concatenate([self._keyword_of[stays], added[:, 0]])
        self._keyword = np.concatenate([self._keyword[stays], added[:, 1]])

    def position(self, number: int) -> int:
        """Of a dataset that is there."""
        return self._positions[number]

    def everything(self) -> Mask:
        """All datasets."""
        return np.ones(len(self.items), np.bool_)

    def of_numbers(self, numbers: Ints) -> Mask:
        """The datasets with these numbers; a number that is not known yet is left out."""
        if self._sorted is None:
            own = self._numbers[: len(self.items)]
            order = np.argsort(own, kind="stable")
            self._sorted = own[order], order
        known, order = self._sorted
        mask = np.zeros(len(self.items), np.bool_)
        if len(known) and len(numbers):
            wanted = np.sort(numbers)
            places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
            mask[order[places[known[places] == wanted]]] = True
        return mask

    def narrowed(self, mask: Mask, filters: Filters) -> Mask:
        """Those of a set for which all filters hold."""
        for facet, values in filters.items():
            mask = mask & self._having(facet, values)
        return mask

    def counts(self, mask: Mask, filters: Filters, facets: Sequence[Facet], limit: int) -> list[Counts]:
        """The most frequent values of some facets in a set; each facet is counted where all filters but its own hold.
        Values that are filtered by are always there. Equal counts in alphabetical order."""
        narrowed = self.narrowed(mask, filters)
        found = np.flatnonzero(narrowed)
        counted = []
        for facet in facets:
            if facet in filters:
                own = self.narrowed(mask, {other: v for other, v in filters.items() if other is not facet})
                codes = self._coded(facet, own, np.flatnonzero(own))
            else:
                codes = self._coded(facet, narrowed, found)
            counted.append(self._best(facet, codes, filters.get(facet, ()), limit))
        return counted

    def _best(self, facet: Facet, codes: Ints, selected: Sequence[str], limit: int) -> Counts:
        words = self._words[facet]
        found = np.bincount(codes, minlength=len(words.values))
        found[0] = 0
        present = np.flatnonzero(found)
        best = present[np.lexsort((words.ranks[present], -found[present]))][:limit]
        values = [Count(words.values[code], int(found[code])) for code in best]
        shown = {each.value for each in values}
        missing = [value for value in dict.fromkeys(selected) if value not in shown]
        values += [Count(value, sum(int(found[code]) for code in words.known([value]))) for value in missing]
        return Counts(tuple(values), len(present))

    def numbers(self, mask: Mask) -> Ints:
        """The numbers of a set, the newest first."""
        found = self._numbers[: len(self.items)][mask]
        return np.sort(found, kind="stable")[::-1]  # nearly sorted already

    def _having(self, facet: Facet, values: Sequence[str]) -> Mask:
        wanted = np.zeros(len(self._words[facet].values), np.bool_)
        wanted[self._words[facet].known(values)] = True
        if facet is not Facet.KEYWORD:
            return wanted[self._column(facet)]
        mask = np.zeros(len(self.items), np.bool_)
        mask[self._keyword_of[wanted[self._keyword]]] = True
        return mask

    def _coded(self, facet: Facet, mask: Mask, positions: npt.NDArray[np.intp]) -> Ints:
        if facet is Facet.KEYWORD:
            return self._keyword[mask[self._keyword_of]]
        return self._column(facet)[positions]

    def _column(self, facet: Facet) -> Ints:
        column: Ints = self._codes[SINGLE.index(facet), : len(self.items)]
        return column


class Titles:
    """All titles as one text, so that a part of a title is found by one sweep over memory."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        self._starts: list[int] = []
        parts: list[str] = []
        at = 0
        for item in items:
            self._starts.append(at)
            # A line break before each title marks its beginning; normalised titles hold none.
            part = f"\n{item.title}\n{item.title_en}"
            parts.append(part)
            at += len(part)
        self._text = "".join((*parts, "\n"))
        self._at = np.array(self._starts, np.int64)

    def beginning_with(self, words: str) -> Iterator[int]:
        """Positions of those one of whose titles begins with these normalised words; so many at most, since
        thousands may have one title."""
        return itertools.islice(self._with(f"\n{words}"), _LOOKED_AT) if words else iter(())

    def holding(self, words: Sequence[str]) -> Iterator[int]:
        """Positions of those whose titles hold all of some normalised words; a Latin word from its beginning on.

        Looks at so many titles at most that it is over in milliseconds: it serves suggestions.
        """
        if not words:
            return
        counted = sorted(set(words), key=lambda word: (-len(word), word))[:_COUNTED]
        rarest = min(counted, key=self._text.count) if len(counted) > 1 else counted[0]
        for position in itertools.islice(self._with(rarest), _LOOKED_AT):
            item = self._items[position]
            if all(_holds(item.title, word) or _holds(item.title_en, word) for word in words):
                yield position

    def _with(self, part: str) -> Iterator[int]:
        """Positions whose titles hold a text, each once, in order."""
        at = self._text.find(part)
        while at >= 0:
            position = int(np.searchsorted(self._at, at, side="right")) - 1
            yield position
            following = self._starts[position + 1] if position + 1 < len(self._starts) else len(self._text)
            at = self._text.find(part, following)


def _holds(title: str, word: str) -> bool:
    at = title.find(word)
    while at >= 0:
        if at == 0 or not (_latin(title[at - 1]) and _latin(word[0])):
            return True
        at = title.find(word, at + 1)
    return False


def _latin(character: str) -> bool:
    """A character that is part of a word written with spaces around it."""
    return character.isalnum() and character < "\u2e80"
