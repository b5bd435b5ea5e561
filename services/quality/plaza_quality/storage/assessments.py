"""Tables `assessments`, `rule_results` and `dimension_scores`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from typing import Any, Final

import orjson
from google.protobuf.json_format import MessageToDict, ParseDict
from plaza.common.v1 import contract_pb2, grades_pb2
from plaza.quality.v1 import quality_pb2 as pb
from plaza_kit.names import DatasetName
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_quality.domain.counting import Measure
from plaza_quality.domain.gates import stopping
from plaza_quality.domain.indicators import Indicator
from plaza_quality.domain.rules import Exit, rule_of
from plaza_quality.domain.scores import Assessment, published
from plaza_quality.storage.assessment_messages import assessment_message, gates_of, rule_result_message

PAGE_BYTES: Final = 2_000_000
"""Of rule results in one page, as JSON, so that an answer stays below gRPC's message limit."""
_OLD_RULE_BYTES: Final = 400
"""What a rule had at most on average when the size was not kept."""


@dataclass(frozen=True, slots=True)
class Made:
    """An assessment with where it comes from."""

    assessment: Assessment
    rules: Sequence[contract_pb2.QualityRule]
    """As the contract has them, in the order of the assessment's results."""
    contract_version: int
    time: datetime

    def stopped(self, exit: Exit) -> tuple[str, ...]:
        """Ids of the rules that stop the version at this way out."""
        rules = [rule_of(rule) for rule in self.rules]
        return tuple(self.rules[number].id for number in stopping(rules, self.assessment.results, exit))


def _key(name: DatasetName) -> dict[str, Any]:
    return {"department": name.department, "dataset": name.dataset}


async def keep(connection: AsyncConnection, name: DatasetName, version: int, made: Made, number: int) -> bool:
    """Keeps the assessment of a version; what it takes the place of becomes a past one. Answers False, having changed
    nothing, when there is one of this number or a greater one. Until the transaction ends nobody else keeps one."""
    key = _key(name) | {"version": version}
    if number > 1:
        await _make_past(connection, name, version, number)
    if not await _insert(connection, key, made, number):
        return False
    await _insert_results(connection, key, made)
    await _insert_dimensions(connection, key, made.assessment)
    return True


async def _make_past(connection: AsyncConnection, name: DatasetName, version: int, number: int) -> None:
    key = _key(name) | {"version": version}
    held = await connection.execute(
        text(
            "SELECT number FROM assessments WHERE department = :department AND dataset = :dataset"
            " AND version = :version AND number < :number FOR UPDATE"
        ),
        key | {"number": number},
    )
    row = held.first()
    if row is None:
        return
    past = await find(connection, name, version)
    assert past is not None, "its row is held"
    await connection.execute(
        text(
            "INSERT INTO past_assessments (department, dataset, version, number, assessment)"
            " VALUES (:department, :dataset, :version, :number, CAST(:assessment AS jsonb))"
        ),
        key | {"number": row.number, "assessment": _json(MessageToDict(past))},
    )
    for table in ("rule_results", "dimension_scores", "assessments"):
        await connection.execute(
            text(
                f"DELETE FROM {table} WHERE department = :department AND dataset = :dataset"  # noqa: S608  (of ours)
                " AND version = :version"
            ),
            key,
        )


async def _insert(connection: AsyncConnection, key: dict[str, Any], made: Made, number: int) -> bool:
    inserted = await connection.execute(
        text(
            'INSERT INTO assessments (department, dataset, version, contract_version, "rows", rules, score,'
            " light, create_time, rows_passed, indicators, broken_together, size, number, stopped_sharing,"
            " stopped_opening) VALUES (:department, :dataset, :version, :contract_version, :rows, :rules, :score,"
            " :light, :time, :rows_passed, CAST(:indicators AS jsonb), CAST(:broken_together AS jsonb), :size,"
            " :number, :stopped_sharing, :stopped_opening)"
            " ON CONFLICT DO NOTHING RETURNING 1"
        ),
        key
        | {
            "contract_version": made.contract_version,
            "rows": made.assessment.rows,
            "rules": len(made.rules),
            "score": _numeric(made.assessment.score),
            "light": made.assessment.light or "",
            "time": made.time,
            "rows_passed": made.assessment.rows_passed,
            "indicators": _json([_indicator_facts(each) for each in made.assessment.indicators]),
            "broken_together": _json(_together_facts(made)),
            "size": sum(len(orjson.dumps(MessageToDict(rule))) for rule in made.rules),
            "number": number,
            "stopped_sharing": list(made.stopped(Exit.SHARING)),
            "stopped_opening": list(made.stopped(Exit.OPENING)),
        },
    )
    return inserted.first() is not None


async def _insert_results(connection: AsyncConnection, key: dict[str, Any], made: Made) -> None:
    rows = [
        key
        | {
            "position": position,
            "rule": _json(MessageToDict(rule)),
            "passed": result.finding.counts.passed,
            "failed": result.finding.counts.failed,
            "not_applicable": result.finding.counts.not_applicable,
            "pass_rate": _numeric(result.pass_rate),
            "met": result.met,
            "absent_fields": list(result.finding.absent_fields),
            "reason": result.finding.reason,
            "measure": _json(_measure_facts(result.finding.measure)),
            "compared_with": list(result.finding.compared_with),
            "indicator": result.indicator,
        }
        for position, (rule, result) in enumerate(zip(made.rules, made.assessment.results, strict=True))
    ]
    if rows:
        await connection.execute(
            text(
                "INSERT INTO rule_results (department, dataset, version, position, rule, passed, failed,"
                " not_applicable, pass_rate, met, absent_fields, reason, measure, compared_with, indicator)"
                " VALUES (:department, :dataset, :version, :position, CAST(:rule AS jsonb), :passed, :failed,"
                " :not_applicable, :pass_rate, :met, :absent_fields, :reason,"
                " CAST(nullif(:measure, 'null') AS jsonb), :compared_with, :indicator)"
            ),
            rows,
        )


