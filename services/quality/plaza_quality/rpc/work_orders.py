"""`plaza.quality.v1.WorkOrderService`: messages in, use cases, messages out."""

from __future__ import annotations

from plaza.quality.v1 import work_orders_pb2 as pb
from plaza.quality.v1 import work_orders_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_quality.usecases.ports import World
from plaza_quality.usecases.work_orders import WorkOrders


class WorkOrderServicer(work_orders_pb2_grpc.WorkOrderServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, world: World) -> None:
        self._orders = WorkOrders(world)

    async def GetWorkOrder(self, request: pb.GetWorkOrderRequest, rpc: ServicerContext) -> pb.WorkOrder:
        return await self._orders.get(request)

    async def ListWorkOrders(
        self, request: pb.ListWorkOrdersRequest, rpc: ServicerContext
    ) -> pb.ListWorkOrdersResponse:
        return await self._orders.list(request)

    async def AcceptWorkOrder(self, request: pb.AcceptWorkOrderRequest, rpc: ServicerContext) -> pb.WorkOrder:
        return await self._orders.accept(request)

    async def AnswerWorkOrder(self, request: pb.AnswerWorkOrderRequest, rpc: ServicerContext) -> pb.WorkOrder:
        return await self._orders.answer(request)

    async def CommentWorkOrder(
        self, request: pb.CommentWorkOrderRequest, rpc: ServicerContext
    ) -> pb.WorkOrder:
        return await self._orders.comment(request)
