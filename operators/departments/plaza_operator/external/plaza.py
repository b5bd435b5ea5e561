"""Plaza's own services: the directory entry of a department, and whether work waits for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
from google.protobuf import field_mask_pb2
from plaza.catalogue.v1 import catalogue_pb2, catalogue_pb2_grpc
from plaza.ingestion.v1 import worker_pb2, worker_pb2_grpc
from plaza_kit.errors import PlazaError
from plaza_kit.identity import ServiceTokens
from plaza_kit.rpc.client import Peers, as_service

from plaza_operator import faults, metrics
from plaza_operator.domain.errors import CatalogueRefused, CatalogueUnavailable
from plaza_operator.domain.pacing import Queue
from plaza_operator.domain.spec import Department

TIMEOUT_SECONDS = 5.0
_LATER = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED})
_SYSTEM = "catalogue"
_FIELDS = ("display_name", "display_name_en", "provider_code")


class Plaza:
    """Catalogue and ingestion, in the operator's own name."""

    def __init__(self, peers: Peers, tokens: ServiceTokens) -> None:
        """`peers` knows `catalogue` and `ingestion`."""
        self._peers, self._tokens = peers, tokens

    async def ensure_entry(self, department: Department) -> list[str]:
        """The directory says of the department what its resource says; what the resource leaves empty is the
        directory's own. Raises CatalogueUnavailable, CatalogueRefused.
        """
        with _our_errors(_SYSTEM):
            live = await self._entry(department)
            if live is None:
                done = await self._create(department)
            else:
                done = await self._update(department, live)
        metrics.WRITES.labels(_SYSTEM).inc(len(done))
        return done

    async def _entry(self, department: Department) -> catalogue_pb2.Department | None:
        request = catalogue_pb2.GetDepartmentRequest(name=f"departments/{department.name}")
        async with self._call("get") as (catalogue, more):
            try:
                return await catalogue.GetDepartment(request, **more)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    return None
                raise

    async def _create(self, department: Department) -> list[str]:
        # Without a request id: the name makes a second call harmless, and an id that was used once would keep an entry
        # that somebody took away from ever coming back.
        request = catalogue_pb2.CreateDepartmentRequest(
            department_id=department.name, department=_entry_of(department)
        )
        async with self._call("create") as (catalogue, more):
            try:
                await catalogue.CreateDepartment(request, **more)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                    raise
        return ["directory entry made"]

    async def _update(self, department: Department, live: catalogue_pb2.Department) -> list[str]:
        done = []
        if live.state == catalogue_pb2.DEPARTMENT_STATE_ARCHIVED:
            again = catalogue_pb2.ActivateDepartmentRequest(name=live.name)
            async with self._call("activate") as (catalogue, more):
                await catalogue.ActivateDepartment(again, **more)
            done.append("directory entry activated")
        wanted = _entry_of(department)
        differ = [name for name in _FIELDS if getattr(wanted, name) not in ("", getattr(live, name))]
        if not differ:
            return done
        request = catalogue_pb2.UpdateDepartmentRequest(
            department=wanted, update_mask=field_mask_pb2.FieldMask(paths=differ)
        )
        async with self._call("update") as (catalogue, more):
            await catalogue.UpdateDepartment(request, **more)
        return [*done, *(f"{name} of the directory entry put right" for name in differ)]

    @asynccontextmanager
    async def _call(
        self, verb: str
    ) -> AsyncIterator[tuple[catalogue_pb2_grpc.CatalogueServiceStub, dict[str, Any]]]:
        """The catalogue, and what every call of it carries."""
        metrics.REQUESTS.labels(_SYSTEM, verb).inc()
        stub = catalogue_pb2_grpc.CatalogueServiceStub(self._peers.channel("catalogue"))
        yield stub, {"timeout": TIMEOUT_SECONDS, "metadata": await as_service(self._tokens)}
        faults.called()

    async def archive_entry(self, department: Department) -> None:
        """The directory registers nothing more of the department; what it has stays. Raises CatalogueUnavailable,
        CatalogueRefused.
        """
        request = catalogue_pb2.ArchiveDepartmentRequest(name=f"departments/{department.name}")
        with _our_errors(_SYSTEM):
            async with self._call("archive") as (catalogue, more):
                try:
                    await catalogue.ArchiveDepartment(request, **more)
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.NOT_FOUND:  # it never came to be
                        raise
        metrics.WRITES.labels(_SYSTEM).inc()

    async def queues(self) -> dict[str, Queue]:
        """By department's name, those with work only. Raises CatalogueUnavailable, CatalogueRefused."""
        metrics.REQUESTS.labels("ingestion", "list").inc()
        workers = worker_pb2_grpc.WorkerServiceStub(self._peers.channel("ingestion"))
        with _our_errors("ingestion"):
            answer = await workers.ListWaitingDepartments(
                worker_pb2.ListWaitingDepartmentsRequest(),
                timeout=TIMEOUT_SECONDS,
                metadata=await as_service(self._tokens),
            )
        # An ingestion of the version before knows only who waits.
        found = {_id(name): Queue(1, 0) for name in answer.departments}
        return found | {_id(one.department): Queue(one.waiting, one.leased) for one in answer.queues}

    async def close(self) -> None:
        """Ends all connections."""
        await self._peers.close()
        await self._tokens.aclose()


def _entry_of(department: Department) -> catalogue_pb2.Department:
    return catalogue_pb2.Department(
        name=f"departments/{department.name}",
        display_name=department.display_name,
        display_name_en=department.display_name_en,
        provider_code=department.provider_code,
    )


def _id(name: str) -> str:
    return name.removeprefix("departments/")


@contextmanager
def _our_errors(service: str) -> Iterator[None]:
    """What calls of a service raise, as the operator's own."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        text = f"{error.code().name}: {error.details()}"[:300]
        later = error.code() in _LATER
        raise (CatalogueUnavailable(text) if later else CatalogueRefused(text)) from error
    except PlazaError as error:
        raise CatalogueUnavailable(f"no token to call {service} with: {error.message}") from error
