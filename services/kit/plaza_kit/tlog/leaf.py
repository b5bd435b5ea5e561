"""The bytes of a ledger leaf: one event as canonical JSON (RFC 8785), so that everybody hashes the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from plaza_kit.errors import InvalidArgument

MAX_INTEGER: Final = (1 << 53) - 1
"""Largest whole number that every JSON reader keeps exactly (RFC 8785, appendix D)."""

MAX_DEPTH: Final = 32
"""Deepest nesting: an event needs little, and a deep text must not break its reader."""


class NotCanonical(InvalidArgument):
    """A value that has no canonical text here, or a text that is not canonical."""


def canonical_json(value: Mapping[str, Any]) -> str:
    """The one JSON text of this object: members sorted by UTF-16 code units, no blanks, minimal escapes
    (RFC 8785). Fractions are refused: as text no reader rounds them. Raises `NotCanonical`."""
    return _encode(dict(value), "$")


def parse_canonical(text: str) -> dict[str, Any]:
    """The object of a canonical text. Any other text is refused, so that two readers cannot disagree about
    doubled members or rounding. Raises `NotCanonical`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotCanonical(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise NotCanonical("not a JSON object")
    if canonical_json(value) != text:
        raise NotCanonical("not in canonical form (RFC 8785)")
    return value


def _encode(value: object, place: str, depth: int = 0) -> str:
    if depth > MAX_DEPTH:
        raise NotCanonical(f"nested more than {MAX_DEPTH} deep")
    match value:
        case None | bool():
            return json.dumps(value)
        case str():
            return _text(value, place)
        case int():
            if abs(value) > MAX_INTEGER:
                raise NotCanonical(f"{place}: {value} is beyond ±(2^53 - 1); write it as text")
            return str(value)
        case list() | tuple():
            items = (_encode(item, f"{place}[{i}]", depth + 1) for i, item in enumerate(value))
            return f"[{','.join(items)}]"
        case dict():
            members = (
                f"{_text(name, place)}:{_encode(value[name], f'{place}.{name}', depth + 1)}"
                for name in sorted(value, key=_order)
            )
            return f"{{{','.join(members)}}}"
        case _:
            kind = type(value).__name__
            raise NotCanonical(f"{place} is a {kind}; a leaf holds texts, whole numbers, lists and objects")


def _text(value: str, place: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise NotCanonical(f"{place} is not valid Unicode")
    return json.dumps(value, ensure_ascii=False)


def _order(name: object) -> bytes:
    if not isinstance(name, str):
        raise NotCanonical(f"member name {name!r} is not a text")
    return name.encode("utf-16-be", "surrogatepass")
