"""Two versions compared by key and field by field, each opened by a grant of its own: the one read path, twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import reduce
from typing import Final

import duckdb
import pyarrow as pa
from plaza_kit.errors import FailedPrecondition
from plaza_kit.grants import GrantVerifier
from sqlglot import exp

from plaza_lake import engine
from plaza_lake.access import open_grant
from plaza_lake.comparing import Comparison, count_where
from plaza_lake.differences import Pattern, explained, patterns
from plaza_lake.matching import LEFT, RIGHT, Sides
from plaza_lake.positions import scanned
from plaza_lake.render import column, to_sql
from plaza_lake.tables import Lake


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


class PositionsMoved(FailedPrecondition):
    """The files of a version were written again: positions in them mean nothing any more."""


@dataclass(frozen=True, slots=True)
class FieldCounts:
    """How the pairs of rows stand in one field; together all pairs."""

    agreed: int
    differing: int
    left_absent: int
    right_absent: int
    both_absent: int


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a comparison found."""

    left_version: int
    right_version: int
    left_snapshot: int
    right_snapshot: int
    left_rows: int
    right_rows: int
    repeated_keys: tuple[int, int]
    """Keys that several rows of the left, of the right have."""
    agreed: int
    """Pairs of rows of which at least one field agrees, and all others agree or are absent on both sides."""
    kinds: Mapping[Kind, int]
    """Pairs and rows that are no agreement; those that do not occur are left out."""
    fields: tuple[FieldCounts, ...]
    patterns: tuple[Pattern, ...]
    entries: pa.Table
    """`ENTRY`, by kind, then by position; at most as many as were asked for."""


def reconcile(
    lake: Lake, verifier: GrantVerifier, grants: tuple[str, str], comparison: Comparison, *, most: int
) -> Reconciled:
    """Compares what the left and the right grant open; of the differences at most `most` are told one by one.

    Blocking; beyond its memory the engine spills. Raises as `read_rows`, and `Incomparable`.
    """
    sides = _opened(lake, verifier, grants, comparison)
    with engine.connection(lake, sides.paths()) as opened:
        return reconciled(opened, sides, most)


def versions_compared(
    lake: Lake, verifier: GrantVerifier, grants: tuple[str, str], comparison: Comparison
) -> tuple[int, int]:
    """Which versions the grants open, and that all that is compared is there and granted. Blocking. Raises as
    `reconcile`."""
    sides = _opened(lake, verifier, grants, comparison)
    return sides.left.version.version, sides.right.version.version


def explain(
    lake: Lake,
    verifier: GrantVerifier,
    grants: tuple[str, str],
    comparison: Comparison,
    entries: pa.Table,
    snapshots: tuple[int, int],
) -> pa.Table:
    """Kept differences with the values behind them, in their order: the columns of `ENTRY`, `_r0_k0` (key and fields
    as they are), `_n0_k0` (as they are compared), `_h0`, `_s0` (see `explained`). 0 is the left, 1 the right.

    Blocking. Raises as `reconcile`, and `PositionsMoved`.
    """
    sides = _opened(lake, verifier, grants, comparison)
    for side, word in ((LEFT, "left"), (RIGHT, "right")):
        version = sides.access(side).version
        if version.snapshot_id != snapshots[side]:
            raise PositionsMoved(
                f"the files of the {word} version {version.version} were written again since it was compared",
                remedy="Run the reconciliation again.",
                facts={"side": word, "version": str(version.version)},
            )
    with engine.connection(lake, sides.paths()) as opened:
        return explained_entries(opened, sides, entries)


def _opened(lake: Lake, verifier: GrantVerifier, grants: tuple[str, str], comparison: Comparison) -> Sides:
    left, right = (open_grant(lake, verifier, grant) for grant in grants)
    return Sides.of(left, right, comparison)


def reconciled(opened: duckdb.DuckDBPyConnection, sides: Sides, most: int) -> Reconciled:
    """On a connection that can read the files of both sides."""
    _beside(opened, sides)
    keys = [_keys(opened, sides, side) for side in (LEFT, RIGHT)]
    again = any(each.repeated_keys for each in keys)
    _store(opened, "_pairs", _pairs(sides, exclude=again))
    _store(opened, "_found", _found(sides, again=again, keyless=any(each.without_key for each in keys)))
    matched, agreed, fields = _counts(opened, sides)
    kinds = {
        Kind(kind): rows
        for kind, rows in opened.sql("SELECT kind, count(*) FROM _found GROUP BY 1").fetchall()
    }
    listed = exp.select("*").from_("_found").order_by("kind", '"left"', '"right"').limit(most)
    entries = opened.sql(to_sql(listed)).to_arrow_table()
    assert entries is not None, "a SELECT has a result"
    common: tuple[Pattern, ...] = ()
    if Kind.DIFFERING in kinds:
        _store(opened, "_differing", exp.select("*").from_("_pairs").where(_is(Kind.DIFFERING)))
        common = patterns(opened, sides, "_differing")
    return Reconciled(
        left_version=sides.left.version.version,
        right_version=sides.right.version.version,
        left_snapshot=sides.left.version.snapshot_id,
        right_snapshot=sides.right.version.snapshot_id,
        left_rows=keys[LEFT].rows,
        right_rows=keys[RIGHT].rows,
        repeated_keys=(keys[LEFT].repeated_keys, keys[RIGHT].repeated_keys),
        agreed=agreed,
        kinds=dict(sorted(kinds.items())),
        fields=tuple(FieldCounts(*each, both_absent=matched - sum(each)) for each in fields),
        patterns=common,
        entries=entries.cast(ENTRY),
    )


