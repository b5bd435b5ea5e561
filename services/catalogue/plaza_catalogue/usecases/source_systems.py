"""Source systems: registered, changed and retired by their department, shown to everybody who reads the directory."""

from __future__ import annotations

from plaza.catalogue.v1 import catalogue_pb2
from plaza.catalogue.v1 import source_systems_pb2 as pb
from plaza_kit.db import Reader, Scope, within
from plaza_kit.db.outbox import NewEvent
from plaza_kit.db.requests import is_first
from plaza_kit.errors import AlreadyExists, NotFound
from plaza_kit.identity import Principal
from plaza_kit.names import ALL_DEPARTMENTS, DatasetName, check_id, parse_department
from plaza_kit.paging import Page
from plaza_kit.policy import Resource
from plaza_kit.rpc.guard import validate
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_catalogue.domain import source_systems as rules
from plaza_catalogue.domain.differences import message_differences
from plaza_catalogue.domain.source_systems import SourceSystemId, SourceSystemName
from plaza_catalogue.domain.updates import changed_fields, merged
from plaza_catalogue.storage import datasets, departments, search, source_systems
from plaza_catalogue.usecases.changes import change_of
from plaza_catalogue.usecases.departments import registering
from plaza_catalogue.usecases.ports import NEWEST, World, check_etag, unknown_department

CREATED = "city.plaza.catalogue.source_system.created.v1"
UPDATED = "city.plaza.catalogue.source_system.updated.v1"
RETIRED = "city.plaza.catalogue.source_system.retired.v1"


class UnknownSourceSystem(NotFound):
    """The department has no such source system."""


class SourceSystemExists(AlreadyExists):
    """The id is taken inside the department."""


