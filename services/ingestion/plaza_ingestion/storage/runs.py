"""Table `runs`: every change counts `revision` up, so that watchers see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from plaza.common.v1 import contract_pb2, runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza.ingestion.v1 import worker_pb2
from plaza_lake.overwrite import LoadMode
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_ingestion.domain.batches import BatchId
from plaza_ingestion.domain.pace import Pace
from plaza_ingestion.domain.runs import ENDED, MAX_ATTEMPTS, LeaseToken, RunId, RunKind, RunState, Standing

_SELECT = (
    "SELECT r.*, u.file_name, u.path AS upload_path, u.sha256 AS upload_sha256, u.size_bytes AS upload_bytes"
    " FROM runs r LEFT JOIN uploads u ON u.upload = r.upload WHERE "
)
_WAITING = "(r.state = 'queued' OR (r.state IN ('leased', 'running') AND r.lease_until <= :now))"
_STATES = {state: runs_pb2.RunState.Value(f"RUN_STATE_{state.name}") for state in RunState}
_JSON = frozenset({"manifest", "error", "proposal", "refused_by_reason", "pulled"})
_OPEN = "r.state NOT IN ('succeeded', 'failed', 'cancelled')"


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run with what its use cases need; `pb` is what callers see."""

    run: RunId
    department: str
    kind: RunKind
    dataset: str
    batch: BatchId
    contract: contract_pb2.Contract
    contract_version: int
    principal: str
    run_grant: str
    standing: Standing
    manifest: worker_pb2.CompleteLoadRequest
    commit_failures: int
    upload_path: str
    """Empty while a pull has not brought its file; `upload_sha256` and `file_name` too."""
    upload_sha256: str
    upload_bytes: int
    file_name: str
    warnings: tuple[str, ...]
    revision: int
    mode: LoadMode
    replay: bool
    """Its rows repair quarantined ones."""
    pace: Pace
    progress_time: datetime | None
    """When its worker last told how far it is."""
    started: bool
    """Whether a worker ever took it."""
    missing_values: tuple[str, ...]
    """Texts that an inference takes for no value."""
    source: str
    """Id of the source that it pulls; empty for other runs."""
    pulled: worker_pb2.CompletePullRequest
    """What its worker said when it brought the file."""
    work_order: str
    """Whose rows it corrects; empty: it is no correction."""
    pb: pb.Run

    @property
    def fetches(self) -> bool:
        """Whether it waits for its file to be fetched."""
        return bool(self.source) and not self.upload_path

    @property
    def name(self) -> str:
        return self.pb.name

    @property
    def ended(self) -> bool:
        return self.standing.state in ENDED


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that somebody asks for."""

    run: RunId
    department: str
    kind: RunKind
    upload: str | None
    """None: of a pull, which brings it."""
    principal: str
    started_by: str
    create_time: datetime
    dataset: str = ""
    batch: BatchId | None = None
    contract: contract_pb2.Contract | None = None
    contract_version: int = 0
    run_grant: str = ""
    mode: LoadMode = LoadMode.APPEND
    replay: bool = False
    missing_values: Sequence[str] = ()
    source: str = ""
    entry: str = ""
    work_order: str = ""


async def insert(connection: AsyncConnection, new: NewRun) -> None:
    await connection.execute(
        text(
            "INSERT INTO runs (run, department, kind, state, dataset, upload, batch, contract,"
            " contract_version, principal, started_by, run_grant, mode, replay, missing_values, source,"
            " entry, work_order, create_time) VALUES (:run, :department, :kind, 'queued', :dataset, :upload, :batch,"
            " CAST(:contract AS jsonb), :contract_version, :principal, :started_by, :run_grant, :mode, :replay,"
            " :missing_values, :source, :entry, :work_order, :create_time)"
        ),
        {
            "run": new.run,
            "department": new.department,
            "kind": new.kind.value,
            "dataset": new.dataset,
            "upload": new.upload,
            "batch": new.batch,
            "contract": _dump(new.contract) if new.contract is not None else None,
            "contract_version": new.contract_version,
            "principal": new.principal,
            "started_by": new.started_by,
            "run_grant": new.run_grant,
            "mode": new.mode.value,
            "replay": new.replay,
            "missing_values": list(new.missing_values),
            "source": new.source,
            "entry": new.entry,
            "work_order": new.work_order,
            "create_time": new.create_time,
        },
    )


async def find(
    connection: AsyncConnection, department: str, run: str, *, lock: bool = False
) -> StoredRun | None:
    """One run; `lock` holds it until the transaction ends."""
    return await _one(
        connection,
        "r.run = :run AND r.department = :department" + _lock(lock),
        {"run": run, "department": department},
    )


async def locked_by_lease(connection: AsyncConnection, lease: str) -> StoredRun | None:
    """The run that has or had this lease, held until the transaction ends."""
    return await _one(connection, "r.lease = :lease" + _lock(True), {"lease": lease})


async def open_pull(connection: AsyncConnection, department: str, source: str) -> StoredRun | None:
    """The pull of a source that has not ended."""
    return await _one(
        connection,
        f"r.department = :department AND r.source = :source AND {_OPEN}",
        {"department": department, "source": source},
    )


async def next_waiting(connection: AsyncConnection, department: str, now: datetime) -> StoredRun | None:
    """The oldest run that a worker may take, held; those that others hold are passed over."""
    return await _one(
        connection,
        f"r.department = :department AND {_WAITING} ORDER BY r.run LIMIT 1 FOR UPDATE OF r SKIP LOCKED",
        {"department": department, "now": now},
    )


async def next_lost(connection: AsyncConnection, now: datetime) -> StoredRun | None:
    """A run that was lost so often that nobody gets it any more, held."""
    return await _one(
        connection,
        f"{_WAITING} AND r.attempts >= :most ORDER BY r.run LIMIT 1 FOR UPDATE OF r SKIP LOCKED",
        {"now": now, "most": MAX_ATTEMPTS},
    )


async def queues(connection: AsyncConnection, now: datetime) -> dict[str, tuple[int, int]]:
    """By department's id: how many runs a worker may take, and how many are on lease. Those without are left out."""
    found = await connection.execute(
        text(
            f"SELECT r.department, count(*) FILTER (WHERE {_WAITING}) AS waiting,"  # noqa: S608
            " count(*) FILTER (WHERE r.state IN ('leased', 'running') AND r.lease_until > :now) AS leased"
            " FROM runs r WHERE r.state IN ('queued', 'leased', 'running') GROUP BY r.department"
        ),
        {"now": now},
    )
    return {row.department: (row.waiting, row.leased) for row in found}


