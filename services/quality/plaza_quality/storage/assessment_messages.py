"""Rows of `assessments` and `rule_results` as messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, Final

from google.protobuf.json_format import ParseDict
from plaza.common.v1 import contract_pb2, grades_pb2
from plaza.quality.v1 import gates_pb2
from plaza.quality.v1 import quality_pb2 as pb
from plaza_kit.names import DatasetName
from sqlalchemy import Row

from plaza_quality.domain.rules import Exit, stops_of
from plaza_quality.domain.scores import published

_RATIO_PLACES: Final = 10**6
_DIRECTIONS: Final = {
    "higher": pb.DIRECTION_HIGHER_IS_BETTER,
    "lower": pb.DIRECTION_LOWER_IS_BETTER,
}


def assessment_message(name: DatasetName, row: Row[Any]) -> pb.Assessment:
    """All of it but the rules and the dimensions."""
    assessment = pb.Assessment(
        name=f"{name}/versions/{row.version}/assessment",
        version=row.version,
        contract_version=row.contract_version,
        rows=row.rows,
        light=grades_pb2.Light.Value(f"LIGHT_{(row.light or 'unspecified').upper()}"),
        indicators=[_indicator(each) for each in row.indicators],
        broken_together=[pb.BrokenTogether(**each) for each in row.broken_together],
        number=row.number,
    )
    if row.score is not None:
        assessment.score = float(row.score)
    if row.rows_passed is not None:
        assessment.rows_passed = row.rows_passed
        if row.rows:
            assessment.row_pass_rate = float(published(Fraction(100 * row.rows_passed, row.rows)))
    assessment.create_time.FromDatetime(row.create_time)
    return assessment


def gates_of(row: Row[Any], rules: Sequence[contract_pb2.QualityRule]) -> Iterator[gates_pb2.AssessmentGate]:
    """Each way out that one of the assessment's rules guards."""
    stopped = {Exit.SHARING: row.stopped_sharing, Exit.OPENING: row.stopped_opening}
    for exit, ids in stopped.items():
        if any(exit in stops_of(rule) for rule in rules):
            yield gates_pb2.AssessmentGate(
                exit=gates_pb2.Exit.Value(f"EXIT_{exit.name}"),
                stopped=bool(ids),
                stopped_by=[stopping_rule(rule) for rule in rules if rule.id in ids],
            )


def stopping_rule(rule: contract_pb2.QualityRule) -> gates_pb2.StoppingRule:
    """What people are told of a rule that stops."""
    return gates_pb2.StoppingRule(id=rule.id, title=rule.title)


def rule_result_message(row: Row[Any]) -> pb.RuleResult:
    """The counts of a rule, with the rule as it was."""
    result = pb.RuleResult(
        rule=ParseDict(row.rule, contract_pb2.QualityRule(), ignore_unknown_fields=True),
        passed=row.passed,
        failed=row.failed,
        not_applicable=row.not_applicable,
        met=row.met,
        absent_fields=row.absent_fields,
        reason=row.reason,
        compared_with=row.compared_with,
        indicator=row.indicator,
    )
    if row.pass_rate is not None:
        result.pass_rate = float(row.pass_rate)
    if row.measure is not None:
        result.measure.CopyFrom(pb.Measure(**row.measure))
    return result


def _indicator(facts: dict[str, Any]) -> pb.IndicatorValue:
    return pb.IndicatorValue(
        indicator=facts["indicator"],
        numerator=facts["numerator"],
        denominator=facts["denominator"],
        value=facts["numerator"] * _RATIO_PLACES // facts["denominator"] / _RATIO_PLACES,
        direction=_DIRECTIONS[facts["direction"]],
    )
