"""`plaza.quality.v1.GateService`: messages in, use cases, messages out."""

from __future__ import annotations

from plaza.quality.v1 import gates_pb2 as pb
from plaza.quality.v1 import gates_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_quality.usecases.gates import Gates
from plaza_quality.usecases.ports import World


class GateServicer(gates_pb2_grpc.GateServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, world: World) -> None:
        self._gates = Gates(world)

    async def GetGate(self, request: pb.GetGateRequest, rpc: ServicerContext) -> pb.Gate:
        return await self._gates.get(request)
