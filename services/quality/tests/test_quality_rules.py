"""From the contract's rules to ours."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any, cast

import pytest
from google.protobuf.json_format import ParseDict
from plaza.common.v1 import contract_pb2, grades_pb2
from plaza_lake.comparing import Folding
from plaza_quality.domain.checks import (
    AgreesWith,
    Check,
    Compared,
    Comparison,
    Conditional,
    Drift,
    Expression,
    Fresh,
    HasFormat,
    HasLength,
    InCodeList,
    InList,
    Matches,
    Monotone,
    NotFuture,
    Refers,
    RowCount,
    TextFormat,
    kind_of,
)
from plaza_quality.domain.rules import Dimension, InRange, NotNull, Severity, Unique, UnknownCheck, rule_of


def message() -> contract_pb2.QualityRule:
    return contract_pb2.QualityRule(
        id="r", dimension=grades_pb2.DIMENSION_COMPLETENESS, threshold_percent=99.9
    )


def test_threshold_and_weight_are_what_was_written() -> None:
    rule = message()
    rule.not_null.field = "x"
    found = rule_of(rule)
    assert (found.dimension, found.check) == (Dimension.COMPLETENESS, NotNull("x"))
    assert found.threshold == Fraction(999, 10)
    assert found.weight == 1
    rule.weight = 0.1
    assert rule_of(rule).weight == Fraction(1, 10)
    rule.threshold_percent = 1e-7
    assert rule_of(rule).threshold == Fraction(1, 10**7)


def test_a_bound_of_zero_is_a_bound() -> None:
    rule = message()
    rule.range.field = "x"
    assert rule_of(rule).check == InRange("x", None, None)
    rule.range.minimum = 0
    assert rule_of(rule).check == InRange("x", 0, None)
    rule.range.maximum = 0
    assert rule_of(rule).check == InRange("x", 0, 0)


def test_all_dimensions_have_a_name_here() -> None:
    rule = message()
    rule.unique.fields.extend(["x", "y"])
    for value in grades_pb2.Dimension.values()[1:]:
        rule.dimension = value
        assert grades_pb2.Dimension.Name(value) == f"DIMENSION_{rule_of(rule).dimension.upper()}"
    assert rule_of(rule).check == Unique(("x", "y"))


def test_an_unknown_check_is_not_passed_over() -> None:
    with pytest.raises(UnknownCheck):
        rule_of(message())


KINDS: list[tuple[dict[str, Any], Check]] = [
    ({"notNull": {"field": "x"}}, NotNull("x")),
    ({"range": {"field": "x", "maximum": 0}}, InRange("x", None, 0)),
    ({"unique": {"fields": ["x"]}}, Unique(("x",))),
    ({"format": {"field": "x", "format": "TEXT_FORMAT_PLATE"}}, HasFormat("x", TextFormat.PLATE)),
    ({"length": {"field": "x", "maximum": 0}}, HasLength("x", 0, 0)),
    ({"pattern": {"field": "x", "pattern": "a"}}, Matches("x", "a")),
    ({"inList": {"field": "x", "values": ["a"]}}, InList("x", ("a",))),
    ({"inCodeList": {"field": "x", "currentOnly": True}}, InCodeList("x", "codeLists/of-x", True)),
    (
        {"compare": {"left": "x", "comparison": "COMPARISON_NOT_EQUAL", "right": "y", "tolerance": 1}},
        Compared("x", Comparison.NOT_EQUAL, "y", 1),
    ),
    ({"conditional": {"then": "x > 1"}}, Conditional("", "x > 1")),
    (
        {"referential": {"fields": ["x"], "dataset": "departments/a/datasets/b"}},
        Refers(("x",), "departments/a/datasets/b", ("x",)),
    ),
    ({"notFuture": {"field": "x", "tolerance": "1.5s"}}, NotFuture("x", timedelta(seconds=1.5))),
    (
        {"monotone": {"field": "x", "orderedBy": "t", "within": ["s"], "strict": True}},
        Monotone("x", "t", ("s",), False, True),
    ),
    ({"freshness": {"field": "x"}}, Fresh("x", None, timedelta(0))),
    ({"rowCount": {"minimum": "0", "lossPercent": 5}}, RowCount(0, None, None, 5)),
    ({"drift": {"field": "x", "limit": 0.2}}, Drift("x", 0.2, 0)),
    ({"expression": {"expression": "x > 1"}}, Expression("x > 1")),
    (
        {
            "agreesWith": {
                "dataset": "departments/a/datasets/b",
                "key": ["x"],
                "fields": ["y", "z"],
                "otherFields": ["u", "v"],
                "relativeTolerance": 0.01,
                "timeTolerance": "5s",
                "foldWidth": True,
            }
        },
        AgreesWith(
            "departments/a/datasets/b",
            ("x",),
            ("x",),
            ("y", "z"),
            ("u", "v"),
            relative=0.01,
            within=timedelta(seconds=5),
            folding=Folding(width=True),
        ),
    ),
]


@pytest.mark.parametrize(("said", "expected"), KINDS)
def test_every_kind_is_understood(said: dict[str, Any], expected: Check) -> None:
    rule = message()
    ParseDict(said, rule)
    found = rule_of(rule, {"x": "codeLists/of-x"})
    assert found.check == expected
    assert found.counts_for == kind_of(expected).indicator
    rule.indicator, rule.severity = "0303", contract_pb2.RULE_SEVERITY_SEVERE
    assert (rule_of(rule).counts_for, rule_of(rule).severity) == ("0303", Severity.SEVERE)


def test_no_kind_is_forgotten() -> None:
    kinds = contract_pb2.QualityRule.DESCRIPTOR.oneofs_by_name["check"].fields
    assert {name for said, _ in KINDS for name in said} == {each.json_name for each in kinds}
    forms = {name.removeprefix("TEXT_FORMAT_").lower() for name in contract_pb2.TextFormat.keys()[1:]}
    assert forms == set(TextFormat)


def test_what_a_newer_contract_knows_is_not_passed_over() -> None:
    rule = message()
    rule.format.field, rule.format.format = "x", cast(Any, 99)
    with pytest.raises(UnknownCheck):
        rule_of(rule)
