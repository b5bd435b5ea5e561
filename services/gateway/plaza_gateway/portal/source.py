"""Where the portal's pages get their matter from."""

from __future__ import annotations

from typing import Protocol

from plaza_gateway.portal.views import DatasetView, HomeView, SearchQuery, SearchView, TombstoneView


class PortalSource(Protocol):
    """Answers for everybody, without log-in; what it raises of `plaza_kit.errors`, or as a `Problem`, becomes
    an error page."""

    async def home(self) -> HomeView:
        """The counts and the newest releases."""
        ...

    async def search(self, query: SearchQuery) -> SearchView:
        """One page of what matches all words; a page past the end is empty and still counts the total."""
        ...

    async def dataset(
        self, department: str, dataset: str, release: int | None
    ) -> DatasetView | TombstoneView:
        """A dataset at a release, at its newest open one for `None`; a tombstone when it was withdrawn.

        Raises `NotFound` when there never was such an open dataset or release.
        """
        ...
