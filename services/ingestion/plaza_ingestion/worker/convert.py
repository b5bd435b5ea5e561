"""From text to typed values, by the contract alone and never bending a value silently.

What each type accepts (surrounding spaces are never trimmed):

- integer: `[+-]?[0-9]+` within 64 bits. `1.5`, `1e3` and ` 7` are no integers.
- number: decimal or exponent notation (`-0.7`, `.5`, `1e-3`), finite; the nearest IEEE 754 double.
- boolean: true, false, 1, 0, in any case.
- date: ISO 8601 `YYYY-MM-DD`, years 0001 to 9999.
- timestamp: ISO 8601 date, `T` or space, time of day (down to the microsecond) and UTC offset or `Z`. A time
  without offset is refused: which instant it means would be a guess.
- string: any text.

`parse` is the definition, one cell at a time. `convert` does whole columns with Arrow's kernels and asks
`parse` only about the cells that those refuse or might read too generously; both agree on every text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from plaza_ingestion.worker.records import Bools
from plaza_ingestion.worker.refusal import StepFault

Value = str | int | float | bool | date | datetime

ARROW_TYPES: Final[dict[str, pa.DataType]] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
"""How each type of a contract is staged."""

_QUOTED_CHARACTERS: Final = 80
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_CLOCK: Final = r"[T ]([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?)?"
_TIMESTAMP: Final = re.compile(_DATE.pattern + _CLOCK + r"(?:Z|([+-])([0-9]{2})(?::?([0-9]{2}))?)")
_NAIVE: Final = re.compile(_DATE.pattern + "(?:" + _CLOCK + ")?")
_INT64: Final = range(-(2**63), 2**63)
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


def quoted(text: str) -> str:
    """The text for a message: in quotes, on one line, at most 80 characters of it."""
    shown = text if len(text) <= _QUOTED_CHARACTERS else text[:_QUOTED_CHARACTERS] + "…"
    return json.dumps(shown, ensure_ascii=False)


def parse(text: str, type_name: str) -> Value | None:
    """The value that `text` is by the grammar of its type, or None. The definition of `convert`."""
    return text if type_name == "string" else _PARSERS[type_name](text)


def explain(text: str, type_name: str) -> str:
    """Why `text` is no value of this type, in plain words."""
    shown = quoted(text)
    if text != text.strip() and parse(text.strip(), type_name) is not None:
        return f"{shown} is not {_WORDS[type_name]}: spaces around it are not trimmed"
    if type_name == "integer" and _INTEGER.fullmatch(text):
        return f"{shown} does not fit into 64 bits"
    if type_name == "number" and _NUMBER.fullmatch(text):
        return f"{shown} is too large for a number"
    if type_name == "timestamp" and _NAIVE.fullmatch(text):
        return (
            f"{shown} has no UTC offset: write for instance 2024-05-01T08:00:00+08:00, or build it by a step"
        )
    return f"{shown} is not {_WORDS[type_name]}"


def _parse_integer(text: str) -> int | None:
    if not _INTEGER.fullmatch(text):
        return None
    digits = text.lstrip("+-").lstrip("0") or "0"
    if len(digits) > 19:  # more never fit, and int() refuses very long texts
        return None
    value = -int(digits) if text[0] == "-" else int(digits)
    return value if value in _INT64 else None


def _parse_number(text: str) -> float | None:
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def _parse_boolean(text: str) -> bool | None:
    return _BOOLEANS.get(text.lower()) if text.isascii() else None


def _parse_date(text: str) -> date | None:
    found = _DATE.fullmatch(text)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def _parse_timestamp(text: str) -> datetime | None:
    found = _TIMESTAMP.fullmatch(text)
    if not found:
        return None
    *parts, fraction, sign, hours, minutes = found.groups()
    year, month, day, hour, minute, second = (int(part or 0) for part in parts)
    if int(hours or 0) > 23 or int(minutes or 0) > 59:
        return None
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    micros = int((fraction or "").ljust(6, "0"))
    try:
        local = datetime(year, month, day, hour, minute, second, micros, tzinfo=timezone(offset))
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


_PARSERS: Final[dict[str, Callable[[str], Value | None]]] = {
    "integer": _parse_integer,
    "number": _parse_number,
    "boolean": _parse_boolean,
    "date": _parse_date,
    "timestamp": _parse_timestamp,
}
_WORDS: Final = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean (true, false, 1, 0)",
    "date": "a date (YYYY-MM-DD)",
    "timestamp": "a timestamp (ISO 8601)",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of one window, converted."""

    values: pa.Array
    """Null where the value is missing or bad."""
    missing: Bools
    bad: Bools
    """The cell holds text that is no value of the type, or a step has no result."""
    why: Callable[[int], StepFault | None] | None = None
    """For a bad row: what a step says about it; nothing where the type alone refuses."""
    why_missing: Callable[[int], str] | None = None
    """For a missing value that a step builds: why it is missing."""


def convert(cells: pa.StringArray, type_name: str, missing_tokens: Sequence[str] = ()) -> Column:
    """The cells (none null) as values of the type; the empty cell and the tokens are missing."""
    missing = is_any_of(cells, ("", *missing_tokens))
    present = _with_nulls(cells, missing)
    if type_name == "string":
        return Column(present, missing, np.zeros(len(cells), dtype=np.bool_))
    values = (
        _booleans(present)
        if type_name == "boolean"
        else _cast_where_plain(cells, present, missing, type_name)
    )
    nulls = np.asarray(values.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)
    return Column(values, missing, nulls & ~missing)


