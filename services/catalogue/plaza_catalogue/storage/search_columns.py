"""The columns of the directory, kept up to date with table `search`."""

from __future__ import annotations

import asyncio
import time

from plaza_kit.db import Database, Reader, Scope

from plaza_catalogue.domain.search_columns import Columns, Titles
from plaza_catalogue.storage import search

TITLES_SECONDS = 2.0
_PIECE = 1_000
"""Rows read at a time at the start: between two pieces other requests have their turn."""


class LiveColumns:
    """Columns as of now: before each use, what was committed since the last one is read.

    Datasets never leave the directory (they retire), so rows are only added and changed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._columns = Columns()
        self._snapshot = ""
        self._busy = asyncio.Lock()
        self._titles: Titles | None = None
        self._titles_of = (-1, 0.0)

    async def now(self) -> Columns:
        """Everything committed before this call. The first call reads the whole directory: about two seconds
        for 100,000 datasets."""
        # The directory is readable by all; who may read it was asked before.
        reader = self._database.reader(Scope.everything())
        async with self._busy:
            if not self._snapshot:
                await self._fill(reader)
            changed, now = await search.changed_since(reader, self._snapshot)
            self._columns.put(changed)
            self._snapshot = now
        return self._columns

    async def titles(self) -> tuple[Columns, Titles]:
        """The same, and its titles, which are at most TITLES_SECONDS behind: to put them together takes a while."""
        columns = await self.now()
        generation, made = self._titles_of
        now = time.monotonic()
        if self._titles is None or (generation != columns.generation and now - made >= TITLES_SECONDS):
            self._titles_of = columns.generation, now
            self._titles = await asyncio.to_thread(Titles, list(columns.items))
        return columns, self._titles

    async def _fill(self, reader: Reader) -> None:
        # The snapshot comes first: what is committed while the pieces are read is read again afterwards.
        columns, before, number = Columns(), await search.snapshot(reader), -1
        while piece := await search.items_after(reader, number, _PIECE):
            columns.put(piece)
            number = piece[-1].number
        self._columns, self._snapshot = columns, before
