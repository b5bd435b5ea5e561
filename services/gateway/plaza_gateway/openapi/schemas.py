"""Messages as JSON Schema 2020-12, once as they are answered and once as they are taken.

Answered: fields without presence are always written and therefore required, rules do not bind (a default may
break them). Taken: rules are keywords, unknown members are refused, what the server sets is read-only.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any, Literal

from plaza_gateway.openapi.constraints import (
    Schema,
    constrained,
    is_finite,
    item_rules,
    list_keywords,
    map_keywords,
)
from plaza_gateway.transcode.descriptors import Contract
from plaza_gateway.transcode.scalars import BASE64, DURATION, FIELD_MASK
from plaza_gateway.transcode.shapes import FieldShape, Kind, MessageShape, Shapes, enum_names

Side = Literal["output", "input", "patch"]

_SUFFIX: Mapping[Side, str] = {"output": "", "input": "-Input", "patch": "-Patch"}
_IMMUTABLE = 5
_MAX_FLOAT = 3.4028234663852886e38
_BASE: Mapping[Kind, Schema] = {
    Kind.INT32: {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    Kind.UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    Kind.INT64: {"type": "string", "format": "int64", "pattern": "^-?(0|[1-9][0-9]{0,18})$"},
    Kind.UINT64: {"type": "string", "format": "uint64", "pattern": "^(0|[1-9][0-9]{0,19})$"},
    Kind.FLOAT: {"type": "number", "format": "float", "minimum": -_MAX_FLOAT, "maximum": _MAX_FLOAT},
    Kind.DOUBLE: {"type": "number", "format": "double"},
    Kind.BOOL: {"type": "boolean"},
    Kind.STRING: {"type": "string"},
    Kind.BYTES: {"type": "string", "contentEncoding": "base64", "pattern": f"^{BASE64.pattern}$"},
    Kind.TIMESTAMP: {"type": "string", "format": "date-time"},
    Kind.DURATION: {"type": "string", "pattern": f"^{DURATION.pattern}$"},
    Kind.FIELD_MASK: {"type": "string", "pattern": f"^{FIELD_MASK.pattern}$"},
    Kind.STRUCT: {"type": "object", "additionalProperties": True},
    Kind.VALUE: {},
    Kind.LIST_VALUE: {"type": "array", "items": {}},
    Kind.ANY: {"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}}},
}
_NOT_A_NUMBER: Schema = {"enum": ["NaN", "Infinity", "-Infinity"]}


class Schemas:
    """Makes schemas and gathers the components that they refer to."""

    def __init__(self, contract: Contract, shapes: Shapes) -> None:
        self._contract = contract
        self._shapes = shapes
        self.components: dict[str, Schema] = {}

    def message(self, full_name: str, side: Side) -> Schema:
        """A reference to the component of a message."""
        name = full_name + _SUFFIX[side]
        if name not in self.components:
            self.components[name] = {}  # holds the place while a message that contains itself is made
            self.components[name] = self.object(self._shapes[full_name], side)
        return {"$ref": f"#/components/schemas/{name}"}

    def inline(self, full_name: str, side: Side) -> Schema:
        """The schema of a message itself, for where no component is wanted."""
        return self.object(self._shapes[full_name], side)

    def object(self, shape: MessageShape, side: Side, hidden: frozenset[str] = frozenset()) -> Schema:
        """The schema of a message; `hidden`: JSON names to leave out."""
        fields = [each for each in shape.fields if each.json_name not in hidden]
        schema: Schema = {"type": "object"}
        prose = [self._contract.comment(shape.full_name)]
        prose += [_one_of(names, shape, oneof) for oneof, names in _oneofs(shape, hidden).items()]
        if text := "\n\n".join(filter(None, prose)):
            schema["description"] = text
        schema["properties"] = {each.json_name: self.field(each, side) for each in fields}
        if side == "output":
            required = [each.json_name for each in fields if not each.explicit]
        else:
            required = [each.json_name for each in fields if each.json_name in shape.required]
            schema["additionalProperties"] = False
            schema |= _exclusions(shape, side, hidden)
        if side == "patch":
            schema["minProperties"] = 1
        elif required:
            schema["required"] = required
        return schema

    def field(self, field: FieldShape, side: Side) -> Schema:
        """The schema of one member, prose included."""
        # What is only answered is described as answered wherever it stands.
        nested: Side = "output" if side == "output" or field.server_set else "input"
        schema = self._value(field, nested)
        if text := self.prose(field):
            own = schema.get("description")
            schema = {**schema, "description": f"{text} {own}" if own else text}
        if field.server_set:
            schema = {**schema, "readOnly": True}
        if field.deprecated:
            schema = {**schema, "deprecated": True}
        return schema

    def prose(self, field: FieldShape) -> str:
        """The comment above a field, and what its behaviour adds."""
        text = self._contract.comment(field.full_name)
        if _IMMUTABLE in field.behaviours:
            text = f"{text} Cannot be changed later.".strip()
        return text

    def _value(self, field: FieldShape, side: Side) -> Schema:
        if field.map_key is not None:
            values = self._one(field, side, item_rules(field.rules))
            keywords = map_keywords(field.rules) if side == "input" else {}
            return {"type": "object", "additionalProperties": values, **_keys(field), **keywords}
        if field.repeated:
            items = self._one(field, side, item_rules(field.rules))
            return {
                "type": "array",
                "items": items,
                **(list_keywords(field.rules) if side == "input" else {}),
            }
        return self._one(field, side, field.rules)

    def _one(self, field: FieldShape, side: Side, rules: Any | None) -> Schema:
        if field.message is not None:
            return self.message(field.message.full_name, side)
        if field.kind is Kind.ENUM:
            plain = self._enum(field)
            narrowed = constrained(field, {"type": "string", "enum": list(enum_names(field))}, rules)
            return narrowed if side == "input" and narrowed.get("enum") != list(enum_names(field)) else plain
        base = dict(_BASE[field.kind])
        if side == "input":
            return constrained(field, base, rules)
        if field.kind in (Kind.FLOAT, Kind.DOUBLE) and not is_finite(field):
            return {"anyOf": [{"type": "number", "format": base["format"]}, _NOT_A_NUMBER]}
        return base

    def _enum(self, field: FieldShape) -> Schema:
        assert field.enum is not None
        full_name = field.enum.full_name
        names = list(enum_names(field))
        scope = full_name.rpartition(".")[0] + "."
        lines = [self._contract.comment(full_name), ""]
        for name in names:
            # Values are siblings of their enum in protobuf's scoping; the index has them beneath it.
            text = self._contract.comment(f"{full_name}.{name}") or self._contract.comment(scope + name)
            lines.append(f"- `{name}`: {' '.join(text.split())}" if text else f"- `{name}`")
        described = {"type": "string", "enum": names, "description": "\n".join(lines).strip()}
        self.components.setdefault(full_name, described)
        return {"$ref": f"#/components/schemas/{full_name}"}


def _keys(field: FieldShape) -> Schema:
    match field.map_key:
        case Kind.STRING | None:
            return {}
        case Kind.BOOL:
            return {"propertyNames": {"enum": ["true", "false"]}}
    sign = "" if field.map_key in (Kind.UINT32, Kind.UINT64) else "-?"
    digits = 9 if field.map_key in (Kind.INT32, Kind.UINT32) else 18
    return {"propertyNames": {"pattern": f"^{sign}(0|[1-9][0-9]{{0,{digits}}})$"}}


def _oneofs(shape: MessageShape, hidden: frozenset[str]) -> dict[str, list[str]]:
    return {
        oneof: [each.json_name for each in members if each.json_name not in hidden]
        for oneof, members in shape.oneofs.items()
    }


def _one_of(names: list[str], shape: MessageShape, oneof: str) -> str:
    if len(names) == 1:
        return ""
    amount = "Exactly" if oneof in shape.required_oneofs else "At most"
    return f"{amount} one of {', '.join(f'`{each}`' for each in names)}."


def _exclusions(shape: MessageShape, side: Side, hidden: frozenset[str]) -> Schema:
    clauses: list[Schema] = []
    for oneof, names in _oneofs(shape, hidden).items():
        if oneof in shape.required_oneofs and side == "input":
            clauses.append({"oneOf": [{"required": [each]} for each in names]})
        else:
            clauses.extend({"not": {"required": list(pair)}} for pair in combinations(names, 2))
    if len(clauses) == 1:
        return clauses[0]
    return {"allOf": clauses} if clauses else {}
