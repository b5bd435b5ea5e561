"""`plaza.quality.v1.QualityService`: messages in, use cases, messages out."""

from __future__ import annotations

from plaza.quality.v1 import quality_pb2 as pb
from plaza.quality.v1 import quality_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_quality.usecases.ports import World
from plaza_quality.usecases.reading import Reading


class QualityServicer(quality_pb2_grpc.QualityServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, world: World) -> None:
        self._reading = Reading(world)

    async def GetAssessment(self, request: pb.GetAssessmentRequest, rpc: ServicerContext) -> pb.Assessment:
        return await self._reading.get(request)

    async def ListAssessments(
        self, request: pb.ListAssessmentsRequest, rpc: ServicerContext
    ) -> pb.ListAssessmentsResponse:
        return await self._reading.list(request)
