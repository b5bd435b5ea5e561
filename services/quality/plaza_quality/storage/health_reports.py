"""Tables `health_reports` and `health_months`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict, ParseDict
from plaza.common.v1 import grades_pb2
from plaza.quality.v1 import reports_pb2 as pb
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

_SUMMARY = "id, department, month, origin, author, create_time, as_of_time, score, light, figures_sha256"


async def insert(connection: AsyncConnection, report: pb.HealthReport) -> bool:
    """Keeps a report. Answers False, having changed nothing, when it is a monthly one and there is one."""
    figures = MessageToDict(report.figures)
    _, department, _, id_ = report.name.split("/")
    kept = await connection.execute(
        text(
            f"INSERT INTO health_reports ({_SUMMARY}, figures) VALUES (CAST(:id AS uuid), :department, :month,"  # noqa: S608
            " :origin, :author, :create_time, :as_of_time, :score, :light, :figures_sha256,"
            " CAST(:figures AS jsonb)) ON CONFLICT DO NOTHING RETURNING 1"
        ),
        {
            "id": id_,
            "department": department,
            "month": report.month,
            "origin": _word(pb.HealthReportOrigin.Name(report.origin)),
            "author": report.author,
            "create_time": report.create_time.ToDatetime(tzinfo=UTC),
            "as_of_time": report.as_of_time.ToDatetime(tzinfo=UTC),
            "score": report.score if report.HasField("score") else None,
            "light": grades_pb2.Light.Name(report.light).removeprefix("LIGHT_").lower(),
            "figures": orjson.dumps(figures).decode(),
            "figures_sha256": report.figures_sha256,
        },
    )
    return kept.first() is not None


async def find(connection: AsyncConnection, department: str, id_: str) -> pb.HealthReport | None:
    """With its numbers."""
    found = await connection.execute(
        text("SELECT * FROM health_reports WHERE id = CAST(:id AS uuid) AND department = :department"),
        {"id": id_, "department": department},
    )
    row = found.first()
    if row is None:
        return None
    report = _report(row)
    ParseDict(row.figures, report.figures, ignore_unknown_fields=True)
    return report


async def page(
    connection: AsyncConnection, department: str, before: tuple[str, str], limit: int
) -> list[pb.HealthReport]:
    """Newest month first, of one month the newest first; `before`: month and id."""
    found = await connection.execute(
        text(
            f"SELECT {_SUMMARY} FROM health_reports WHERE department = :department"  # noqa: S608
            " AND (month, id) < (:month, CAST(:id AS uuid)) ORDER BY month DESC, id DESC LIMIT :limit"
        ),
        {"department": department, "month": before[0], "id": before[1], "limit": limit},
    )
    return [_report(row) for row in found]


async def has_monthly(connection: AsyncConnection, department: str, month: str) -> bool:
    """Whether the month's own report is there."""
    found = await connection.execute(
        text(
            "SELECT 1 FROM health_reports WHERE department = :department AND month = :month"
            " AND origin = 'monthly'"
        ),
        {"department": department, "month": month},
    )
    return found.first() is not None


async def take_month(connection: AsyncConnection, month: str, end: datetime) -> Sequence[str]:
    """The departments whose report of a month nobody has taken on yet, and the city's `-`: they are taken now. Only
    those that had data by then; none at all, no city."""
    found = await connection.execute(
        text(
            "WITH there AS (SELECT DISTINCT department FROM versions WHERE commit_time < :end)"
            " INSERT INTO health_months (department, month) SELECT department, :month FROM"
            " (SELECT department FROM there UNION SELECT '-' FROM there) AS wanted"
            " ON CONFLICT DO NOTHING RETURNING department"
        ),
        {"month": month, "end": end},
    )
    return sorted(row.department for row in found)


def _report(row: Row[Any]) -> pb.HealthReport:
    report = pb.HealthReport(
        name=f"departments/{row.department}/healthReports/{row.id}",
        month=row.month,
        origin=pb.HealthReportOrigin.Value(f"HEALTH_REPORT_ORIGIN_{row.origin.upper()}"),
        author=row.author,
        light=grades_pb2.Light.Value(f"LIGHT_{row.light.upper()}"),
        figures_sha256=row.figures_sha256,
    )
    if row.score is not None:
        report.score = float(row.score)
    report.create_time.FromDatetime(row.create_time)
    report.as_of_time.FromDatetime(row.as_of_time)
    return report


def _word(origin: str) -> str:
    return origin.removeprefix("HEALTH_REPORT_ORIGIN_").lower()
