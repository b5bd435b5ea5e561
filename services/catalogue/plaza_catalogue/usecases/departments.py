"""Departments: shown to everybody who reads the directory, registered, changed and archived by city administrators."""

from __future__ import annotations

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit.db import Reader, Scope, within
from plaza_kit.db.outbox import NewEvent
from plaza_kit.db.requests import is_first
from plaza_kit.errors import AlreadyExists
from plaza_kit.identity import Principal
from plaza_kit.names import DatasetName, DepartmentId, check_id, parse_department
from plaza_kit.paging import Page
from plaza_kit.policy import Resource
from plaza_kit.rpc.guard import validate
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_catalogue.domain import departments as rules
from plaza_catalogue.domain.differences import message_differences
from plaza_catalogue.domain.updates import changed_fields, merged
from plaza_catalogue.storage import datasets, departments, search
from plaza_catalogue.usecases.changes import change_of
from plaza_catalogue.usecases.ports import NEWEST, World, check_etag, unknown_department

CREATED = "city.plaza.catalogue.department.created.v1"
UPDATED = "city.plaza.catalogue.department.updated.v1"
ARCHIVED = "city.plaza.catalogue.department.archived.v1"
ACTIVATED = "city.plaza.catalogue.department.activated.v1"


class DepartmentExists(AlreadyExists):
    """The id belongs to another department."""


