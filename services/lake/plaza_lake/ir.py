"""The typed IR of filters and aggregates: what masks, rules, grants and queries are made of.

Logic has three values, as in SQL: a comparison with an absent value is neither true nor false, and only rows
for which the whole is *true* pass. Numbers are compared in a total order: NaN equals itself and is greater
than every other number; -0.0 equals 0.0. Texts are compared by their UTF-8 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TypeAlias

from plaza_kit.errors import InvalidArgument

from plaza_lake.fields import Column, FieldType, TableSchema

Scalar: TypeAlias = str | int | float | bool | date | datetime


class Op(StrEnum):
    """How a column is compared with a value."""

    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


@dataclass(frozen=True, slots=True)
class ColumnRef:
    name: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A value, never null: absence is asked for with `IsNull`. Date-times carry their zone."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Compare:
    op: Op
    column: ColumnRef
    value: Literal


@dataclass(frozen=True, slots=True)
class In:
    """The column has one of the values (at least one is listed)."""

    column: ColumnRef
    values: tuple[Literal, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("In needs at least one value")


@dataclass(frozen=True, slots=True)
class IsNull:
    """True or false, never unknown."""

    column: ColumnRef


@dataclass(frozen=True, slots=True)
class Contains:
    """The text holds this piece; upper and lower case differ."""

    column: ColumnRef
    text: str


@dataclass(frozen=True, slots=True)
class And:
    operands: tuple[Expr, ...]

    def __post_init__(self) -> None:
        if len(self.operands) < 2:
            raise ValueError("And needs two operands or more")


@dataclass(frozen=True, slots=True)
class Or:
    operands: tuple[Expr, ...]

    def __post_init__(self) -> None:
        if len(self.operands) < 2:
            raise ValueError("Or needs two operands or more")


@dataclass(frozen=True, slots=True)
class Not:
    operand: Expr


Expr: TypeAlias = Compare | In | IsNull | Contains | And | Or | Not


@dataclass(frozen=True, slots=True)
class Count:
    """All rows."""


@dataclass(frozen=True, slots=True)
class CountWhere:
    """Rows for which the expression is true."""

    where: Expr


@dataclass(frozen=True, slots=True)
class CountDistinct:
    """Different combinations of the columns; an absent value counts as one value."""

    columns: tuple[ColumnRef, ...]

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError("CountDistinct needs at least one column")


@dataclass(frozen=True, slots=True)
class Min:
    """Smallest present value; None when there is none."""

    column: ColumnRef


@dataclass(frozen=True, slots=True)
class Max:
    """Greatest present value; None when there is none."""

    column: ColumnRef


Aggregate: TypeAlias = Count | CountWhere | CountDistinct | Min | Max


class UnknownField(InvalidArgument):
    """An expression names a field that is not there (or that the reader may not know of)."""

    def __init__(self, field: str, known: tuple[str, ...]) -> None:
        super().__init__(
            f"unknown field {field!r}",
            remedy=f"Use one of: {', '.join(known)}.",
            facts={"field": field, "known": ", ".join(known)},
        )
        self.field = field
        self.known = known


class TypeMismatch(InvalidArgument):
    """A value or an operation does not fit the type of the field."""

    def __init__(self, field: str, field_type: FieldType, problem: str) -> None:
        super().__init__(
            f"field {field!r} is {field_type}: {problem}",
            remedy=f"Give a value that is {_EXPECTED[field_type]}.",
            facts={"field": field, "type": field_type.value},
        )
        self.field = field
        self.field_type = field_type


_EXPECTED = {
    FieldType.STRING: "a text without NUL characters",
    FieldType.INTEGER: "a whole number of at most 64 bits",
    FieldType.NUMBER: "a number",
    FieldType.BOOLEAN: "true or false (with = or != only)",
    FieldType.DATE: "a date like 2013-03-01",
    FieldType.TIMESTAMP: "an instant like 2013-03-01T00:00:00Z",
    FieldType.BYTES: "null: bytes are not compared",
}


def conjunction(*parts: Expr | None) -> Expr | None:
    """All that are given, joined by And; None when none is."""
    present = tuple(part for part in parts if part is not None)
    if len(present) < 2:
        return present[0] if present else None
    return And(present)


def disjunction(*parts: Expr | None) -> Expr | None:
    """All that are given, joined by Or; None when none is."""
    present = tuple(part for part in parts if part is not None)
    if len(present) < 2:
        return present[0] if present else None
    return Or(present)


def columns_of(node: Expr | Aggregate) -> Iterator[str]:
    """Every column that an expression or an aggregate looks at."""
    match node:
        case Compare(column=column) | In(column=column) | IsNull(column) | Contains(column=column):
            yield column.name
        case And(operands) | Or(operands):
            for operand in operands:
                yield from columns_of(operand)
        case Not(inner) | CountWhere(inner):
            yield from columns_of(inner)
        case CountDistinct(columns):
            yield from (column.name for column in columns)
        case Min(column) | Max(column):
            yield column.name
        case Count():
            return


def typecheck(node: Expr | Aggregate, schema: TableSchema) -> None:
    """Raises `UnknownField` or `TypeMismatch` unless every column exists and every value fits its type."""
    match node:
        case Compare(op, ref, literal):
            column = _find(ref, schema)
            _check_value(column, literal)
            if column.type is FieldType.BOOLEAN and op not in (Op.EQ, Op.NE):
                raise TypeMismatch(column.name, column.type, f"it has no order, so {op} says nothing")
        case In(ref, values):
            column = _find(ref, schema)
            for literal in values:
                _check_value(column, literal)
        case Contains(ref, text):
            column = _find(ref, schema)
            if column.type is not FieldType.STRING:
                raise TypeMismatch(column.name, column.type, "only a string contains text")
            _check_value(column, Literal(text))
        case And(operands) | Or(operands):
            for operand in operands:
                typecheck(operand, schema)
        case Not(inner) | CountWhere(inner):
            typecheck(inner, schema)
        case IsNull(ref):
            _find(ref, schema)
        case CountDistinct() | Min() | Max() | Count():
            for name in columns_of(node):
                _find(ColumnRef(name), schema)


def _find(ref: ColumnRef, schema: TableSchema) -> Column:
    column = schema.column(ref.name)
    if column is None:
        raise UnknownField(ref.name, schema.names)
    return column


def _check_value(column: Column, literal: Literal) -> None:
    if not fits(column.type, literal.value):
        raise TypeMismatch(column.name, column.type, f"{literal.value!r} does not fit")


def fits(field_type: FieldType, value: object) -> bool:
    """Whether a value can be compared with columns of this type. An int fits a number; no others mix."""
    match field_type:
        case FieldType.STRING:
            return isinstance(value, str) and "\0" not in value and _is_unicode(value)
        case FieldType.INTEGER:
            return type(value) is int and -(2**63) <= value < 2**63
        case FieldType.NUMBER:
            return type(value) is float or (type(value) is int and abs(value) <= 2**53)
        case FieldType.BOOLEAN:
            return type(value) is bool
        case FieldType.DATE:
            return type(value) is date
        case FieldType.TIMESTAMP:
            return isinstance(value, datetime) and value.utcoffset() is not None
        case FieldType.BYTES:
            return False


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
