"""The portal's matter, asked of `PortalService`. What the service does not say is left out of the views."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypedDict, TypeVar

import grpc
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza.opendata.v1.opendata_pb2_grpc import PortalServiceStub
from plaza_design.i18n import LocalText
from plaza_kit import telemetry
from plaza_kit.errors import NotFound

from plaza_gateway.portal import from_protos
from plaza_gateway.portal.views import (
    DatasetView,
    HomeView,
    RowsQuery,
    RowsView,
    SearchQuery,
    SearchView,
    TombstoneView,
)
from plaza_gateway.transcode.problems import Problem

PAGE_SIZE = 20
"""Results on a page."""
ROWS_SIZE = 20
"""Rows on a page."""
MOST_ROWS = 10_000
"""Rows that can be leafed through; the service skips no more."""
SECONDS = 10.0
"""How long a page waits for the service."""
_LARGEST = 100

Answer = TypeVar("Answer")


class Carried(TypedDict):
    """What every call takes along. No token: the portal is for everybody."""

    timeout: float
    metadata: tuple[tuple[str, str], ...]


class OverGrpc:
    """A `PortalSource`. Raises Problem for what the service refuses, `NotFound` for what never was there."""

    def __init__(self, channel: Callable[[], grpc.aio.Channel]) -> None:
        """`channel`: opens the channel to open-data in the loop of the first request."""
        self._channel = channel

    async def home(self) -> HomeView:
        """See PortalSource."""
        return from_protos.home_view(await self._summary())

    async def search(self, query: SearchQuery) -> SearchView:
        """See PortalSource."""
        results, total, facets = await self._results(query)
        return SearchView(from_protos.summaries(results), total, PAGE_SIZE, from_protos.facets(facets))

    async def suggest(self, typed: str) -> tuple[LocalText, ...]:
        """See PortalSource."""
        if not typed:
            return ()
        asked = pb.SuggestOpenDatasetsRequest(query=typed)
        found = await self._asked(self._portal.SuggestOpenDatasets(asked, **_carried()))
        return tuple(LocalText(each.display_name, each.display_name_en) for each in found.suggestions)

    async def dataset(
        self, department: str, dataset: str, release: int | None, query: RowsQuery
    ) -> DatasetView | TombstoneView:
        """See PortalSource."""
        name = f"departments/{department}/datasets/{dataset}"
        try:
            asked = pb.GetOpenDatasetRequest(name=f"{name}/openDataset")
            found = await self._asked(self._portal.GetOpenDataset(asked, **_carried()))
        except Problem as problem:
            if problem.status == 400:
                # Not even a possible name: nothing is there.
                raise NotFound(name) from problem
            raise
        view = from_protos.dataset_view(found, department, dataset, release)
        if view is None:
            raise NotFound(f"{name}/releases/{release}")
        if isinstance(view, TombstoneView):
            return view
        return await self._with_rows(view, f"{name}/releases/{view.release.number}", query)

    async def _with_rows(self, view: DatasetView, release: str, query: RowsQuery) -> DatasetView:
        if not query.asks and view.fields:
            return view
        asked = pb.ReadReleaseRowsRequest(
            release=release,
            filter=query.filter,
            columns=query.columns,
            order_by=query.order_by,
            page_size=ROWS_SIZE,
            skip=(query.page - 1) * ROWS_SIZE,
        )
        try:
            found = await self._asked(self._portal.ReadReleaseRows(asked, **_carried()))
        except Problem as problem:
            if problem.status == 400:
                return replace(view, found=RowsView((), (), 0, ROWS_SIZE, 1, problem.detail))
            if query.asks:
                raise
            return view  # an older release is shown without its rows rather than not at all
        rows = from_protos.rows_view(found, ROWS_SIZE, MOST_ROWS)
        return replace(view, fields=view.fields or from_protos.fields_view(found.all_fields), found=rows)

    async def _summary(self) -> pb.PortalSummary:
        request = pb.GetPortalSummaryRequest()
        return await self._asked(self._portal.GetPortalSummary(request, **_carried()))

    async def _results(
        self, query: SearchQuery
    ) -> tuple[Sequence[pb.OpenDataset], int, Sequence[pb.OpenFacetCounts]]:
        """One page, the total, the facets. The service gives tokens, not numbers: the pages before are walked over
        in the largest steps."""
        skipped, token = 0, ""
        first = (query.page - 1) * PAGE_SIZE
        while True:
            rest = first + PAGE_SIZE - skipped
            asked = from_protos.search_request(query, min(rest, _LARGEST), token)
            answer = await self._asked(self._portal.SearchOpenDatasets(asked, **_carried()))
            here = list(answer.datasets)[max(first - skipped, 0) :]
            token = answer.next_page_token
            reached = skipped + len(answer.datasets) >= first + PAGE_SIZE
            if reached or not token or first >= answer.total_size:
                return here[:PAGE_SIZE], answer.total_size, answer.facets
            if first < skipped + len(answer.datasets):
                # A page may be shorter than asked for (AIP-158): what it holds already belongs here.
                return here, answer.total_size, answer.facets
            skipped += len(answer.datasets)

    async def _asked(self, call: Awaitable[Answer]) -> Answer:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise Problem.of_rpc(error) from error

    @property
    def _portal(self) -> PortalServiceStub:
        return PortalServiceStub(self._channel())


def _carried() -> Carried:
    return {"timeout": SECONDS, "metadata": tuple(telemetry.inject().items())}
