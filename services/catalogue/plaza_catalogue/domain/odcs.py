"""Contracts as Open Data Contract Standard 3.1 documents (Bitol ODCS v3.1.0), out.

What the standard has no word for travels in `customProperties`, its own place for that: `unit`, `codeList`,
`missingValues`, `steps`, `ruleOrder`, `weight`, and of the file `delimiter`, `fileType`, `encoding`, `sheet`,
`recordPath`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from google.protobuf.json_format import MessageToDict
from plaza.common.v1 import contract_pb2 as pb
from plaza.common.v1 import grades_pb2

from plaza_catalogue.domain import odcs_yaml

API_VERSION = "v3.1.0"
LOGICAL_TYPES: dict[str, pb.FieldType.ValueType] = {
    "string": pb.FIELD_TYPE_STRING,
    "integer": pb.FIELD_TYPE_INTEGER,
    "number": pb.FIELD_TYPE_NUMBER,
    "boolean": pb.FIELD_TYPE_BOOLEAN,
    "date": pb.FIELD_TYPE_DATE,
    "timestamp": pb.FIELD_TYPE_TIMESTAMP,
}
DIMENSIONS: dict[str, grades_pb2.Dimension.ValueType] = {
    "accuracy": grades_pb2.DIMENSION_ACCURACY,
    "completeness": grades_pb2.DIMENSION_COMPLETENESS,
    "consistency": grades_pb2.DIMENSION_CONSISTENCY,
    "timeliness": grades_pb2.DIMENSION_TIMELINESS,
    "uniqueness": grades_pb2.DIMENSION_UNIQUENESS,
    # The standard's word for 规范性.
    "conformity": grades_pb2.DIMENSION_VALIDITY,
}
ENGINE = "plaza"
_TYPE_WORDS = {number: word for word, number in LOGICAL_TYPES.items()}
_DIMENSION_WORDS = {number: word for word, number in DIMENSIONS.items()}


@dataclass(frozen=True, slots=True)
class ContractDocument:
    """What a document says."""

    contract: pb.Contract = field(hash=False)
    title: str = ""
    description: str = ""
    id: str = "draft"
    version: str = "1.0.0"
    status: str = "draft"


def render(document: ContractDocument) -> str:
    """The document in YAML. Thresholds are written with at most nine decimals."""
    contract = document.contract
    data: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "DataContract",
        "id": document.id,
        "name": document.title,
        "version": document.version,
        "status": document.status,
    }
    if document.description:
        data["description"] = {"purpose": document.description}
    table: dict[str, Any] = {"name": "table", "logicalType": "object", "physicalType": "table"}
    table["properties"] = [_property(contract, item) for item in contract.fields]
    if quality := [_rule(rule) for rule in contract.rules if not rule_field(rule)]:
        table["quality"] = quality
    custom = _custom(
        delimiter=contract.format.delimiter,
        missingValues=list(contract.format.missing_values),
        fileType=contract.format.type,
        encoding=contract.format.encoding,
        sheet=contract.format.sheet,
        recordPath=contract.format.record_path,
        steps=[MessageToDict(step, preserving_proto_field_name=True) for step in contract.steps],
        ruleOrder=_order(contract),
    )
    data["schema"] = [table | custom]
    return odcs_yaml.dump(data)


def rule_field(rule: pb.QualityRule) -> str:
    """The one field a rule belongs to; empty for rules about the table."""
    match rule.WhichOneof("check"):
        case "not_null":
            return rule.not_null.field
        case "range":
            return rule.range.field
        case _:
            return ""


def _property(contract: pb.Contract, item: pb.Field) -> dict[str, Any]:
    data: dict[str, Any] = {"name": item.name}
    if item.source_name:
        data["physicalName"] = item.source_name
    if item.title:
        data["businessName"] = item.title
    data["logicalType"] = _TYPE_WORDS[item.type]
    if item.description:
        data["description"] = item.description
    if item.required:
        data["required"] = True
    if item.name in contract.key:
        data |= {"primaryKey": True, "primaryKeyPosition": list(contract.key).index(item.name) + 1}
    if quality := [_rule(rule) for rule in contract.rules if rule_field(rule) == item.name]:
        data["quality"] = quality
    return data | _custom(unit=item.unit, codeList=item.code_list, missingValues=list(item.missing_values))


def _rule(rule: pb.QualityRule) -> dict[str, Any]:
    data: dict[str, Any] = {"id": rule.id}
    if rule.title:
        data["name"] = rule.title
    if rule.dimension in _DIMENSION_WORDS:
        data["dimension"] = _DIMENSION_WORDS[rule.dimension]
    failing = Decimal(100) - _threshold(rule)
    match rule.WhichOneof("check"):
        case "not_null":
            data |= {"type": "library", "metric": "nullValues"}
            data |= {"mustBeLessOrEqualTo": _number(float(failing)), "unit": "percent"}
        case "unique":
            data |= {"type": "library", "metric": "duplicateValues"}
            data |= {"arguments": {"properties": list(rule.unique.fields)}}
            data |= {"mustBeLessOrEqualTo": _number(float(failing)), "unit": "percent"}
        case "range":
            bounds = {
                bound: _number(getattr(rule.range, bound))
                for bound in ("minimum", "maximum")
                if rule.range.HasField(bound)
            }
            passing = {"thresholdPercent": _number(float(_threshold(rule)))}
            data |= {"type": "custom", "engine": ENGINE}
            data["implementation"] = {"check": "range"} | bounds | passing
    return data | _custom(weight=_number(rule.weight) if rule.weight else None)


def _order(contract: pb.Contract) -> list[str]:
    """Ids in the contract's order, when it is not the order in which a reader meets the rules."""
    met = [r.id for f in contract.fields for r in contract.rules if rule_field(r) == f.name]
    met += [r.id for r in contract.rules if not rule_field(r)]
    ids = [rule.id for rule in contract.rules]
    return ids if ids != met else []


def _threshold(rule: pb.QualityRule) -> Decimal:
    # Nine decimals: the difference to 100 is then exact in decimal and in binary, so it survives the way back.
    return round(Decimal(repr(rule.threshold_percent)), 9)


def _number(value: float) -> int | float:
    """A whole number without its `.0`; minus zero stays itself, so that what is read is what was written."""
    whole = value.is_integer() and abs(value) < 2**53 and not (value == 0 and math.copysign(1, value) < 0)
    return int(value) if whole else value


def _custom(**values: Any) -> dict[str, Any]:
    """`customProperties` with those that say something."""
    said = [
        {"property": name, "value": value} for name, value in values.items() if value not in ("", [], None)
    ]
    return {"customProperties": said} if said else {}
