"""Table `quarantined_rows`: what became of refused rows. One without an entry is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_ingestion.domain.quarantine import RefusedAgain, RowId, RowState

_AT_ONCE: Final = 5000
"""Rows of one statement."""
_WANTED: Final = (
    "unnest(CAST(:batches AS text[]), CAST(:lines AS bigint[])) AS w (batch, line)"
    ' WHERE q.batch = w.batch COLLATE "C" AND q.line = w.line AND q.dataset = :dataset'
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known about one row."""

    row: RowId
    state: RowState
    run: str = ""
    version: int = 0
    field: str = ""
    reason: str = ""
    detail: str = ""
    discard_reason: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Whose rows."""

    department: str
    dataset: str


async def entries(
    connection: AsyncConnection, dataset: str, rows: Sequence[RowId], *, lock: bool = False
) -> Mapping[RowId, Entry]:
    """Those of these rows that have one."""
    found: dict[RowId, Entry] = {}
    for begin in range(0, len(rows), _AT_ONCE):
        answer = await connection.execute(
            text(f"SELECT q.* FROM quarantined_rows q, {_WANTED}" + (" FOR UPDATE OF q" if lock else "")),  # noqa: S608
            _arrays(rows[begin : begin + _AT_ONCE]) | {"dataset": dataset},
        )
        for row in answer:
            found[RowId(row.batch, row.line)] = _entry(row)
    return found


async def page(
    connection: AsyncConnection, dataset: str, batch: str, state: RowState, after: RowId, limit: int
) -> list[Entry]:
    """Of one state, in the order of batch and line, behind a place."""
    found = await connection.execute(
        text(
            "SELECT * FROM quarantined_rows WHERE dataset = :dataset AND (:batch = '' OR batch = :batch)"
            " AND state = :state AND (batch, line) > (:after_batch, :after_line)"
            " ORDER BY batch, line LIMIT :limit"
        ),
        {
            "dataset": dataset,
            "batch": batch,
            "state": state.value,
            "after_batch": after.batch,
            "after_line": after.line,
            "limit": limit,
        },
    )
    return [_entry(row) for row in found]


async def count(connection: AsyncConnection, dataset: str, batch: str, states: Sequence[RowState]) -> int:
    """How many rows are in one of these states."""
    found = await connection.execute(
        text(
            "SELECT count(*) FROM quarantined_rows WHERE dataset = :dataset"
            " AND (:batch = '' OR batch = :batch) AND state = ANY (CAST(:states AS text[]))"
        ),
        {"dataset": dataset, "batch": batch, "states": [state.value for state in states]},
    )
    return int(found.scalar_one())


async def names(connection: AsyncConnection, dataset: str, state: RowState) -> list[RowId]:
    """Of the rows in one state."""
    found = await connection.execute(
        text("SELECT batch, line FROM quarantined_rows WHERE dataset = :dataset AND state = :state"),
        {"dataset": dataset, "state": state.value},
    )
    return [RowId(row.batch, row.line) for row in found]


async def held_by_dataset(connection: AsyncConnection, department: str) -> dict[str, int]:
    """How many rows wait for repair, of each dataset that has some: those that loads refused, without those that were
    replayed or discarded since."""
    found = await connection.execute(
        text(
            "SELECT dataset, sum(refused) - sum(ended) AS held FROM ("
            " SELECT dataset, CAST(decision->'refused'->>'rows' AS bigint) AS refused, 0 AS ended FROM batches b"
            " WHERE department = :department AND decision->'refused' <> 'null'"
            # A decision that was never carried out refused nothing.
            " AND EXISTS (SELECT 1 FROM runs r WHERE r.batch = b.batch AND r.state = 'succeeded')"
            " UNION ALL SELECT dataset, 0, count(*) FROM quarantined_rows"
            " WHERE department = :department AND state IN ('replayed', 'discarded') GROUP BY dataset"
            ') counted GROUP BY dataset HAVING sum(refused) > sum(ended) ORDER BY dataset COLLATE "C"'
        ),
        {"department": department},
    )
    return {row.dataset: int(row.held) for row in found}


async def discard(
    connection: AsyncConnection, place: Place, row: RowId, reason: str, principal: str, now: datetime
) -> bool:
    """False when the row is not held."""
    found = await connection.execute(
        text(
            "INSERT INTO quarantined_rows AS q (batch, line, department, dataset, state, discard_reason,"
            " principal, change_time) VALUES (:batch, :line, :department, :dataset, 'discarded', :reason,"
            " :principal, :now) ON CONFLICT (batch, line) DO UPDATE SET state = excluded.state,"
            " discard_reason = excluded.discard_reason, principal = excluded.principal,"
            " change_time = excluded.change_time WHERE q.state = 'held' RETURNING 1"
        ),
        {
            "batch": row.batch,
            "line": row.line,
            "department": place.department,
            "dataset": place.dataset,
            "reason": reason,
            "principal": principal,
            "now": now,
        },
    )
    return found.first() is not None


async def take(
    connection: AsyncConnection, place: Place, run: str, rows: Sequence[RowId], now: datetime
) -> int:
    """Held rows become this run's; answers how many were."""
    taken = 0
    for begin in range(0, len(rows), _AT_ONCE):
        answer = await connection.execute(
            text(
                "INSERT INTO quarantined_rows AS q (batch, line, department, dataset, state, run, change_time)"
                " SELECT batch, line, :department, :dataset, 'replaying', :run, :now"
                " FROM unnest(CAST(:batches AS text[]), CAST(:lines AS bigint[])) AS w (batch, line)"
                " ON CONFLICT (batch, line) DO UPDATE SET state = excluded.state, run = excluded.run,"
                " change_time = excluded.change_time WHERE q.state = 'held' RETURNING 1"
            ),
            _arrays(rows[begin : begin + _AT_ONCE])
            | {"department": place.department, "dataset": place.dataset, "run": run, "now": now},
        )
        taken += len(answer.all())
    return taken


