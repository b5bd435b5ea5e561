"""Plaza's own services: the directory entry of a department, and whether work waits for it."""

from __future__ import annotations

import uuid

import grpc
from plaza.catalogue.v1 import catalogue_pb2, catalogue_pb2_grpc
from plaza.ingestion.v1 import worker_pb2, worker_pb2_grpc
from plaza_kit.errors import PlazaError
from plaza_kit.identity import ServiceTokens
from plaza_kit.rpc.client import Peers, as_service

from plaza_operator import metrics
from plaza_operator.domain.errors import CatalogueRefused, CatalogueUnavailable, ReconcileError
from plaza_operator.domain.spec import Department

TIMEOUT_SECONDS = 5.0
_LATER = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED})
_REQUESTS = uuid.UUID("6f1fb3c5-7a1b-4b0e-9d8a-0c4c6f0c5a5d")


class Plaza:
    """Catalogue and ingestion, in the operator's own name."""

    def __init__(self, peers: Peers, tokens: ServiceTokens) -> None:
        """`peers` knows `catalogue` and `ingestion`."""
        self._peers, self._tokens = peers, tokens

    async def ensure_entry(self, department: Department) -> list[str]:
        """The department stands in the directory. Raises CatalogueUnavailable, CatalogueRefused."""
        metrics.REQUESTS.labels("catalogue", "get").inc()
        name = f"departments/{department.name}"
        catalogue = catalogue_pb2_grpc.CatalogueServiceStub(self._peers.channel("catalogue"))
        try:
            metadata = await as_service(self._tokens)
            try:
                await catalogue.GetDepartment(
                    catalogue_pb2.GetDepartmentRequest(name=name), timeout=TIMEOUT_SECONDS, metadata=metadata
                )
                return []
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
            metrics.REQUESTS.labels("catalogue", "create").inc()
            entry = catalogue_pb2.Department(
                display_name=department.display_name,
                display_name_en=department.display_name_en,
                provider_code=department.provider_code,
            )
            await catalogue.CreateDepartment(
                catalogue_pb2.CreateDepartmentRequest(
                    department_id=department.name,
                    department=entry,
                    # The same for the same resource: a call repeated after a crash is not a second one.
                    request_id=str(uuid.uuid5(_REQUESTS, f"{department.uid}/{department.generation}")),
                ),
                timeout=TIMEOUT_SECONDS,
                metadata=metadata,
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.ALREADY_EXISTS:
                return []
            raise _translated(error) from error
        except PlazaError as error:
            raise CatalogueUnavailable(f"no token to call the catalogue with: {error.message}") from error
        metrics.WRITES.labels("catalogue").inc()
        return ["directory entry made"]

    async def waiting(self) -> frozenset[str]:
        """Names of departments with work that waits. Raises CatalogueUnavailable, CatalogueRefused."""
        metrics.REQUESTS.labels("ingestion", "list").inc()
        workers = worker_pb2_grpc.WorkerServiceStub(self._peers.channel("ingestion"))
        try:
            answer = await workers.ListWaitingDepartments(
                worker_pb2.ListWaitingDepartmentsRequest(),
                timeout=TIMEOUT_SECONDS,
                metadata=await as_service(self._tokens),
            )
        except grpc.aio.AioRpcError as error:
            raise _translated(error) from error
        except PlazaError as error:
            raise CatalogueUnavailable(f"no token to call ingestion with: {error.message}") from error
        return frozenset(name.removeprefix("departments/") for name in answer.departments)

    async def close(self) -> None:
        """Ends all connections."""
        await self._peers.close()
        await self._tokens.aclose()


def _translated(error: grpc.aio.AioRpcError) -> ReconcileError:
    text = f"{error.code().name}: {error.details()}"[:300]
    return CatalogueUnavailable(text) if error.code() in _LATER else CatalogueRefused(text)
