"""Scores of departments and of the city: everybody who works here may see them; they name no dataset."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

from plaza.common.v1 import grades_pb2
from plaza.quality.v1 import quality_pb2
from plaza.quality.v1 import scores_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.errors import InvalidArgument
from plaza_kit.policy import Resource
from plaza_kit.working_days import ZONE

from plaza_quality.domain.checks import Dimension
from plaza_quality.domain.scores import Light, LightProfile, light, published
from plaza_quality.storage import department_scores
from plaza_quality.storage.department_scores import Standing
from plaza_quality.usecases.ports import World

READ: Final = "score.read"
CITY: Final = "-"
_MOST_DAYS: Final = 400
_USUAL_DAYS: Final = 30


class BadPeriod(InvalidArgument):
    """The days that were asked for cannot be told."""


class DepartmentScores:
    """Use cases that read."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def get(self, request: pb.GetDepartmentScoreRequest) -> pb.Score:
        """One without any dataset for a department that has no assessment. Raises NotPermitted."""
        department = request.name.split("/")[1]
        found = await self._standings("" if department == CITY else department)
        return self._score(department, _together(found))

    async def list(self) -> pb.ListScoresResponse:
        """Raises NotPermitted."""
        found = await self._standings("")
        return pb.ListScoresResponse(
            city=self._score(CITY, _together(found)),
            scores=[self._score(department, found[department]) for department in sorted(found)],
        )

    async def history(self, request: pb.ListScoreHistoryRequest) -> pb.ListScoreHistoryResponse:
        """Raises BadPeriod, NotPermitted."""
        department = request.parent.split("/")[1]
        last = _day("end_date", request.end_date) or self._world.today()
        first = _day("start_date", request.start_date) or last - timedelta(days=_USUAL_DAYS)
        if not 0 <= (last - first).days < _MOST_DAYS:
            raise BadPeriod(
                f"start_date: from {first} to {last} are not 1 to {_MOST_DAYS} days",
                remedy=f"ask for at most {_MOST_DAYS} days, the earlier one first",
                facts={"field": "start_date"},
            )
        self._world.policy.authorize(READ, Resource.system())
        async with self._world.database.transaction(Scope.everything()) as connection:
            found = await department_scores.days(
                connection, "" if department == CITY else department, first, last, ZONE.key
            )
        return pb.ListScoreHistoryResponse(
            days=[
                pb.ScoreDay(
                    date=day.isoformat(),
                    score=float(published(Fraction(total) / datasets)),
                    datasets=datasets,
                )
                for day, total, datasets in found
            ]
        )

    async def _standings(self, department: str) -> dict[str, Standing]:
        self._world.policy.authorize(READ, Resource.system())
        async with self._world.database.transaction(Scope.everything()) as connection:
            return await department_scores.standings(connection, department, self._world.today())

    def _score(self, department: str, standing: Standing) -> pb.Score:
        return score_of(f"departments/{department}/score", standing, self._world.profile)


def score_of(name: str, standing: Standing, profile: LightProfile) -> pb.Score:
    """The message, with the formula: the plain mean of what the datasets have."""
    dimensions = [
        (dimension, mean)
        for dimension in Dimension
        if (mean := _mean(standing.dimensions.get(dimension, []))) is not None
    ]
    score = _mean(standing.scores)
    shown = light(score, (mean for _, mean in dimensions), profile)
    made = pb.Score(
        name=name,
        light=grades_pb2.Light.Value(f"LIGHT_{(shown or 'unspecified').upper()}"),
        dimensions=[
            quality_pb2.DimensionScore(
                dimension=grades_pb2.Dimension.Value(f"DIMENSION_{dimension.upper()}"),
                score=float(published(mean)),
            )
            for dimension, mean in dimensions
        ],
        datasets=len(standing.scores),
        green=standing.lights[Light.GREEN],
        yellow=standing.lights[Light.YELLOW],
        red=standing.lights[Light.RED],
        without_score=standing.without_score,
        work_orders=standing.work_orders,
        overdue_work_orders=standing.overdue,
    )
    if score is not None:
        made.score = float(published(score))
    return made


def _together(found: dict[str, Standing]) -> Standing:
    whole = Standing()
    for standing in found.values():
        whole.add(standing)
    return whole


def _mean(scores: list[Decimal]) -> Fraction | None:
    return sum(map(Fraction, scores), Fraction(0)) / len(scores) if scores else None


def _day(field: str, written: str) -> date | None:
    if not written:
        return None
    try:
        return date.fromisoformat(written)
    except ValueError as error:
        raise BadPeriod(
            f"{field}: {written} is no day", remedy="write it like 2026-10-01", facts={"field": field}
        ) from error
