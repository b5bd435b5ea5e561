"""`plaza.catalogue.v1.SourceSystemService`: messages in, use cases, messages out."""

from __future__ import annotations

from plaza.catalogue.v1 import source_systems_pb2 as pb
from plaza.catalogue.v1 import source_systems_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_catalogue.usecases.ports import World
from plaza_catalogue.usecases.source_systems import SourceSystems


class SourceSystemServicer(source_systems_pb2_grpc.SourceSystemServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, world: World) -> None:
        self._systems = SourceSystems(world)

    async def CreateSourceSystem(
        self, request: pb.CreateSourceSystemRequest, rpc: ServicerContext
    ) -> pb.SourceSystem:
        return await self._systems.create(request)

    async def GetSourceSystem(
        self, request: pb.GetSourceSystemRequest, rpc: ServicerContext
    ) -> pb.SourceSystem:
        return await self._systems.get(request)

    async def ListSourceSystems(
        self, request: pb.ListSourceSystemsRequest, rpc: ServicerContext
    ) -> pb.ListSourceSystemsResponse:
        return await self._systems.page(request)

    async def UpdateSourceSystem(
        self, request: pb.UpdateSourceSystemRequest, rpc: ServicerContext
    ) -> pb.SourceSystem:
        return await self._systems.update(request)

    async def RetireSourceSystem(
        self, request: pb.RetireSourceSystemRequest, rpc: ServicerContext
    ) -> pb.SourceSystem:
        return await self._systems.retire(request)

    async def ListSourceSystemVersions(
        self, request: pb.ListSourceSystemVersionsRequest, rpc: ServicerContext
    ) -> pb.ListSourceSystemVersionsResponse:
        return await self._systems.versions(request)
