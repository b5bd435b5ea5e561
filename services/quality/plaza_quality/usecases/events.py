"""What events of other services change here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from plaza.common.v1 import events_pb2
from plaza_kit.db.inbox import Handler
from plaza_kit.db.jobs import defer_in
from plaza_kit.errors import InvalidArgument
from plaza_kit.names import DatasetName
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_quality.storage import versions
from plaza_quality.storage.versions import Intake
from plaza_quality.usecases.assessing import JOB
from plaza_quality.usecases.ordering import Ordering


class BadEvent(InvalidArgument):
    """An event does not say what its type promises; the sender keeps it and tries again."""


def handlers(ordering: Ordering) -> Mapping[str, Handler]:
    """By type of event."""

    async def committed(connection: AsyncConnection, event: events_pb2.Event, data: dict[str, Any]) -> None:
        """Ingestion's own (the sink sees to that): the version is to be assessed, once."""
        name = DatasetName.parse(str(data.get("dataset", "")))
        version = data.get("version")
        if type(version) is not int or not 1 <= version < 10**9:
            raise BadEvent(f"event {event.id}: version {version!r} is not a number from 1")
        order = data.get("work_order", "")
        if not isinstance(order, str) or (order and not order.startswith(f"departments/{name.department}/")):
            raise BadEvent(f"event {event.id}: {order!r} is no work order of {name.department}")
        intake = Intake(_count(data, "rows_added"), _count(data, "rows_refused"))
        if await versions.note(connection, name, version, event.time.ToDatetime(tzinfo=UTC), intake):
            if order:
                run = str(data.get("run", ""))
                await ordering.corrected(connection, name, order, version, event.principal, run)
            await ordering.recheck(connection, name, version)
            arguments = {"dataset": str(name), "version": version}
            await defer_in(connection, JOB, arguments, lock=str(name))

    return {"city.plaza.ingestion.version.committed.v1": committed}


def _count(data: dict[str, Any], name: str) -> int | None:
    """Older events do not say."""
    value = data.get(name)
    return value if type(value) is int and 0 <= value < 2**63 else None
