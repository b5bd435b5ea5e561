"""Scores of departments and of the city, from assessments as the service keeps them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from plaza.common.v1 import grades_pb2
from plaza.quality.v1 import scores_pb2 as pb
from plaza_kit.db import Scope
from plaza_quality.domain.checks import Dimension
from plaza_quality.domain.scores import Light, LightProfile
from plaza_quality.rpc.scores import ScoreServicer
from plaza_quality.storage.department_scores import Standing
from plaza_quality.usecases.department_scores import BadPeriod, score_of
from sqlalchemy import text

RPC = cast(Any, None)
Quality = Any
"""The fixture's class lives in conftest, which tests do not import."""
NOON = datetime(2026, 11, 10, 4, tzinfo=UTC)
"""In the city."""


def test_every_dataset_counts_once() -> None:
    standing = Standing([Decimal("100"), Decimal("80.5")], {Light.GREEN: 1, Light.YELLOW: 0, Light.RED: 1})
    standing.dimensions[Dimension.VALIDITY] = [Decimal("99"), Decimal("80"), Decimal("81")]
    standing.work_orders, standing.overdue, standing.without_score = 3, 1, 2
    made = score_of("departments/a/score", standing, LightProfile())
    assert (made.score, made.datasets, made.green, made.yellow, made.red) == (90.25, 2, 1, 0, 1)
    assert made.light == grades_pb2.LIGHT_YELLOW
    assert [(one.dimension, one.score) for one in made.dimensions] == [
        (grades_pb2.DIMENSION_VALIDITY, 86.6666)
    ]
    assert (made.work_orders, made.overdue_work_orders, made.without_score) == (3, 1, 2)


def test_a_weak_dimension_makes_the_whole_red() -> None:
    standing = Standing([Decimal("99")])
    standing.dimensions[Dimension.TIMELINESS] = [Decimal("84.9")]
    assert score_of("x", standing, LightProfile()).light == grades_pb2.LIGHT_RED


def test_nothing_has_no_score() -> None:
    made = score_of("x", Standing(), LightProfile())
    assert (made.HasField("score"), made.light, made.datasets) == (False, grades_pb2.LIGHT_UNSPECIFIED, 0)


async def keep(quality: Quality, department: str, dataset: str, made: Mapping[int, Any]) -> None:
    """Assessments of a dataset: by version the day's noon (from `NOON` on) and the score."""
    async with quality.world.database.transaction(Scope.everything()) as connection:
        for version, (day, score) in made.items():
            key = {"department": department, "dataset": dataset, "version": version}
            await connection.execute(
                text(
                    "INSERT INTO assessments (department, dataset, version, contract_version, rows, rules, score,"
                    " light, create_time) VALUES (:department, :dataset, :version, 1, 1, 0, :score, :light, :time)"
                ),
                key
                | {
                    "score": score,
                    "light": "" if score is None else "green",
                    "time": NOON + timedelta(days=day),
                },
            )
            if score is not None:
                await connection.execute(
                    text(
                        "INSERT INTO dimension_scores VALUES (:department, :dataset, :version, 0, 'validity',"
                        " :score)"
                    ),
                    key | {"score": score},
                )


@pytest.mark.integration
async def test_the_newest_assessments_count(quality: Quality) -> None:
    quality.be("data-officer")
    mine, other = (f"d{uuid.uuid4().hex[:12]}" for _ in range(2))
    await keep(quality, mine, "a", {1: (0, 50), 2: (1, 90)})
    await keep(quality, mine, "b", {1: (0, 100)})
    await keep(quality, mine, "c", {1: (0, 70), 2: (1, None)})
    await keep(quality, other, "a", {1: (0, 60)})
    scores = ScoreServicer(quality.world)
    found = await scores.GetDepartmentScore(
        pb.GetDepartmentScoreRequest(name=f"departments/{mine}/score"), RPC
    )
    assert (found.name, found.score, found.datasets) == (f"departments/{mine}/score", 95, 2)
    assert (found.green, found.without_score) == (2, 1)
    assert [one.score for one in found.dimensions] == [95]
    everyone = await scores.ListScores(pb.ListScoresRequest(), RPC)
    by_name = {one.name: one for one in everyone.scores}
    assert by_name[found.name] == found
    assert by_name[f"departments/{other}/score"].score == 60
    assert everyone.city.datasets == sum(one.datasets for one in everyone.scores)
    city = await scores.GetDepartmentScore(pb.GetDepartmentScoreRequest(name="departments/-/score"), RPC)
    assert city == everyone.city


@pytest.mark.integration
async def test_history_tells_each_days_end(quality: Quality) -> None:
    quality.be("data-officer")
    department = f"d{uuid.uuid4().hex[:12]}"
    await keep(quality, department, "a", {1: (0, 50), 2: (2, 90)})
    await keep(quality, department, "b", {1: (1, 100), 2: (3, None)})
    scores = ScoreServicer(quality.world)

    async def days(first: str, last: str) -> list[tuple[str, float, int]]:
        request = pb.ListScoreHistoryRequest(
            parent=f"departments/{department}", start_date=first, end_date=last
        )
        answer = await scores.ListScoreHistory(request, RPC)
        return [(day.date, day.score, day.datasets) for day in answer.days]

    assert await days("2026-11-09", "2026-11-14") == [
        ("2026-11-10", 50, 1),
        ("2026-11-11", 75, 2),
        ("2026-11-12", 95, 2),
        ("2026-11-13", 90, 1),
        ("2026-11-14", 90, 1),
    ]
    with pytest.raises(BadPeriod, match="not 1 to 400 days"):
        await days("2026-11-09", "2026-11-08")
    with pytest.raises(BadPeriod, match="2026-02-30 is no day"):
        await days("2026-02-30", "2026-11-08")
