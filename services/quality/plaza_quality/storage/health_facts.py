"""What health reports rest on, as it stood at a moment or happened in a month."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from plaza.quality.v1 import reports_pb2 as pb
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_quality.domain.checks import Dimension
from plaza_quality.domain.health import Assessed, Judged, MonthFacts
from plaza_quality.domain.scores import Light

Span = tuple[str, datetime, datetime]
"""A month, its first moment, and the moment at which it is looked at."""

# S608 is about values in SQL: the parts that are put together here hold none.
_NEWEST = (
    "SELECT DISTINCT ON (department, dataset) * FROM assessments WHERE create_time < :moment"
    " AND (:department = '' OR department = :department) ORDER BY department, dataset, version DESC"
)


async def assessed(connection: AsyncConnection, department: str, moment: datetime) -> list[Assessed]:
    """The newest assessment of each dataset before a moment, by name; `department`: id, empty for all."""
    asked = {"department": department, "moment": moment}
    newest = await connection.execute(text(_NEWEST), asked)
    found = {
        (row.department, row.dataset): Assessed(
            f"departments/{row.department}/datasets/{row.dataset}",
            row.version,
            row.rows,
            row.score,
            Light(row.light) if row.light else None,
        )
        for row in newest
    }
    dimensions = await connection.execute(
        text(
            "SELECT department, dataset, dimension, d.score FROM dimension_scores d"  # noqa: S608
            f" JOIN ({_NEWEST}) newest USING (department, dataset, version)"
            " ORDER BY department, dataset, d.position"
        ),
        asked,
    )
    for row in dimensions:
        found[row.department, row.dataset].dimensions[Dimension(row.dimension)] = row.score
    rules = await connection.execute(
        text(
            "SELECT department, dataset, rule ->> 'id' AS id, rule ->> 'title' AS title,"  # noqa: S608
            " rule ->> 'dimension' AS dimension, CAST(coalesce(rule ->> 'thresholdPercent', '0') AS numeric)"
            " AS threshold, passed, failed, pass_rate, met"
            f" FROM rule_results JOIN ({_NEWEST}) newest"
            " USING (department, dataset, version) WHERE pass_rate IS NOT NULL"
            " ORDER BY department, dataset, position"
        ),
        asked,
    )
    for row in rules:
        found[row.department, row.dataset].rules.append(
            Judged(
                title=row.title or row.id,
                dimension=Dimension(row.dimension.removeprefix("DIMENSION_").lower()),
                threshold=row.threshold,
                passed=row.passed,
                failed=row.failed,
                pass_rate=row.pass_rate,
                met=row.met,
            )
        )
    return list(found.values())


async def active_orders(connection: AsyncConnection, department: str, moment: datetime) -> dict[str, int]:
    """Work orders that were not closed at a moment, by dataset."""
    found = await connection.execute(
        text(
            "SELECT department, dataset, count(*) AS orders FROM work_orders w WHERE create_time < :moment"
            " AND (:department = '' OR department = :department) AND (SELECT state FROM work_order_history h"
            " WHERE h.work_order = w.id AND h.time < :moment ORDER BY position DESC LIMIT 1) <> 'closed'"
            " GROUP BY department, dataset"
        ),
        {"department": department, "moment": moment},
    )
    return {f"departments/{row.department}/datasets/{row.dataset}": row.orders for row in found}


async def months(
    connection: AsyncConnection, department: str, spans: Sequence[Span], zone: str
) -> list[MonthFacts]:
    """Each month with what happened in it and how it ended."""
    asked = {
        "department": department,
        "begins": [begin for _, begin, _ in spans],
        "ends": [end for _, _, end in spans],
        "zone": zone,
    }
    made = [MonthFacts(month) for month, _, _ in spans]
    await _scores(connection, asked, made)
    await _intake(connection, asked, made)
    await _work_orders(connection, asked, made)
    return made


_SPANS = (
    "unnest(CAST(:begins AS timestamptz[]), CAST(:ends AS timestamptz[]))"
    " WITH ORDINALITY AS span (begin_time, end_time, place)"
)


async def _scores(
    connection: AsyncConnection, asked: Mapping[str, object], made: Sequence[MonthFacts]
) -> None:
    found = await connection.execute(
        text(
            f"SELECT place, light, sum(score) AS total, count(*) AS datasets FROM {_SPANS}"  # noqa: S608
            " CROSS JOIN LATERAL (SELECT DISTINCT ON (department, dataset) score, light FROM assessments"
            " WHERE create_time < end_time AND (:department = '' OR department = :department)"
            " ORDER BY department, dataset, version DESC) AS newest"
            " WHERE score IS NOT NULL GROUP BY place, light"
        ),
        asked,
    )
    for row in found:
        month = made[row.place - 1]
        month.scores += Decimal(row.total)
        month.lights[Light(row.light)] = row.datasets


async def _intake(
    connection: AsyncConnection, asked: Mapping[str, object], made: Sequence[MonthFacts]
) -> None:
    found = await connection.execute(
        text(
            "SELECT place, department, count(*) AS versions, count(*) FILTER (WHERE rows_added IS NULL) AS unknown,"  # noqa: S608
            " CAST(coalesce(sum(rows_added), 0) AS bigint) AS added,"
            " CAST(coalesce(sum(rows_refused), 0) AS bigint) AS refused"
            f" FROM {_SPANS} JOIN versions ON commit_time >= begin_time AND commit_time < end_time"
            " WHERE :department = '' OR department = :department GROUP BY place, department"
        ),
        asked,
    )
    for row in found:
        made[row.place - 1].intake[row.department] = pb.HealthIntake(
            versions=row.versions,
            versions_unknown=row.unknown,
            rows_added=row.added,
            rows_refused=row.refused,
        )


async def _work_orders(
    connection: AsyncConnection, asked: Mapping[str, object], made: Sequence[MonthFacts]
) -> None:
    counted: list[defaultdict[str, pb.HealthWorkOrders]] = [defaultdict(pb.HealthWorkOrders) for _ in made]
    # What the service did has a version, or no words; remarks of people repeat the state that they found.
    happened = await connection.execute(
        text(
            "SELECT place, department, count(*) FILTER (WHERE state = 'open' AND version > 0) AS opened,"  # noqa: S608
            " count(*) FILTER (WHERE state = 'reopened' AND version > 0) AS reopened,"
            " count(*) FILTER (WHERE state = 'closed' AND version > 0) AS closed,"
            " count(*) FILTER (WHERE state = 'escalated' AND text = '' AND username = '') AS escalated"
            f" FROM {_SPANS} JOIN work_order_history ON time >= begin_time AND time < end_time"
            " WHERE :department = '' OR department = :department GROUP BY place, department"
        ),
        asked,
    )
    for row in happened:
        one = counted[row.place - 1][row.department]
        one.opened, one.reopened, one.closed, one.escalated = (
            row.opened,
            row.reopened,
            row.closed,
            row.escalated,
        )
    stood = await connection.execute(
        text(
            "SELECT place, department, count(*) AS active, count(*) FILTER"  # noqa: S608
            " (WHERE due_date < CAST(end_time AT TIME ZONE :zone AS date)) AS overdue"
            f" FROM {_SPANS} JOIN work_orders w ON w.create_time < end_time"
            " WHERE (:department = '' OR department = :department) AND (SELECT state FROM work_order_history h"
            " WHERE h.work_order = w.id AND h.time < end_time ORDER BY position DESC LIMIT 1) <> 'closed'"
            " GROUP BY place, department"
        ),
        asked,
    )
    for row in stood:
        counted[row.place - 1][row.department].active = row.active
        counted[row.place - 1][row.department].overdue = row.overdue
    for month, orders in zip(made, counted, strict=True):
        month.work_orders = dict(orders)
