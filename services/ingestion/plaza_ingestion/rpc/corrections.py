"""`plaza.ingestion.v1.CorrectionService`: messages in, use cases, messages out."""

from __future__ import annotations

from collections.abc import AsyncIterator

from google.api import httpbody_pb2
from plaza.ingestion.v1 import corrections_pb2 as pb
from plaza.ingestion.v1 import corrections_pb2_grpc, ingestion_pb2
from plaza_kit.rpc.server import ServicerContext

from plaza_ingestion.usecases.correcting import Correcting
from plaza_ingestion.usecases.ports import World
from plaza_ingestion.usecases.starting import Starting


class CorrectionServicer(corrections_pb2_grpc.CorrectionServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, world: World) -> None:
        self._correcting = Correcting(world)
        self._starting = Starting(world)

    async def ExportCorrectionFile(
        self, request: pb.ExportCorrectionFileRequest, rpc: ServicerContext
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        async for piece in self._correcting.export(request):
            yield piece

    async def CorrectRows(self, request: pb.CorrectRowsRequest, rpc: ServicerContext) -> ingestion_pb2.Run:
        return await self._starting.correct(request)
