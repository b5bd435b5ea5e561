"""A rule that compares with another source, when fields of its contract are renamed or left out."""

from __future__ import annotations

from plaza.common.v1 import contract_pb2 as pb
from plaza_gateway.console.contract_rules import leave_out, rename


def contract() -> pb.Contract:
    check = pb.AgreesWithCheck(
        dataset="departments/a/datasets/b",
        key=["id"],
        fields=["name", "sum"],
        other_fields=["title", "total"],
    )
    return pb.Contract(rules=[pb.QualityRule(id="right", agrees_with=check)])


def test_the_other_source_keeps_its_names() -> None:
    given = contract()
    rename(given, {"id": "number", "sum": "amount"})
    found = given.rules[0].agrees_with
    assert (list(found.key), list(found.other_key)) == (["number"], ["id"])
    assert (list(found.fields), list(found.other_fields)) == (["name", "amount"], ["title", "total"])


def test_without_its_key_it_goes() -> None:
    given = contract()
    leave_out(given, {"id"})
    assert not given.rules
