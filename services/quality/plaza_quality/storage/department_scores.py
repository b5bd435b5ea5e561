"""Means over the newest assessments, by department or of all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_quality.domain.checks import Dimension
from plaza_quality.domain.scores import Light


@dataclass(slots=True)
class Standing:
    """What the datasets of a department, or of the city, add up to."""

    scores: list[Decimal] = field(default_factory=list)
    """Of the datasets that have one."""
    lights: dict[Light, int] = field(default_factory=lambda: dict.fromkeys(Light, 0))
    dimensions: dict[Dimension, list[Decimal]] = field(default_factory=lambda: defaultdict(list))
    without_score: int = 0
    work_orders: int = 0
    overdue: int = 0

    def add(self, other: Standing) -> None:
        """The same of others besides."""
        self.scores += other.scores
        for light, count in other.lights.items():
            self.lights[light] += count
        for dimension, scores in other.dimensions.items():
            self.dimensions[dimension] += scores
        self.without_score += other.without_score
        self.work_orders += other.work_orders
        self.overdue += other.overdue


async def standings(connection: AsyncConnection, department: str, today: date) -> dict[str, Standing]:
    """By id of the department; `department`: only this one, empty for all that have an assessment."""
    found: dict[str, Standing] = defaultdict(Standing)
    asked = {"department": department, "today": today}
    newest = await connection.execute(
        text(
            "SELECT DISTINCT ON (department, dataset) department, score, light FROM assessments"
            " WHERE :department = '' OR department = :department ORDER BY department, dataset, version DESC"
        ),
        asked,
    )
    for row in newest:
        standing = found[row.department]
        if row.score is None:
            standing.without_score += 1
        else:
            standing.scores.append(row.score)
            standing.lights[Light(row.light)] += 1
    dimensions = await connection.execute(
        text(
            "SELECT d.department, d.dimension, d.score FROM dimension_scores d"
            " JOIN (SELECT department, dataset, max(version) AS version FROM assessments"
            " WHERE :department = '' OR department = :department GROUP BY department, dataset) newest"
            " USING (department, dataset, version)"
        ),
        asked,
    )
    for row in dimensions:
        found[row.department].dimensions[Dimension(row.dimension)].append(row.score)
    orders = await connection.execute(
        text(
            "SELECT department, count(*) AS active, count(*) FILTER (WHERE due_date < :today) AS overdue"
            " FROM work_orders WHERE state <> 'closed' AND (:department = '' OR department = :department)"
            " GROUP BY department"
        ),
        asked,
    )
    for row in orders:
        found[row.department].work_orders = row.active
        found[row.department].overdue = row.overdue
    return dict(found)


async def days(
    connection: AsyncConnection, department: str, first: date, last: date, zone: str
) -> Sequence[tuple[date, Decimal, int]]:
    """Day, sum of the scores and number of datasets at its end, where there is one; `department`: empty for all."""
    found = await connection.execute(
        text(
            # An assessment stands from the day on which it was made until the day of the next one.
            "WITH made AS (SELECT department, dataset, score, CAST(create_time AT TIME ZONE :zone AS date) AS day,"
            " lead(CAST(create_time AT TIME ZONE :zone AS date)) OVER"
            " (PARTITION BY department, dataset ORDER BY version) AS until FROM assessments"
            " WHERE :department = '' OR department = :department)"
            " SELECT CAST(asked AS date) AS day, sum(score) AS total, count(score) AS datasets"
            " FROM generate_series(CAST(:first AS timestamp), CAST(:last AS timestamp), interval '1 day') AS asked"
            " JOIN made ON made.day <= CAST(asked AS date)"
            " AND (made.until IS NULL OR made.until > CAST(asked AS date))"
            " WHERE score IS NOT NULL GROUP BY asked ORDER BY asked"
        ),
        {"department": department, "first": first, "last": last, "zone": zone},
    )
    return [(row.day, row.total, row.datasets) for row in found]
