"""Tables `work_orders` and `work_order_history`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict, ParseDict
from plaza.common.v1 import grades_pb2
from plaza.quality.v1 import work_orders_pb2 as pb
from plaza_kit.names import DatasetName
from plaza_kit.working_days import Due
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_quality.domain.rules import Dimension
from plaza_quality.domain.work_orders import Known, State


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an assessment says about a work order's dimension."""

    version: int
    score: Decimal
    """As it is published."""
    failed_rules: Sequence[pb.FailedRule]


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happens to a work order."""

    time: datetime
    principal: str
    username: str = ""
    text: str = ""
    version: int = 0
    score: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a list: closed ones behind all others, then by day."""

    closed: bool
    day: date
    id: str


async def newest(connection: AsyncConnection, name: DatasetName) -> dict[Dimension, tuple[str, Known]]:
    """The newest work order of each dimension with its id, held until the transaction ends."""
    found = await connection.execute(
        text(
            "SELECT id, dimension, state, judged_version, close_time FROM work_orders"
            " WHERE department = :department AND dataset = :dataset ORDER BY create_time, id FOR UPDATE"
        ),
        {"department": name.department, "dataset": name.dataset},
    )
    return {
        Dimension(row.dimension): (
            str(row.id),
            Known(State(row.state), row.judged_version, row.close_time),
        )
        for row in found
    }


async def insert(
    connection: AsyncConnection,
    new_id: str,
    name: DatasetName,
    dimension: Dimension,
    target: Decimal,
    evidence: Evidence,
    due: Due,
    working_days: int,
    entry: Entry,
) -> None:
    """Opens one. Raises IntegrityError when one of the dimension is open."""
    await connection.execute(
        text(
            "INSERT INTO work_orders (id, department, dataset, dimension, state, opened_by_version, judged_version,"
            " score, target, failed_rules, due_date, due_provisional, working_days, due_from, create_time,"
            " update_time) VALUES (:id, :department, :dataset, :dimension, :state, :version, :version, :score,"
            " :target, CAST(:failed_rules AS jsonb), :due_date, :provisional, :days, :time, :time, :time)"
        ),
        {
            "id": new_id,
            "department": name.department,
            "dataset": name.dataset,
            "dimension": dimension.value,
            "state": State.OPEN.value,
            "target": target,
            "due_date": due.day,
            "provisional": due.provisional,
            "days": working_days,
            "time": entry.time,
        }
        | _evidence(evidence),
    )
    await _record(connection, new_id, State.OPEN, entry)


async def judge(
    connection: AsyncConnection,
    work_order: str,
    state: State,
    evidence: Evidence,
    due: Due | None,
    entry: Entry | None,
) -> None:
    """A newer version is the evidence. `due`: a new deadline, from now; `entry`: worth telling."""
    closed = state is State.CLOSED
    await connection.execute(
        text(
            "UPDATE work_orders SET state = :state, judged_version = :version, score = :score,"
            " failed_rules = CAST(:failed_rules AS jsonb), close_time = CAST(:close_time AS timestamptz),"
            " due_date = coalesce(CAST(:due_date AS date), due_date),"
            " due_provisional = coalesce(CAST(:provisional AS boolean), due_provisional),"
            " due_from = coalesce(CAST(:due_from AS timestamptz), due_from),"
            " update_time = coalesce(CAST(:time AS timestamptz), update_time), revision = revision + 1"
            " WHERE id = CAST(:id AS uuid)"
        ),
        {
            "id": work_order,
            "state": state.value,
            "close_time": entry.time if closed and entry else None,
            "due_date": due.day if due else None,
            "provisional": due.provisional if due else None,
            "due_from": entry.time if due and entry else None,
            "time": entry.time if entry else None,
        }
        | _evidence(evidence),
    )
    if entry is not None:
        await _record(connection, work_order, state, entry)


