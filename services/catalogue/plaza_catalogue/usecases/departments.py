"""Departments: shown to everybody who reads the directory, registered by city administrators."""

from __future__ import annotations

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit.db import Scope, within
from plaza_kit.db.outbox import NewEvent
from plaza_kit.db.requests import digest, is_first
from plaza_kit.errors import AlreadyExists
from plaza_kit.names import DepartmentId, check_id, parse_department
from plaza_kit.paging import Page
from plaza_kit.policy import Resource

from plaza_catalogue.storage import departments
from plaza_catalogue.usecases.ports import World, unknown_department

CREATED = "city.plaza.catalogue.department.created.v1"


class DepartmentExists(AlreadyExists):
    """The id belongs to another department."""


class Departments:
    """Use cases around departments."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def get(self, request: pb.GetDepartmentRequest) -> pb.Department:
        """Raises UnknownDepartment."""
        principal = self._world.policy.authorize("directory.read", Resource.system())
        department = parse_department(request.name)
        found = await departments.find(self._world.database.reader(Scope.of(principal)), department)
        if found is None:
            raise unknown_department(department)
        return found

    async def list(self, request: pb.ListDepartmentsRequest) -> pb.ListDepartmentsResponse:
        """Raises BadPageToken."""
        principal = self._world.policy.authorize("directory.read", Resource.system())
        page = Page.of("departments", (), request.page_size, request.page_token, ("",))
        reader = self._world.database.reader(Scope.of(principal))
        found = await departments.page(reader, str(page.start[0]), page.size + 1)
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
                etag = digest(request.department)[:16]
                if not await departments.insert(
                    connection, department, request.department, etag, self._world.now()
                ):
                    raise DepartmentExists(f"{name} exists already", remedy="choose another department_id")
                await self._world.outbox.write(
                    connection, NewEvent(CREATED, name, {"department": name}, principal.name)
                )
            created = await departments.find(within(connection), department)
        self._world.outbox.wake()
        if created is None:
            raise unknown_department(department)
        return created
