"""What events of other services change here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from decimal import Decimal, InvalidOperation
from typing import Any

from plaza.common.v1 import events_pb2
from plaza_kit.db.inbox import Handler
from plaza_kit.errors import InvalidArgument
from plaza_kit.names import DatasetName
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_catalogue.storage import versions

_LIGHTS = frozenset({"green", "yellow", "red"})


class BadEvent(InvalidArgument):
    """An event does not say what its type promises; the sender keeps it and tries again."""


async def committed(connection: AsyncConnection, event: events_pb2.Event, data: dict[str, Any]) -> None:
    """`city.plaza.ingestion.version.committed.v1`."""
    commit = versions.Commit(
        version=_whole(data, "version"),
        rows=_whole(data, "rows"),
        rows_added=_whole(data, "rows_added"),
        rows_refused=_whole(data, "rows_refused"),
        batch=str(data.get("batch", "")),
        contract_version=_whole(data, "contract_version"),
        time=event.time.ToDatetime(tzinfo=UTC),
    )
    await versions.commit(connection, _dataset(data), commit)


async def expired(connection: AsyncConnection, event: events_pb2.Event, data: dict[str, Any]) -> None:
    """`city.plaza.ingestion.version.expired.v1`."""
    numbers = data.get("versions")
    if not isinstance(numbers, list) or not all(isinstance(number, int) and number > 0 for number in numbers):
        raise BadEvent(f"event {event.id}: versions {numbers!r} is no list of numbers")
    time = event.time.ToDatetime(tzinfo=UTC)
    await versions.expire(connection, _dataset(data), numbers, str(data.get("rule", "")), time)


async def assessed(connection: AsyncConnection, event: events_pb2.Event, data: dict[str, Any]) -> None:
    """`city.plaza.quality.version.assessed.v1`; a version without applicable rules has an empty score."""
    text = str(data.get("score") or "")
    try:
        score = Decimal(text) if text else None
    except InvalidOperation:
        raise BadEvent(f"event {event.id}: score {text!r} is not a number") from None
    if score is not None and not (score.is_finite() and 0 <= score <= 100):
        raise BadEvent(f"event {event.id}: score {text!r} is not between 0 and 100")
    light = str(data.get("light") or "")
    if light and light not in _LIGHTS:
        raise BadEvent(f"event {event.id}: light {light!r} is none of green, yellow, red")
    await versions.assess(connection, _dataset(data), _whole(data, "version"), score, light)


async def published(connection: AsyncConnection, event: events_pb2.Event, data: dict[str, Any]) -> None:
    """`city.plaza.opendata.release.published.v1`."""
    await versions.release(connection, _dataset(data), _whole(data, "release"))


async def withdrawn(connection: AsyncConnection, event: events_pb2.Event, data: dict[str, Any]) -> None:
    """`city.plaza.opendata.release.withdrawn.v1`; `latest_release` is 0 when nothing is published any more."""
    number, latest = _whole(data, "release"), _whole(data, "latest_release")
    await versions.withdraw(connection, _dataset(data), number, latest)


HANDLERS: Mapping[str, Handler] = {
    "city.plaza.ingestion.version.committed.v1": committed,
    "city.plaza.ingestion.version.expired.v1": expired,
    "city.plaza.quality.version.assessed.v1": assessed,
    "city.plaza.opendata.release.published.v1": published,
    "city.plaza.opendata.release.withdrawn.v1": withdrawn,
}


def _dataset(data: Mapping[str, Any]) -> DatasetName:
    return DatasetName.parse(str(data.get("dataset", "")))


def _whole(data: Mapping[str, Any], key: str) -> int:
    """A number, also when it comes as the last part of a resource name (`…/releases/3`)."""
    value = str(data.get(key, "")).rsplit("/", 1)[-1]
    if not (value.isascii() and value.isdigit()):
        raise BadEvent(f"{key}: {data.get(key)!r} is not a whole number")
    return int(value)
