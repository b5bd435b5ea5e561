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


class ForeignEvent(PermissionDenied):
    """A service delivers an event in another's name; grades, versions and the ledger rest on who says it."""


class EventSink(events_pb2_grpc.EventSinkServiceServicer):
    """Hands each event to the handler of its type (`*` for all types); unknown types are taken and ignored.

    A service delivers only what it says itself: source and owner in the type are checked against the caller.
    """

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
        sender = context.caller()
        if sender.kind is not PrincipalKind.SERVICE:
            raise NotAService("events are taken from services only")
        for event in request.events:
            _check_sender(event, sender.client_id.removeprefix("plaza-"))
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


def _check_sender(event: events_pb2.Event, service: str) -> None:
    owner = f"city.plaza.{service.replace('-', '')}."
    if event.source != f"//plaza/{service}" or not event.type.startswith(owner):
        raise ForeignEvent(
            f"event {event.id} ({event.type}, from {event.source}) is not {service}'s own",
            remedy="a service delivers its own events only",
        )
