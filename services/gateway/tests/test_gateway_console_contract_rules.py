"""Rules of every kind follow when fields of their contract are renamed or left out."""

from __future__ import annotations

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from plaza.common.v1 import contract_pb2
from plaza_gateway.console import contract_rules

RULES = {
    "notNull": ({"field": "a"}, {"field": "z"}),
    "range": ({"field": "a"}, {"field": "z"}),
    "unique": ({"fields": ["b", "a"]}, {"fields": ["b", "z"]}),
    "format": ({"field": "a"}, {"field": "z"}),
    "length": ({"field": "a"}, {"field": "z"}),
    "pattern": ({"field": "a", "pattern": "a"}, {"field": "z", "pattern": "a"}),
    "inList": ({"field": "a", "values": ["a"]}, {"field": "z", "values": ["a"]}),
    "inCodeList": ({"field": "a"}, {"field": "z"}),
    "compare": ({"left": "b", "right": "a"}, {"left": "b", "right": "z"}),
    "conditional": (
        {"when": 'b = a AND NOT a:"a = 1"', "then": "-a!=null OR (a > 2)"},
        {"when": 'b = a AND NOT z:"a = 1"', "then": "-z!=null OR (z > 2)"},
    ),
    "referential": (
        {"fields": ["a", "b"], "dataset": "departments/x/datasets/y"},
        {"fields": ["z", "b"], "dataset": "departments/x/datasets/y", "otherFields": ["a", "b"]},
    ),
    "agreesWith": (
        {"key": ["b"], "fields": ["a"], "dataset": "departments/x/datasets/y"},
        {"key": ["b"], "fields": ["z"], "dataset": "departments/x/datasets/y", "otherFields": ["a"]},
    ),
    "notFuture": ({"field": "a"}, {"field": "z"}),
    "monotone": (
        {"field": "b", "orderedBy": "a", "within": ["a"]},
        {"field": "b", "orderedBy": "z", "within": ["z"]},
    ),
    "freshness": ({"field": "a", "within": "60s"}, {"field": "z", "within": "60s"}),
    "drift": ({"field": "a", "limit": 0.1}, {"field": "z", "limit": 0.1}),
    "expression": (
        {"expression": """a + "a" > a(1) OR 'a' = b AND CAST(b AS a) IS a AND a::a = EXTRACT(a FROM A)"""},
        {"expression": """z + "z" > a(1) OR 'a' = b AND CAST(b AS a) IS z AND z::a = EXTRACT(a FROM z)"""},
    ),
    "rowCount": ({"minimum": "1"}, {"minimum": "1"}),
}
"""By kind: as it is, and after `a` became `z`."""
MORE = {"severity": "RULE_SEVERITY_SEVERE", "indicator": "0201", "stopsSharing": True, "stopsOpening": True}


def contract(kind: str) -> contract_pb2.Contract:
    rule = {"id": "r", "thresholdPercent": 99.5, "weight": 2.0, **MORE, kind: RULES[kind][0]}
    return ParseDict({"rules": [rule]}, contract_pb2.Contract())


def test_every_kind_is_here() -> None:
    checks = contract_pb2.QualityRule.DESCRIPTOR.oneofs_by_name["check"].fields
    assert {each.json_name for each in checks} == RULES.keys()


@pytest.mark.parametrize("kind", RULES)
def test_a_rule_follows_its_renamed_field(kind: str) -> None:
    made = contract(kind)
    contract_rules.rename(made, {"a": "z"})
    told = MessageToDict(made.rules[0])
    assert told[kind] == RULES[kind][1]
    assert told.items() >= MORE.items()
    unchanged = contract(kind)
    contract_rules.rename(unchanged, {"q": "r"})
    assert unchanged == contract(kind)


@pytest.mark.parametrize("kind", RULES)
def test_a_rule_goes_with_its_field(kind: str) -> None:
    made = contract(kind)
    contract_rules.leave_out(made, {"unheard_of"})
    assert made == contract(kind)
    contract_rules.leave_out(made, {"a"})
    assert len(made.rules) == (kind == "rowCount")
