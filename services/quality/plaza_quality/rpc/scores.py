"""`plaza.quality.v1.ScoreService`: messages in, use cases, messages out."""

from __future__ import annotations

from plaza.quality.v1 import scores_pb2 as pb
from plaza.quality.v1 import scores_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_quality.usecases.department_scores import DepartmentScores
from plaza_quality.usecases.ports import World


class ScoreServicer(scores_pb2_grpc.ScoreServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, world: World) -> None:
        self._scores = DepartmentScores(world)

    async def GetDepartmentScore(
        self, request: pb.GetDepartmentScoreRequest, rpc: ServicerContext
    ) -> pb.Score:
        return await self._scores.get(request)

    async def ListScores(self, request: pb.ListScoresRequest, rpc: ServicerContext) -> pb.ListScoresResponse:
        return await self._scores.list()

    async def ListScoreHistory(
        self, request: pb.ListScoreHistoryRequest, rpc: ServicerContext
    ) -> pb.ListScoreHistoryResponse:
        return await self._scores.history(request)
