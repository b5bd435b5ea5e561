"""Where the portal's pages get their matter from."""

from __future__ import annotations

from typing import Protocol

from plaza_design.i18n import LocalText

from plaza_gateway.portal.views import (
    DatasetView,
    HomeView,
    RowsQuery,
    SearchQuery,
    SearchView,
    TombstoneView,
)


class PortalSource(Protocol):
    """Answers for everybody, without log-in; what it raises of `plaza_kit.errors`, or as a `Problem`, becomes
    an error page."""

    async def home(self) -> HomeView:
        """The counts and the newest releases."""
        ...

    async def search(self, query: SearchQuery) -> SearchView:
        """One page of what matches all words; a page past the end is empty and still counts the total."""
        ...

    async def suggest(self, typed: str) -> tuple[LocalText, ...]:
        """Titles that begin with what is typed, or hold it; a few."""
        ...

    async def dataset(
        self, department: str, dataset: str, release: int | None, query: RowsQuery
    ) -> DatasetView | TombstoneView:
        """A dataset at a release, at its newest open one for `None`, with the rows that are asked for; a tombstone
        when it was withdrawn.

        Raises `NotFound` when there never was such an open dataset or release.
        """
        ...