async def move(
    connection: AsyncConnection,
    work_order: str,
    state: State,
    entry: Entry,
    *,
    assignee: str | None = None,
) -> None:
    """Another state, or the same with something said. `assignee`: None leaves them."""
    await connection.execute(
        text(
            "UPDATE work_orders SET state = :state, assignee = coalesce(CAST(:assignee AS text), assignee),"
            " update_time = :time, revision = revision + 1 WHERE id = CAST(:id AS uuid)"
        ),
        {"id": work_order, "state": state.value, "assignee": assignee, "time": entry.time},
    )
    await _record(connection, work_order, state, entry)


async def answered(connection: AsyncConnection, name: DatasetName) -> list[str]:
    """The answered ones of a dataset."""
    found = await connection.execute(
        text(
            "SELECT id FROM work_orders WHERE department = :department AND dataset = :dataset AND state = :state"
            " ORDER BY id FOR UPDATE"
        ),
        {"department": name.department, "dataset": name.dataset, "state": State.ANSWERED.value},
    )
    return [str(row.id) for row in found]


async def overdue(
    connection: AsyncConnection, today: date, states: Sequence[State], limit: int
) -> list[tuple[str, DatasetName, State]]:
    """Those in one of the states whose last day is past, each held by this transaction alone."""
    found = await connection.execute(
        text(
            "SELECT id, department, dataset, state FROM work_orders WHERE due_date < :today"
            " AND state = ANY(:states) ORDER BY due_date, id LIMIT :limit FOR UPDATE SKIP LOCKED"
        ),
        {"today": today, "states": [state.value for state in states], "limit": limit},
    )
    return [
        (
            str(row.id),
            DatasetName.parse(f"departments/{row.department}/datasets/{row.dataset}"),
            State(row.state),
        )
        for row in found
    ]


async def provisional(connection: AsyncConnection) -> list[tuple[str, datetime, int, Due]]:
    """Those that are not closed and whose deadline is provisional: id, begin, working days, deadline."""
    found = await connection.execute(
        text(
            "SELECT id, due_from, working_days, due_date FROM work_orders"
            " WHERE due_provisional AND state <> 'closed' ORDER BY id FOR UPDATE SKIP LOCKED"
        )
    )
    return [(str(row.id), row.due_from, row.working_days, Due(row.due_date, True)) for row in found]


async def set_due(connection: AsyncConnection, work_order: str, due: Due) -> None:
    await connection.execute(
        text(
            "UPDATE work_orders SET due_date = :day, due_provisional = :provisional, revision = revision + 1"
            " WHERE id = CAST(:id AS uuid)"
        ),
        {"id": work_order, "day": due.day, "provisional": due.provisional},
    )


async def hold(connection: AsyncConnection, department: str, work_order: str) -> None:
    """Nobody else changes it until the transaction ends. Harmless when there is none."""
    await connection.execute(
        text(
            "SELECT 1 FROM work_orders WHERE id = CAST(:id AS uuid) AND department = :department FOR UPDATE"
        ),
        {"id": work_order, "department": department},
    )


async def find(
    connection: AsyncConnection, department: str, work_order: str, today: date
) -> pb.WorkOrder | None:
    """With its history."""
    found = await connection.execute(
        text("SELECT * FROM work_orders WHERE id = CAST(:id AS uuid) AND department = :department"),
        {"id": work_order, "department": department},
    )
    row = found.first()
    if row is None:
        return None
    made = _work_order(row, today)
    history = await connection.execute(
        text("SELECT * FROM work_order_history WHERE work_order = CAST(:id AS uuid) ORDER BY position"),
        {"id": work_order},
    )
    made.history.extend(map(_entry, history))
    return made


