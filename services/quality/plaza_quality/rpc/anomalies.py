"""`plaza.quality.v1.AnomalyService`: messages in, use cases, messages out."""

from __future__ import annotations

from plaza.quality.v1 import anomalies_pb2 as pb
from plaza.quality.v1 import anomalies_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_quality.usecases.anomalies import Anomalies
from plaza_quality.usecases.profile_ports import ProfileWorld


class AnomalyServicer(anomalies_pb2_grpc.AnomalyServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, world: ProfileWorld) -> None:
        self._anomalies = Anomalies(world)

    async def ListAnomalies(
        self, request: pb.ListAnomaliesRequest, rpc: ServicerContext
    ) -> pb.ListAnomaliesResponse:
        return await self._anomalies.list(request)

    async def FindAnomalies(
        self, request: pb.FindAnomaliesRequest, rpc: ServicerContext
    ) -> pb.FindAnomaliesResponse:
        return await self._anomalies.find(request)
