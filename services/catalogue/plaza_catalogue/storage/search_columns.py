"""The columns of the directory and the matches of frequent words, kept up to date with table `search`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import reduce
from operator import and_

from plaza_kit.db import Database, Reader, Scope

from plaza_catalogue.domain.known_matches import Known, KnownMatches
from plaza_catalogue.domain.search_columns import Columns, Mask, Titles
from plaza_catalogue.storage import search

TITLES_SECONDS = 2.0
_PIECE = 1_000
"""Rows read at a time at the start: between two pieces other requests have their turn."""
_LOOKED_AT_AGAIN = 64
"""Changed datasets whose words are read; after more at once the remembered matches are forgotten."""


class LiveColumns:
    """Columns as of now: before each use, what was committed since the last one is read.

    Datasets never leave the directory (they retire), so rows are only added and changed. The directory is readable
    by all; who may read it was asked before.
    """

    def __init__(self, database: Database, known: KnownMatches | None = None) -> None:
        """`known`: for tests, which have no frequent words."""
        self._reader = database.reader(Scope.everything())
        self._columns = Columns()
        self._known = KnownMatches() if known is None else known
        self._snapshot = ""
        self._busy = asyncio.Lock()
        self._begun = 0
        self._ended = 0
        self._titles: Titles | None = None
        self._titles_of = (-1, 0.0)
        self._making = asyncio.Lock()

    async def now(self) -> Columns:
        """Everything committed before this call. The first call reads the whole directory: about two seconds
        for 100,000 datasets."""
        before = self._begun
        async with self._busy:
            # A reading that began after this call has seen all that this one must see.
            if self._ended <= before:
                self._begun = turn = self._begun + 1
                await self._read_on(self._reader)
                self._ended = turn
        return self._columns

    async def matches(self, tokens: Sequence[str], title: str) -> tuple[Columns, Known, Mask]:
        """Where all of some tokens are, and what has this normalised title; with the columns as of now."""
        missing = self._known.find(tokens)[1]
        while True:
            generation = self._columns.generation
            # A match that is committed between the two reads may not have its columns yet; it is left out.
            found, columns = await asyncio.gather(search.matches(self._reader, missing, title), self.now())
            asked = Known(columns.of_numbers(found.anywhere), columns.of_numbers(found.in_title))
            if missing and generation == columns.generation:
                # The columns are not newer than what was found: every change since will be told to both.
                self._known.remember(missing, asked)
            known, unknown = self._known.find(tokens)
            if set(unknown) <= set(missing):
                every = reduce(and_, [*known, asked] if unknown else known)
                return columns, every, columns.of_numbers(found.exact)
            missing = tuple(tokens)  # something was forgotten meanwhile

    async def titles(self) -> tuple[Columns, Titles]:
        """The same, and its titles, which are a few seconds behind at most: to put them together takes a while."""
        columns = await self.now()
        if self._titles is None or (self._titles_are_old() and not self._making.locked()):
            async with self._making:
                if self._titles is None or self._titles_are_old():
                    of = columns.generation, time.monotonic()
                    self._titles = await asyncio.to_thread(Titles, list(columns.items))
                    self._titles_of = of
        return columns, self._titles

    def _titles_are_old(self) -> bool:
        generation, made = self._titles_of
        return generation != self._columns.generation and time.monotonic() - made >= TITLES_SECONDS

    async def _read_on(self, reader: Reader) -> None:
        if not self._snapshot:
            await self._fill(reader)
        changed, now = await search.changed_since(reader, self._snapshot)
        words = None
        if self._known and 0 < len(changed) <= _LOOKED_AT_AGAIN:
            words = await search.words(reader, [item.number for item in changed])
        # From here on nothing is waited for: columns and matches change together.
        self._columns.put(changed)
        if words is not None:
            at = self._columns.position
            self._known.change(len(self._columns), {at(number): each for number, each in words.items()})
        elif changed:
            self._known.forget()
        self._snapshot = now

    async def _fill(self, reader: Reader) -> None:
        # The snapshot comes first: what is committed while the pieces are read is read again afterwards.
        columns, before, number = Columns(), await search.snapshot(reader), -1
        while piece := await search.items_after(reader, number, _PIECE):
            columns.put(piece)
            number = piece[-1].number
        self._columns, self._snapshot = columns, before
