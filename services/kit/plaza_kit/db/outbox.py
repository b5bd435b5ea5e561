"""The transactional outbox: an event is durable with the change it tells of, and reaches every sink at least once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
import uuid_utils.compat as uuid
from plaza.common.v1 import events_pb2, events_pb2_grpc
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_kit import telemetry
from plaza_kit.db.engine import Database, Scope
from plaza_kit.errors import Unavailable
from plaza_kit.identity import ServiceTokens
from plaza_kit.rpc.client import Peers, as_service

_log = telemetry.log("outbox")

BATCH = 200
POLL_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 10.0


class NotDeliveredYet(Unavailable):
    """A sink that must have an event before we answer has not taken it in time."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something that happened. `data`: names, hashes and counts, never rows or personal data."""

    type: str
    """For example `city.plaza.catalogue.dataset.registered.v1`."""
    subject: str
    """Name of the resource it happened to."""
    data: Mapping[str, object]
    principal: str
    """Who caused it: `people/…`, `machines/…` or `services/…`."""


class Outbox:
    """Writes events inside a transaction and hands them to sinks from a background task."""

    def __init__(
        self,
        database: Database,
        source: str,
        routes: Mapping[str, Sequence[str]],
        peers: Peers,
        tokens: ServiceTokens,
    ) -> None:
        """`routes`: which event types (`*` for all) each sink takes, by the sink's service name."""
        self._database = database
        self._source = f"//plaza/{source}"
        self._routes = {sink: tuple(types) for sink, types in routes.items()}
        self._peers = peers
        self._tokens = tokens
        self._woken = {sink: asyncio.Event() for sink in routes}

    async def write(self, connection: AsyncConnection, event: NewEvent) -> str:
        """Add an event to the current transaction; answers its id (UUIDv7). Call `wake` after the commit."""
        event_id = str(uuid.uuid7())
        await connection.execute(
            text(
                "INSERT INTO outbox (id, type, subject, time, data, principal, traceparent)"
                " VALUES (:id, :type, :subject, :time, :data, :principal, :traceparent)"
            ),
            {
                "id": event_id,
                "type": event.type,
                "subject": event.subject,
                "time": datetime.now(UTC),
                "data": orjson.dumps(dict(event.data), option=orjson.OPT_SORT_KEYS).decode(),
                "principal": event.principal,
                "traceparent": telemetry.inject().get("traceparent", ""),
            },
        )
        for sink, types in self._routes.items():
            if "*" in types or event.type in types:
                await connection.execute(
                    text("INSERT INTO outbox_pending (event_id, sink) VALUES (:id, :sink)"),
                    {"id": event_id, "sink": sink},
                )
        return event_id

    def wake(self) -> None:
        """Deliver now instead of at the next poll."""
        for woken in self._woken.values():
            woken.set()

    async def delivered(self, event_id: str, sinks: Sequence[str], *, timeout: float = 10.0) -> None:
        """Wait until some sinks have taken an event. Raises NotDeliveredYet after `timeout` seconds."""
        self.wake()
        deadline = asyncio.get_running_loop().time() + timeout
        while await self._pending(event_id, sinks):
            if asyncio.get_running_loop().time() > deadline:
                raise NotDeliveredYet(
                    f"event {event_id} has not reached {', '.join(sinks)} yet",
                    remedy="nothing is lost: ask again in a few seconds",
                )
            await asyncio.sleep(0.02)

    async def run(self) -> None:
        """Deliver for ever; one loop per sink, so that a dead sink does not hold up the others."""
        if not self._routes:
            await asyncio.Event().wait()  # nobody listens to this service; an endless task must not end
        async with asyncio.TaskGroup() as group:
            for sink in self._routes:
                group.create_task(self._serve(sink))

    async def _serve(self, sink: str) -> None:
        backoff = 0.1
        while True:
            self._woken[sink].clear()
            try:
                while await self._deliver_batch(sink):
                    backoff = 0.1
            except Exception as error:  # whatever it is, the events stay and the loop goes on
                telemetry.EVENTS_FAILED.labels(sink).inc()
                _log.warning("events not delivered", sink=sink, error=repr(error)[:300], retry_in=backoff)
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken[sink].wait(), POLL_SECONDS)

    async def _deliver_batch(self, sink: str) -> bool:
        """Hand over the oldest events, then forget that they wait. Answers whether there were any."""
        async with self._database.transaction(Scope.everything()) as connection:
            rows = (
                await connection.execute(
                    text(
                        "SELECT o.* FROM outbox_pending p JOIN outbox o ON o.id = p.event_id"
                        " WHERE p.sink = :sink ORDER BY o.seq LIMIT :batch FOR UPDATE OF p SKIP LOCKED"
                    ),
                    {"sink": sink, "batch": BATCH},
                )
            ).all()
            if not rows:
                return False
            events = [self._event(dict(row._mapping)) for row in rows]
            stub = events_pb2_grpc.EventSinkServiceStub(self._peers.channel(sink))
            await stub.Deliver(
                events_pb2.DeliverRequest(events=events), metadata=await as_service(self._tokens), timeout=30
            )
            await connection.execute(
                text("DELETE FROM outbox_pending WHERE sink = :sink AND event_id = ANY(:ids)"),
                {"sink": sink, "ids": [row.id for row in rows]},
            )
        telemetry.EVENTS_DELIVERED.labels(sink).inc(len(rows))
        return True

    async def _pending(self, event_id: str, sinks: Sequence[str]) -> bool:
        async with self._database.transaction(Scope.everything()) as connection:
            found = await connection.execute(
                text("SELECT 1 FROM outbox_pending WHERE event_id = :id AND sink = ANY(:sinks)"),
                {"id": event_id, "sinks": list(sinks)},
            )
            return found.first() is not None

    def _event(self, row: Mapping[str, object]) -> events_pb2.Event:
        event = events_pb2.Event(
            id=str(row["id"]),
            source=self._source,
            type=str(row["type"]),
            subject=str(row["subject"]),
            data=str(row["data"]),
            principal=str(row["principal"]),
            traceparent=str(row["traceparent"]),
        )
        moment = row["time"]
        assert isinstance(moment, datetime)
        event.time.FromDatetime(moment)
        return event
