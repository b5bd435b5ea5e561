"""`plaza.quality.v1.ReconciliationService`: messages in, use cases, messages out."""

from __future__ import annotations

from collections.abc import AsyncIterator

from google.api import httpbody_pb2
from plaza.quality.v1 import reconciliations_pb2 as pb
from plaza.quality.v1 import reconciliations_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_quality.usecases.ports import World
from plaza_quality.usecases.reconciliation_differences import Differences
from plaza_quality.usecases.reconciliation_ports import Sources
from plaza_quality.usecases.reconciliations import Reconciliations


class ReconciliationServicer(reconciliations_pb2_grpc.ReconciliationServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, world: World, sources: Sources) -> None:
        self._reconciliations = Reconciliations(world, sources)
        self._differences = Differences(world, sources)

    async def CreateReconciliation(
        self, request: pb.CreateReconciliationRequest, rpc: ServicerContext
    ) -> pb.Reconciliation:
        return await self._reconciliations.create(request)

    async def GetReconciliation(
        self, request: pb.GetReconciliationRequest, rpc: ServicerContext
    ) -> pb.Reconciliation:
        return await self._reconciliations.get(request)

    async def ListReconciliations(
        self, request: pb.ListReconciliationsRequest, rpc: ServicerContext
    ) -> pb.ListReconciliationsResponse:
        return await self._reconciliations.list(request)

    async def ArchiveReconciliation(
        self, request: pb.ArchiveReconciliationRequest, rpc: ServicerContext
    ) -> pb.Reconciliation:
        return await self._reconciliations.archive(request)

    async def RunReconciliation(
        self, request: pb.RunReconciliationRequest, rpc: ServicerContext
    ) -> pb.ReconciliationRun:
        return await self._reconciliations.run(request)

    async def GetReconciliationRun(
        self, request: pb.GetReconciliationRunRequest, rpc: ServicerContext
    ) -> pb.ReconciliationRun:
        return await self._reconciliations.get_run(request)

    async def ListReconciliationRuns(
        self, request: pb.ListReconciliationRunsRequest, rpc: ServicerContext
    ) -> pb.ListReconciliationRunsResponse:
        return await self._reconciliations.list_runs(request)

    async def ListDifferences(
        self, request: pb.ListDifferencesRequest, rpc: ServicerContext
    ) -> pb.ListDifferencesResponse:
        return await self._differences.list(request)

    async def ExportDifferences(
        self, request: pb.ExportDifferencesRequest, rpc: ServicerContext
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        async for piece in self._differences.export(request):
            yield piece
