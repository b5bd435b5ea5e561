"""Which fields a check looks at, and whether a version has them."""

from __future__ import annotations

from typing import Final

from plaza_kit.errors import InvalidArgument
from plaza_lake.expressions import parse_expression
from plaza_lake.fields import FieldType, TableSchema
from plaza_lake.filter_text import parse_filter
from plaza_lake.ir import UnknownField

from plaza_quality.domain.around import Silence
from plaza_quality.domain.checks import (
    AgreesWith,
    Check,
    Compared,
    Conditional,
    Drift,
    Expression,
    Fresh,
    HasFormat,
    HasLength,
    InCodeList,
    InList,
    InRange,
    Matches,
    Monotone,
    NotFuture,
    NotNull,
    Refers,
    RowCount,
    Unique,
)

_ALL: Final = frozenset(FieldType)
_TEXT: Final = frozenset({FieldType.STRING})
_NUMERIC: Final = frozenset({FieldType.INTEGER, FieldType.NUMBER})
_TIMES: Final = frozenset({FieldType.DATE, FieldType.TIMESTAMP})
_CODES: Final = frozenset({FieldType.STRING, FieldType.INTEGER})
_COMPARABLE: Final = _ALL - {FieldType.BYTES}
_KEYS: Final = _COMPARABLE - {FieldType.NUMBER}
_ORDERED: Final = _COMPARABLE - {FieldType.BOOLEAN}
_LISTED: Final = _COMPARABLE - {FieldType.NUMBER}


def looked_at(check: Check) -> tuple[tuple[str, frozenset[FieldType]], ...]:
    """Fields with the types that the check is for; those of filters and expressions stand in their texts."""
    match check:
        case NotNull(field):
            return ((field, _ALL),)
        case InRange(field):
            return ((field, _NUMERIC),)
        case Unique(fields) | Refers(fields):
            return tuple((name, _COMPARABLE) for name in fields)
        case AgreesWith(_, key, _, fields):
            return (*((name, _KEYS) for name in key), *((name, _ALL) for name in fields))
        case HasFormat(field) | HasLength(field) | Matches(field):
            return ((field, _TEXT),)
        case InList(field):
            return ((field, _LISTED),)
        case InCodeList(field):
            return ((field, _CODES),)
        case Compared(left, _, right, tolerance):
            return (
                (left, _NUMERIC if tolerance else _COMPARABLE),
                (right, _NUMERIC if tolerance else _COMPARABLE),
            )
        case NotFuture(field) | Fresh(field):
            return ((field, _TIMES),)
        case Monotone(field, ordered_by, within):
            return ((field, _ORDERED), (ordered_by, _ORDERED), *((name, _COMPARABLE) for name in within))
        case Drift(field):
            return ((field, _COMPARABLE),)
        case Conditional() | Expression() | RowCount():
            return ()


def absent_fields(check: Check, schema: TableSchema) -> tuple[str, ...]:
    """The fields for whose lack, or type, the check says nothing about this version."""
    absent = []
    for name, types in looked_at(check):
        column = schema.column(name)
        if column is None or column.type not in types:
            absent.append(name)
    if not absent and isinstance(check, Compared) and not _alike(check.left, check.right, schema):
        absent.append(check.right)
    if isinstance(check, Conditional):
        absent += _unknown(check, schema)
    return tuple(dict.fromkeys(absent))


def unreadable(check: Check, schema: TableSchema) -> str:
    """Why a text of the check means nothing over these columns; empty if it does."""
    try:
        match check:
            case Conditional(when, then):
                parse_filter(when, schema)
                parse_filter(then, schema)
            case Expression(text):
                parse_expression(text, schema)
    except InvalidArgument as error:
        return f"{Silence.NOT_EVALUABLE}: {error.message}"
    return ""


def _alike(left: str, right: str, schema: TableSchema) -> bool:
    one, other = schema.column(left), schema.column(right)
    assert one is not None, "it was looked for"
    assert other is not None, "it was looked for"
    return one.type is other.type or {one.type, other.type} <= _NUMERIC


def _unknown(check: Conditional, schema: TableSchema) -> list[str]:
    found = []
    for text in (check.when, check.then):
        try:
            parse_filter(text, schema)
        except UnknownField as error:
            found.append(error.field)
        except InvalidArgument:
            continue
    return found
