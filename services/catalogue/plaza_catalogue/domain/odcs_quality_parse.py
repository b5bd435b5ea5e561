"""Quality rules in Open Data Contract Standard 3.1 documents, in. What would be lost silently is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from google.protobuf.json_format import ParseDict, ParseError
from plaza.common.v1 import contract_pb2 as pb

from plaza_catalogue.domain.odcs_nodes import Node, bad
from plaza_catalogue.domain.odcs_quality import DIMENSIONS, ENGINE, SEVERITIES

_MORE_SEVERITIES: Final = {
    "low": pb.RULE_SEVERITY_MINOR,
    "medium": pb.RULE_SEVERITY_MAJOR,
    "high": pb.RULE_SEVERITY_SEVERE,
    "critical": pb.RULE_SEVERITY_SEVERE,
}
"""Words that others write; ours are written back."""
_USUAL: Final = {
    "not_null": ("not-null", "completeness"),
    "unique": ("unique", "uniqueness"),
    "range": ("range", "accuracy"),
    "compare": ("compare", "consistency"),
    "conditional": ("conditional", "consistency"),
    "referential": ("referential", "consistency"),
    "not_future": ("not-future", "timeliness"),
    "monotone": ("monotone", "timeliness"),
    "freshness": ("freshness", "timeliness"),
    "row_count": ("row-count", "completeness"),
    "drift": ("drift", "accuracy"),
    "agrees_with": ("agrees-with", "accuracy"),
}
"""End of the id and dimension of a rule that names neither; for all others the kind and conformity."""
_KINDS: Final = tuple(each.name for each in pb.QualityRule.DESCRIPTOR.oneofs_by_name["check"].fields)
_OF_A_FIELD: Final = frozenset(
    each.name
    for each in pb.QualityRule.DESCRIPTOR.oneofs_by_name["check"].fields
    if each.message_type is not None and "field" in each.message_type.fields_by_name
)


def parse_rule(node: Node, field: str) -> list[pb.QualityRule]:
    """One rule, or none: rules of type `text` are for people. `field`: under which it stands, empty for the table.
    Raises BadDocument."""
    kind = node.text("type", "library")
    if kind == "text":
        return []
    rule = pb.QualityRule(title=node.text("name"))
    extra = node.custom()
    match kind, node.text("metric"):
        case "library", "nullValues" if field:
            rule.not_null.field = field
            rule.threshold_percent = _passing(node)
        case "library", "duplicateValues":
            named = node.node("arguments").texts("properties")
            rule.unique.fields.extend(named or ([field] if field else []))
            rule.threshold_percent = _passing(node)
        case "library", "invalidValues" if field:
            _invalid_values(rule, node.node("arguments"), field)
            rule.threshold_percent = _passing(node)
        case "library", "rowCount" if not field:
            _row_count(rule.row_count, node)
            rule.threshold_percent = (
                extra.number("thresholdPercent") if "thresholdPercent" in extra.data else 100
            )
        case "custom", _ if node.text("engine") == ENGINE:
            _custom(rule, node.node("implementation"), field)
        case _:
            raise bad(
                node.place,
                "only nullValues and invalidValues of properties, duplicateValues, rowCount of tables and rules of the"
                " engine plaza are known",
            )
    _about(rule, node, extra, field)
    return [rule]


def _about(rule: pb.QualityRule, node: Node, extra: Node, field: str) -> None:
    checked = rule.WhichOneof("check") or ""
    end, dimension = _USUAL.get(checked, (checked.replace("_", "-"), "conformity"))
    rule.id = node.text("id") or f"{field or 'table'}-{end}"
    word = node.text("dimension", dimension)
    if word not in DIMENSIONS:
        raise bad(node.at("dimension"), f"{word!r} is none of {', '.join(DIMENSIONS)}")
    rule.dimension = DIMENSIONS[word]
    if severity := node.text("severity"):
        known = SEVERITIES | _MORE_SEVERITIES
        if severity.lower() not in known:
            raise bad(node.at("severity"), f"{severity!r} is none of {', '.join(known)}")
        rule.severity = known[severity.lower()]
    rule.weight = extra.number("weight") if "weight" in extra.data else 0
    rule.indicator = extra.text("indicator")
    rule.stops_sharing = extra.flag("stopsSharing")
    rule.stops_opening = extra.flag("stopsOpening")


def _invalid_values(rule: pb.QualityRule, arguments: Node, field: str) -> None:
    """Either a list or a pattern: both at once would be two rules."""
    said = sorted(arguments.data.keys() & {"validValues", "pattern"})
    if len(said) != 1 or len(arguments.data) != 1:
        raise bad(arguments.place, "must be either validValues or pattern")
    if said == ["pattern"]:
        rule.pattern.field = field
        pattern = arguments.text("pattern", None)
        whole = pattern.startswith("^(?:") and pattern.endswith(")$")
        rule.pattern.pattern = pattern[4:-2] if whole else pattern
        return
    rule.in_list.field = field
    for index, value in enumerate(arguments.items("validValues")):
        rule.in_list.values.append(_text(value, f"{arguments.at('validValues')}[{index}]"))


def _text(value: Any, place: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise bad(place, "must be a text, a whole number, true or false")


def _row_count(check: pb.RowCountCheck, node: Node) -> None:
    """Bounds as the standard's operators say them."""
    found = node.data.keys() & _OPERATORS.keys()
    if not found:
        raise bad(node.place, f"needs one of {', '.join(_OPERATORS)}")
    for operator in sorted(found):
        place, value = node.at(operator), node.data[operator]
        values = value if isinstance(value, list) else [value]
        if len(values) != (2 if operator == "mustBeBetween" else 1) or not all(
            _is_count(each) for each in values
        ):
            raise bad(place, "must be a number of rows, of mustBeBetween two")
        least, most = _OPERATORS[operator]
        if least is not None:
            check.minimum = values[0] + least
        if most is not None:
            check.maximum = values[-1] + most


