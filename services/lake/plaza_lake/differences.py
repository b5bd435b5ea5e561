"""What makes two values different: hints for one pair of values, patterns over many.

A pattern tells a constant (a factor, an offset) only where at least `FEWEST` rows with at least `DISTINCT` different
values have it: of one row it would tell the other side's value to whoever sees only counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntFlag, StrEnum
from functools import reduce
from typing import Any, Final

import duckdb
from sqlglot import exp

from plaza_lake.comparing import BLANKS, Family, Folding, call, cast, count_where, folded, text
from plaza_lake.matching import LEFT, RIGHT, Sides
from plaza_lake.render import column, to_sql

FEWEST: Final = 5
DISTINCT: Final = 3
_SHARE: Final = 0.5
"""Of a field's differences that have the same constant, at least."""
_CODES: Final = 200
"""Different values that may stand for others, at most: more are no codes."""
_QUARTER: Final = 15 * 60
_WIDEST_ZONE: Final = 14 * 3600
_MICROSECONDS: Final = 1_000_000


class Hint(IntFlag):
    """What alone explains a difference."""

    CASE = 1
    WIDTH = 2
    BLANKS = 4
    WRITING = 8
    """Case, width and blanks together."""
    LEADING_ZEROS = 16
    CUT_OFF = 32
    """One text is the beginning of the other."""
    SIGN = 64
    ROUNDED = 128
    DAY_AND_MONTH = 256
    """The same digits with day and month exchanged."""
    SWAPPED = 512
    """With another field of the same row."""


