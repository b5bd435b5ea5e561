"""Which outcome a row has that was looked for on the other side: each is in exactly one class."""

from __future__ import annotations

from enum import IntEnum
from functools import reduce
from typing import Final

import duckdb
import pyarrow as pa
from sqlglot import exp

from plaza_lake.comparing import count_where
from plaza_lake.matching import LEFT, RIGHT, Sides
from plaza_lake.render import column, to_sql


class Kind(IntEnum):
    """Why a row, or two with the same key, are no agreement. In this order they are listed."""

    DIFFERING = 1
    """At least one field differs."""
    INCOMPARABLE = 2
    """No field differs, but a value is there on one side only, or none on both."""
    ONLY_LEFT = 3
    ONLY_RIGHT = 4
    REPEATED_LEFT = 5
    """Several rows of the left have this key: none of them is compared."""
    REPEATED_RIGHT = 6
    AMBIGUOUS_LEFT = 7
    """The key stands once here, several times there."""
    AMBIGUOUS_RIGHT = 8
    NO_KEY_LEFT = 9
    """A part of the key has no value."""
    NO_KEY_RIGHT = 10


ENTRY: Final = pa.schema(
    [
        ("kind", pa.uint8()),
        ("left", pa.int64()),
        ("right", pa.int64()),
        ("differs", pa.int32()),
    ]
)
"""What is kept of a difference: where it stands and in which fields, no value. A side without a row is absent."""


def pairs(sides: Sides, *, exclude: bool) -> exp.Select:
    """The rows of both sides matched; `exclude`: without those whose key `_again0` or `_again1` has."""

    def comparable(side: int) -> exp.Expr:
        rows = exp.select("*").from_(sides.rows(side).subquery("_s")).where(sides.has_key("_s"))
        for other in (LEFT, RIGHT) if exclude else ():
            rows = _joined(rows, sides, other, "anti")
        return rows.subquery()

    return sides.matched(comparable(LEFT), comparable(RIGHT))


def _joined(rows: exp.Select, sides: Sides, again: int, kind: str) -> exp.Select:
    """Rows `_s` that have, or have not, one of the repeated keys of a side."""
    name = f"_again{again}"
    return rows.join(exp.to_table(name), on=sides.same_key("_s", name), join_type=kind, copy=False)


def found(sides: Sides, *, again: bool, keyless: bool) -> exp.Query:
    """Everything of `_pairs` and of both sides that is no agreement, as `ENTRY`. `again`: there are repeated keys;
    `keyless`: rows without a key."""
    parts: list[exp.Query] = [_of_pairs()]
    for side in (LEFT, RIGHT):
        rows = sides.rows(side, keys_only=True).subquery("_s")
        own = exp.select("_s._position").from_(rows)
        if again:
            repeated = _joined(own.copy(), sides, side, "semi")
            parts.append(_listed(repeated, (Kind.REPEATED_LEFT, Kind.REPEATED_RIGHT)[side], side))
            unique = _joined(exp.select("_s.*").from_(rows.copy()), sides, side, "anti").subquery("_s")
            ambiguous = _joined(exp.select("_s._position").from_(unique), sides, 1 - side, "semi")
            parts.append(_listed(ambiguous, (Kind.AMBIGUOUS_LEFT, Kind.AMBIGUOUS_RIGHT)[side], side))
        if keyless:
            without = own.where(exp.Not(this=exp.paren(sides.has_key("_s"))))
            parts.append(_listed(without, (Kind.NO_KEY_LEFT, Kind.NO_KEY_RIGHT)[side], side))
    return reduce(lambda one, other: exp.union(one, other, distinct=False), parts)


def _of_pairs() -> exp.Select:
    kinds = (Kind.DIFFERING, Kind.INCOMPARABLE, Kind.ONLY_LEFT, Kind.ONLY_RIGHT)
    kind = exp.Case(ifs=[exp.If(this=is_kind(each), true=exp.Literal.number(int(each))) for each in kinds])
    both = exp.and_(_present("_lp"), _present("_rp"))
    differs = exp.Case(ifs=[exp.If(this=both, true=column("_differs"))], default=exp.Literal.number(0))
    named = {"kind": kind, "left": column("_lp"), "right": column("_rp"), "differs": differs}
    items = (exp.alias_(node, name, quoted=True) for name, node in named.items())
    return exp.select(*items).from_("_pairs").where(exp.Not(this=exp.paren(_agreed())))


def _listed(positions: exp.Select, kind: Kind, side: int) -> exp.Select:
    place, nothing = column("_position"), exp.cast(exp.null(), "BIGINT")
    pair = (place, nothing) if side == LEFT else (nothing, place)
    zero = exp.Literal.number(0)
    return exp.select(exp.Literal.number(int(kind)), *pair, zero).from_(positions.subquery("_o"))


def _present(name: str) -> exp.Expr:
    return exp.Not(this=exp.Is(this=column(name), expression=exp.null()))


def _none(name: str) -> exp.Expr:
    return exp.EQ(this=column(name), expression=exp.Literal.number(0))


def _agreed() -> exp.Expr:
    return exp.and_(
        _present("_lp"),
        _present("_rp"),
        *(_none(name) for name in ("_differs", "_lacks0", "_lacks1")),
        exp.NEQ(this=column("_agrees"), expression=exp.Literal.number(0)),
    )


def is_kind(kind: Kind) -> exp.Expr:
    """Of a row of `_pairs` that is no agreement."""
    both = exp.and_(_present("_lp"), _present("_rp"))
    match kind:
        case Kind.DIFFERING:
            return exp.and_(both, exp.Not(this=exp.paren(_none("_differs"))))
        case Kind.INCOMPARABLE:
            return exp.and_(both, _none("_differs"))
        case Kind.ONLY_LEFT:
            return _present("_lp")
        case _:
            return _present("_rp")


def counts(
    opened: duckdb.DuckDBPyConnection, sides: Sides
) -> tuple[int, int, list[tuple[int, int, int, int]]]:
    """Pairs, those that agree, and for each field how many agree, differ, have no left, have no right value."""
    both = exp.and_(_present("_lp"), _present("_rp"))
    items: list[exp.Expr] = [
        exp.Count(this=exp.Star()),
        count_where(_agreed()),
    ]
    for number in range(len(sides.fields)):
        for name in ("_agrees", "_differs", "_lacks0", "_lacks1"):
            bit = exp.BitwiseAnd(this=column(name), expression=exp.Literal.number(1 << number))
            zero = exp.Literal.number(0)
            said = exp.NEQ(this=exp.paren(bit), expression=zero)
            items.append(count_where(said))
    matched, agreed, *each = opened.sql(to_sql(exp.select(*items).from_("_pairs").where(both))).fetchall()[0]
    grouped = [tuple(each[at : at + 4]) for at in range(0, len(each), 4)]
    return matched, agreed, [(a, b, c, d) for a, b, c, d in grouped]
