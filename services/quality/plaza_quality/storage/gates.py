"""What is known of versions at the gate: columns of `assessments`, versions of `versions`."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.json_format import ParseDict
from plaza.common.v1 import contract_pb2
from plaza.quality.v1 import gates_pb2 as pb
from plaza_kit.names import DatasetName
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_quality.domain.rules import Exit
from plaza_quality.storage.assessment_messages import stopping_rule

_COLUMNS: Final = {Exit.SHARING: "stopped_sharing", Exit.OPENING: "stopped_opening"}


def _key(name: DatasetName) -> dict[str, Any]:
    return {"department": name.department, "dataset": name.dataset}


async def newest(connection: AsyncConnection, name: DatasetName) -> int:
    """The newest version that ingestion told of; 0 before the first."""
    found = await connection.execute(
        text(
            "SELECT coalesce(max(version), 0) FROM versions WHERE department = :department AND dataset = :dataset"
        ),
        _key(name),
    )
    return int(found.scalar_one())


async def last_good(connection: AsyncConnection, name: DatasetName, version: int, exit: Exit) -> int:
    """The newest version up to this one that was assessed and that nothing stops; 0: none."""
    found = await connection.execute(
        text(
            "SELECT coalesce(max(version), 0) FROM assessments WHERE department = :department"  # noqa: S608
            f" AND dataset = :dataset AND version <= :version AND {_COLUMNS[exit]} = '{{}}'"
        ),
        _key(name) | {"version": version},
    )
    return int(found.scalar_one())


async def exit_gate(connection: AsyncConnection, name: DatasetName, version: int, exit: Exit) -> pb.ExitGate:
    """One way out, for a version. Of one that was never committed: still to be checked."""
    found = await connection.execute(
        text(
            "SELECT r.rule FROM assessments a LEFT JOIN rule_results r ON r.department = a.department"  # noqa: S608
            " AND r.dataset = a.dataset AND r.version = a.version"
            f" AND r.rule ->> 'id' = ANY(a.{_COLUMNS[exit]})"
            " WHERE a.department = :department AND a.dataset = :dataset AND a.version = :version"
            " ORDER BY r.position"
        ),
        _key(name) | {"version": version},
    )
    rows = found.all()
    rules = [
        ParseDict(row.rule, contract_pb2.QualityRule(), ignore_unknown_fields=True)
        for row in rows
        if row.rule
    ]
    state = pb.GATE_STATE_STOPPED if rules else pb.GATE_STATE_PASSED
    return pb.ExitGate(
        state=state if rows else pb.GATE_STATE_CHECKING,
        stopped_by=map(stopping_rule, rules),
        last_good_version=await last_good(connection, name, version, exit),
    )
