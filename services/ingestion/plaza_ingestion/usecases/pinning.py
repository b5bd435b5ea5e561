"""What other services depend on stays: their events pin versions. What quality found goes to whoever sent the rows.

Open data tells of a release when it is approved, and builds it only once this service has the event; so the pin is
there before the first row is read. Pins and the decision what expires take the same lock. A version that was let go
before is not brought back: the build then finds it expired and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from plaza.common.v1 import events_pb2
from plaza_kit import telemetry
from plaza_kit.db.inbox import Handler
from plaza_kit.errors import InvalidArgument
from plaza_kit.names import DatasetName
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_ingestion.storage import runs, versions_kept
from plaza_ingestion.usecases.maintenance import defer

_log = telemetry.log("pinning")

APPROVED: Final = "city.plaza.opendata.release.approved.v1"
PUBLISHED: Final = "city.plaza.opendata.release.published.v1"
DELIVERED: Final = "city.plaza.sharing.delivery.made.v1"
ASSESSED: Final = "city.plaza.quality.version.assessed.v1"
GATE: Final = "gate"
"""Depends on the last version that may be shared, while the newest may not."""
_SAID: Final = ("score", "light", "work_orders", "stopped_sharing", "stopped_opening")
_BUILD: Final = timedelta(days=7)
"""A release that is not published by then will not be."""


class BadEvent(InvalidArgument):
    """An event does not say what its type promises; the sender keeps it and tries again."""


def handlers(
    delivered_for: timedelta, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Mapping[str, Handler]:
    """`delivered_for`: how long the version of a delivery is kept; that of a release is kept for ever."""

    def pins(holder: str, duration: timedelta | None) -> Handler:
        async def handle(connection: AsyncConnection, event: events_pb2.Event, data: dict[str, Any]) -> None:
            until = None if duration is None else now() + duration
            await _pin(connection, event, data, str(data.get(holder, "")), until, now())

        return handle

    return {
        APPROVED: pins("release", _BUILD),
        PUBLISHED: pins("release", None),
        DELIVERED: pins("agreement", delivered_for),
        ASSESSED: _assessed(now),
    }


def _assessed(now: Callable[[], datetime]) -> Handler:
    """Answers whoever sent the version, and keeps the last one that may be shared while newer ones may not."""

    async def handle(connection: AsyncConnection, event: events_pb2.Event, data: dict[str, Any]) -> None:
        dataset, version = str(data.get("dataset", "")), data.get("version")
        if not isinstance(version, int):
            raise BadEvent(f"event {event.id} ({event.type}) names no version")
        titles = await runs.contract_rules(connection, dataset, version)
        await runs.answer_senders(connection, dataset, version, _told(data, titles))
        good = data.get("last_shared_version", 0) if data.get("stopped_sharing") else 0
        if good:
            await _pin(connection, event, {**data, "version": good}, GATE, None, now())
        await versions_kept.let_go(connection, dataset, GATE, but=good)

    return handle


def _told(data: Mapping[str, Any], titles: Mapping[str, str]) -> dict[str, Any]:
    """As `RunAssessment`, in JSON."""
    said = {name: data.get(name) for name in _SAID if data.get(name)}
    rules = [rule | {"title": titles.get(rule["id"], "")} for rule in data.get("failed_rules", ())]
    return said | {"failed_rules": rules}


async def _pin(
    connection: AsyncConnection,
    event: events_pb2.Event,
    data: Mapping[str, Any],
    holder: str,
    until: datetime | None,
    now: datetime,
) -> None:
    dataset, version = DatasetName.parse(str(data.get("dataset", ""))), data.get("version")
    if not isinstance(version, int) or version < 1 or not holder:
        raise BadEvent(f"event {event.id} ({event.type}) names no version or nobody who depends on it")
    await versions_kept.alone(connection, str(dataset))
    if await versions_kept.is_expiring(connection, str(dataset), version):
        _log.warning("a version expired before it was pinned", dataset=str(dataset), version=version)
        return
    if await versions_kept.pin(connection, dataset, version, holder, until, now):
        await defer(connection, str(dataset))  # sets the tag in the lake
