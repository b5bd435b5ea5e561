"""Tables `reconciliations`, `reconciliation_runs` and `reconciliation_differences`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from google.protobuf.json_format import MessageToDict, ParseDict
from plaza.quality.v1 import reconciliations_pb2 as pb
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_quality.domain.reconciliations import ENDED, State
from plaza_quality.storage.reconciliation_entries import CHUNK, Chunk

_WITH_RUN = """
    SELECT d.id, d.department AS owner, d.definition, d.creator, d.create_time AS made, d.archive_time, r.*
    FROM reconciliations d LEFT JOIN LATERAL (
        SELECT * FROM reconciliation_runs WHERE reconciliation = d.id ORDER BY number DESC LIMIT 1
    ) AS r ON true
"""


@dataclass(frozen=True, slots=True)
class RunName:
    """`departments/{d}/reconciliations/{id}/runs/{n}`, taken apart."""

    department: str
    reconciliation: str
    number: int

    @classmethod
    def parse(cls, name: str) -> RunName:
        """The validated form."""
        _, department, _, reconciliation, _, number = name.split("/")
        return cls(department, reconciliation, int(number))

    def __str__(self) -> str:
        return f"departments/{self.department}/reconciliations/{self.reconciliation}/runs/{self.number}"


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run with what its message does not tell."""

    message: pb.ReconciliationRun
    code_lists: Mapping[str, str]
    """Version of each code list, by the name that a pair gives."""
    run_grants: tuple[str, str]
    """Of left and right; empty when it has ended."""
    snapshots: tuple[int, int]
    """Of left and right; 0 until it succeeded."""


async def insert(
    connection: AsyncConnection,
    department: str,
    id_: str,
    definition: pb.Reconciliation,
    made: tuple[str, datetime],
) -> None:
    """`made`: by whom and when."""
    await connection.execute(
        text(
            "INSERT INTO reconciliations (id, department, definition, creator, create_time)"
            " VALUES (CAST(:id AS uuid), :department, CAST(:definition AS jsonb), :creator, :time)"
        ),
        {
            "id": id_,
            "department": department,
            "definition": _json(definition),
            "creator": made[0],
            "time": made[1],
        },
    )


async def find(connection: AsyncConnection, department: str, id_: str) -> pb.Reconciliation | None:
    """With its newest run."""
    found = await connection.execute(
        text(_WITH_RUN + " WHERE d.id = CAST(:id AS uuid) AND d.department = :department"),
        {"id": id_, "department": department},
    )
    row = found.first()
    return None if row is None else _reconciliation(row)


async def page(
    connection: AsyncConnection, department: str, before: str, limit: int, *, archived: bool
) -> list[pb.Reconciliation]:
    """Newest first, those made before the id."""
    found = await connection.execute(
        text(
            _WITH_RUN + " WHERE d.department = :department AND d.id < CAST(:before AS uuid)"
            " AND (:archived OR d.archive_time IS NULL) ORDER BY d.id DESC LIMIT :limit"
        ),
        {"department": department, "before": before, "archived": archived, "limit": limit},
    )
    return [_reconciliation(row) for row in found]


async def archive(connection: AsyncConnection, id_: str, time: datetime) -> None:
    """Once: a second time changes nothing."""
    await connection.execute(
        text(
            "UPDATE reconciliations SET archive_time = coalesce(archive_time, :time) WHERE id = CAST(:id AS uuid)"
        ),
        {"id": id_, "time": time},
    )


async def next_number(connection: AsyncConnection, id_: str) -> int:
    """Of a run; nobody else gets one until the transaction ends."""
    found = await connection.execute(
        text("UPDATE reconciliations SET runs = runs + 1 WHERE id = CAST(:id AS uuid) RETURNING runs"),
        {"id": id_},
    )
    return int(found.scalar_one())


async def insert_run(connection: AsyncConnection, name: RunName, run: StoredRun, time: datetime) -> None:
    """A queued one."""
    await connection.execute(
        text(
            "INSERT INTO reconciliation_runs (reconciliation, number, department, state, left_version, right_version,"
            " code_lists, starter, left_run_grant, right_run_grant, create_time) VALUES (CAST(:id AS uuid), :number,"
            " :department, :state, :left_version, :right_version, CAST(:code_lists AS jsonb), :starter, :left_grant,"
            " :right_grant, :time)"
        ),
        _key(name)
        | {
            "department": name.department,
            "state": State.QUEUED.value,
            "left_version": run.message.left_version,
            "right_version": run.message.right_version,
            "code_lists": orjson.dumps(dict(run.code_lists)).decode(),
            "starter": run.message.starter,
            "left_grant": run.run_grants[0],
            "right_grant": run.run_grants[1],
            "time": time,
        },
    )


async def find_run(connection: AsyncConnection, name: RunName) -> StoredRun | None:
    """All of it but the differences."""
    found = await connection.execute(
        text(
            "SELECT * FROM reconciliation_runs r WHERE r.reconciliation = CAST(:id AS uuid) AND r.number = :number"
            " AND r.department = :department"
        ),
        _key(name) | {"department": name.department},
    )
    row = found.first()
    if row is None:
        return None
    return StoredRun(
        _run(row, f"departments/{name.department}/reconciliations/{name.reconciliation}"),
        row.code_lists,
        (row.left_run_grant, row.right_run_grant),
        (row.left_snapshot or 0, row.right_snapshot or 0),
    )


