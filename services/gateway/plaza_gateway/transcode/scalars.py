"""Single values: which JSON a kind accepts, and how the text of a path or a query becomes that JSON.

Stricter than ProtoJSON parsers, which also take null, numbers as text, text as numbers and enum
numbers: what the OpenAPI document does not describe is refused.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

from plaza_gateway.transcode.shapes import FieldShape, Kind, enum_names

_RANGES: dict[Kind, tuple[int, int]] = {
    Kind.INT32: (-(2**31), 2**31 - 1),
    Kind.UINT32: (0, 2**32 - 1),
    Kind.INT64: (-(2**63), 2**63 - 1),
    Kind.UINT64: (0, 2**64 - 1),
}
_FLOAT_MAX = 3.4028234663852886e38
_DURATION_MAX = 315_576_000_000
INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,19})", re.ASCII)
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,400})(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", re.ASCII)
DURATION = re.compile(r"-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,9})?s", re.ASCII)
FIELD_MASK = re.compile(
    r"(?:\*|[a-z][A-Za-z0-9]*(?:\.[a-z][A-Za-z0-9]*)*(?:,[a-z][A-Za-z0-9]*(?:\.[a-z][A-Za-z0-9]*)*)*)?"
)
TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)


class Refused(ValueError):
    """The value does not fit its field; the text says what was expected."""


def check(field: FieldShape, value: Any) -> None:
    """Refuse a JSON value that is not exactly of the field's kind (any but MESSAGE). Raises Refused."""
    _check(field.kind, field, value)


def key_check(kind: Kind, key: str) -> None:
    """Refuse the key of a map that does not write a value of the map's key type. Raises Refused."""
    if kind is Kind.BOOL:
        if key not in ("true", "false"):
            raise Refused("the key must be true or false")
    elif kind is Kind.STRING:
        _text(key)
    else:
        _whole(kind, key)


def from_text(field: FieldShape, text: str) -> Any:
    """The JSON value that a path segment or a query parameter writes. Raises Refused."""
    value: Any = text
    match field.kind:
        case Kind.INT32 | Kind.UINT32:
            value = _whole(field.kind, text)
        case Kind.FLOAT | Kind.DOUBLE:
            if not NUMBER.fullmatch(text):
                raise Refused("must be a number")
            value = float(text)
        case Kind.BOOL:
            if text not in ("true", "false"):
                raise Refused("must be true or false")
            value = text == "true"
    _check(field.kind, field, value)
    return value


def _check(kind: Kind, field: FieldShape, value: Any) -> None:
    match kind:
        case Kind.STRING:
            _text(_str(value))
        case Kind.INT32 | Kind.UINT32:
            # 5.0 is a whole number to JSON Schema, and so to the API document.
            whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            if not whole or isinstance(value, bool):
                raise Refused("must be a whole number")
            _in_range(kind, int(value))
        case Kind.INT64 | Kind.UINT64:
            _whole(
                kind, _str(value, "must be a whole number written as text (64 bits do not fit a JSON number)")
            )
        case Kind.BOOL:
            if not isinstance(value, bool):
                raise Refused("must be true or false")
        case Kind.ENUM:
            names = enum_names(field)
            if not isinstance(value, str) or value not in names:
                raise Refused(f"must be one of {', '.join(names)}")
        case Kind.FLOAT | Kind.DOUBLE:
            _finite(value, _FLOAT_MAX if kind is Kind.FLOAT else math.inf)
        case Kind.BYTES:
            if not BASE64.fullmatch(_str(value)):
                raise Refused("must be base64 with padding (RFC 4648, section 4)")
        case Kind.TIMESTAMP:
            _timestamp(_str(value))
        case Kind.DURATION:
            _duration(_str(value))
        case Kind.FIELD_MASK:
            if not FIELD_MASK.fullmatch(_str(value)):
                raise Refused("must be field names in lowerCamelCase, separated by commas")
        case Kind.STRUCT | Kind.ANY:
            if not isinstance(value, dict):
                raise Refused("must be an object")
            free(value)
        case Kind.LIST_VALUE:
            if not isinstance(value, list):
                raise Refused("must be a list")
            free(value)
        case _:
            free(value)


def free(value: Any, depth: int = 64) -> None:
    """Refuse free JSON (Struct, Value) that no message can hold. Raises Refused."""
    if depth == 0:
        raise Refused("is nested too deeply")
    if isinstance(value, str):
        _text(value)
    elif isinstance(value, dict):
        for key, each in value.items():
            _text(key)
            free(each, depth - 1)
    elif isinstance(value, list):
        for each in value:
            free(each, depth - 1)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _finite(value, math.inf)


def _str(value: Any, expected: str = "must be text") -> str:
    if not isinstance(value, str):
        raise Refused(expected)
    return value


def _text(value: str) -> None:
    if value.isascii():
        if "\x00" in value:
            raise Refused("must not contain U+0000, which no database can hold")
        return
    if "\x00" in value:
        raise Refused("must not contain U+0000, which no database can hold")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refused("must not contain half a surrogate pair") from None


def _whole(kind: Kind, text: str) -> int:
    if not INTEGER.fullmatch(text):
        raise Refused("must be a whole number without leading zeros")
    return _in_range(kind, int(text))


def _in_range(kind: Kind, value: int) -> int:
    low, high = _RANGES[kind]
    if not low <= value <= high:
        raise Refused(f"must be between {low} and {high}")
    return value


def _finite(value: Any, largest: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Refused("must be a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or abs(number) > largest:
        raise Refused("is too large a number")


def _timestamp(text: str) -> None:
    found = TIMESTAMP.fullmatch(text)
    problem = "must be a time as in 2026-11-21T08:00:00Z (RFC 3339), between the years 1 and 9999 in UTC"
    if not found:
        raise Refused(problem)
    try:
        moment = datetime.fromisoformat(found[1] + found[2].replace("Z", "+00:00"))
        moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused(problem) from None


def _duration(text: str) -> None:
    found = DURATION.fullmatch(text)
    if not found or int(found[1]) > _DURATION_MAX or (int(found[1]) == _DURATION_MAX and found[2]):
        raise Refused("must be seconds with an s, as in 1.5s")
