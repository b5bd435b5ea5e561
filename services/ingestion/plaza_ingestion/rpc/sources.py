"""`plaza.ingestion.v1.SourceService`: messages in, use cases, messages out."""

from __future__ import annotations

from plaza.ingestion.v1 import ingestion_pb2, sources_pb2_grpc
from plaza.ingestion.v1 import sources_pb2 as pb
from plaza_kit.rpc.server import ServicerContext

from plaza_ingestion.usecases.ports import World
from plaza_ingestion.usecases.pulling import Pulling
from plaza_ingestion.usecases.sources import Sources


class SourceServicer(sources_pb2_grpc.SourceServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, world: World) -> None:
        self._sources = Sources(world)
        self._pulling = Pulling(world)

    async def CreateSource(self, request: pb.CreateSourceRequest, rpc: ServicerContext) -> pb.Source:
        return await self._sources.create(request)

    async def GetSource(self, request: pb.GetSourceRequest, rpc: ServicerContext) -> pb.Source:
        return await self._sources.get(request)

    async def ListSources(
        self, request: pb.ListSourcesRequest, rpc: ServicerContext
    ) -> pb.ListSourcesResponse:
        return await self._sources.list(request)

    async def UpdateSource(self, request: pb.UpdateSourceRequest, rpc: ServicerContext) -> pb.Source:
        return await self._sources.update(request)

    async def PauseSource(self, request: pb.PauseSourceRequest, rpc: ServicerContext) -> pb.Source:
        return await self._sources.pause(request)

    async def ResumeSource(self, request: pb.ResumeSourceRequest, rpc: ServicerContext) -> pb.Source:
        return await self._sources.resume(request)

    async def PullSource(self, request: pb.PullSourceRequest, rpc: ServicerContext) -> ingestion_pb2.Run:
        return await self._pulling.pull(request)