class PatternKind(StrEnum):
    """What many differences of a field have in common."""

    CASE = "case"
    WIDTH = "width"
    BLANKS = "blanks"
    WRITING = "writing"
    LEADING_ZEROS = "leading_zeros"
    CUT_OFF = "cut_off"
    SIGN = "sign"
    ROUNDED = "rounded"
    DAY_AND_MONTH = "day_and_month"
    SWAPPED = "swapped"
    FACTOR = "factor"
    """left ÷ right is always the same: a unit is suspected."""
    OFFSET = "offset"
    """left − right is always the same."""
    TIME_ZONE = "time_zone"
    """The offset is one between time zones."""
    CODES = "codes"
    """Each left value always stands against the same right one: a value map is missing."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """So many differences of a field have this in common."""

    kind: PatternKind
    field: int
    rows: int
    constant: float | None = None
    """The factor; the offset, in seconds for moments and in days for dates."""
    other_field: int | None = None
    """With which it is exchanged."""


def explained(sides: Sides, pairs: str, *, raw: bool = False) -> exp.Select:
    """Everything of the table `pairs` (`_lp`, `_rp`, `_differs`), and of each pair whose rows are both there: `_h…`
    (hints) and `_s…` (the number of the field that it is exchanged with). `raw`: also the values of both sides, as
    they are and as they are compared: `_l0_k0`, `_r0_k0`, …"""
    items: list[exp.Expr] = [exp.Column(this=exp.Star(), table=exp.to_identifier("_p"))]
    for number in range(len(sides.fields)):
        swapped = _swapped(sides, number)
        items.append(exp.alias_(_hints(sides, number, swapped), f"_h{number}", quoted=True))
        items.append(exp.alias_(swapped, f"_s{number}", quoted=True))
    names = [name for name, _, _ in sides.pairs()]
    for table, side in (("_l", LEFT), ("_r", RIGHT)):
        for name in names:
            items.append(exp.alias_(column(name, table), f"_n{side}{name}", quoted=True))
            if raw:
                items.append(exp.alias_(column(f"_r{name[1:]}", table), f"_r{side}{name}", quoted=True))
    select = exp.select(*items).from_(exp.alias_(exp.to_table(pairs), "_p", table=True))
    for table, side, place in (("_l", LEFT, "_lp"), ("_r", RIGHT, "_rp")):
        wanted = exp.select(column(place)).from_(exp.to_table(pairs))
        rows = exp.alias_(sides.rows(side, raw=raw, among=wanted).subquery(), table, table=True)
        on = exp.EQ(this=column(place, "_p"), expression=column("_position", table))
        select = select.join(rows, on=on, join_type="left")
    return select


def patterns(opened: duckdb.DuckDBPyConnection, sides: Sides, pairs: str) -> tuple[Pattern, ...]:
    """Over all differing pairs of a table, most frequent first; field by field."""
    opened.execute(f"CREATE TEMP TABLE _explained AS {to_sql(explained(sides, pairs))}")
    found: list[Pattern] = []
    for number, kind in enumerate(sides.fields):
        of_field = _hinted(opened, number) + _exchanged(opened, number) + _constants(opened, number, kind)
        found += sorted(of_field, key=lambda each: (-each.rows, each.kind))
    opened.execute("DROP TABLE _explained")
    return tuple(found)


def _differs(number: int, table: str | None = "_p") -> exp.Expr:
    bit = exp.BitwiseAnd(this=column("_differs", table), expression=exp.Literal.number(1 << number))
    return exp.NEQ(this=exp.paren(bit), expression=exp.Literal.number(0))


def _hints(sides: Sides, number: int, swapped: exp.Expr) -> exp.Expr:
    left, right = column(f"_f{number}", "_l"), column(f"_f{number}", "_r")
    causes = _causes(left, right, sides.fields[number])
    causes.append((Hint.SWAPPED, exp.Not(this=exp.Is(this=swapped.copy(), expression=exp.null()))))
    bits: list[exp.Expr] = [
        exp.Case(
            ifs=[exp.If(this=condition, true=exp.Literal.number(int(hint)))], default=exp.Literal.number(0)
        )
        for hint, condition in causes
    ]
    every = reduce(lambda one, other: exp.Add(this=one, expression=other), bits)
    chosen = exp.Case(ifs=[exp.If(this=_differs(number), true=every)], default=exp.Literal.number(0))
    return cast(chosen, "INTEGER")


def _causes(left: exp.Expr, right: exp.Expr, kind: Family) -> list[tuple[Hint, exp.Expr]]:
    match kind:
        case Family.TEXT:
            return _causes_in_texts(left, right)
        case Family.INTEGER | Family.NUMBER:
            return _causes_in_numbers(left, right)
        case Family.DATE:
            exchanged = _exchanged_day(left, right)
            return [(Hint.DAY_AND_MONTH, exchanged)]
    return []


def _causes_in_texts(left: exp.Expr, right: exp.Expr) -> list[tuple[Hint, exp.Expr]]:
    def same(fold: Folding) -> exp.Expr:
        return exp.EQ(this=folded(left, fold), expression=folded(right, fold))

    def without_zeros(node: exp.Expr) -> exp.Expr:
        return call("regexp_replace", node, text("^0+([0-9])"), text(r"\1"))

    longer = exp.and_(
        exp.NEQ(this=left.copy(), expression=text("")),
        exp.NEQ(this=right.copy(), expression=text("")),
        exp.or_(call("starts_with", left, right), call("starts_with", right, left)),
    )
    zeros = exp.EQ(this=without_zeros(left), expression=without_zeros(right))
    return [
        (Hint.CASE, same(Folding(case=True))),
        (Hint.WIDTH, same(Folding(width=True))),
        (Hint.BLANKS, exp.EQ(this=_without_blanks(left), expression=_without_blanks(right))),
        (Hint.WRITING, same(Folding(case=True, width=True, blanks=True))),
        (Hint.LEADING_ZEROS, zeros),
        (Hint.CUT_OFF, longer),
    ]


def _without_blanks(node: exp.Expr) -> exp.Expr:
    return call("regexp_replace", node, text(BLANKS), text(""), text("g"))


def _causes_in_numbers(left: exp.Expr, right: exp.Expr) -> list[tuple[Hint, exp.Expr]]:
    one, other = cast(left, "DOUBLE"), cast(right, "DOUBLE")
    opposite = exp.and_(
        exp.EQ(this=exp.Neg(this=one.copy()), expression=other.copy()), call("isfinite", one.copy())
    )

    def rounded(exact: exp.Expr, places: int) -> exp.Expr:
        return call("round", exact, exp.Literal.number(places))

    cut = [
        exp.EQ(this=rounded(exact, places), expression=coarse.copy())
        for places in range(5)
        for exact, coarse in ((one, other), (other, one))
    ]
    near = exp.and_(call("isfinite", one.copy()), call("isfinite", other.copy()), exp.paren(exp.or_(*cut)))
    return [(Hint.SIGN, opposite), (Hint.ROUNDED, near)]


def _exchanged_day(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    parts = (("year", "year"), ("month", "day"), ("day", "month"))
    return exp.and_(
        *(exp.EQ(this=call(mine, left), expression=call(theirs, right)) for mine, theirs in parts)
    )


def _swapped(sides: Sides, number: int) -> exp.Expr:
    """The first other field of the same form whose values stand crosswise."""
    cases = []
    for other, kind in enumerate(sides.fields):
        if other == number or kind is not sides.fields[number]:
            continue
        crosswise = exp.and_(
            _differs(number),
            _differs(other),
            exp.EQ(this=column(f"_f{number}", "_l"), expression=column(f"_f{other}", "_r")),
            exp.EQ(this=column(f"_f{other}", "_l"), expression=column(f"_f{number}", "_r")),
        )
        cases.append(exp.If(this=crosswise, true=exp.Literal.number(other)))
    return exp.Case(ifs=cases) if cases else cast(exp.null(), "INTEGER")


def _hinted(opened: duckdb.DuckDBPyConnection, number: int) -> list[Pattern]:
    single = [hint for hint in Hint if hint is not Hint.SWAPPED]
    counts = [
        count_where(exp.NEQ(this=exp.paren(_has(number, hint)), expression=exp.Literal.number(0)))
        for hint in single
    ]
    found = _rows(opened, exp.select(*counts).from_("_explained"))[0]
    said = {hint: int(rows) for hint, rows in zip(single, found, strict=True) if rows}
    if any(said.get(hint) == said.get(Hint.WRITING) for hint in (Hint.CASE, Hint.WIDTH, Hint.BLANKS)):
        # One of its parts says it all.
        said.pop(Hint.WRITING, None)
    return [Pattern(PatternKind[str(hint.name)], number, rows) for hint, rows in said.items()]


def _has(number: int, hint: Hint) -> exp.Expr:
    return exp.BitwiseAnd(this=column(f"_h{number}"), expression=exp.Literal.number(int(hint)))


def _exchanged(opened: duckdb.DuckDBPyConnection, number: int) -> list[Pattern]:
    other = column(f"_s{number}")
    count = exp.Count(this=exp.Star())
    query = exp.select(other, count).from_("_explained").where(other.copy().is_(exp.null()).not_())
    found = _rows(opened, query.group_by(other.copy()))
    return [Pattern(PatternKind.SWAPPED, number, rows, other_field=at) for at, rows in found]


def _constants(opened: duckdb.DuckDBPyConnection, number: int, kind: Family) -> list[Pattern]:
    left, right = column(f"_n0_f{number}"), column(f"_n1_f{number}")
    if kind is Family.TEXT:
        return _codes(opened, number)
    if kind in (Family.INTEGER, Family.NUMBER):
        one, other = cast(left, "DOUBLE"), cast(right, "DOUBLE")
        finite = exp.and_(call("isfinite", one), call("isfinite", other))
        zero = exp.Literal.number(0)
        nonzero = exp.and_(finite, exp.NEQ(this=one, expression=zero), exp.NEQ(this=other, expression=zero))
        factor = _constant(opened, number, exp.Div(this=one.copy(), expression=other.copy()), nonzero)
        offset = _constant(opened, number, exp.Sub(this=one.copy(), expression=other.copy()), finite)
        return [
            *(Pattern(PatternKind.FACTOR, number, rows, value) for value, rows in factor),
            *(Pattern(PatternKind.OFFSET, number, rows, value) for value, rows in offset),
        ]
    if kind is Family.DATE:
        days = _constant(opened, number, call("date_diff", text("day"), right, left), exp.true())
        return [Pattern(PatternKind.OFFSET, number, rows, value) for value, rows in days]
    if kind is Family.TIMESTAMP:
        apart = exp.Sub(this=call("epoch_us", left), expression=call("epoch_us", right))
        found = _constant(opened, number, cast(apart, "DOUBLE"), exp.true())
        return [_moments_apart(number, value / _MICROSECONDS, rows) for value, rows in found]
    return []


def _constant(
    opened: duckdb.DuckDBPyConnection, number: int, value: exp.Expr, where: exp.Expr
) -> list[tuple[float, int]]:
    """The most frequent value to nine digits, if so many differences have it that it means something."""
    rounded = exp.alias_(call("printf", text("%.9g"), cast(value, "DOUBLE")), "_c", quoted=True)
    same = (
        exp.select(rounded, exp.alias_(column(f"_n0_f{number}"), "_v", quoted=True))
        .from_("_explained")
        .where(exp.and_(_differs(number, None), where))
    )
    rows = exp.Count(this=exp.Star())
    query = (
        exp.select(column("_c"), rows, exp.Count(this=exp.Distinct(expressions=[column("_v")])))
        .from_(same.subquery("_d"))
        .group_by(column("_c"))
        .order_by(exp.Ordered(this=rows.copy(), desc=True), column("_c"))
        .limit(1)
    )
    total = exp.select(rows.copy()).from_("_explained").where(_differs(number, None))
    (differing,) = _rows(opened, total)[0]
    return [
        (float(constant), count)
        for constant, count, distinct in _rows(opened, query)
        if count >= max(FEWEST, _SHARE * differing)
        and distinct >= DISTINCT
        and math.isfinite(float(constant))
    ]


def _moments_apart(number: int, seconds: float, rows: int) -> Pattern:
    zone = seconds % _QUARTER == 0 and abs(seconds) <= _WIDEST_ZONE
    return Pattern(PatternKind.TIME_ZONE if zone else PatternKind.OFFSET, number, rows, seconds)


def _codes(opened: duckdb.DuckDBPyConnection, number: int) -> list[Pattern]:
    """Each left value with one right one only, each of them often."""
    left, right = column(f"_n0_f{number}"), column(f"_n1_f{number}")
    rows = exp.Count(this=exp.Star())
    by_value = (
        exp.select(
            exp.alias_(rows, "_n", quoted=True),
            exp.alias_(exp.Count(this=exp.Distinct(expressions=[right])), "_others", quoted=True),
        )
        .from_("_explained")
        .where(_differs(number, None))
        .group_by(left)
    )
    query = exp.select(call("sum", column("_n")), rows.copy(), call("max", column("_others"))).from_(
        by_value.subquery("_d")
    )
    total, values, others = _rows(opened, query)[0]
    clear = (
        total is not None and others == 1 and DISTINCT - 1 <= values <= _CODES and total >= FEWEST * values
    )
    return [Pattern(PatternKind.CODES, number, int(total))] if clear else []


def _rows(opened: duckdb.DuckDBPyConnection, query: exp.Select) -> list[tuple[Any, ...]]:
    return opened.sql(to_sql(query)).fetchall()