async def runs(
    connection: AsyncConnection, department: str, id_: str, before: int, limit: int
) -> list[pb.ReconciliationRun]:
    """Newest first, those before the number."""
    found = await connection.execute(
        text(
            "SELECT * FROM reconciliation_runs r WHERE r.reconciliation = CAST(:id AS uuid)"
            " AND r.department = :department AND r.number < :before ORDER BY r.number DESC LIMIT :limit"
        ),
        {"id": id_, "department": department, "before": before, "limit": limit},
    )
    return [_run(row, f"departments/{department}/reconciliations/{id_}") for row in found]


async def begin(connection: AsyncConnection, name: RunName) -> None:
    """Harmless when it began before."""
    await connection.execute(
        text(
            "UPDATE reconciliation_runs SET state = :running WHERE reconciliation = CAST(:id AS uuid)"
            " AND number = :number AND state = :queued"
        ),
        _key(name) | {"running": State.RUNNING.value, "queued": State.QUEUED.value},
    )


async def end(
    connection: AsyncConnection,
    name: RunName,
    time: datetime,
    *,
    result: pb.ReconciliationResult | None = None,
    snapshots: tuple[int, int] = (0, 0),
    error: str = "",
) -> bool:
    """Succeeded with a result, failed without. Answers False, having changed nothing, when it has ended before."""
    found = await connection.execute(
        text(
            "UPDATE reconciliation_runs SET state = :state, end_time = :time, result = CAST(:result AS jsonb),"
            " left_snapshot = :left, right_snapshot = :right, error = :error, left_run_grant = '',"
            " right_run_grant = '' WHERE reconciliation = CAST(:id AS uuid) AND number = :number"
            " AND NOT state = ANY (:ended) RETURNING 1"
        ),
        _key(name)
        | {
            "state": (State.FAILED if result is None else State.SUCCEEDED).value,
            "time": time,
            "result": None if result is None else _json(result),
            "left": snapshots[0],
            "right": snapshots[1],
            "error": error,
            "ended": [state.value for state in ENDED],
        },
    )
    return found.first() is not None


async def keep(connection: AsyncConnection, name: RunName, chunk: Chunk) -> None:
    """Differences of a run that ends in this transaction."""
    await connection.execute(
        text(
            "INSERT INTO reconciliation_differences (reconciliation, number, department, first, kinds, fields, packed)"
            " VALUES (CAST(:id AS uuid), :number, :department, :first, :kinds, :fields, :packed)"
        ),
        _key(name)
        | {
            "department": name.department,
            "first": chunk.first,
            "kinds": chunk.kinds,
            "fields": chunk.fields,
            "packed": chunk.packed,
        },
    )


async def next_chunk(
    connection: AsyncConnection, name: RunName, number: int, *, kinds: int, fields: int
) -> Chunk | None:
    """The first that holds the numbered difference or later ones, and some of these kinds and fields (0: any)."""
    found = await connection.execute(
        text(
            "SELECT first, kinds, fields, packed FROM reconciliation_differences"
            " WHERE reconciliation = CAST(:id AS uuid) AND number = :number AND department = :department"
            " AND first > :before AND (:kinds = 0 OR kinds & :kinds <> 0) AND (:fields = 0 OR fields & :fields <> 0)"
            " ORDER BY first LIMIT 1"
        ),
        _key(name)
        | {"department": name.department, "before": number - CHUNK, "kinds": kinds, "fields": fields},
    )
    row = found.first()
    return None if row is None else Chunk(row.first, row.kinds, row.fields, bytes(row.packed))


def _key(name: RunName) -> dict[str, Any]:
    return {"id": name.reconciliation, "number": name.number}


def _json(message: Any) -> str:
    return orjson.dumps(MessageToDict(message)).decode()


def _reconciliation(row: Row[Any]) -> pb.Reconciliation:
    made = ParseDict(row.definition, pb.Reconciliation(), ignore_unknown_fields=True)
    made.name = f"departments/{row.owner}/reconciliations/{UUID(str(row.id))}"
    made.creator = row.creator
    made.create_time.FromDatetime(row.made)
    if row.archive_time is not None:
        made.archive_time.FromDatetime(row.archive_time)
    if row.number is not None:
        made.latest_run.CopyFrom(_run(row, made.name))
    return made


def _run(row: Row[Any], parent: str) -> pb.ReconciliationRun:
    made = pb.ReconciliationRun(
        name=f"{parent}/runs/{row.number}",
        state=pb.ReconciliationState.Value(f"RECONCILIATION_STATE_{row.state.upper()}"),
        left_version=row.left_version,
        right_version=row.right_version,
        starter=row.starter,
        error=row.error,
    )
    made.create_time.FromDatetime(row.create_time)
    if row.end_time is not None:
        made.end_time.FromDatetime(row.end_time)
    if row.result is not None:
        ParseDict(row.result, made.result, ignore_unknown_fields=True)
    return made