def text_buffers(cells: pa.StringArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """(offsets, bytes) of the cells, as views: cell i is `bytes[offsets[i]:offsets[i + 1]]`."""
    _, offsets, data = cells.buffers()
    view = np.frombuffer(offsets, dtype=np.int32)[cells.offset : cells.offset + len(cells) + 1]
    return view, np.frombuffer(data, dtype=np.uint8) if data is not None else np.zeros(0, dtype=np.uint8)


def is_any_of(cells: pa.StringArray, tokens: Sequence[str]) -> Bools:
    """Which cells are one of the tokens: by length first, which leaves almost nothing to compare."""
    found = np.zeros(len(cells), dtype=np.bool_)
    if not len(cells):
        return found
    offsets, data = text_buffers(cells)
    lengths = np.diff(offsets)
    for token in {token.encode() for token in tokens}:
        candidates = np.flatnonzero(lengths == len(token))
        for place, sign in enumerate(token):
            candidates = candidates[data[offsets[candidates] + place] == sign]
        found[candidates] = True
    return found


def _with_nulls(cells: pa.Array, nulls: Bools) -> pa.Array:
    """The same text with nulls; no text is copied."""
    if not nulls.any():
        return cells
    # The offset is kept rather than cut off: Arrow's kernels expect an array without one to begin at byte 0.
    valid = np.concatenate((np.ones(cells.offset, dtype=np.bool_), ~nulls))
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    offsets, data = cells.buffers()[1:]
    return pa.StringArray.from_buffers(len(cells), offsets, data, bitmap, -1, cells.offset)


def _booleans(present: pa.StringArray) -> pa.Array:
    lower = pc.ascii_lower(present)
    true = pc.is_in(lower, value_set=pa.array(["true", "1"]))
    false = pc.is_in(lower, value_set=pa.array(["false", "0"]))
    return pc.if_else(pc.or_(true, false), true, pa.scalar(None, pa.bool_()))


def _alphabet(signs: str) -> Bools:
    table = np.zeros(256, dtype=np.bool_)
    table[list(signs.encode())] = True
    return table


_PLAIN: Final = {
    "integer": _alphabet("0123456789-"),
    "number": _alphabet("0123456789+-.eE"),
    "date": _alphabet("0123456789-"),
    "timestamp": _alphabet("0123456789-:+.T Z"),
}
"""Of these bytes alone Arrow's kernels accept nothing that `parse` does not (no hexadecimal, nan, inf)."""


def _cast_where_plain(cells: pa.StringArray, present: pa.Array, missing: Bools, type_name: str) -> pa.Array:
    """Cells of plain bytes by Arrow, the few others by `parse`."""
    offsets, data = text_buffers(cells)
    strange_bytes = (
        np.flatnonzero(~_PLAIN[type_name][data[: int(offsets[-1])]]) if len(cells) else offsets[:0]
    )
    strange_bytes = strange_bytes[strange_bytes >= offsets[0]] if strange_bytes.size else strange_bytes
    if not strange_bytes.size:
        return _cast(present, type_name)
    strange = np.zeros(len(cells), dtype=np.bool_)
    strange[np.searchsorted(offsets, strange_bytes, side="right") - 1] = True
    strange &= ~missing
    if not strange.any():
        return _cast(present, type_name)
    values = _cast(_with_nulls(cells, missing | strange), type_name)
    by_hand = _parse_each(cells.filter(pa.array(strange)), type_name)
    return pc.replace_with_mask(values, pa.array(strange), by_hand)


_FEW: Final = 256


def _cast(present: pa.Array, type_name: str) -> pa.Array:
    """Arrow's cast; where it refuses, halves, until a few cells are left for `parse`."""
    try:
        return _within_limits(pc.cast(present, ARROW_TYPES[type_name]), type_name)
    except pa.ArrowInvalid:
        if len(present) <= _FEW:
            return _parse_each(present, type_name)
        middle = len(present) // 2
        halves = [_cast(present.slice(0, middle), type_name), _cast(present.slice(middle), type_name)]
        return pa.concat_arrays(halves)


_FIRST_DAY: Final = (date.min - date(1970, 1, 1)).days
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MICRO: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LAST_MICRO: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def _within_limits(values: pa.Array, type_name: str) -> pa.Array:
    """Null instead of what Arrow can hold and the grammar does not allow (infinity, the year 0)."""
    if type_name == "number":
        allowed = pc.is_finite(values)
    elif type_name == "date":
        allowed = pc.greater_equal(values.view(pa.int32()), _FIRST_DAY)
    elif type_name == "timestamp":
        micros = values.view(pa.int64())
        allowed = pc.and_(pc.greater_equal(micros, _FIRST_MICRO), pc.less_equal(micros, _LAST_MICRO))
    else:
        return values
    if pc.all(allowed).as_py() in (True, None):
        return values
    return pc.if_else(allowed, values, pa.scalar(None, values.type))


def _parse_each(cells: pa.Array, type_name: str) -> pa.Array:
    parser = _PARSERS[type_name]
    return pa.array(
        [None if text is None else parser(text) for text in cells.to_pylist()], ARROW_TYPES[type_name]
    )
