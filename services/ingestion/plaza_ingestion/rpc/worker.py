"""`plaza.ingestion.v1.WorkerService`: messages in, use cases, messages out."""

from __future__ import annotations

from plaza.ingestion.v1 import worker_pb2 as pb
from plaza.ingestion.v1 import worker_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_ingestion.usecases.bringing import Bringing
from plaza_ingestion.usecases.leases import Leases


class WorkerServicer(worker_pb2_grpc.WorkerServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, leases: Leases, bringing: Bringing) -> None:
        self._leases = leases
        self._bringing = bringing

    async def LeaseWork(self, request: pb.LeaseWorkRequest, rpc: ServicerContext) -> pb.LeaseWorkResponse:
        return await self._leases.lease(request)

    async def RenewLease(self, request: pb.RenewLeaseRequest, rpc: ServicerContext) -> pb.RenewLeaseResponse:
        return await self._leases.renew(request)

    async def CompleteInference(
        self, request: pb.CompleteInferenceRequest, rpc: ServicerContext
    ) -> pb.CompleteInferenceResponse:
        await self._leases.complete_inference(request)
        return pb.CompleteInferenceResponse()

    async def CompleteLoad(
        self, request: pb.CompleteLoadRequest, rpc: ServicerContext
    ) -> pb.CompleteLoadResponse:
        await self._leases.complete_load(request)
        return pb.CompleteLoadResponse()

    async def CompletePull(
        self, request: pb.CompletePullRequest, rpc: ServicerContext
    ) -> pb.CompletePullResponse:
        await self._bringing.complete(request)
        return pb.CompletePullResponse()

    async def FailWork(self, request: pb.FailWorkRequest, rpc: ServicerContext) -> pb.FailWorkResponse:
        await self._leases.fail(request)
        return pb.FailWorkResponse()

    async def ListWaitingDepartments(
        self, request: pb.ListWaitingDepartmentsRequest, rpc: ServicerContext
    ) -> pb.ListWaitingDepartmentsResponse:
        queues = await self._leases.queues()
        return pb.ListWaitingDepartmentsResponse(
            departments=[one.department for one in queues if one.waiting], queues=queues
        )
