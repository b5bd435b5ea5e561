"""The worker's calls to ingestion, each in the name of the department's own client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from plaza.ingestion.v1 import ingestion_pb2, worker_pb2, worker_pb2_grpc
from plaza_kit.errors import Aborted, FailedPrecondition, Unavailable
from plaza_kit.identity import ServiceTokens
from plaza_kit.rpc.client import Metadata, as_service

_ANSWER_SECONDS: Final = 10.0
_CHECK_SECONDS: Final = 120.0
"""Ingestion checks the hashes of the staged files before it answers."""
_FINAL: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""Asking again gives the same answer."""

Answer = TypeVar("Answer")


class LeaseLost(Aborted):
    """The work is somebody else's now: stop, and touch nothing more."""


class IngestionAway(Unavailable):
    """Ingestion gave no useful answer; the same call may have one soon."""


class IngestionRefuses(FailedPrecondition):
    """Ingestion does not take what it was told, and will not take it later."""


class WorkerClient:
    """`plaza.ingestion.v1.WorkerService` for one department.

    Every method raises `LeaseLost`, `IngestionAway` or `IngestionRefuses`, and `ClientRefused` when the issuer
    does not know the department's client.
    """

    def __init__(self, channel: grpc.aio.Channel, tokens: ServiceTokens, department: str) -> None:
        """`department`: its id."""
        self._stub = worker_pb2_grpc.WorkerServiceStub(channel)
        self._tokens = tokens
        self._department = f"departments/{department}"

    async def lease(self, wait_seconds: float) -> worker_pb2.Work | None:
        """The next work, or None when there was none for so long (at most 30 s)."""
        wait = Duration()
        wait.FromTimedelta(timedelta(seconds=wait_seconds))
        request = worker_pb2.LeaseWorkRequest(department=self._department, wait=wait)
        timeout = wait_seconds + _ANSWER_SECONDS
        answer = await self._call(
            lambda metadata: self._stub.LeaseWork(request, timeout=timeout, metadata=metadata)
        )
        return answer.work if answer.HasField("work") else None

    async def renew(self, lease: str, progress: ingestion_pb2.Progress) -> datetime:
        """When the lease ends now."""
        request = worker_pb2.RenewLeaseRequest(lease=lease, progress=progress)
        answer = await self._call(
            lambda metadata: self._stub.RenewLease(request, timeout=_ANSWER_SECONDS, metadata=metadata)
        )
        return moment(answer.expire_time)

    async def complete_load(self, request: worker_pb2.CompleteLoadRequest) -> None:
        """Hand back the manifest of a load."""
        await self._call(
            lambda metadata: self._stub.CompleteLoad(request, timeout=_CHECK_SECONDS, metadata=metadata)
        )

    async def complete_pull(self, request: worker_pb2.CompletePullRequest) -> None:
        """Hand back a fetched file, or that there is nothing new."""
        await self._call(
            lambda metadata: self._stub.CompletePull(request, timeout=_CHECK_SECONDS, metadata=metadata)
        )

    async def complete_inference(self, lease: str, proposal: ingestion_pb2.Proposal) -> None:
        """Hand back a proposal."""
        request = worker_pb2.CompleteInferenceRequest(lease=lease, proposal=proposal)
        await self._call(
            lambda metadata: self._stub.CompleteInference(request, timeout=_CHECK_SECONDS, metadata=metadata)
        )

    async def fail(self, lease: str, error: ingestion_pb2.RunError) -> None:
        """Say that the work cannot be done."""
        request = worker_pb2.FailWorkRequest(lease=lease, error=error)
        await self._call(
            lambda metadata: self._stub.FailWork(request, timeout=_ANSWER_SECONDS, metadata=metadata)
        )

    async def _call(self, call: Callable[[Metadata], Awaitable[Answer]]) -> Answer:
        try:
            return await call(await as_service(self._tokens))
        except Unavailable as error:  # the issuer, asked for a token
            raise IngestionAway(error.message, remedy=error.remedy) from error
        except grpc.aio.AioRpcError as error:
            said = f"Ingestion answers {error.code().name}: {error.details() or 'without words'}"
            if error.code() is grpc.StatusCode.ABORTED:
                raise LeaseLost(said) from error
            if error.code() in _FINAL:
                raise IngestionRefuses(said, remedy="Ingestion's log says more.") from error
            raise IngestionAway(said, remedy="See that ingestion runs.") from error


def moment(timestamp: Timestamp) -> datetime:
    """The same in UTC."""
    return timestamp.ToDatetime(tzinfo=UTC)
