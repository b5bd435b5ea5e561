"""JSON values as cells: what a record's text means, before anybody asks for its types.

- Numbers keep their letters: `1.10` is the text `1.10`, whatever a double would make of it.
- Nested objects become dotted names (`address.city`). An array becomes the JSON text of itself, which a string
  field takes and every other type refuses. `null` and a name that is absent have no value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from plaza_ingestion.worker.batches import one_line

BLANK: Final = " \t\r\n"
"""White space between values (RFC 8259, section 2)."""
DEEPEST: Final = 64
"""How deep objects and arrays may be nested."""


class NotARecord(Exception):
    """Why a record is refused, in plain words."""


class _Number(str):
    """A JSON number, to the letter."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotARecord(f"the name {json.dumps(twice, ensure_ascii=False)} stands twice in one object")
    return found


def _no_constant(word: str) -> Any:
    raise NotARecord(f"{word} is not JSON")


DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=_Number,
    parse_int=_Number,
    parse_constant=_no_constant,
    strict=True,
)
# Where a record is refused for what stands in it, this one still tells where it ends.
LENIENT: Final = json.JSONDecoder(parse_float=_Number, parse_int=_Number, strict=False)


def flat(record: Any) -> dict[str, str]:
    """The cells of one decoded record under dotted names. Raises `NotARecord`."""
    if not isinstance(record, dict):
        raise NotARecord("the record is no JSON object")
    cells: dict[str, str] = {}
    _flatten(record, "", cells, 0)
    return cells


def _flatten(record: Mapping[str, Any], prefix: str, cells: dict[str, str], depth: int) -> None:
    if depth > DEEPEST:
        raise NotARecord(f"objects are nested deeper than {DEEPEST}")
    for name, value in record.items():
        path = prefix + _whole(name)
        if isinstance(value, dict):
            _flatten(value, path + ".", cells, depth + 1)
            continue
        if path in cells:
            raise NotARecord(f"two values have the name {json.dumps(path, ensure_ascii=False)}")
        cells[path] = _cell(value)


def _cell(value: Any) -> str:
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, str):
        return _whole(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "".join(_spelled(value, 0))


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotARecord("a text holds half a character (a lone surrogate)") from None
    return text


def _spelled(value: Any, depth: int) -> Iterator[str]:
    """JSON again, numbers to the letter."""
    if depth > DEEPEST:
        raise NotARecord(f"values are nested deeper than {DEEPEST}")
    if isinstance(value, _Number):
        yield str(value)
    elif isinstance(value, list):
        yield "["
        for place, item in enumerate(value):
            yield "," if place else ""
            yield from _spelled(item, depth + 1)
        yield "]"
    elif isinstance(value, dict):
        yield "{"
        for place, (name, item) in enumerate(value.items()):
            yield ("," if place else "") + json.dumps(name, ensure_ascii=False) + ":"
            yield from _spelled(item, depth + 1)
        yield "}"
    else:
        yield one_line(value).decode()
