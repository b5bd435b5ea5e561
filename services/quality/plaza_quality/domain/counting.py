"""From rules to the aggregates that one scan answers, and from its answers to counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from plaza_lake.ir import (
    Aggregate,
    And,
    ColumnRef,
    Compare,
    Count,
    CountDistinct,
    CountWhere,
    Expr,
    IsNull,
    Literal,
    Op,
    conjunction,
)
from plaza_lake.schema import Column, FieldType, TableSchema

from plaza_quality.domain.rules import Check, InRange, NotNull, Unique

_SMALLEST: Final = -(2**63)
_GREATEST: Final = 2**63 - 1
_NUMERIC: Final = (FieldType.INTEGER, FieldType.NUMBER)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows a rule judges how; together all rows."""

    passed: int
    failed: int
    not_applicable: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What was counted for one rule."""

    counts: Counts
    absent_fields: tuple[str, ...] = ()
    """Fields that the version does not have (or not as numbers, where the rule compares): no row was judged."""


def absent_fields(check: Check, schema: TableSchema) -> tuple[str, ...]:
    """The fields for whose lack the check says nothing about this version."""
    match check:
        case NotNull(field):
            wanted: tuple[str, ...] = (field,)
        case Unique(fields):
            wanted = fields
        case InRange(field):
            column = schema.column(field)
            return () if column is not None and column.type in _NUMERIC else (field,)
    return tuple(name for name in wanted if schema.column(name) is None)


def questions(checks: Iterable[Check], schema: TableSchema) -> dict[str, Aggregate]:
    """Every aggregate that the checks need of this version, each once, by the name under which `findings` looks
    for its answer; the number of rows is always among them."""
    needed = chain.from_iterable(_needs(check, schema) for check in checks)
    return {_name(node): node for node in chain([Count()], needed)}


def findings(
    checks: Sequence[Check], schema: TableSchema, answers: Mapping[str, object]
) -> tuple[int, tuple[Finding, ...]]:
    """The number of rows, and what was counted for each check. `answers`: to `questions` of the same."""

    def answer(node: Aggregate) -> int:
        value = answers[_name(node)]
        assert isinstance(value, int), "all questions ask for counts"
        return value

    rows = answer(Count())
    found = []
    for check in checks:
        absent = absent_fields(check, schema)
        counts = (
            Counts(0, 0, rows)
            if absent
            else _counts(check, rows, [answer(node) for node in _needs(check, schema)])
        )
        found.append(Finding(counts, absent))
    return rows, tuple(found)


def _name(node: Aggregate) -> str:
    return repr(node)


def _needs(check: Check, schema: TableSchema) -> tuple[Aggregate, ...]:
    if absent_fields(check, schema):
        return ()
    match check:
        case NotNull(field):
            return (_without_value((field,)),)
        case InRange(field):
            column = schema.column(field)
            assert column is not None, "absent fields were looked for"
            return (_without_value((field,)), CountWhere(_within(check, column)))
        case Unique(fields):
            return (_without_value(fields), CountDistinct(tuple(ColumnRef(name) for name in fields)))


def _counts(check: Check, rows: int, answers: Sequence[int]) -> Counts:
    without = answers[0]
    match check:
        case NotNull():
            return Counts(rows - without, without, 0)
        case InRange():
            passed = answers[1]
        case Unique():
            # Rows without any value are one of the different combinations; they are not applicable.
            passed = answers[1] - (without > 0)
    return Counts(passed, rows - without - passed, without)


def _without_value(fields: tuple[str, ...]) -> CountWhere:
    condition = conjunction(*(IsNull(ColumnRef(name)) for name in fields))
    assert condition is not None, "a check has a field"
    return CountWhere(condition)


def _within(check: InRange, column: Column) -> Expr:
    ref = ColumnRef(column.name)
    if column.type is FieldType.INTEGER:
        return _within_integers(check, ref)
    # NaN is greater than every number: an upper bound, be it infinity, leaves it out.
    greatest = math.inf if check.maximum is None else check.maximum
    inside = Compare(Op.LE, ref, Literal(greatest))
    least = None if check.minimum is None else Compare(Op.GE, ref, Literal(check.minimum))
    return conjunction(least, inside) or inside


def _within_integers(check: InRange, ref: ColumnRef) -> Expr:
    """The same bounds as whole numbers of 64 bits, which are all that the column can hold."""
    least = _SMALLEST if check.minimum is None else max(math.ceil(check.minimum), _SMALLEST)
    greatest = _GREATEST if check.maximum is None else min(math.floor(check.maximum), _GREATEST)
    if least > _GREATEST or greatest < _SMALLEST:
        return Compare(Op.LT, ref, Literal(_SMALLEST))  # no value passes, and the bound itself does not fit
    return And((Compare(Op.GE, ref, Literal(least)), Compare(Op.LE, ref, Literal(greatest))))
