"""A rule that means nothing over the contract's fields is refused, with the place and what to do."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from plaza.common.v1 import contract_pb2 as pb
from plaza_catalogue.domain.contract_checks import BadContract, check_contract

TYPES = {
    "s": pb.FIELD_TYPE_STRING,
    "n": pb.FIELD_TYPE_INTEGER,
    "x": pb.FIELD_TYPE_NUMBER,
    "b": pb.FIELD_TYPE_BOOLEAN,
    "d": pb.FIELD_TYPE_DATE,
    "t": pb.FIELD_TYPE_TIMESTAMP,
    "t2": pb.FIELD_TYPE_TIMESTAMP,
}


def contract(check: dict[str, Any]) -> pb.Contract:
    found = pb.Contract(fields=[pb.Field(name=name, type=kind) for name, kind in TYPES.items()])
    base = {"id": "r", "dimension": "DIMENSION_VALIDITY", "threshold_percent": 100}
    found.rules.append(ParseDict(base | check, pb.QualityRule()))
    return found


SOUND: list[dict[str, Any]] = [
    {"format": {"field": "s", "format": "TEXT_FORMAT_PLATE"}},
    {"length": {"field": "s", "maximum": 0}},
    {"pattern": {"field": "s", "pattern": r"\p{Han}{1,10}|[[:alpha:]]+|[*+]+\.(?i:a)\z"}},
    {"in_list": {"field": "s", "values": ["", "a"]}},
    {"in_list": {"field": "t", "values": ["2024-01-01T00:00:00+08:00"]}},
    {"in_list": {"field": "b", "values": ["true"]}},
    {"in_code_list": {"field": "n", "code_list": "codeLists/divisions"}},
    {"compare": {"left": "n", "comparison": "COMPARISON_LESS", "right": "x", "tolerance": 0.5}},
    {"compare": {"left": "t", "comparison": "COMPARISON_LESS_OR_EQUAL", "right": "t2"}},
    {"conditional": {"when": 's = "a"', "then": "x != null AND x > 1"}},
    {"conditional": {"then": 'd >= "2024-01-01"'}},
    {
        "referential": {
            "fields": ["s", "n"],
            "dataset": "departments/a/datasets/b",
            "other_fields": ["k", "l"],
        }
    },
    {"not_future": {"field": "d"}},
    {"monotone": {"field": "x", "ordered_by": "t", "within": ["s"]}},
    {"freshness": {"field": "t", "grace": "3600s"}},
    {"row_count": {"loss_percent": 10}},
    {"drift": {"field": "b", "limit": 0.2}},
    {
        "agrees_with": {
            "dataset": "departments/a/datasets/b",
            "key": ["s"],
            "other_key": ["k"],
            "fields": ["x", "t"],
            "absolute_tolerance": 0.1,
            "time_tolerance": "5s",
        }
    },
    {"expression": {"expression": "n BETWEEN 1 AND length(s)"}},
]


def test_every_kind_has_a_sound_example() -> None:
    for check in SOUND:
        check_contract(contract(check))
    kinds = {each.name for each in pb.QualityRule.DESCRIPTOR.oneofs_by_name["check"].fields}
    assert {kind for check in SOUND for kind in check} == kinds - {"not_null", "range", "unique"}


def test_what_a_worker_can_judge_may_refuse_and_nothing_else() -> None:
    refuse = {"severity": "RULE_SEVERITY_REFUSE"}
    more = [{"not_null": {"field": "s"}}, {"range": {"field": "n", "minimum": 0}}]
    for check in SOUND + more:
        (kind,) = check
        if kind in ("not_null", "range", "length", "pattern", "in_list"):
            check_contract(contract(check | refuse))
        else:
            with pytest.raises(BadContract, match="cannot refuse") as refusal:
                check_contract(contract(check | refuse))
            assert [v.field for v in refusal.value.violations] == ["contract.rules[0].severity"]


@pytest.mark.parametrize(
    ("check", "place"),
    [
        ({"format": {"field": "n", "format": "TEXT_FORMAT_PLATE"}}, "format.field"),
        ({"format": {"field": "gone", "format": "TEXT_FORMAT_PLATE"}}, "format.field"),
        ({"length": {"field": "s"}}, "length"),
        ({"length": {"field": "x", "maximum": 1}}, "length.field"),
        ({"length": {"field": "s", "minimum": 2, "maximum": 1}}, "length.maximum"),
        ({"pattern": {"field": "s", "pattern": "("}}, "pattern.pattern"),
        ({"pattern": {"field": "s", "pattern": "(?=a)"}}, "pattern.pattern"),
        ({"pattern": {"field": "s", "pattern": r"(a)\1"}}, "pattern.pattern"),
        ({"pattern": {"field": "s", "pattern": "a++"}}, "pattern.pattern"),
        ({"pattern": {"field": "s", "pattern": "a{1001}"}}, "pattern.pattern"),
        ({"in_list": {"field": "x", "values": ["1"]}}, "in_list.field"),
        ({"in_list": {"field": "n", "values": ["1", "one"]}}, "in_list.values[1]"),
        ({"in_list": {"field": "d", "values": ["2024-02-30"]}}, "in_list.values[0]"),
        ({"in_list": {"field": "s"}}, "in_list.values"),
        ({"in_code_list": {"field": "s"}}, "in_code_list.code_list"),
        ({"in_code_list": {"field": "d", "code_list": "codeLists/c"}}, "in_code_list.field"),
        ({"compare": {"left": "s", "comparison": "COMPARISON_LESS", "right": "n"}}, "compare.right"),
        ({"compare": {"left": "s", "comparison": "COMPARISON_LESS", "right": "s"}}, "compare.right"),
        ({"compare": {"left": "gone", "comparison": "COMPARISON_LESS", "right": "s"}}, "compare.left"),
        ({"compare": {"left": "b", "comparison": "COMPARISON_LESS", "right": "b"}}, "compare.comparison"),
        (
            {"compare": {"left": "t", "comparison": "COMPARISON_EQUAL", "right": "t2", "tolerance": 1}},
            "compare.tolerance",
        ),
        ({"conditional": {"when": "s >", "then": "x > 1"}}, "conditional.when"),
        ({"conditional": {"when": "", "then": "gone = 1"}}, "conditional.then"),
        ({"conditional": {"when": "b = true"}}, "conditional.then"),
        (
            {"referential": {"fields": ["gone"], "dataset": "departments/a/datasets/b"}},
            "referential.fields[0]",
        ),
        (
            {"referential": {"fields": ["s"], "dataset": "d", "other_fields": ["a", "b"]}},
            "referential.other_fields",
        ),
        (
            {"agrees_with": {"dataset": "d", "key": ["gone"], "fields": ["x"]}},
            "agrees_with.key[0]",
        ),
        ({"agrees_with": {"dataset": "d", "key": ["x"], "fields": ["s"]}}, "agrees_with.key[0]"),
        (
            {"agrees_with": {"dataset": "d", "key": ["s"], "fields": ["x"], "other_fields": ["a", "b"]}},
            "agrees_with.other_fields",
        ),
        ({"not_future": {"field": "s"}}, "not_future.field"),
        ({"monotone": {"field": "b", "ordered_by": "t"}}, "monotone.field"),
        ({"monotone": {"field": "x", "ordered_by": "gone"}}, "monotone.ordered_by"),
        ({"monotone": {"field": "x", "ordered_by": "t", "within": ["x"]}}, "monotone.within[0]"),
        ({"freshness": {"field": "n"}}, "freshness.field"),
        ({"row_count": {}}, "row_count"),
        ({"row_count": {"minimum": 2, "maximum": 1}}, "row_count.maximum"),
        ({"drift": {"field": "gone", "limit": 1}}, "drift.field"),
        ({"expression": {"expression": "n > 1; DROP TABLE t"}}, "expression.expression"),
        ({"expression": {"expression": "getenv('HOME') = s"}}, "expression.expression"),
    ],
)
def test_a_rule_that_means_nothing_names_its_place(check: dict[str, Any], place: str) -> None:
    with pytest.raises(BadContract) as raised:
        check_contract(contract(check))
    assert f"contract.rules[0].{place}" in [each.field for each in raised.value.violations]
    assert all(each.description for each in raised.value.violations)


def test_a_code_list_of_the_field_is_enough() -> None:
    found = contract({"in_code_list": {"field": "s"}})
    found.fields[0].code_list = "codeLists/gender"
    check_contract(found)
