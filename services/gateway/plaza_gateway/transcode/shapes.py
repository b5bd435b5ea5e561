"""The shape of messages as JSON: what the strict reader and the OpenAPI document both walk over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from protovalidate import Validator

from plaza_gateway.transcode.descriptors import Contract


class Kind(StrEnum):
    """How a value is written in JSON (ProtoJSON), after well-known types are told apart."""

    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT = "float"
    DOUBLE = "double"
    BOOL = "bool"
    STRING = "string"
    BYTES = "bytes"
    ENUM = "enum"
    MESSAGE = "message"
    TIMESTAMP = "timestamp"
    DURATION = "duration"
    FIELD_MASK = "field_mask"
    STRUCT = "struct"
    VALUE = "value"
    LIST_VALUE = "list_value"
    ANY = "any"


_SCALARS: dict[int, Kind] = {
    FieldDescriptor.TYPE_INT32: Kind.INT32,
    FieldDescriptor.TYPE_SINT32: Kind.INT32,
    FieldDescriptor.TYPE_SFIXED32: Kind.INT32,
    FieldDescriptor.TYPE_UINT32: Kind.UINT32,
    FieldDescriptor.TYPE_FIXED32: Kind.UINT32,
    FieldDescriptor.TYPE_INT64: Kind.INT64,
    FieldDescriptor.TYPE_SINT64: Kind.INT64,
    FieldDescriptor.TYPE_SFIXED64: Kind.INT64,
    FieldDescriptor.TYPE_UINT64: Kind.UINT64,
    FieldDescriptor.TYPE_FIXED64: Kind.UINT64,
    FieldDescriptor.TYPE_FLOAT: Kind.FLOAT,
    FieldDescriptor.TYPE_DOUBLE: Kind.DOUBLE,
    FieldDescriptor.TYPE_BOOL: Kind.BOOL,
    FieldDescriptor.TYPE_STRING: Kind.STRING,
    FieldDescriptor.TYPE_BYTES: Kind.BYTES,
    FieldDescriptor.TYPE_ENUM: Kind.ENUM,
}
_WELL_KNOWN: dict[str, Kind] = {
    "google.protobuf.Timestamp": Kind.TIMESTAMP,
    "google.protobuf.Duration": Kind.DURATION,
    "google.protobuf.FieldMask": Kind.FIELD_MASK,
    "google.protobuf.Struct": Kind.STRUCT,
    "google.protobuf.Value": Kind.VALUE,
    "google.protobuf.ListValue": Kind.LIST_VALUE,
    "google.protobuf.Any": Kind.ANY,
    "google.protobuf.DoubleValue": Kind.DOUBLE,
    "google.protobuf.FloatValue": Kind.FLOAT,
    "google.protobuf.Int64Value": Kind.INT64,
    "google.protobuf.UInt64Value": Kind.UINT64,
    "google.protobuf.Int32Value": Kind.INT32,
    "google.protobuf.UInt32Value": Kind.UINT32,
    "google.protobuf.BoolValue": Kind.BOOL,
    "google.protobuf.StringValue": Kind.STRING,
    "google.protobuf.BytesValue": Kind.BYTES,
}
# google.api.FieldBehavior
_REQUIRED, _OUTPUT_ONLY, _INPUT_ONLY, _IMMUTABLE, _IDENTIFIER = 2, 3, 4, 5, 8


@dataclass(slots=True, eq=False)
class FieldShape:
    """One field; for a map, `kind`, `message` and `enum` describe its values."""

    full_name: str
    name: str
    json_name: str
    kind: Kind
    repeated: bool
    map_key: Kind | None
    message: MessageShape | None
    enum: EnumDescriptor | None
    explicit: bool
    """Left out of JSON when not set (message, `optional`, member of a oneof); others are always there."""
    oneof: str
    """Name of the oneof; empty outside of one."""
    behaviours: frozenset[int]
    rules: Any | None
    """`buf.validate.FieldRules`, or None."""
    deprecated: bool

    @property
    def declared_required(self) -> bool:
        """`field_behavior = REQUIRED`."""
        return _REQUIRED in self.behaviours

    @property
    def server_set(self) -> bool:
        """Set by the server alone (OUTPUT_ONLY), or by the path (IDENTIFIER): ignored in bodies (AIP-203)."""
        return not self.behaviours.isdisjoint((_OUTPUT_ONLY, _IDENTIFIER))

    @property
    def identifier(self) -> bool:
        """`field_behavior = IDENTIFIER`: the name of the resource."""
        return _IDENTIFIER in self.behaviours

    @property
    def input_only(self) -> bool:
        """Never answered."""
        return _INPUT_ONLY in self.behaviours

    @property
    def single(self) -> bool:
        """Neither a list nor a map."""
        return not self.repeated and self.map_key is None


@dataclass(slots=True, eq=False)
class MessageShape:
    """One message."""

    full_name: str
    fields: tuple[FieldShape, ...] = ()
    by_json: dict[str, FieldShape] = field(default_factory=dict)
    by_name: dict[str, FieldShape] = field(default_factory=dict)
    oneofs: dict[str, tuple[FieldShape, ...]] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    """JSON names that a request must hold: declared REQUIRED, or refused by a rule when absent."""
    required_oneofs: frozenset[str] = frozenset()


class Shapes:
    """All shapes of a contract, made when first asked for."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._validator = Validator()
        self._known: dict[str, MessageShape] = {}

    def __getitem__(self, full_name: str) -> MessageShape:
        """The shape of a message. Raises KeyError when the contract does not hold it."""
        if full_name not in self._known:
            self._known[full_name] = shape = MessageShape(full_name)
            self._fill(shape, self._contract.message(full_name))
        return self._known[full_name]

    def _fill(self, shape: MessageShape, descriptor: Descriptor) -> None:
        shape.fields = tuple(self._field(each) for each in descriptor.fields)
        shape.by_json = {each.json_name: each for each in shape.fields}
        shape.by_name = {each.name: each for each in shape.fields}
        for oneof in descriptor.oneofs:
            members = tuple(each for each in shape.fields if each.oneof == oneof.name)
            if members:
                shape.oneofs[oneof.name] = members
        missed = self._missed_when_absent(descriptor)
        shape.required = frozenset(
            each.json_name
            for each in shape.fields
            if not each.server_set and (each.declared_required or each.name in missed)
        )
        shape.required_oneofs = frozenset(missed & shape.oneofs.keys())

    def _missed_when_absent(self, descriptor: Descriptor) -> set[str]:
        """Fields that rules refuse in an empty message: `min_len: 1`, `in: [...]`, `required` all do.

        Asked of the validator itself, so that the answer is exact whatever the rule.
        """
        if descriptor.full_name.startswith("google.protobuf."):
            return set()
        empty = message_factory.GetMessageClass(descriptor)()
        paths = (each.proto.field for each in self._validator.collect_violations(empty))
        return {path.elements[0].field_name for path in paths if path is not None and path.elements}

    def _field(self, descriptor: FieldDescriptor) -> FieldShape:
        value = descriptor
        map_key = None
        if entry := _map_entry(descriptor):
            map_key, value = _SCALARS[entry.fields_by_name["key"].type], entry.fields_by_name["value"]
        kind = _kind(value)
        oneof = descriptor.containing_oneof
        # A synthetic oneof is how proto3 writes `optional`; it holds exactly one field and is not shown.
        real = oneof if oneof is not None and not _synthetic(descriptor, self._contract) else None
        behaviours = self._contract.option(descriptor.full_name, "google.api.field_behavior") or ()
        return FieldShape(
            full_name=descriptor.full_name,
            name=descriptor.name,
            json_name=descriptor.json_name,
            kind=kind,
            repeated=descriptor.is_repeated and map_key is None,
            map_key=map_key,
            message=self[value.message_type.full_name]
            if kind is Kind.MESSAGE and value.message_type
            else None,
            enum=value.enum_type if kind is Kind.ENUM else None,
            explicit=descriptor.has_presence,
            oneof=real.name if real is not None else "",
            behaviours=frozenset(behaviours),
            rules=self._contract.option(descriptor.full_name, "buf.validate.field"),
            deprecated=self._contract.proto(descriptor.full_name).options.deprecated,
        )


