"""Quality rules in Open Data Contract Standard 3.1 documents, out.

Where the standard's library has a metric with the same meaning the rule is written so: `nullValues`, `duplicateValues`,
`invalidValues` (lists, patterns), `rowCount`. All others are `custom` for the engine `plaza`; their `implementation`
names the kind and its parts as `plaza.common.v1.QualityRule` has them. What the standard has no word for travels in
`customProperties`: `weight`, `indicator`, `stopsSharing`, `stopsOpening`, `thresholdPercent`.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from plaza.common.v1 import contract_pb2 as pb
from plaza.common.v1 import grades_pb2

DIMENSIONS: Final[dict[str, grades_pb2.Dimension.ValueType]] = {
    "accuracy": grades_pb2.DIMENSION_ACCURACY,
    "completeness": grades_pb2.DIMENSION_COMPLETENESS,
    "consistency": grades_pb2.DIMENSION_CONSISTENCY,
    "timeliness": grades_pb2.DIMENSION_TIMELINESS,
    "uniqueness": grades_pb2.DIMENSION_UNIQUENESS,
    # The standard's word for 规范性.
    "conformity": grades_pb2.DIMENSION_VALIDITY,
}
SEVERITIES: Final = {
    "info": pb.RULE_SEVERITY_MINOR,
    "warning": pb.RULE_SEVERITY_MAJOR,
    "error": pb.RULE_SEVERITY_SEVERE,
    "refuse": pb.RULE_SEVERITY_REFUSE,
}
"""The standard's examples of words, by what they are here; the last word is ours."""
ENGINE: Final = "plaza"
_DIMENSION_WORDS: Final = {number: word for word, number in DIMENSIONS.items()}
_SEVERITY_WORDS: Final = {number: word for word, number in SEVERITIES.items()}


def rule_field(rule: pb.QualityRule) -> str:
    """The one field a rule belongs to; empty for rules about several or about the table."""
    kind = rule.WhichOneof("check")
    return "" if kind is None else str(getattr(getattr(rule, kind), "field", ""))


def render_rule(rule: pb.QualityRule) -> dict[str, Any]:
    """The rule as an item of `quality`. Thresholds are written with at most nine decimals."""
    data: dict[str, Any] = {"id": rule.id}
    if rule.title:
        data["name"] = rule.title
    if rule.dimension in _DIMENSION_WORDS:
        data["dimension"] = _DIMENSION_WORDS[rule.dimension]
    if rule.severity in _SEVERITY_WORDS:
        data["severity"] = _SEVERITY_WORDS[rule.severity]
    check, threshold = _check(rule)
    return (
        data
        | check
        | custom(
            weight=_number(rule.weight) if rule.weight else None,
            thresholdPercent=threshold,
            indicator=rule.indicator,
            stopsSharing=rule.stops_sharing or None,
            stopsOpening=rule.stops_opening or None,
        )
    )


def _check(rule: pb.QualityRule) -> tuple[dict[str, Any], int | float | None]:
    """What is checked, and the threshold where the check itself has no place for it and it is not 100."""
    match rule.WhichOneof("check"):
        case "not_null":
            return _library(rule, "nullValues", {}), None
        case "unique":
            return _library(rule, "duplicateValues", {"properties": list(rule.unique.fields)}), None
        case "in_list":
            return _library(
                rule, "invalidValues", {"validValues": list(map(_value, rule.in_list.values))}
            ), None
        case "pattern":
            # The standard does not say whether the whole value is meant; so written, it is either way.
            return _library(rule, "invalidValues", {"pattern": f"^(?:{rule.pattern.pattern})$"}), None
        case "range":
            return _custom_check(rule, "range", _bounds(rule.range)), None
        case "row_count" if rows := _row_count(rule.row_count):
            threshold = _number(float(_threshold(rule)))
            return {"type": "library", "metric": "rowCount"} | rows, None if threshold == 100 else threshold
        case kind:
            assert kind is not None, "the contract was checked"
            parts = MessageToDict(getattr(rule, kind), preserving_proto_field_name=True)
            return _custom_check(
                rule, kind, {name: value for name, value in parts.items() if name != "field"}
            ), None


def _library(rule: pb.QualityRule, metric: str, arguments: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = {"type": "library", "metric": metric}
    if arguments:
        data["arguments"] = arguments
    return data | {"mustBeLessOrEqualTo": _number(float(Decimal(100) - _threshold(rule))), "unit": "percent"}


def _custom_check(rule: pb.QualityRule, kind: str, parts: dict[str, Any]) -> dict[str, Any]:
    passing = {"thresholdPercent": _number(float(_threshold(rule)))}
    return {"type": "custom", "engine": ENGINE, "implementation": {"check": kind} | parts | passing}


def _bounds(check: pb.RangeCheck) -> dict[str, Any]:
    least = {"minimum": _number(check.minimum)} if check.HasField("minimum") else {}
    return least | ({"maximum": _number(check.maximum)} if check.HasField("maximum") else {})


def _row_count(check: pb.RowCountCheck) -> dict[str, Any]:
    """Empty where bounds against the version before are given: the standard has no word for them."""
    if check.HasField("growth_percent") or check.HasField("loss_percent"):
        return {}
    if check.HasField("minimum") and check.HasField("maximum"):
        return {"mustBeBetween": [check.minimum, check.maximum]}
    if check.HasField("minimum"):
        return {"mustBeGreaterOrEqualTo": check.minimum}
    return {"mustBeLessOrEqualTo": check.maximum} if check.HasField("maximum") else {}


def _value(text: str) -> str | int | bool:
    """As the value that other tools compare with, where that is read back as the same text."""
    if text in ("true", "false"):
        return text == "true"
    is_whole = text.removeprefix("-").isdecimal() and text.isascii() and len(text) < 20
    return int(text) if is_whole and str(int(text)) == text else text


def _threshold(rule: pb.QualityRule) -> Decimal:
    # Nine decimals: the difference to 100 is then exact in decimal and in binary, so it survives the way back.
    return round(Decimal(repr(rule.threshold_percent)), 9)


def _number(value: float) -> int | float:
    """A whole number without its `.0`; minus zero stays itself, so that what is read is what was written."""
    whole = value.is_integer() and abs(value) < 2**53 and not (value == 0 and math.copysign(1, value) < 0)
    return int(value) if whole else value


def custom(**values: Any) -> dict[str, Any]:
    """`customProperties` with those that say something."""
    said = [
        {"property": name, "value": value} for name, value in values.items() if value not in ("", [], None)
    ]
    return {"customProperties": said} if said else {}