async def page(
    connection: AsyncConnection, department: str, dataset: str, before: str, limit: int
) -> list[StoredRun]:
    """Newest first, those older than `before`."""
    found = await connection.execute(
        text(
            _SELECT + "r.department = :department AND (:dataset = '' OR r.dataset = :dataset)"
            " AND r.run < :before ORDER BY r.run DESC LIMIT :limit"
        ),
        {"department": department, "dataset": dataset, "before": before, "limit": limit},
    )
    return [_stored(row._mapping) for row in found]


async def save(connection: AsyncConnection, run: RunId, standing: Standing, **changes: Any) -> None:
    """The new standing, and other columns by name; messages and mappings are kept as JSON."""
    values: dict[str, Any] = {
        name: (_dump(value) if isinstance(value, Message) else orjson.dumps(value).decode())
        if name in _JSON
        else value
        for name, value in changes.items()
    }
    columns = [
        f"{name} = CAST(:{name} AS jsonb)" if name in _JSON else f"{name} = :{name}" for name in values
    ]
    await connection.execute(
        text(
            "UPDATE runs SET "  # noqa: S608  (names of columns, from our own code)
            + ", ".join(
                [
                    "state = :state",
                    "attempts = :attempts",
                    "lease = :lease",
                    "lease_until = :lease_until",
                    "revision = revision + 1",
                    *columns,
                ]
            )
            + " WHERE run = :run"
        ),
        values
        | {
            "run": run,
            "state": standing.state.value,
            "attempts": standing.attempts,
            "lease": standing.lease,
            "lease_until": standing.lease_until,
        },
    )


async def answer_senders(
    connection: AsyncConnection, dataset: str, version: int, assessment: Mapping[str, Any]
) -> None:
    """Notes what quality found in a version at the run that made it and, of a pull, at its source."""
    values = {"dataset": dataset, "version": version, "assessment": orjson.dumps(assessment).decode()}
    found = await connection.execute(
        text(
            "UPDATE runs SET assessment = CAST(:assessment AS jsonb), revision = revision + 1"
            " WHERE dataset = :dataset AND version = :version RETURNING department, source"
        ),
        values,
    )
    for row in found.all():
        if row.source:
            await connection.execute(
                text(
                    "UPDATE sources SET last_assessment = CAST(:assessment AS jsonb)"
                    " WHERE department = :department AND source = :source"
                ),
                values | {"department": row.department, "source": row.source},
            )


