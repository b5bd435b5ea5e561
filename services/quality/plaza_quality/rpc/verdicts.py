"""`plaza.quality.v1.VerdictService`: messages in, use cases, messages out."""

from __future__ import annotations

from plaza.quality.v1 import verdicts_pb2 as pb
from plaza.quality.v1 import verdicts_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_quality.usecases.assessing_again import AssessingAgain
from plaza_quality.usecases.ports import World


class VerdictServicer(verdicts_pb2_grpc.VerdictServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, world: World) -> None:
        self._again = AssessingAgain(world)

    async def AssessVersion(
        self, request: pb.AssessVersionRequest, rpc: ServicerContext
    ) -> pb.AssessVersionResponse:
        return await self._again.assess(request)

    async def ListPastAssessments(
        self, request: pb.ListPastAssessmentsRequest, rpc: ServicerContext
    ) -> pb.ListPastAssessmentsResponse:
        return await self._again.past(request)