class SourceSystems:
    """Use cases around source systems."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def create(self, request: pb.CreateSourceSystemRequest) -> pb.SourceSystem:
        """Raises UnknownDepartment, DepartmentArchived, SourceSystemExists, RequestIdReused, NotPermitted."""
        department = parse_department(request.parent)
        name = SourceSystemName(
            department, SourceSystemId(check_id(request.source_system_id, "source_system_id"))
        )
        principal = self._authorize(name)
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            if await is_first(connection, principal, request.request_id, request, (department, str(name))):
                await registering(connection, department)
                await self._insert(connection, principal, name, request.source_system)
            made = await _found(within(connection), name)
        self._world.outbox.wake()
        return made

    async def _insert(
        self,
        connection: AsyncConnection,
        principal: Principal,
        name: SourceSystemName,
        given: pb.SourceSystem,
    ) -> None:
        system = pb.SourceSystem()
        system.CopyFrom(given)
        system.state = pb.SOURCE_SYSTEM_STATE_ACTIVE
        changed = changed_fields(rules.UPDATABLE, pb.SourceSystem(), system)
        change = change_of(principal, name, 1, changed, self._world.now())
        if not await source_systems.insert(connection, name, system, change):
            raise SourceSystemExists(f"{name} exists already", remedy="choose another source_system_id")
        await self._world.outbox.write(connection, _event(CREATED, name, change))

    async def get(self, request: pb.GetSourceSystemRequest) -> pb.SourceSystem:
        """Raises UnknownSourceSystem."""
        return await _found(self._reader(), SourceSystemName.parse(request.name))

    async def page(self, request: pb.ListSourceSystemsRequest) -> pb.ListSourceSystemsResponse:
        """Raises UnknownDepartment, BadPageToken."""
        department = None if request.parent == ALL_DEPARTMENTS else parse_department(request.parent)
        filters = (request.parent,)
        page = Page.of("source_systems", filters, request.page_size, request.page_token, ("", ""))
        after = (str(page.start[0]), str(page.start[1]))
        reader = self._reader()
        found = await source_systems.page(reader, department or "", after, page.size + 1)
        if not found and department and await departments.find(reader, department) is None:
            raise unknown_department(department)
        items, more = page.cut(found)
        token = ""
        if more:
            last = SourceSystemName.parse(items[-1].name)
            token = page.token((last.department, last.source_system))
        return pb.ListSourceSystemsResponse(source_systems=items, next_page_token=token)

    async def update(self, request: pb.UpdateSourceSystemRequest) -> pb.SourceSystem:
        """Raises UnknownSourceSystem, EtagMismatch, NotUpdatable, SourceSystemRetired, InvalidRequest, NotPermitted."""
        given = request.source_system
        name = SourceSystemName.parse(given.name)
        principal = self._authorize(name)
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            current = await self._held(connection, name)
            check_etag(name, given.etag, current.etag)
            system = merged(current, given, rules.update_paths(request.update_mask, given))
            validate(pb.UpdateSourceSystemRequest(source_system=system))
            changed = changed_fields(rules.UPDATABLE, current, system)
            if changed and current.state == pb.SOURCE_SYSTEM_STATE_RETIRED:
                raise rules.retired(name)
            if changed:
                await self._change(connection, principal, name, system, changed, UPDATED)
            if "display_name" in changed:
                await _search_again(connection, name)
            updated = await _found(within(connection), name)
        self._world.outbox.wake()
        return updated

    async def retire(self, request: pb.RetireSourceSystemRequest) -> pb.SourceSystem:
        """Raises UnknownSourceSystem, EtagMismatch, NotPermitted."""
        name = SourceSystemName.parse(request.name)
        principal = self._authorize(name)
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            system = await self._held(connection, name)
            if system.state == pb.SOURCE_SYSTEM_STATE_RETIRED:
                return system
            check_etag(name, request.etag, system.etag)
            system.state = pb.SOURCE_SYSTEM_STATE_RETIRED
            await self._change(connection, principal, name, system, ["state"], RETIRED)
            retired = await _found(within(connection), name)
        self._world.outbox.wake()
        return retired

    async def versions(
        self, request: pb.ListSourceSystemVersionsRequest
    ) -> pb.ListSourceSystemVersionsResponse:
        """Raises UnknownSourceSystem, BadPageToken."""
        name = SourceSystemName.parse(request.parent)
        filters = (request.parent,)
        page = Page.of("source_system", filters, request.page_size, request.page_token, NEWEST)
        reader = self._reader()
        found = await source_systems.versions(reader, name, int(page.start[0]), page.size + 1)
        if not found:
            await _found(reader, name)
        items, more = page.cut(found)
        # One more was read than is shown: what the last one shown differs from.
        befores = [*(content for _, content in found[1:]), pb.SourceSystem()]
        for (version, content), before in zip(items, befores, strict=False):
            version.differences.extend(message_differences(before, content))
        token = page.token((items[-1][0].version,)) if more else ""
        return pb.ListSourceSystemVersionsResponse(
            metadata_versions=[version for version, _ in items], next_page_token=token
        )

    async def _held(self, connection: AsyncConnection, name: SourceSystemName) -> pb.SourceSystem:
        held = await source_systems.find_to_change(connection, name)
        if held is None:
            raise _unknown(name)
        return held

    async def _change(
        self,
        connection: AsyncConnection,
        principal: Principal,
        name: SourceSystemName,
        system: pb.SourceSystem,
        changed: list[str],
        event: str,
    ) -> None:
        change = change_of(principal, name, system.metadata_version + 1, changed, self._world.now())
        await source_systems.update(connection, name, system, change)
        await self._world.outbox.write(connection, _event(event, name, change))

    def _authorize(self, name: SourceSystemName) -> Principal:
        return self._world.policy.authorize("source-system.manage", Resource.of_department(name.department))

    def _reader(self) -> Reader:
        principal = self._world.policy.authorize("directory.read", Resource.system())
        return self._world.database.reader(Scope.of(principal))


async def _search_again(connection: AsyncConnection, name: SourceSystemName) -> None:
    """The datasets that name it are found by its new name."""
    found = await datasets.naming_system(within(connection), name.department, str(name))
    await search.put_many(connection, [(DatasetName.parse(each.name), each) for each in found])


async def check_source_system(
    connection: AsyncConnection,
    name: DatasetName,
    before: catalogue_pb2.Dataset,
    after: catalogue_pb2.Dataset,
) -> None:
    """That a dataset may name the source system that it names newly. Raises WrongSourceSystem, SourceSystemRetired."""
    if after.source_system and after.source_system != before.source_system:
        known = await source_systems.of_department(within(connection), name.department)
        rules.check_named(after.source_system, known)


async def _found(reader: Reader, name: SourceSystemName) -> pb.SourceSystem:
    found = await source_systems.find(reader, name)
    if found is None:
        raise _unknown(name)
    return found


def _unknown(name: SourceSystemName) -> UnknownSourceSystem:
    return UnknownSourceSystem(
        f"there is no source system {name}", remedy="list the source systems of the department"
    )


def _event(kind: str, name: SourceSystemName, change: datasets.Change) -> NewEvent:
    data: dict[str, object] = {
        "department": f"departments/{name.department}",
        "source_system": str(name),
        "metadata_version": change.version,
        "changed_fields": ",".join(change.changed_fields),
    }
    return NewEvent(kind, str(name), data, change.principal)
