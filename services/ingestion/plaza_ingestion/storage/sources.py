"""Table `sources`: registrations, how their pulls fare, and how far they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from plaza.ingestion.v1 import ingestion_pb2
from plaza.ingestion.v1 import sources_pb2 as pb
from plaza_kit.names import DatasetName
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_ingestion.domain.sources import SourceId, SourceName, SourceState, etag_of

_DUE: Final = (
    "s.state <> 'paused' AND s.next_pull_time <= :now AND NOT EXISTS (SELECT FROM runs r"
    " WHERE r.department = s.department AND r.source = s.source"
    " AND r.state NOT IN ('succeeded', 'failed', 'cancelled'))"
)
_JSON: Final = frozenset({"definition", "last_error", "cursor"})


@dataclass(frozen=True, slots=True)
class StoredSource:
    """A source with what its use cases need; `pb` is what callers see."""

    name: SourceName
    definition: pb.Source
    state: SourceState
    failures: int
    """Pulls that failed, in a row."""
    cursor: pb.PullCursor
    revision: int
    next_pull_time: datetime | None
    pb: pb.Source


@dataclass(frozen=True, slots=True)
class NewSource:
    """A source that somebody registers."""

    name: SourceName
    definition: pb.Source
    principal: str
    create_time: datetime
    next_pull_time: datetime | None


async def insert(connection: AsyncConnection, new: NewSource) -> bool:
    """False when there is one of this name already."""
    inserted = await connection.execute(
        text(
            "INSERT INTO sources (department, source, dataset, definition, state, next_pull_time, principal,"
            " create_time, update_time) VALUES (:department, :source, :dataset, CAST(:definition AS jsonb),"
            " 'active', :next_pull_time, :principal, :create_time, :create_time)"
            " ON CONFLICT DO NOTHING RETURNING 1"
        ),
        {
            "department": new.name.department,
            "source": new.name.source,
            "dataset": new.definition.dataset,
            "definition": _dump(new.definition),
            "next_pull_time": new.next_pull_time,
            "principal": new.principal,
            "create_time": new.create_time,
        },
    )
    return inserted.first() is not None


async def find(connection: AsyncConnection, name: SourceName, *, lock: bool = False) -> StoredSource | None:
    """One source; `lock` holds it until the transaction ends."""
    found = await connection.execute(
        text(
            "SELECT * FROM sources WHERE department = :department AND source = :source" + _lock(lock)  # noqa: S608
        ),
        {"department": name.department, "source": name.source},
    )
    row = found.first()
    return _stored(row._mapping) if row is not None else None


async def pulls_database(connection: AsyncConnection, dataset: DatasetName) -> bool:
    """Whether a database fills the dataset."""
    found = await connection.execute(
        text(
            "SELECT 1 FROM sources WHERE department = :department AND dataset = :dataset"
            " AND definition ? 'postgres' LIMIT 1"
        ),
        {"department": dataset.department, "dataset": str(dataset)},
    )
    return found.first() is not None


async def page(
    connection: AsyncConnection, department: str, dataset: str, after: str, limit: int
) -> list[StoredSource]:
    """By id, those behind `after`."""
    found = await connection.execute(
        text(
            "SELECT * FROM sources WHERE department = :department AND (:dataset = '' OR dataset = :dataset)"
            " AND source > :after ORDER BY source LIMIT :limit"
        ),
        {"department": department, "dataset": dataset, "after": after, "limit": limit},
    )
    return [_stored(row._mapping) for row in found]


async def due(connection: AsyncConnection, department: str, now: datetime) -> SourceName | None:
    """The source of a department whose time came first and that is not being pulled."""
    found = await connection.execute(
        text(
            f"SELECT s.department, s.source FROM sources s WHERE s.department = :department AND {_DUE}"  # noqa: S608
            " ORDER BY s.next_pull_time, s.source LIMIT 1"
        ),
        {"department": department, "now": now},
    )
    row = found.first()
    return SourceName(row.department, row.source) if row is not None else None


async def due_counts(connection: AsyncConnection, now: datetime) -> dict[str, int]:
    """By department's id: of how many sources the time has come."""
    found = await connection.execute(
        text(f"SELECT s.department, count(*) AS due FROM sources s WHERE {_DUE} GROUP BY 1"),  # noqa: S608
        {"now": now},
    )
    return {row.department: row.due for row in found}


async def save(connection: AsyncConnection, name: SourceName, **changes: Any) -> None:
    """Columns by name; messages are kept as JSON. No change of the registration by itself: that counts
    `revision` up."""
    values = {
        column: _dump(value) if column in _JSON and value is not None else value
        for column, value in changes.items()
    }
    columns = [f"{one} = CAST(:{one} AS jsonb)" if one in _JSON else f"{one} = :{one}" for one in values]
    await connection.execute(
        text(
            f"UPDATE sources SET {', '.join(columns)}"  # noqa: S608  (names of columns, from our own code)
            " WHERE department = :in_department AND source = :of_source"
        ),
        values | {"in_department": name.department, "of_source": name.source},
    )


def _lock(lock: bool) -> str:
    return " FOR UPDATE" if lock else ""


def _dump(message: Message) -> str:
    return orjson.dumps(MessageToDict(message, preserving_proto_field_name=True)).decode()


def _stored(row: Any) -> StoredSource:
    name = SourceName(row["department"], SourceId(row["source"]))
    definition = ParseDict(row["definition"], pb.Source(), ignore_unknown_fields=True)
    cursor = ParseDict(row["cursor"], pb.PullCursor(), ignore_unknown_fields=True)
    return StoredSource(
        name=name,
        definition=definition,
        state=SourceState(row["state"]),
        failures=row["failures"],
        cursor=cursor,
        revision=row["revision"],
        next_pull_time=row["next_pull_time"],
        pb=_message(name, definition, cursor, row),
    )


def _message(name: SourceName, definition: pb.Source, cursor: pb.PullCursor, row: Any) -> pb.Source:
    message = pb.Source()
    message.CopyFrom(definition)
    message.name = str(name)
    message.state = pb.SourceState.Value(f"SOURCE_STATE_{row['state'].upper()}")
    message.etag = etag_of(name, row["revision"])
    message.cursor.CopyFrom(cursor)
    if row["last_run"]:
        message.last_run = f"departments/{name.department}/runs/{row['last_run']}"
    if row["last_error"] is not None:
        error = ParseDict(row["last_error"], ingestion_pb2.RunError(), ignore_unknown_fields=True)
        message.last_error.CopyFrom(error)
    if row["last_assessment"] is not None:
        ParseDict(row["last_assessment"], message.last_assessment, ignore_unknown_fields=True)
    message.create_time.FromDatetime(row["create_time"])
    message.update_time.FromDatetime(row["update_time"])
    for column in ("last_success_time", "next_pull_time"):
        # A paused source keeps no time; see the use cases.
        if row[column] is not None:
            getattr(message, column).FromDatetime(row[column])
    return message