def explained_entries(opened: duckdb.DuckDBPyConnection, sides: Sides, entries: pa.Table) -> pa.Table:
    """On a connection that can read the files of both sides."""
    _beside(opened, sides)
    numbered = entries.select(["kind"]).append_column(
        "_number", pa.array(range(entries.num_rows), pa.int64())
    )
    for name, place in (("_lp", "left"), ("_rp", "right"), ("_differs", "differs")):
        numbered = numbered.append_column(name, entries.column(place))
    opened.register("_entries", numbered)
    found = opened.sql(to_sql(explained(sides, "_entries", raw=True).order_by(column("_number", "_p"))))
    table = found.to_arrow_table()
    assert table is not None, "a SELECT has a result"
    return table.drop_columns(["_number"])


@dataclass(frozen=True, slots=True)
class _Keys:
    rows: int
    without_key: int
    repeated_keys: int


def _beside(opened: duckdb.DuckDBPyConnection, sides: Sides) -> None:
    for name, table in sides.values().items():
        opened.register(name, table)


def _store(opened: duckdb.DuckDBPyConnection, name: str, query: exp.Query) -> None:
    # A table of the connection's own: it lies in memory and spills like everything else.
    opened.execute(f"CREATE TEMP TABLE {name} AS {to_sql(query)}")


def _keys(opened: duckdb.DuckDBPyConnection, sides: Sides, side: int) -> _Keys:
    """Keeps the side's repeated keys as `_again0` or `_again1`."""
    _store(opened, f"_again{side}", sides.repeated(side))
    # Folding makes no value absent: the columns as they are tell as much, for less work.
    without = count_where(exp.Not(this=exp.paren(sides.has_own_key(side, "_s"))))
    counts = exp.select(exp.Count(this=exp.Star()), without).from_(
        scanned(sides.access(side), positions=False).subquery("_s")
    )
    rows, keyless = opened.sql(to_sql(counts)).fetchall()[0]
    repeated = opened.table(f"_again{side}").count("*").fetchall()[0][0]
    return _Keys(rows, keyless, repeated)


def _pairs(sides: Sides, *, exclude: bool) -> exp.Select:
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


def _found(sides: Sides, *, again: bool, keyless: bool) -> exp.Query:
    """Everything that is no agreement, as `ENTRY`."""
    class_ = exp.Case(
        ifs=[exp.If(this=_is(kind), true=exp.Literal.number(int(kind))) for kind in list(Kind)[:4]]
    )
    places = [column("_lp"), column("_rp"), column("_differs")]
    both = exp.and_(_present("_lp"), _present("_rp"))
    differs = exp.Case(ifs=[exp.If(this=both, true=column("_differs"))], default=exp.Literal.number(0))
    parts: list[exp.Query] = [
        exp.select(
            exp.alias_(class_, "kind"),
            *(
                exp.alias_(node, name, quoted=True)
                for node, name in zip(places[:2], ("left", "right"), strict=True)
            ),
            exp.alias_(differs, "differs"),
        )
        .from_("_pairs")
        .where(exp.Not(this=exp.paren(_agreed())))
    ]
    for side in (LEFT, RIGHT):
        if again:
            rows = sides.rows(side, keys_only=True).subquery("_s")
            own = exp.select("_s._position").from_(rows)
            parts.append(
                _listed(
                    _joined(own, sides, side, "semi"), (Kind.REPEATED_LEFT, Kind.REPEATED_RIGHT)[side], side
                )
            )
            unique = exp.select("_s.*").from_(rows.copy())
            unique = exp.select("_s._position").from_(_joined(unique, sides, side, "anti").subquery("_s"))
            other = _joined(unique, sides, 1 - side, "semi")
            parts.append(_listed(other, (Kind.AMBIGUOUS_LEFT, Kind.AMBIGUOUS_RIGHT)[side], side))
        if keyless:
            rows = sides.rows(side, keys_only=True).subquery("_s")
            without = (
                exp.select("_s._position").from_(rows).where(exp.Not(this=exp.paren(sides.has_key("_s"))))
            )
            parts.append(_listed(without, (Kind.NO_KEY_LEFT, Kind.NO_KEY_RIGHT)[side], side))
    return reduce(lambda one, other: exp.union(one, other, distinct=False), parts)


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


def _is(kind: Kind) -> exp.Expr:
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


def _counts(
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
