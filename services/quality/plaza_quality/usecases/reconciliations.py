"""What people do with reconciliations: make, see, archive, run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import uuid_utils.compat as uuid
from plaza.quality.v1 import reconciliations_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.db.jobs import defer_in
from plaza_kit.db.requests import is_first, made_by
from plaza_kit.errors import FailedPrecondition, NotFound
from plaza_kit.identity import Principal
from plaza_kit.names import DepartmentId, parse_department
from plaza_kit.paging import BadPageToken, Page
from plaza_kit.policy import Resource
from plaza_lake.comparing import Comparison
from plaza_lake.reconcile import versions_compared
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_quality.domain.reconciliations import Side, code_lists, comparison_of, sides_of
from plaza_quality.storage import reconciliations
from plaza_quality.storage.reconciliations import RunName, StoredRun
from plaza_quality.usecases.ports import World
from plaza_quality.usecases.reconciliation_ports import Sources

READ: Final = "reconciliation.read"
MANAGE: Final = "reconciliation.manage"
JOB: Final = "reconcile"
_NEWEST: Final = ("ffffffff-ffff-ffff-ffff-ffffffffffff",)
_LAST: Final = (2**31 - 1,)


class UnknownReconciliation(NotFound):
    """There is no such reconciliation, or run of it."""


class Archived(FailedPrecondition):
    """It was archived: nothing is compared any more."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A definition, made ready for two versions."""

    sides: tuple[Side, Side]
    comparison: Comparison
    code_lists: dict[str, str]
    """The version of each code list, by the name that a pair gives."""


async def prepared(
    sources: Sources,
    department: DepartmentId,
    definition: pb.Reconciliation,
    versions: dict[str, str] | None = None,
) -> Compared:
    """`versions`: of the code lists, as an earlier run had them. Raises LeftElsewhere, AgreementMissing, Incomparable,
    CodeListMissing, AioRpcError."""
    names: dict[str, Mapping[str, str]] = {}
    found: dict[str, str] = {}
    for each in code_lists(definition):
        listed = await sources.code_names((versions or {}).get(each, each))
        if listed is not None:
            found[each], names[each] = listed
    comparison = comparison_of(definition, names)
    return Compared(sides_of(definition, department, comparison), comparison, found)


