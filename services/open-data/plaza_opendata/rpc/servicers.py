"""`ReleaseService` and `PortalService`: messages in, use cases, messages out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from google.api import httpbody_pb2
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza.opendata.v1 import opendata_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_opendata.usecases.portal import Portal
from plaza_opendata.usecases.ports import World
from plaza_opendata.usecases.release_rows import ReleaseRows
from plaza_opendata.usecases.releases import Releases


class ReleaseServicer(opendata_pb2_grpc.ReleaseServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, world: World) -> None:
        self._releases = Releases(world)

    async def CreateRelease(self, request: pb.CreateReleaseRequest, rpc: ServicerContext) -> pb.Release:
        return await self._releases.create(request)

    async def GetRelease(self, request: pb.GetReleaseRequest, rpc: ServicerContext) -> pb.Release:
        return await self._releases.get(request)

    async def ListReleases(
        self, request: pb.ListReleasesRequest, rpc: ServicerContext
    ) -> pb.ListReleasesResponse:
        return await self._releases.list(request)

    async def WithdrawRelease(self, request: pb.WithdrawReleaseRequest, rpc: ServicerContext) -> pb.Release:
        return await self._releases.withdraw(request)


class PortalServicer(opendata_pb2_grpc.PortalServiceServicer):
    """All methods; none of them has a caller."""

    def __init__(self, world: World) -> None:
        self._portal = Portal(world)
        self._rows = ReleaseRows(world, self._portal)

    async def GetPortalSummary(
        self, request: pb.GetPortalSummaryRequest, rpc: ServicerContext
    ) -> pb.PortalSummary:
        return await self._portal.summary()

    async def SearchOpenDatasets(
        self, request: pb.SearchOpenDatasetsRequest, rpc: ServicerContext
    ) -> pb.SearchOpenDatasetsResponse:
        return await self._portal.search(request)

    async def SuggestOpenDatasets(
        self, request: pb.SuggestOpenDatasetsRequest, rpc: ServicerContext
    ) -> pb.SuggestOpenDatasetsResponse:
        return await self._portal.suggest(request)

    async def ReadReleaseRows(
        self, request: pb.ReadReleaseRowsRequest, rpc: ServicerContext
    ) -> pb.ReadReleaseRowsResponse:
        return await self._rows.read(request)

    async def StreamReleaseRows(
        self, request: pb.StreamReleaseRowsRequest, rpc: ServicerContext
    ) -> AsyncIterator[pb.StreamReleaseRowsResponse]:
        async with aclosing(self._rows.stream(request)) as parts:
            async for part in parts:
                yield part

    async def GetDataPackage(
        self, request: pb.GetDataPackageRequest, rpc: ServicerContext
    ) -> httpbody_pb2.HttpBody:
        return await self._portal.data_package(request)

    async def GetOpenDataset(self, request: pb.GetOpenDatasetRequest, rpc: ServicerContext) -> pb.OpenDataset:
        return await self._portal.get(request)

    async def ReadReleaseFile(
        self, request: pb.ReadReleaseFileRequest, rpc: ServicerContext
    ) -> AsyncIterator[pb.ReadReleaseFileResponse]:
        async with aclosing(self._portal.read(request)) as parts:
            async for part in parts:
                yield part