_OPERATORS: Final[dict[str, tuple[int | None, int | None]]] = {
    "mustBe": (0, 0),
    "mustBeGreaterThan": (1, None),
    "mustBeGreaterOrEqualTo": (0, None),
    "mustBeLessThan": (None, -1),
    "mustBeLessOrEqualTo": (None, 0),
    "mustBeBetween": (0, 0),
}
"""What is added to the operator's value to get the smallest and the greatest number of rows."""


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _custom(rule: pb.QualityRule, node: Node, field: str) -> None:
    kind = node.text("check", None)
    if kind not in _KINDS or bool(field) != (kind in _OF_A_FIELD):
        belonging = [each for each in _KINDS if bool(field) == (each in _OF_A_FIELD)]
        raise bad(node.at("check"), f"{kind!r} is none of {', '.join(belonging)}, which may stand here")
    parts = {name: value for name, value in node.data.items() if name not in ("check", "thresholdPercent")}
    if field:
        if "field" in parts:
            raise bad(node.at("field"), "is said already by the place of the rule")
        parts["field"] = field
    if kind == "range":
        # Read by hand, so that a bound names its own place.
        _range(rule.range, node, field)
    else:
        try:
            ParseDict(parts, getattr(rule, kind))
        except ParseError as error:
            raise bad(node.place, f"is no check of the kind {kind}: {error}") from None
        getattr(rule, kind).SetInParent()
    rule.threshold_percent = node.number("thresholdPercent") if "thresholdPercent" in node.data else 100


def _range(check: pb.RangeCheck, node: Node, field: str) -> None:
    check.field = field
    if "minimum" in node.data:
        check.minimum = node.number("minimum")
    if "maximum" in node.data:
        check.maximum = node.number("maximum")


def _passing(node: Node) -> float:
    """The smallest pass rate in percent that a largest failure rate leaves."""
    if "mustBeLessOrEqualTo" in node.data:
        if node.text("unit") != "percent":
            raise bad(node.at("unit"), "must be percent: counts of rows are not known")
        return float(Decimal(100) - Decimal(repr(node.number("mustBeLessOrEqualTo"))))
    if "mustBe" in node.data and node.number("mustBe") == 0:
        return 100
    raise bad(node.at("mustBeLessOrEqualTo"), "is missing")
