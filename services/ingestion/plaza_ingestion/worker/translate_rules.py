"""Rules that refuse, from the words of the protos to those of the core."""

from __future__ import annotations

from collections.abc import Iterator

from plaza.common.v1 import contract_pb2 as pb

from plaza_ingestion.worker.plan import InvalidPlan
from plaza_ingestion.worker.refusing_rules import (
    Check,
    HasLength,
    InList,
    InRange,
    Matches,
    NotNull,
    RefusingRule,
)


def refusing_rules(contract: pb.Contract) -> Iterator[RefusingRule]:
    """Raises `InvalidPlan` for a rule by which this worker cannot refuse."""
    for rule in contract.rules:
        if rule.severity == pb.RULE_SEVERITY_REFUSE:
            field, check = _check(rule)
            yield RefusingRule(rule.id, rule.title, field, check)


def _check(rule: pb.QualityRule) -> tuple[str, Check]:
    match rule.WhichOneof("check"):
        case "not_null":
            return rule.not_null.field, NotNull()
        case "range":
            found = rule.range
            least = found.minimum if found.HasField("minimum") else None
            return found.field, InRange(least, found.maximum if found.HasField("maximum") else None)
        case "length":
            length = rule.length
            most = length.maximum if length.HasField("maximum") else None
            return length.field, HasLength(length.minimum, most)
        case "pattern":
            return rule.pattern.field, Matches(rule.pattern.pattern)
        case "in_list":
            return rule.in_list.field, InList(tuple(rule.in_list.values))
    raise InvalidPlan(
        f"Rule {rule.id!r} shall refuse rows, and this worker cannot refuse by a rule of its kind.",
        remedy="Give it another severity, or update the department's worker.",
    )
