"""Which datasets frequent words match, remembered and kept true.

A word that half the directory has costs PostgreSQL as much as all other words together: it visits each row to learn
its number. Such words are few, and come again in most queries; so their matches are remembered, and each dataset
that changes is looked at again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plaza_catalogue.domain.search_columns import Mask

Tokens = tuple[str, ...]
FREQUENT = 5_000
"""Matches from which on it is quicker to remember them than to ask."""
LIMIT_BYTES = 32 << 20
"""About 160 words at 100,000 datasets."""


@dataclass(frozen=True, slots=True)
class Words:
    """All tokens of one dataset."""

    anywhere: frozenset[str]
    in_title: frozenset[str]


@dataclass(frozen=True, slots=True)
class Known:
    """Sets of datasets, by position."""

    anywhere: Mask
    """All tokens are somewhere."""
    in_title: Mask
    """All tokens are in the titles."""

    def __and__(self, other: Known) -> Known:
        return Known(self.anywhere & other.anywhere, self.in_title & other.in_title)

    def grown(self, length: int) -> Known:
        """With datasets that were added since."""
        more = np.zeros(length - len(self.anywhere), np.bool_)
        if not len(more):
            return self
        return Known(np.append(self.anywhere, more), np.append(self.in_title, more))


class KnownMatches:
    """Matches by the tokens that must all be there. Never more than so many bytes; the least recently used go."""

    def __init__(self, frequent: int = FREQUENT, limit: int = LIMIT_BYTES) -> None:
        self._frequent = frequent
        self._limit = limit
        self._known: OrderedDict[Tokens, Known] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._known)

    @property
    def nbytes(self) -> int:
        """What is remembered, in bytes."""
        return sum(each.anywhere.nbytes + each.in_title.nbytes for each in self._known.values())

    def find(self, tokens: Sequence[str]) -> tuple[list[Known], Tokens]:
        """What is known of the tokens, and those for which it is not."""
        found = self._use(tuple(tokens))
        if found is not None:
            return [found], ()
        by_token = {token: self._use((token,)) for token in tokens}
        known = [each for each in by_token.values() if each is not None]
        missing = tuple(token for token, each in by_token.items() if each is None)
        rest = self._use(missing) if known and missing else None
        return (known, missing) if rest is None else ([*known, rest], ())

    def _use(self, tokens: Tokens) -> Known | None:
        found = self._known.get(tokens)
        if found is not None:
            self._known.move_to_end(tokens)
        return found

    def remember(self, tokens: Tokens, found: Known) -> None:
        """Where they are frequent. What was found must hold every change that `change` was told of."""
        if np.count_nonzero(found.anywhere) < self._frequent:
            return
        self._known[tokens] = found
        while self.nbytes > self._limit:
            self._known.popitem(last=False)

    def change(self, length: int, words: Mapping[int, Words]) -> None:
        """There are so many datasets now, and those at these positions have these words."""
        for tokens, known in self._known.items():
            self._known[tokens] = known = known.grown(length)
            for position, each in words.items():
                known.anywhere[position] = each.anywhere.issuperset(tokens)
                known.in_title[position] = each.in_title.issuperset(tokens)

    def forget(self) -> None:
        """After changes that are too many to be looked at."""
        self._known.clear()
