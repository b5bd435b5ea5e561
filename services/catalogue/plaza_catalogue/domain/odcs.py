"""Contracts as Open Data Contract Standard 3.1 documents (Bitol ODCS v3.1.0), out.

What the standard has no word for travels in `customProperties`, its own place for that: `unit`, `codeList`,
`missingValues`, `steps`, `ruleOrder`, `weight`, and of the file `delimiter`, `fileType`, `encoding`, `sheet`,
`recordPath`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict
from plaza.common.v1 import contract_pb2 as pb

from plaza_catalogue.domain import odcs_yaml
from plaza_catalogue.domain.odcs_quality import custom, render_rule, rule_field

API_VERSION = "v3.1.0"
LOGICAL_TYPES: dict[str, pb.FieldType.ValueType] = {
    "string": pb.FIELD_TYPE_STRING,
    "integer": pb.FIELD_TYPE_INTEGER,
    "number": pb.FIELD_TYPE_NUMBER,
    "boolean": pb.FIELD_TYPE_BOOLEAN,
    "date": pb.FIELD_TYPE_DATE,
    "timestamp": pb.FIELD_TYPE_TIMESTAMP,
}
_TYPE_WORDS = {number: word for word, number in LOGICAL_TYPES.items()}


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
    if quality := [render_rule(rule) for rule in contract.rules if not rule_field(rule)]:
        table["quality"] = quality
    extra = custom(
        delimiter=contract.format.delimiter,
        missingValues=list(contract.format.missing_values),
        fileType=contract.format.type,
        encoding=contract.format.encoding,
        sheet=contract.format.sheet,
        recordPath=contract.format.record_path,
        steps=[MessageToDict(step, preserving_proto_field_name=True) for step in contract.steps],
        ruleOrder=_order(contract),
    )
    data["schema"] = [table | extra]
    return odcs_yaml.dump(data)


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
    if quality := [render_rule(rule) for rule in contract.rules if rule_field(rule) == item.name]:
        data["quality"] = quality
    return data | custom(unit=item.unit, codeList=item.code_list, missingValues=list(item.missing_values))


def _order(contract: pb.Contract) -> list[str]:
    """Ids in the contract's order, when it is not the order in which a reader meets the rules."""
    met = [r.id for f in contract.fields for r in contract.rules if rule_field(r) == f.name]
    met += [r.id for r in contract.rules if not rule_field(r)]
    ids = [rule.id for rule in contract.rules]
    return ids if ids != met else []
