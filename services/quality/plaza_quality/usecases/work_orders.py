"""What people do with work orders: see, take, answer, comment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Final
from uuid import UUID

from plaza.quality.v1 import work_orders_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.db.requests import is_first
from plaza_kit.errors import Aborted, NotFound
from plaza_kit.identity import PrincipalKind
from plaza_kit.names import ALL_DEPARTMENTS, DatasetName, DepartmentId, parse_department
from plaza_kit.paging import BadPageToken, Page
from plaza_kit.policy import Resource
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_quality.domain.work_orders import State, after
from plaza_quality.storage import work_orders
from plaza_quality.storage.work_orders import Entry, Position
from plaza_quality.usecases.ports import World

READ: Final = "work-order.read"
LIST: Final = "work-order.list"
WORK: Final = "work-order.work"
_FIRST: Final = (0, "0001-01-01", "00000000-0000-0000-0000-000000000000")
"""Before every place in a list."""


class UnknownWorkOrder(NotFound):
    """There is no such work order, or not for this caller."""


class EtagMismatch(Aborted):
    """Somebody changed the work order since it was read."""


class WorkOrders:
    """Use cases of people."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def get(self, request: pb.GetWorkOrderRequest) -> pb.WorkOrder:
        """Raises UnknownWorkOrder, NotPermitted."""
        department, id_ = _parse(request.name)
        principal = self._world.policy.authorize(READ, Resource.of_department(department))
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            return await self._found(connection, department, id_)

    async def list(self, request: pb.ListWorkOrdersRequest) -> pb.ListWorkOrdersResponse:
        """Raises BadName, BadPageToken, NotPermitted."""
        department = "" if request.parent == ALL_DEPARTMENTS else parse_department(request.parent)
        wanted = DatasetName.parse(request.dataset) if request.dataset else None
        filters = (request.parent, request.dataset, str(request.show_closed))
        page = Page.of("work_orders", filters, request.page_size, request.page_token, _FIRST)
        principal = (
            self._world.policy.authorize(READ, Resource.of_department(department))
            if department
            else self._world.policy.authorize(LIST, Resource.system())
        )
        if wanted and department not in ("", wanted.department):
            return pb.ListWorkOrdersResponse()
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            found = await work_orders.page(
                connection,
                wanted.department if wanted else department,
                wanted.dataset if wanted else "",
                _position(page),
                page.size + 1,
                self._world.today(),
                show_closed=request.show_closed,
            )
        items, more = page.cut(found)
        last = items[-1][1] if more else None
        token = page.token((int(last.closed), last.day.isoformat(), last.id)) if last else ""
        return pb.ListWorkOrdersResponse(work_orders=[item for item, _ in items], next_page_token=token)

    async def accept(self, request: pb.AcceptWorkOrderRequest) -> pb.WorkOrder:
        """Raises UnknownWorkOrder, EtagMismatch, NotPossible, NotPermitted."""
        return await self._change(request, lambda state: after("accept", state), etag=request.etag, take=True)

    async def answer(self, request: pb.AnswerWorkOrderRequest) -> pb.WorkOrder:
        """Raises UnknownWorkOrder, EtagMismatch, NotPossible, NotPermitted."""
        return await self._change(
            request, lambda state: after("answer", state), etag=request.etag, said=request.text
        )

    async def comment(self, request: pb.CommentWorkOrderRequest) -> pb.WorkOrder:
        """Raises UnknownWorkOrder, RequestIdReused, NotPermitted."""
        return await self._change(
            request, lambda state: state, said=request.text, request_id=request.request_id
        )

    async def _change(
        self,
        request: pb.AcceptWorkOrderRequest | pb.AnswerWorkOrderRequest | pb.CommentWorkOrderRequest,
        leads_to: Callable[[State], State],
        *,
        etag: str = "",
        said: str = "",
        take: bool = False,
        request_id: str = "",
    ) -> pb.WorkOrder:
        department, id_ = _parse(request.name)
        principal = self._world.policy.authorize(WORK, Resource.of_department(department))
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            await work_orders.hold(connection, department, id_)
            held = await self._found(connection, department, id_)
            if not await is_first(connection, principal, request_id, request, (department, request.name)):
                return held
            if etag not in ("", held.etag):
                raise EtagMismatch(
                    f"{request.name} was changed since it was read",
                    remedy="read it again and decide by what it says now; send the new etag",
                )
            person = principal.kind is PrincipalKind.PERSON
            entry = Entry(self._world.now(), principal.name, principal.username if person else "", text=said)
            assignee = principal.username if take else None
            await work_orders.move(
                connection, id_, leads_to(work_orders.state_of(held)), entry, assignee=assignee
            )
            return await self._found(connection, department, id_)

    async def _found(self, connection: AsyncConnection, department: DepartmentId, id_: str) -> pb.WorkOrder:
        found = await work_orders.find(connection, department, id_, self._world.today())
        if found is None:
            raise UnknownWorkOrder(
                f"there is no departments/{department}/workOrders/{id_}",
                remedy="list the department's work orders",
            )
        return found


def _parse(name: str) -> tuple[DepartmentId, str]:
    """The validated form `departments/{d}/workOrders/{uuid}`."""
    parent, _, id_ = name.rpartition("/workOrders/")
    return parse_department(parent), id_


def _position(page: Page) -> Position:
    """Raises BadPageToken: a token may be anybody's invention."""
    closed, day, id_ = page.start
    try:
        return Position(bool(closed), date.fromisoformat(str(day)), str(UUID(str(id_))))
    except ValueError as error:
        raise BadPageToken(
            "page_token: was not given out for this request",
            remedy="take next_page_token from the answer before",
            facts={"field": "page_token"},
        ) from error
