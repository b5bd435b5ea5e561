"""Open Data Contract Standard 3.1 documents, in. Every error names its place: `schema[0].properties[3].logicalType`."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError
from plaza.common.v1 import contract_pb2 as pb

from plaza_catalogue.domain import odcs_yaml
from plaza_catalogue.domain.odcs import DIMENSIONS, ENGINE, LOGICAL_TYPES, ContractDocument
from plaza_catalogue.domain.odcs_yaml import BadDocument

_SCHEMA = "schema[0]"


@dataclass(frozen=True, slots=True)
class _Node:
    """A map of the document and the place where it stands."""

    data: dict[str, Any]
    place: str

    def at(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def text(self, key: str, default: str | None = "") -> str:
        value = self.data.get(key)
        if value is None:
            if default is None:
                raise _bad(self.at(key), "is missing")
            return default
        if not isinstance(value, str):
            raise _bad(self.at(key), "must be a text; put quotation marks around it")
        return value

    def flag(self, key: str) -> bool:
        value = self.data.get(key, False)
        if not isinstance(value, bool):
            raise _bad(self.at(key), "must be true or false")
        return value

    def number(self, key: str) -> float:
        return _number(self.data.get(key), self.at(key))

    def node(self, key: str) -> _Node:
        return _node(self.data.get(key, {}), self.at(key))

    def nodes(self, key: str) -> list[_Node]:
        return [
            _node(v, f"{self.at(key)}[{i}]") for i, v in enumerate(_list(self.data.get(key), self.at(key)))
        ]

    def custom(self) -> _Node:
        """`customProperties` as a map."""
        said = {
            item.text("property", None): item.data.get("value") for item in self.nodes("customProperties")
        }
        return _Node(said, self.at("customProperties"))

    def texts(self, key: str) -> list[str]:
        values = _list(self.data.get(key), self.at(key))
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise _bad(f"{self.at(key)}[{index}]", "must be a text; put quotation marks around it")
        return values


def parse(document: str) -> ContractDocument:
    """What a document says, not yet checked against itself (`contract_checks`). Raises BadDocument."""
    root = _Node(odcs_yaml.load(document), "")
    version = root.text("apiVersion", None)
    if not version.startswith(("v3.0.", "v3.1.")):
        raise _bad("apiVersion", f"{version!r} cannot be read; v3.1.0 can")
    if root.text("kind", None) != "DataContract":
        raise _bad("kind", "must be DataContract")
    schemas = root.nodes("schema")
    if len(schemas) != 1:
        raise _bad("schema", f"must hold exactly one table, not {len(schemas)}")
    return ContractDocument(
        contract=_contract(schemas[0]),
        title=root.text("name"),
        description=_purpose(root),
        id=root.text("id", "draft"),
        version=root.text("version", "1.0.0"),
        status=root.text("status", "draft"),
    )


def _purpose(root: _Node) -> str:
    return "" if root.data.get("description") is None else root.node("description").text("purpose")


def _contract(table: _Node) -> pb.Contract:
    contract = pb.Contract()
    keys: list[tuple[int, str]] = []
    rules: list[pb.QualityRule] = []
    for item in table.nodes("properties"):
        field = _field(item)
        contract.fields.append(field)
        if item.flag("primaryKey"):
            keys.append((_position(item, len(keys) + 1), field.name))
        rules += [rule for node in item.nodes("quality") for rule in _rule(node, field.name)]
    if not contract.fields:
        raise _bad(f"{_SCHEMA}.properties", "a contract needs at least one property")
    contract.key.extend(name for _, name in sorted(keys, key=lambda pair: pair[0]))
    rules += [rule for node in table.nodes("quality") for rule in _rule(node, "")]
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


def _position(item: _Node, default: int) -> int:
    value = item.data.get("primaryKeyPosition", default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _bad(item.at("primaryKeyPosition"), "must be a whole number")
    return value if value > 0 else default


def _field(item: _Node) -> pb.Field:
    word = item.text("logicalType", None)
    if word not in LOGICAL_TYPES:
        raise _bad(item.at("logicalType"), f"{word!r} is none of {', '.join(LOGICAL_TYPES)}")
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


def _rule(node: _Node, field: str) -> list[pb.QualityRule]:
    """One rule, or none: rules of type `text` are for people. What would be lost silently is refused."""
    kind = node.text("type", "library")
    if kind == "text":
        return []
    rule = pb.QualityRule(title=node.text("name"))
    match kind, node.text("metric"):
        case "library", "nullValues" if field:
            rule.not_null.field = field
            rule.threshold_percent = _passing(node)
            fallback = ("not-null", "completeness")
        case "library", "duplicateValues":
            named = node.node("arguments").texts("properties")
            rule.unique.fields.extend(named or ([field] if field else []))
            rule.threshold_percent = _passing(node)
            fallback = ("unique", "uniqueness")
        case "custom", _ if field and node.text("engine") == ENGINE:
            _range(rule, node.node("implementation"), field)
            fallback = ("range", "accuracy")
        case _:
            raise _bad(
                node.place, "only nullValues, duplicateValues and ranges of the engine plaza are known"
            )
    rule.id = node.text("id") or f"{field or 'table'}-{fallback[0]}"
    word = node.text("dimension", fallback[1])
    if word not in DIMENSIONS:
        raise _bad(node.at("dimension"), f"{word!r} is none of {', '.join(DIMENSIONS)}")
    rule.dimension = DIMENSIONS[word]
    custom = node.custom()
    rule.weight = custom.number("weight") if "weight" in custom.data else 0
    return [rule]


def _range(rule: pb.QualityRule, node: _Node, field: str) -> None:
    if node.text("check", None) != "range":
        raise _bad(node.at("check"), "must be range")
    rule.range.field = field
    if "minimum" in node.data:
        rule.range.minimum = node.number("minimum")
    if "maximum" in node.data:
        rule.range.maximum = node.number("maximum")
    rule.threshold_percent = node.number("thresholdPercent") if "thresholdPercent" in node.data else 100


def _passing(node: _Node) -> float:
    """The smallest pass rate in percent that a largest failure rate leaves."""
    if "mustBeLessOrEqualTo" in node.data:
        if node.text("unit") != "percent":
            raise _bad(node.at("unit"), "must be percent: counts of rows are not known")
        return float(Decimal(100) - Decimal(repr(node.number("mustBeLessOrEqualTo"))))
    if "mustBe" in node.data and node.number("mustBe") == 0:
        return 100
    raise _bad(node.at("mustBeLessOrEqualTo"), "is missing")


def _step(node: _Node) -> pb.Step:
    try:
        return ParseDict(node.data, pb.Step())
    except ParseError as error:
        raise _bad(node.place, f"is not a step: {error}") from None


def _node(value: Any, place: str) -> _Node:
    if not isinstance(value, dict):
        raise _bad(place, "must be a map")
    return _Node(value, place)


def _list(value: Any, place: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _bad(place, "must be a list")
    return value


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _bad(place, "must be a number")
    try:
        return float(value)
    except OverflowError:
        raise _bad(place, "is too large") from None


def _bad(place: str, what: str) -> BadDocument:
    return BadDocument(
        f"{place}: {what}",
        remedy="correct this place; the standard is Open Data Contract Standard 3.1",
        facts={"place": place},
    )
