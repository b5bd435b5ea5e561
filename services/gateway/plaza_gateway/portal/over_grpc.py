"""The portal's matter, asked of `PortalService`. What the service does not say is left out of the views."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypedDict, TypeVar

import grpc
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza.opendata.v1.opendata_pb2_grpc import PortalServiceStub
from plaza_kit import telemetry
from plaza_kit.errors import NotFound

from plaza_gateway.portal import from_protos
from plaza_gateway.portal.views import DatasetView, HomeView, SearchQuery, SearchView, TombstoneView
from plaza_gateway.transcode.problems import Problem

PAGE_SIZE = 20
"""Results on a page."""
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
        (results, total), summary = await asyncio.gather(self._results(query), self._summary())
        # The service counts by department over all datasets only: beside words these counts would lie.
        facets = from_protos.facets(summary, counted=not query.words)
        return SearchView(from_protos.summaries(results), total, PAGE_SIZE, facets)

    async def dataset(
        self, department: str, dataset: str, release: int | None
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
        return view

    async def _summary(self) -> pb.PortalSummary:
        request = pb.GetPortalSummaryRequest()
        return await self._asked(self._portal.GetPortalSummary(request, **_carried()))

    async def _results(self, query: SearchQuery) -> tuple[Sequence[pb.OpenDataset], int]:
        """One page and the total. The service gives tokens, not numbers: the pages before are walked over in
        the largest steps."""
        skipped, token = 0, ""
        first = (query.page - 1) * PAGE_SIZE
        while True:
            rest = first + PAGE_SIZE - skipped
            asked = pb.SearchOpenDatasetsRequest(
                query=query.words,
                department=f"departments/{query.department}" if query.department else "",
                page_size=min(rest, _LARGEST),
                page_token=token,
            )
            answer = await self._asked(self._portal.SearchOpenDatasets(asked, **_carried()))
            here = list(answer.datasets)[max(first - skipped, 0) :]
            token = answer.next_page_token
            reached = skipped + len(answer.datasets) >= first + PAGE_SIZE
            if reached or not token or first >= answer.total_size:
                return here[:PAGE_SIZE], answer.total_size
            if first < skipped + len(answer.datasets):
                # A page may be shorter than asked for (AIP-158): what it holds already belongs here.
                return here, answer.total_size
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
