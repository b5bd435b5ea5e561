"""`buf.validate` rules, asked of protovalidate, in our words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protovalidate import Validator, Violation

from plaza_gateway.transcode.places import Step

_CUSTOM_RULES = frozenset({"cel", "cel_expression"})


@dataclass(frozen=True, slots=True)
class Broken:
    """One broken rule."""

    steps: tuple[Step, ...]
    """Where in the message, in proto names; empty for the message as a whole."""
    detail: str
    custom: bool
    """A CEL rule or one about a whole message: the API document has no words for it."""


def broken_rules(validator: Validator, message: Any) -> tuple[Broken, ...]:
    """All rules that a message breaks."""
    return tuple(_broken(each) for each in validator.collect_violations(message))


def _broken(violation: Violation) -> Broken:
    proto: Any = violation.proto
    steps: list[Step] = []
    for element in proto.field.elements if proto.field is not None else ():
        steps.append(element.field_name)
        subscript = element.subscript
        if subscript is not None:
            steps.append(_subscript(subscript.value))
    rule = [each.field_name for each in proto.rule.elements] if proto.rule is not None else []
    custom = not steps or not _CUSTOM_RULES.isdisjoint(rule[:1])
    return Broken(tuple(steps), proto.message or f"breaks the rule {proto.rule_id}", custom)


def _subscript(value: object) -> Step:
    """An index or a key; numbers and booleans as a JSON object would write them as keys."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, int) else str(value)
