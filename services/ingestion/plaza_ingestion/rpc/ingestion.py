"""`plaza.ingestion.v1.IngestionService`: messages in, use cases, messages out."""

from __future__ import annotations

from collections.abc import AsyncIterator

from google.api import httpbody_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza.ingestion.v1 import ingestion_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_ingestion.usecases.cancelling import Cancelling
from plaza_ingestion.usecases.ports import World
from plaza_ingestion.usecases.quarantine import Quarantine
from plaza_ingestion.usecases.repairing import Repairing
from plaza_ingestion.usecases.running import Running
from plaza_ingestion.usecases.starting import Starting
from plaza_ingestion.usecases.uploads import Uploads


class IngestionServicer(ingestion_pb2_grpc.IngestionServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, world: World) -> None:
        self._uploads = Uploads(world)
        self._starting = Starting(world)
        self._running = Running(world)
        self._cancelling = Cancelling(world)
        self._quarantine = Quarantine(world)
        self._repairing = Repairing(world)

    async def UploadFile(
        self, request_iterator: AsyncIterator[pb.UploadFileRequest], rpc: ServicerContext
    ) -> pb.Upload:
        return await self._uploads.receive(request_iterator)

    async def InferContract(self, request: pb.InferContractRequest, rpc: ServicerContext) -> pb.Run:
        return await self._starting.infer(request)

    async def IngestUpload(self, request: pb.IngestUploadRequest, rpc: ServicerContext) -> pb.Run:
        return await self._starting.ingest(request)

    async def ReplayQuarantine(self, request: pb.ReplayQuarantineRequest, rpc: ServicerContext) -> pb.Run:
        return await self._starting.replay(request)

    async def RepairQuarantinedRow(
        self, request: pb.RepairQuarantinedRowRequest, rpc: ServicerContext
    ) -> pb.Run:
        return await self._repairing.repair(request)

    async def DiscardQuarantinedRow(
        self, request: pb.DiscardQuarantinedRowRequest, rpc: ServicerContext
    ) -> pb.QuarantinedRow:
        return await self._quarantine.discard(request)

    async def CancelRun(self, request: pb.CancelRunRequest, rpc: ServicerContext) -> pb.Run:
        return await self._cancelling.cancel(request)

    async def GetRun(self, request: pb.GetRunRequest, rpc: ServicerContext) -> pb.Run:
        return await self._running.get(request)

    async def ListRuns(self, request: pb.ListRunsRequest, rpc: ServicerContext) -> pb.ListRunsResponse:
        return await self._running.list(request)

    async def WatchRun(self, request: pb.WatchRunRequest, rpc: ServicerContext) -> AsyncIterator[pb.Run]:
        async for run in self._running.watch(request):
            yield run

    async def ListQuarantinedRows(
        self, request: pb.ListQuarantinedRowsRequest, rpc: ServicerContext
    ) -> pb.ListQuarantinedRowsResponse:
        return await self._quarantine.page(request)

    async def ExportQuarantine(
        self, request: pb.ExportQuarantineRequest, rpc: ServicerContext
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        async for piece in self._quarantine.export(request):
            yield piece

    async def CountHeldRows(
        self, request: pb.CountHeldRowsRequest, rpc: ServicerContext
    ) -> pb.CountHeldRowsResponse:
        return await self._quarantine.count_held(request)
