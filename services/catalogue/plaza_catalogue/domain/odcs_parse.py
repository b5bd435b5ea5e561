"""Open Data Contract Standard 3.1 documents, in. Every error names its place: `schema[0].properties[3].logicalType`."""

from __future__ import annotations

from google.protobuf.json_format import ParseDict, ParseError
from plaza.common.v1 import contract_pb2 as pb

from plaza_catalogue.domain import odcs_yaml
from plaza_catalogue.domain.odcs import LOGICAL_TYPES, ContractDocument
from plaza_catalogue.domain.odcs_nodes import Node, bad
from plaza_catalogue.domain.odcs_quality_parse import parse_rule

_SCHEMA = "schema[0]"


def parse(document: str) -> ContractDocument:
    """What a document says, not yet checked against itself (`contract_checks`). Raises BadDocument."""
    root = Node(odcs_yaml.load(document), "")
    version = root.text("apiVersion", None)
    if not version.startswith(("v3.0.", "v3.1.")):
        raise bad("apiVersion", f"{version!r} cannot be read; v3.1.0 can")
    if root.text("kind", None) != "DataContract":
        raise bad("kind", "must be DataContract")
    schemas = root.nodes("schema")
    if len(schemas) != 1:
        raise bad("schema", f"must hold exactly one table, not {len(schemas)}")
    return ContractDocument(
        contract=_contract(schemas[0]),
        title=root.text("name"),
        description=_purpose(root),
        id=root.text("id", "draft"),
        version=root.text("version", "1.0.0"),
        status=root.text("status", "draft"),
    )


def _purpose(root: Node) -> str:
    return "" if root.data.get("description") is None else root.node("description").text("purpose")


def _contract(table: Node) -> pb.Contract:
    contract = pb.Contract()
    keys: list[tuple[int, str]] = []
    rules: list[pb.QualityRule] = []
    for item in table.nodes("properties"):
        field = _field(item)
        contract.fields.append(field)
        if item.flag("primaryKey"):
            keys.append((_position(item, len(keys) + 1), field.name))
        rules += [rule for node in item.nodes("quality") for rule in parse_rule(node, field.name)]
    if not contract.fields:
        raise bad(f"{_SCHEMA}.properties", "a contract needs at least one property")
    contract.key.extend(name for _, name in sorted(keys, key=lambda pair: pair[0]))
    rules += [rule for node in table.nodes("quality") for rule in parse_rule(node, "")]
    custom = table.custom()
    rank = {rule_id: index for index, rule_id in enumerate(custom.texts("ruleOrder"))}
    contract.rules.extend(sorted(rules, key=lambda rule: rank.get(rule.id, len(rank))))
    contract.steps.extend(_step(node) for node in custom.nodes("steps"))
    written = pb.FileFormat(
        delimiter=custom.text("delimiter"),
        missing_values=custom.texts("missingValues"),
        type=custom.text("fileType"),
        encoding=custom.text("encoding"),
        sheet=custom.text("sheet"),
        record_path=custom.text("recordPath"),
    )
    if written != pb.FileFormat():
        contract.format.CopyFrom(written)
    return contract


def _position(item: Node, default: int) -> int:
    value = item.data.get("primaryKeyPosition", default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad(item.at("primaryKeyPosition"), "must be a whole number")
    return value if value > 0 else default


def _field(item: Node) -> pb.Field:
    word = item.text("logicalType", None)
    if word not in LOGICAL_TYPES:
        raise bad(item.at("logicalType"), f"{word!r} is none of {', '.join(LOGICAL_TYPES)}")
    custom = item.custom()
    return pb.Field(
        name=item.text("name", None),
        source_name=item.text("physicalName"),
        type=LOGICAL_TYPES[word],
        required=item.flag("required"),
        title=item.text("businessName"),
        description=item.text("description"),
        unit=custom.text("unit"),
        code_list=custom.text("codeList"),
        missing_values=custom.texts("missingValues"),
    )


def _step(node: Node) -> pb.Step:
    try:
        return ParseDict(node.data, pb.Step())
    except ParseError as error:
        raise bad(node.place, f"is not a step: {error}") from None