async def _insert_dimensions(
    connection: AsyncConnection, key: dict[str, Any], assessment: Assessment
) -> None:
    rows = [
        key | {"position": position, "dimension": dimension.value, "score": _numeric(score)}
        for position, (dimension, score) in enumerate(assessment.dimensions)
    ]
    if rows:
        await connection.execute(
            text(
                "INSERT INTO dimension_scores (department, dataset, version, position, dimension, score)"
                " VALUES (:department, :dataset, :version, :position, :dimension, :score)"
            ),
            rows,
        )


async def number_of(connection: AsyncConnection, name: DatasetName, version: int) -> int:
    """Of the assessment that a version has; 0 without one."""
    found = await connection.execute(
        text(
            "SELECT number FROM assessments WHERE department = :department AND dataset = :dataset"
            " AND version = :version"
        ),
        _key(name) | {"version": version},
    )
    return int(found.scalar_one_or_none() or 0)


async def past(
    connection: AsyncConnection, name: DatasetName, version: int, before: int, limit: int
) -> tuple[list[pb.Assessment], bool]:
    """Those that another one took the place of, the newest first, with smaller numbers than `before`; and whether more
    follow."""
    found = await connection.execute(
        text(
            "SELECT assessment FROM past_assessments WHERE department = :department AND dataset = :dataset"
            " AND version = :version AND number < :before ORDER BY number DESC LIMIT :limit"
        ),
        _key(name) | {"version": version, "before": before, "limit": limit + 1},
    )
    rows = [ParseDict(row.assessment, pb.Assessment(), ignore_unknown_fields=True) for row in found]
    return rows[:limit], len(rows) > limit


async def find(connection: AsyncConnection, name: DatasetName, version: int) -> pb.Assessment | None:
    found = await connection.execute(
        text(
            "SELECT * FROM assessments WHERE department = :department AND dataset = :dataset"
            " AND version = :version"
        ),
        _key(name) | {"version": version},
    )
    made = await _complete(connection, name, found.all())
    return made[0] if made else None


async def page(
    connection: AsyncConnection, name: DatasetName, before: int, limit: int
) -> tuple[list[pb.Assessment], bool]:
    """Newest version first, those with a smaller number than `before`, and whether more follow. Fewer than `limit`,
    but at least one, when they hold many rules."""
    found = await connection.execute(
        text(
            "SELECT * FROM assessments WHERE department = :department AND dataset = :dataset"
            " AND version < :before ORDER BY version DESC LIMIT :limit"
        ),
        _key(name) | {"before": before, "limit": limit + 1},
    )
    rows = found.all()
    sizes = accumulate(row.size or row.rules * _OLD_RULE_BYTES for row in rows)
    fitting = sum(size <= PAGE_BYTES for size in sizes)
    kept = rows[: min(limit, max(fitting, 1))]
    return await _complete(connection, name, kept), len(rows) > len(kept)


async def _complete(
    connection: AsyncConnection, name: DatasetName, rows: Sequence[Row[Any]]
) -> list[pb.Assessment]:
    made = {row.version: assessment_message(name, row) for row in rows}
    wanted = _key(name) | {"versions": list(made)}
    results = await connection.execute(
        text(
            "SELECT * FROM rule_results WHERE department = :department AND dataset = :dataset"
            " AND version = ANY(:versions) ORDER BY version, position"
        ),
        wanted,
    )
    for row in results:
        made[row.version].rules.append(rule_result_message(row))
    dimensions = await connection.execute(
        text(
            "SELECT * FROM dimension_scores WHERE department = :department AND dataset = :dataset"
            " AND version = ANY(:versions) ORDER BY version, position"
        ),
        wanted,
    )
    for row in dimensions:
        made[row.version].dimensions.add(
            dimension=grades_pb2.Dimension.Value(f"DIMENSION_{row.dimension.upper()}"), score=float(row.score)
        )
    for row in rows:
        made[row.version].gates.extend(gates_of(row, [result.rule for result in made[row.version].rules]))
    return list(made.values())


def _numeric(rate: Fraction | None) -> Decimal | None:
    return None if rate is None else published(rate)


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _indicator_facts(indicator: Indicator) -> dict[str, object]:
    return {
        "indicator": indicator.code,
        "numerator": indicator.numerator,
        "denominator": indicator.denominator,
        "direction": indicator.direction.value,
    }


def _together_facts(made: Made) -> list[dict[str, object]]:
    return [
        {"rules": [made.rules[number].id for number in numbers], "rows": rows}
        for numbers, rows in made.assessment.broken_together
    ]


def _measure_facts(measure: Measure | None) -> dict[str, object] | None:
    if measure is None:
        return None
    facts = {
        "value": measure.value,
        "unit": measure.unit,
        "minimum": measure.minimum,
        "maximum": measure.maximum,
    }
    return {name: value for name, value in facts.items() if value is not None}