async def hold_again(
    connection: AsyncConnection, place: Place, run: str, refused: Sequence[RefusedAgain], now: datetime
) -> None:
    """Rows that stay held, with the newest reason. One that is not held any more is left alone."""
    for begin in range(0, len(refused), _AT_ONCE):
        some = refused[begin : begin + _AT_ONCE]
        await connection.execute(
            text(
                "INSERT INTO quarantined_rows AS q (batch, line, department, dataset, state, run, field, reason,"
                " detail, change_time) SELECT batch, line, :department, :dataset, 'held', :run, field, reason,"
                " detail, :now FROM unnest(CAST(:batches AS text[]), CAST(:lines AS bigint[]),"
                " CAST(:fields AS text[]), CAST(:reasons AS text[]), CAST(:details AS text[]))"
                " AS w (batch, line, field, reason, detail)"
                " ON CONFLICT (batch, line) DO UPDATE SET run = excluded.run, field = excluded.field,"
                " reason = excluded.reason, detail = excluded.detail, change_time = excluded.change_time"
                " WHERE q.state = 'held'"
            ),
            _arrays([one.row for one in some])
            | {
                "department": place.department,
                "dataset": place.dataset,
                "run": run,
                "now": now,
                "fields": [one.field for one in some],
                "reasons": [one.reason for one in some],
                "details": [one.detail for one in some],
            },
        )


async def finish(connection: AsyncConnection, run: str, version: int, now: datetime) -> int:
    """The rows that this run took are replayed; answers how many."""
    found = await connection.execute(
        text(
            "UPDATE quarantined_rows SET state = 'replayed', version = :version, field = '', reason = '',"
            " detail = '', change_time = :now WHERE run = :run AND state = 'replaying' RETURNING 1"
        ),
        {"run": run, "version": version, "now": now},
    )
    return len(found.all())


async def give_back(connection: AsyncConnection, run: str) -> None:
    """The rows that this run took are held again."""
    await connection.execute(
        text("UPDATE quarantined_rows SET state = 'held' WHERE run = :run AND state = 'replaying'"),
        {"run": run},
    )


def _arrays(rows: Sequence[RowId]) -> dict[str, object]:
    return {"batches": [row.batch for row in rows], "lines": [row.line for row in rows]}


def _entry(row: object) -> Entry:
    of = row._mapping  # type: ignore[attr-defined]  # a SQLAlchemy row
    return Entry(
        RowId(of["batch"], of["line"]),
        RowState(of["state"]),
        of["run"],
        of["version"],
        of["field"],
        of["reason"],
        of["detail"],
        of["discard_reason"],
    )