async def page(
    connection: AsyncConnection,
    department: str,
    dataset: str,
    after: Position,
    limit: int,
    today: date,
    *,
    show_closed: bool,
) -> list[tuple[pb.WorkOrder, Position]]:
    """`department`, `dataset`: ids, empty for all. Open ones by due date; closed ones behind them, newest first."""
    # Closed ones count their days backwards, so that one order serves both.
    found = await connection.execute(
        text(
            "SELECT * FROM (SELECT *, state = 'closed' AS done, CASE WHEN state = 'closed'"
            " THEN DATE '1970-01-01' + (DATE '2970-01-01' - CAST(close_time AT TIME ZONE 'UTC' AS date))"
            " ELSE due_date END AS day FROM work_orders"
            " WHERE (:department = '' OR department = :department) AND (:dataset = '' OR dataset = :dataset)"
            " AND (:closed OR state <> 'closed')) AS shown"
            " WHERE (done, day, id) > (:after_done, :after_day, CAST(:after_id AS uuid))"
            " ORDER BY done, day, id LIMIT :limit"
        ),
        {
            "department": department,
            "dataset": dataset,
            "closed": show_closed,
            "after_done": after.closed,
            "after_day": after.day,
            "after_id": after.id,
            "limit": limit,
        },
    )
    return [(_work_order(row, today), Position(row.done, row.day, str(row.id))) for row in found]


async def _record(connection: AsyncConnection, work_order: str, state: State, entry: Entry) -> None:
    await connection.execute(
        text(
            "INSERT INTO work_order_history (work_order, position, department, time, principal, username, state,"
            " text, version, score) SELECT w.id, (SELECT count(*) FROM work_order_history h"
            " WHERE h.work_order = w.id), w.department, :time, :principal, :username, :state, :text, :version,"
            " CAST(:score AS numeric) FROM work_orders w WHERE w.id = CAST(:id AS uuid)"
        ),
        {
            "id": work_order,
            "time": entry.time,
            "principal": entry.principal,
            "username": entry.username,
            "state": state.value,
            "text": entry.text,
            "version": entry.version,
            "score": entry.score,
        },
    )


def _evidence(evidence: Evidence) -> dict[str, Any]:
    rules = [MessageToDict(rule) for rule in evidence.failed_rules]
    return {
        "version": evidence.version,
        "score": evidence.score,
        "failed_rules": orjson.dumps(rules).decode(),
    }


def _work_order(row: Row[Any], today: date) -> pb.WorkOrder:
    made = pb.WorkOrder(
        name=f"departments/{row.department}/workOrders/{row.id}",
        dataset=f"departments/{row.department}/datasets/{row.dataset}",
        dimension=grades_pb2.Dimension.Value(f"DIMENSION_{row.dimension.upper()}"),
        state=_state(row.state),
        opened_by_version=row.opened_by_version,
        judged_version=row.judged_version,
        score=float(row.score),
        target=float(row.target),
        failed_rules=[
            ParseDict(rule, pb.FailedRule(), ignore_unknown_fields=True) for rule in row.failed_rules
        ],
        assignee=row.assignee,
        due_date=row.due_date.isoformat(),
        due_provisional=row.due_provisional,
        overdue=row.state != State.CLOSED.value and row.due_date < today,
        etag=hashlib.sha256(f"{row.id}@{row.revision}".encode()).hexdigest()[:16],
    )
    made.create_time.FromDatetime(row.create_time)
    made.update_time.FromDatetime(row.update_time)
    if row.close_time is not None:
        made.close_time.FromDatetime(row.close_time)
    return made


def _entry(row: Row[Any]) -> pb.WorkOrderEntry:
    entry = pb.WorkOrderEntry(
        principal=row.principal,
        username=row.username,
        state=_state(row.state),
        text=row.text,
        version=row.version,
    )
    entry.time.FromDatetime(row.time)
    if row.score is not None:
        entry.score = float(row.score)
    return entry


def state_of(order: pb.WorkOrder) -> State:
    """Where it stands, in the words of the rules."""
    return State(pb.WorkOrderState.Name(order.state).removeprefix("WORK_ORDER_STATE_").lower())


def _state(word: str) -> pb.WorkOrderState.ValueType:
    return pb.WorkOrderState.Value(f"WORK_ORDER_STATE_{word.upper()}")