async def contract_rules(connection: AsyncConnection, dataset: str, version: int) -> Mapping[str, str]:
    """Titles by id of the rules that the contract of a version's load had."""
    found = await connection.execute(
        text(
            "SELECT r.contract -> 'rules' AS rules FROM runs r WHERE r.dataset = :dataset AND r.version = :version"
        ),
        {"dataset": dataset, "version": version},
    )
    return {rule["id"]: rule.get("title", "") for row in found for rule in row.rules or ()}


def _lock(lock: bool) -> str:
    return " FOR UPDATE OF r" if lock else ""


async def _one(connection: AsyncConnection, where: str, values: dict[str, Any]) -> StoredRun | None:
    row = (await connection.execute(text(_SELECT + where), values)).first()
    return _stored(row._mapping) if row is not None else None


def _dump(message: Message) -> str:
    return orjson.dumps(MessageToDict(message, preserving_proto_field_name=True)).decode()


def _stored(row: Any) -> StoredRun:
    def parsed(kept: Any, message: Any) -> Any:
        return ParseDict(kept or {}, message, ignore_unknown_fields=True)

    lease = row["lease"]
    return StoredRun(
        run=RunId(row["run"]),
        department=row["department"],
        kind=RunKind(row["kind"]),
        dataset=row["dataset"],
        batch=BatchId(row["batch"] or ""),
        contract=parsed(row["contract"], contract_pb2.Contract()),
        contract_version=row["contract_version"],
        principal=row["principal"],
        run_grant=row["run_grant"],
        standing=Standing(
            RunState(row["state"]),
            row["attempts"],
            LeaseToken(lease) if lease is not None else None,
            row["lease_until"],
        ),
        manifest=parsed(row["manifest"], worker_pb2.CompleteLoadRequest()),
        commit_failures=row["commit_failures"],
        upload_path=row["upload_path"] or "",
        upload_sha256=row["upload_sha256"] or "",
        upload_bytes=row["upload_bytes"] or 0,
        file_name=row["file_name"] or "",
        warnings=tuple(row["warnings"]),
        revision=row["revision"],
        mode=LoadMode(row["mode"]),
        replay=row["replay"],
        pace=_pace(row),
        progress_time=row["progress_time"],
        started=row["start_time"] is not None,
        missing_values=tuple(row["missing_values"]),
        source=row["source"],
        pulled=parsed(row["pulled"], worker_pb2.CompletePullRequest()),
        work_order=row["work_order"],
        pb=_message(row),
    )


def _pace(row: Any) -> Pace:
    return Pace(row["rows_a_second"], row["bytes_a_second"])


def _message(row: Any) -> pb.Run:
    department = f"departments/{row['department']}"
    run = pb.Run(
        name=f"{department}/runs/{row['run']}",
        kind=pb.RunKind.Value(f"RUN_KIND_{row['kind'].upper()}"),
        dataset=row["dataset"],
        upload=f"{department}/uploads/{row['upload']}" if row["upload"] else "",
        file_name=row["file_name"] or "",
        started_by=row["started_by"],
        progress=pb.Progress(
            bytes_done=row["bytes_done"],
            bytes_total=row["upload_bytes"] or 0,
            rows_read=row["rows_read"],
            rows_accepted=row["rows_accepted"],
            rows_refused=row["rows_refused"],
        ),
        refused_by_reason=row["refused_by_reason"],
        version=row["version"],
        attempts=row["attempts"],
        warnings=row["warnings"],
        replay=row["replay"],
        rows_removed=row["rows_removed"],
        rows_held_already=row["rows_held_already"],
        source=f"{department}/sources/{row['source']}" if row["source"] else "",
        unchanged=row["unchanged"],
        entry=row["entry"],
        work_order=row["work_order"],
    )
    if row["assessment"] is not None:
        ParseDict(row["assessment"], run.assessment, ignore_unknown_fields=True)
    if row["kind"] == RunKind.LOAD:
        run.mode = pb.LoadMode.Value(f"LOAD_MODE_{row['mode'].upper()}")
    if row["start_time"] is not None:
        run.start_time.FromDatetime(row["start_time"])
    if row["state"] == RunState.RUNNING and row["upload_bytes"] and row["rows_a_second"] > 0:
        run.rate = round(row["rows_a_second"], 1)
        left = _pace(row).remaining_seconds(row["upload_bytes"] - row["bytes_done"])
        if left is not None:
            run.remaining_seconds = left
    run.state = _STATES[RunState(row["state"])]
    run.create_time.FromDatetime(row["create_time"])
    if row["end_time"] is not None:
        run.end_time.FromDatetime(row["end_time"])
    if row["error"] is not None:
        ParseDict(row["error"], run.error, ignore_unknown_fields=True)
    if row["proposal"] is not None:
        ParseDict(row["proposal"], run.proposal, ignore_unknown_fields=True)
    return run
