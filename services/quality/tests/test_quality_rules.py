"""From the contract's rules to ours."""

from __future__ import annotations

from fractions import Fraction

import pytest
from plaza.common.v1 import contract_pb2, grades_pb2
from plaza_quality.domain.rules import Dimension, InRange, NotNull, Unique, UnknownCheck, rule_of


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