class Departments:
    """Use cases around departments."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def get(self, request: pb.GetDepartmentRequest) -> pb.Department:
        """Raises UnknownDepartment."""
        return await _found(self._reader(), parse_department(request.name))

    async def page(self, request: pb.ListDepartmentsRequest) -> pb.ListDepartmentsResponse:
        """Raises BadPageToken."""
        reader, archived = self._reader(), request.show_archived
        filters = ("archived",) if archived else ()
        page = Page.of("departments", filters, request.page_size, request.page_token, ("",))
        found = await departments.page(reader, str(page.start[0]), page.size + 1, archived=archived)
        items, more = page.cut(found)
        token = page.token((parse_department(items[-1].name),)) if more else ""
        return pb.ListDepartmentsResponse(departments=items, next_page_token=token)

    async def create(self, request: pb.CreateDepartmentRequest) -> pb.Department:
        """Raises DepartmentExists, RequestIdReused."""
        principal = self._world.policy.authorize("department.create", Resource.system())
        department = DepartmentId(check_id(request.department_id, "department_id"))
        name = f"departments/{department}"
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            if await is_first(connection, principal, request.request_id, request, (department, name)):
                given = pb.Department()
                given.CopyFrom(request.department)
                given.state = pb.DEPARTMENT_STATE_ACTIVE
                changed = changed_fields(rules.UPDATABLE, pb.Department(), given)
                change = change_of(principal, name, 1, changed, self._world.now())
                if not await departments.insert(connection, department, given, change):
                    raise DepartmentExists(f"{name} exists already", remedy="choose another department_id")
                await self._world.outbox.write(
                    connection, NewEvent(CREATED, name, {"department": name}, principal.name)
                )
            created = await _found(within(connection), department)
        self._world.outbox.wake()
        return created

    async def update(self, request: pb.UpdateDepartmentRequest) -> pb.Department:
        """Raises UnknownDepartment, EtagMismatch, NotUpdatable, DepartmentArchived, InvalidRequest, NotPermitted."""
        given = request.department
        department = parse_department(given.name)
        principal = self._authorize(department)
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            current = await _held(connection, department)
            check_etag(current.name, given.etag, current.etag)
            content = merged(current, given, rules.update_paths(request.update_mask, given))
            validate(pb.UpdateDepartmentRequest(department=content))
            changed = changed_fields(rules.UPDATABLE, current, content)
            if changed:
                rules.check_active(current)
                await self._change(connection, principal, department, content, changed, UPDATED)
            if {"display_name", "provider_code"} & {*changed}:
                await _search_again(connection, department)
            updated = await _found(within(connection), department)
        self._world.outbox.wake()
        return updated

    async def archive(self, request: pb.ArchiveDepartmentRequest) -> pb.Department:
        """Raises UnknownDepartment, EtagMismatch, NotPermitted."""
        return await self._move(request.name, request.etag, pb.DEPARTMENT_STATE_ARCHIVED, ARCHIVED)

    async def activate(self, request: pb.ActivateDepartmentRequest) -> pb.Department:
        """Raises UnknownDepartment, EtagMismatch, NotPermitted."""
        return await self._move(request.name, request.etag, pb.DEPARTMENT_STATE_ACTIVE, ACTIVATED)

    async def versions(self, request: pb.ListDepartmentVersionsRequest) -> pb.ListDepartmentVersionsResponse:
        """Raises UnknownDepartment, BadPageToken."""
        department = parse_department(request.parent)
        filters = (request.parent,)
        page = Page.of("department", filters, request.page_size, request.page_token, NEWEST)
        reader = self._reader()
        found = await departments.versions(reader, department, int(page.start[0]), page.size + 1)
        if not found:
            await _found(reader, department)
        items, more = page.cut(found)
        # One more was read than is shown: what the last one shown differs from.
        befores = [*(content for _, content in found[1:]), pb.Department()]
        for (version, content), before in zip(items, befores, strict=False):
            version.differences.extend(message_differences(before, content))
        token = page.token((items[-1][0].version,)) if more else ""
        return pb.ListDepartmentVersionsResponse(
            metadata_versions=[version for version, _ in items], next_page_token=token
        )

    async def _move(
        self, name: str, etag: str, state: pb.DepartmentState.ValueType, event: str
    ) -> pb.Department:
        department = parse_department(name)
        principal = self._authorize(department)
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            current = await _held(connection, department)
            if current.state == state:
                return current
            check_etag(name, etag, current.etag)
            current.state = state
            await self._change(connection, principal, department, current, ["state"], event)
            moved = await _found(within(connection), department)
        self._world.outbox.wake()
        return moved

    async def _change(
        self,
        connection: AsyncConnection,
        principal: Principal,
        department: DepartmentId,
        content: pb.Department,
        changed: list[str],
        event: str,
    ) -> None:
        name, version = content.name, content.metadata_version + 1
        change = change_of(principal, name, version, changed, self._world.now())
        await departments.update(connection, department, content, change)
        data: dict[str, object] = {
            "department": name,
            "metadata_version": version,
            "changed_fields": ",".join(changed),
        }
        await self._world.outbox.write(connection, NewEvent(event, name, data, principal.name))

    def _authorize(self, department: DepartmentId) -> Principal:
        return self._world.policy.authorize("department.manage", Resource.of_department(department))

    def _reader(self) -> Reader:
        principal = self._world.policy.authorize("directory.read", Resource.system())
        return self._world.database.reader(Scope.of(principal))


async def registering(connection: AsyncConnection, department: DepartmentId) -> pb.Department:
    """The department that something new is registered in; it stays active until the transaction ends.

    Raises UnknownDepartment, DepartmentArchived.
    """
    found = await departments.find_to_register(connection, department)
    if found is None:
        raise unknown_department(department)
    rules.check_active(found)
    return found


async def _search_again(connection: AsyncConnection, department: DepartmentId) -> None:
    """Its datasets are found by its new name and code."""
    found = await datasets.of_department(within(connection), department)
    await search.put_many(connection, [(DatasetName.parse(each.name), each) for each in found])


async def _found(reader: Reader, department: DepartmentId) -> pb.Department:
    found = await departments.find(reader, department)
    if found is None:
        raise unknown_department(department)
    return found


async def _held(connection: AsyncConnection, department: DepartmentId) -> pb.Department:
    held = await departments.find_to_change(connection, department)
    if held is None:
        raise unknown_department(department)
    return held
