"""What happens when an event arrives: it is projected where we need it, and always logged."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from plaza.common.v1 import events_pb2
from plaza_kit.db.inbox import EVERY_TYPE, Handler
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_security.domain.leaf import new_leaf
from plaza_security.domain.projections import agreement_of, grading_of
from plaza_security.storage import projections
from plaza_security.usecases.ledger import Ledger

REGISTERED = "city.plaza.catalogue.dataset.registered.v1"
SIGNED = "city.plaza.sharing.agreement.signed.v1"


def handlers(ledger: Ledger) -> Mapping[str, Handler]:
    """What `EventSink` needs."""

    async def log(connection: AsyncConnection, event: events_pb2.Event, data: dict[str, Any]) -> None:
        leaf = new_leaf(
            event_id=UUID(event.id),
            type=event.type,
            source=event.source,
            subject=event.subject,
            time=_time(event),
            time_text=event.time.ToJsonString(),
            data=data,
            principal=event.principal,
        )
        await ledger.append(connection, leaf)

    return {REGISTERED: _grade, SIGNED: _agree, EVERY_TYPE: log}


async def _grade(connection: AsyncConnection, event: events_pb2.Event, data: dict[str, Any]) -> None:
    await projections.keep_grading(connection, grading_of(data, event.principal, _time(event)))


async def _agree(connection: AsyncConnection, event: events_pb2.Event, data: dict[str, Any]) -> None:
    await projections.keep_agreement(connection, agreement_of(data, _time(event)))


def _time(event: events_pb2.Event) -> datetime:
    return event.time.ToDatetime(tzinfo=UTC)
