"""Checks of single rows as expressions with three values: true passes, false fails, null says nothing."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Final

from plaza_lake.expressions import parse_expression
from plaza_lake.fields import Column, FieldType, TableSchema
from plaza_lake.filter_text import parse_filter, scalar_of
from plaza_lake.ir import And, ColumnRef, Compare, Expr, In, Literal, Op, conjunction
from plaza_lake.render import DIALECT, column, literal, render
from sqlglot import exp

from plaza_quality.domain.around import Around
from plaza_quality.domain.checks import (
    Check,
    Compared,
    Comparison,
    Conditional,
    Expression,
    HasFormat,
    HasLength,
    InList,
    InRange,
    Matches,
    NotFuture,
    NotNull,
)
from plaza_quality.storage.meaning.formats import full_match, has_format

_SMALLEST: Final = -(2**63)
_GREATEST: Final = 2**63 - 1
_KINDS: Final[dict[Comparison, type[exp.Binary]]] = {
    Comparison.EQUAL: exp.EQ,
    Comparison.NOT_EQUAL: exp.NEQ,
    Comparison.LESS: exp.LT,
    Comparison.LESS_OR_EQUAL: exp.LTE,
    Comparison.GREATER: exp.GT,
    Comparison.GREATER_OR_EQUAL: exp.GTE,
}


def row_verdict(check: Check, schema: TableSchema, around: Around) -> exp.Expr | None:
    """The check over these columns, which it fits (`fitting`); None for checks that look beyond the row."""
    match check:
        case NotNull(field):
            return present(column(field))
        case InRange(field):
            return render(_within(check, _column(schema, field)), schema)
        case HasFormat(field, wanted):
            return has_format(column(field), wanted)
        case HasLength(field, minimum, maximum):
            return _length(column(field), minimum, maximum)
        case Matches(field, pattern):
            return full_match(column(field), pattern)
        case InList(field, values):
            kind = _column(schema, field).type
            known = [Literal(value) for text in values if (value := scalar_of(text, kind)) is not None]
            return render(In(ColumnRef(field), tuple(known)), schema) if known else _never(column(field))
        case Compared():
            return _compared(check, schema)
        case Conditional(when, then):
            return _conditional(parse_filter(when, schema), parse_filter(then, schema), schema)
        case NotFuture(field, tolerance):
            return render(_not_later(_column(schema, field), tolerance, around), schema)
        case Expression(text):
            return parse_expression(text, schema)
    return None


def present(node: exp.Expr) -> exp.Expr:
    """That there is a value."""
    return exp.Not(this=exp.Is(this=node, expression=exp.null()))


def _column(schema: TableSchema, name: str) -> Column:
    found = schema.column(name)
    assert found is not None, "absent fields were looked for"
    return found


def _never(node: exp.Expr) -> exp.Expr:
    """False where there is a value."""
    return exp.Case(ifs=[exp.If(this=present(node), true=exp.false())])


def _within(check: InRange, found: Column) -> Expr:
    ref = ColumnRef(found.name)
    if found.type is FieldType.INTEGER:
        return _within_integers(check, ref)
    # NaN is greater than every number: an upper bound, be it infinity, leaves it out.
    greatest = math.inf if check.maximum is None else check.maximum
    inside = Compare(Op.LE, ref, Literal(float(greatest)))
    least = None if check.minimum is None else Compare(Op.GE, ref, Literal(float(check.minimum)))
    return conjunction(least, inside) or inside


def _within_integers(check: InRange, ref: ColumnRef) -> Expr:
    """The same bounds as whole numbers of 64 bits, which are all that the column can hold."""
    least = _SMALLEST if check.minimum is None else max(math.ceil(check.minimum), _SMALLEST)
    greatest = _GREATEST if check.maximum is None else min(math.floor(check.maximum), _GREATEST)
    if least > _GREATEST or greatest < _SMALLEST:
        return Compare(Op.LT, ref, Literal(_SMALLEST))  # no value passes, and the bound itself does not fit
    return And((Compare(Op.GE, ref, Literal(least)), Compare(Op.LE, ref, Literal(greatest))))


def _length(field: exp.Column, minimum: int, maximum: int | None) -> exp.Expr:
    length = exp.Length(this=field)
    least = exp.GTE(this=length, expression=exp.convert(minimum))
    return (
        least
        if maximum is None
        else exp.and_(least, exp.LTE(this=length.copy(), expression=exp.convert(maximum)))
    )


def _compared(check: Compared, schema: TableSchema) -> exp.Expr:
    left: exp.Expr = column(check.left)
    right: exp.Expr = column(check.right)
    types = {_column(schema, check.left).type, _column(schema, check.right).type}
    if len(types) > 1 or check.tolerance:
        left, right = (exp.cast(each, "DOUBLE", dialect=DIALECT) for each in (left, right))
    plain = _KINDS[check.comparison](this=left, expression=right)
    if not check.tolerance:
        return plain
    tolerance = literal(check.tolerance, FieldType.NUMBER)
    # Both infinities are equal, and their difference is no number: the plain comparison stands beside the wide one.
    match check.comparison:
        case Comparison.EQUAL:
            return exp.or_(plain, exp.LTE(this=_distance(left, right), expression=tolerance))
        case Comparison.NOT_EQUAL:
            return exp.and_(plain, exp.GT(this=_distance(left, right), expression=tolerance))
        case Comparison.LESS | Comparison.LESS_OR_EQUAL:
            limit = exp.Add(this=right.copy(), expression=tolerance)
            return exp.or_(plain, _KINDS[check.comparison](this=left.copy(), expression=limit))
        case Comparison.GREATER | Comparison.GREATER_OR_EQUAL:
            limit = exp.Add(this=left.copy(), expression=tolerance)
            return exp.or_(plain, _KINDS[check.comparison](this=limit, expression=right.copy()))


def _distance(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    return exp.Abs(this=exp.Sub(this=left.copy(), expression=right.copy()))


def _conditional(when: Expr | None, then: Expr | None, schema: TableSchema) -> exp.Expr:
    wanted = exp.true() if then is None else render(then, schema)
    if when is None:
        return wanted
    return exp.Case(ifs=[exp.If(this=render(when, schema), true=wanted)])


def _not_later(found: Column, tolerance: timedelta, around: Around) -> Expr:
    if found.type is FieldType.DATE:
        return Compare(Op.LE, ColumnRef(found.name), Literal(around.last_day(tolerance)))
    return Compare(Op.LE, ColumnRef(found.name), Literal(around.moment + tolerance))
