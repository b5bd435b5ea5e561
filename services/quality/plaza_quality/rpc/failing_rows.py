"""`plaza.quality.v1.FailingRowsService`: messages in, use cases, messages out."""

from __future__ import annotations

from collections.abc import AsyncIterator

from plaza.quality.v1 import failing_rows_pb2 as pb
from plaza.quality.v1 import failing_rows_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_quality.usecases.failing_rows import FailingRows
from plaza_quality.usecases.ports import World


class FailingRowsServicer(failing_rows_pb2_grpc.FailingRowsServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, world: World) -> None:
        self._rows = FailingRows(world)

    async def ListFailingRows(
        self, request: pb.ListFailingRowsRequest, rpc: ServicerContext
    ) -> pb.ListFailingRowsResponse:
        return await self._rows.list(request)

    async def FindFailingRows(
        self, request: pb.FindFailingRowsRequest, rpc: ServicerContext
    ) -> AsyncIterator[pb.FindFailingRowsResponse]:
        async for piece in self._rows.find(request):
            yield piece