def _map_entry(descriptor: FieldDescriptor) -> Descriptor | None:
    entry = descriptor.message_type
    return entry if entry is not None and entry.GetOptions().map_entry else None


def _synthetic(descriptor: FieldDescriptor, contract: Contract) -> bool:
    return bool(contract.proto(descriptor.full_name).proto3_optional)


def _kind(descriptor: FieldDescriptor) -> Kind:
    if descriptor.message_type is not None:
        return _WELL_KNOWN.get(descriptor.message_type.full_name, Kind.MESSAGE)
    return _SCALARS[descriptor.type]


def field_path(shape: MessageShape, path: str) -> tuple[FieldShape, ...]:
    """The fields along a dotted path of proto names. Raises KeyError naming the first unknown one."""
    found: list[FieldShape] = []
    current: MessageShape | None = shape
    for name in path.split("."):
        if current is None or name not in current.by_name:
            raise KeyError(f"{shape.full_name} has no field {path!r}: {name!r} is unknown")
        found.append(current.by_name[name])
        current = found[-1].message if found[-1].single else None
    return tuple(found)


def enum_names(shape: FieldShape) -> Mapping[str, int]:
    """Names and numbers of the field's enum, in declared order."""
    assert shape.enum is not None
    return {value.name: value.number for value in shape.enum.values}
