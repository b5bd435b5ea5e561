"""The receiving side of events: `EventSinkService`, each event handled once, with its effect in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from plaza.common.v1 import events_pb2, events_pb2_grpc
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_kit.db.engine import Database, Scope
from plaza_kit.errors import PermissionDenied
from plaza_kit.identity import PrincipalKind
from plaza_kit.rpc import context
from plaza_kit.rpc.server import ServicerContext

Handler = Callable[[AsyncConnection, events_pb2.Event, dict[str, Any]], Awaitable[None]]
"""Takes the transaction, the event and its data; what it writes is committed with the event's receipt."""

EVERY_TYPE = "*"


class NotAService(PermissionDenied):
    """Only services deliver events."""


class EventSink(events_pb2_grpc.EventSinkServiceServicer):
    """Hands each event to the handler of its type (`*` for all types); unknown types are taken and ignored."""

    def __init__(
        self,
        database: Database,
        handlers: Mapping[str, Handler],
        *,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        """`after` is called once a batch is committed, for example to wake a background task."""
        self._database = database
        self._handlers = handlers
        self._after = after

    async def Deliver(
        self,
        request: events_pb2.DeliverRequest,
        rpc: ServicerContext,
    ) -> events_pb2.DeliverResponse:
        if context.caller().kind is not PrincipalKind.SERVICE:
            raise NotAService("events are taken from services only")
        async with self._database.transaction(Scope.everything()) as connection:
            for event in request.events:
                if await self._is_new(connection, event.id):
                    await self._handle(connection, event)
        self._after()
        return events_pb2.DeliverResponse()

    async def _is_new(self, connection: AsyncConnection, event_id: str) -> bool:
        inserted = await connection.execute(
            text("INSERT INTO inbox (event_id) VALUES (:id) ON CONFLICT DO NOTHING RETURNING 1"),
            {"id": event_id},
        )
        return inserted.first() is not None

    async def _handle(self, connection: AsyncConnection, event: events_pb2.Event) -> None:
        for wanted in (event.type, EVERY_TYPE):
            if handler := self._handlers.get(wanted):
                await handler(connection, event, orjson.loads(event.data))