class Reconciliations:
    """Use cases of people."""

    def __init__(self, world: World, sources: Sources) -> None:
        self._world = world
        self._sources = sources

    async def create(self, request: pb.CreateReconciliationRequest) -> pb.Reconciliation:
        """Raises the errors of `prepared`, SideRefused, RequestIdReused, NotPermitted, and those of the lake."""
        department = parse_department(request.parent)
        principal = self._world.policy.authorize(MANAGE, Resource.of_department(department))
        definition = _declared(request.reconciliation)
        if not (request.request_id and await self._is_repeated(principal, request.request_id)):
            await self._versions(await prepared(self._sources, department, definition))
        id_ = str(uuid.uuid7())
        name = f"{request.parent}/reconciliations/{id_}"
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            if not await is_first(connection, principal, request.request_id, request, (department, name)):
                name = await made_by(connection, principal, request.request_id)
                return await self._found(connection, department, name.rpartition("/")[2])
            made = (principal.name, self._world.now())
            await reconciliations.insert(connection, department, id_, definition, made)
            return await self._found(connection, department, id_)

    async def get(self, request: pb.GetReconciliationRequest) -> pb.Reconciliation:
        """Raises UnknownReconciliation, NotPermitted."""
        department, id_ = _parse(request.name)
        async with self._reading(department) as connection:
            return await self._found(connection, department, id_)

    async def list(self, request: pb.ListReconciliationsRequest) -> pb.ListReconciliationsResponse:
        """Raises BadPageToken, NotPermitted."""
        department = parse_department(request.parent)
        filters = (request.parent, str(request.show_archived))
        page = Page.of("reconciliations", filters, request.page_size, request.page_token, _NEWEST)
        async with self._reading(department) as connection:
            found = await reconciliations.page(
                connection, department, _uuid(page), page.size + 1, archived=request.show_archived
            )
        items, more = page.cut(found)
        token = page.token((items[-1].name.rpartition("/")[2],)) if more else ""
        return pb.ListReconciliationsResponse(reconciliations=items, next_page_token=token)

    async def archive(self, request: pb.ArchiveReconciliationRequest) -> pb.Reconciliation:
        """Raises UnknownReconciliation, NotPermitted."""
        department, id_ = _parse(request.name)
        principal = self._world.policy.authorize(MANAGE, Resource.of_department(department))
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            await self._found(connection, department, id_)
            await reconciliations.archive(connection, id_, self._world.now())
            return await self._found(connection, department, id_)

    async def run(self, request: pb.RunReconciliationRequest) -> pb.ReconciliationRun:
        """Raises UnknownReconciliation, Archived, RequestIdReused, NotPermitted, SideRefused, and those of the lake."""
        department, id_ = _parse(request.name)
        principal = self._world.policy.authorize(MANAGE, Resource.of_department(department))
        if not (request.request_id and await self._is_repeated(principal, request.request_id)):
            return await self._started(principal, department, id_, request)
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            await is_first(connection, principal, request.request_id, request, (department, request.name))
            name = RunName.parse(await made_by(connection, principal, request.request_id))
            return (await found_run(connection, name)).message

    async def get_run(self, request: pb.GetReconciliationRunRequest) -> pb.ReconciliationRun:
        """Raises UnknownReconciliation, NotPermitted."""
        name = RunName.parse(request.name)
        async with self._reading(DepartmentId(name.department)) as connection:
            return (await found_run(connection, name)).message

    async def list_runs(self, request: pb.ListReconciliationRunsRequest) -> pb.ListReconciliationRunsResponse:
        """Raises BadPageToken, NotPermitted."""
        department, id_ = _parse(request.parent)
        page = Page.of("reconciliation_runs", (request.parent,), request.page_size, request.page_token, _LAST)
        async with self._reading(department) as connection:
            found = await reconciliations.runs(connection, department, id_, int(page.start[0]), page.size + 1)
        items, more = page.cut(found)
        token = page.token((RunName.parse(items[-1].name).number,)) if more else ""
        return pb.ListReconciliationRunsResponse(runs=items, next_page_token=token)

    async def _started(
        self,
        principal: Principal,
        department: DepartmentId,
        id_: str,
        request: pb.RunReconciliationRequest,
    ) -> pb.ReconciliationRun:
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            definition = await self._found(connection, department, id_)
        if definition.HasField("archive_time"):
            raise Archived(
                f"{definition.name} was archived", remedy="make a new one with the same definition"
            )
        ready = await prepared(self._sources, department, definition)
        left, right = await self._versions(ready)
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            name = RunName(department, id_, await reconciliations.next_number(connection, id_))
            place = (department, str(name))
            if not await is_first(connection, principal, request.request_id, request, place):
                # The same request at the same moment was first; its run is this one's answer.
                first = RunName.parse(await made_by(connection, principal, request.request_id))
                return (await found_run(connection, first)).message
            grants = [await self._sources.run_grant(str(name), side) for side in ready.sides]
            message = pb.ReconciliationRun(left_version=left, right_version=right, starter=principal.name)
            run = StoredRun(message, ready.code_lists, (grants[0], grants[1]), (0, 0))
            await reconciliations.insert_run(connection, name, run, self._world.now())
            await defer_in(connection, JOB, {"run": str(name)}, lock=f"reconcile {id_}")
            return (await found_run(connection, name)).message

    async def _versions(self, ready: Compared) -> tuple[int, int]:
        """That the caller may read all of it, and of which versions."""
        left, right = [await self._sources.reading(side) for side in ready.sides]
        return await asyncio.to_thread(
            versions_compared, self._world.lake, self._world.grants, (left, right), ready.comparison
        )

    async def _is_repeated(self, principal: Principal, request_id: str) -> bool:
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            return bool(await made_by(connection, principal, request_id))

    @asynccontextmanager
    async def _reading(self, department: DepartmentId) -> AsyncIterator[AsyncConnection]:
        self._world.policy.authorize(READ, Resource.of_department(department))
        async with self._world.database.transaction(Scope.department(department)) as connection:
            yield connection

    async def _found(
        self, connection: AsyncConnection, department: DepartmentId, id_: str
    ) -> pb.Reconciliation:
        return await found_reconciliation(connection, department, id_)


async def found_reconciliation(connection: AsyncConnection, department: str, id_: str) -> pb.Reconciliation:
    """Raises UnknownReconciliation."""
    found = await reconciliations.find(connection, department, id_)
    if found is None:
        raise UnknownReconciliation(
            f"there is no departments/{department}/reconciliations/{id_}",
            remedy="list the department's reconciliations",
        )
    return found


async def found_run(connection: AsyncConnection, name: RunName) -> StoredRun:
    """Raises UnknownReconciliation."""
    found = await reconciliations.find_run(connection, name)
    if found is None:
        raise UnknownReconciliation(f"there is no {name}", remedy="list the runs of the reconciliation")
    return found


def _declared(given: pb.Reconciliation) -> pb.Reconciliation:
    """What a caller may say."""
    return pb.Reconciliation(
        title=given.title,
        left=given.left,
        right=given.right,
        key=given.key,
        fields=given.fields,
        authority=given.authority,
    )


def _parse(name: str) -> tuple[DepartmentId, str]:
    parent, _, id_ = name.rpartition("/reconciliations/")
    return parse_department(parent), id_


def _uuid(page: Page) -> str:
    """Raises BadPageToken: a token may be anybody's invention."""
    try:
        return str(UUID(str(page.start[0])))
    except ValueError as error:
        raise BadPageToken(
            "page_token: was not given out for this request",
            remedy="take next_page_token from the answer before",
            facts={"field": "page_token"},
        ) from error
