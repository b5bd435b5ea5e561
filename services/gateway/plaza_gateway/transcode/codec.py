"""JSON ↔ wire behind two functions, so that the library underneath can be changed without anybody noticing.

`FastCodec` stands on `protobuf-py` (a dependency of protovalidate; marked alpha; 10–20 times faster),
`PlainCodec` on protobuf's own `json_format`. A property test holds them to the same answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from google.protobuf import json_format, message_factory
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as UpbMessage
from protobuf import Message as FastMessage
from protobuf import message_from_json_value
from protobuf.wkt import FileDescriptorSet

from plaza_gateway.transcode.descriptors import Contract

JsonObject = Mapping[str, Any]


class Unreadable(ValueError):
    """JSON that does not fit the message, or wire bytes that are not one."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A request message in both forms."""

    message: FastMessage[Any] | UpbMessage
    """What protovalidate looks at."""
    wire: bytes


@dataclass(frozen=True, slots=True)
class Encoded:
    """A response as JSON."""

    json: bytes
    etag: str
    """The message's own `etag` field; empty when it has none."""
    next_page_token: str = ""
    """The message's own; empty when it has none, and on the last page."""


class Codec(Protocol):
    """Both directions; messages are named by their full name."""

    def decode(self, type_name: str, document: JsonObject) -> Decoded:
        """The message of a JSON object that the strict reader has passed. Raises Unreadable."""
        ...

    def encode(self, type_name: str, wire: bytes) -> Encoded:
        """ProtoJSON of wire bytes, fields without presence always written. Raises Unreadable."""
        ...


class FastCodec:
    """`protobuf-py`: a Rust core with dynamic messages."""

    def __init__(self, descriptor_set: bytes) -> None:
        self._registry = FileDescriptorSet.from_binary(descriptor_set).to_registry()
        self._types: dict[str, type[FastMessage[Any]]] = {}

    def decode(self, type_name: str, document: JsonObject) -> Decoded:
        """See Codec."""
        try:
            message = message_from_json_value(self._type(type_name), dict(document), registry=self._registry)
            return Decoded(message, message.to_binary())
        except (ValueError, TypeError, OverflowError) as error:
            raise Unreadable(str(error)) from error

    def encode(self, type_name: str, wire: bytes) -> Encoded:
        """See Codec."""
        try:
            message = self._type(type_name).from_binary(wire)
            text = message.to_json(registry=self._registry, always_emit_implicit=True)
        except (ValueError, TypeError, OverflowError, EOFError) as error:
            raise Unreadable(f"{type_name}: {error}") from error
        return Encoded(text.encode(), *_of_headers(message))

    def _type(self, type_name: str) -> type[FastMessage[Any]]:
        if type_name not in self._types:
            descriptor = self._registry.message(type_name)
            if descriptor is None:
                raise KeyError(type_name)
            self._types[type_name] = descriptor.type
        return self._types[type_name]


class PlainCodec:
    """protobuf's own `json_format` over its C core."""

    def __init__(self, contract: Contract) -> None:
        self._pool = contract.pool

    def decode(self, type_name: str, document: JsonObject) -> Decoded:
        """See Codec."""
        message = self._empty(type_name)
        try:
            json_format.ParseDict(dict(document), message, descriptor_pool=self._pool)
        except (json_format.ParseError, ValueError, TypeError) as error:
            raise Unreadable(str(error)) from error
        return Decoded(message, message.SerializeToString())

    def encode(self, type_name: str, wire: bytes) -> Encoded:
        """See Codec."""
        message = self._empty(type_name)
        try:
            message.ParseFromString(wire)
            value = json_format.MessageToDict(
                message, always_print_fields_with_no_presence=True, descriptor_pool=self._pool
            )
        except (json_format.Error, DecodeError, ValueError) as error:
            raise Unreadable(f"{type_name}: {error}") from error
        return Encoded(orjson.dumps(value), *_of_headers(message))

    def _empty(self, type_name: str) -> UpbMessage:
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(type_name))()


def _of_headers(message: Any) -> tuple[str, str]:
    """What of a message stands in headers too."""
    return _etag(getattr(message, "etag", "")), _etag(getattr(message, "next_page_token", ""))


def _etag(value: object) -> str:
    return value if isinstance(value, str) else ""
