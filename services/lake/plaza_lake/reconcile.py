"""Two versions compared by key and field by field, each opened by a grant of its own: the one read path, twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb
import pyarrow as pa
from plaza_kit.errors import FailedPrecondition
from plaza_kit.grants import GrantVerifier
from sqlglot import exp

from plaza_lake import engine, outcomes
from plaza_lake.access import open_grant
from plaza_lake.comparing import Comparison, count_where
from plaza_lake.differences import Pattern, explained, patterns
from plaza_lake.matching import LEFT, RIGHT, Sides
from plaza_lake.outcomes import ENTRY as ENTRY
from plaza_lake.outcomes import Kind as Kind
from plaza_lake.positions import scanned
from plaza_lake.render import column, to_sql
from plaza_lake.tables import Lake


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
    _store(opened, "_pairs", outcomes.pairs(sides, exclude=again))
    _store(
        opened, "_found", outcomes.found(sides, again=again, keyless=any(each.without_key for each in keys))
    )
    matched, agreed, fields = outcomes.counts(opened, sides)
    kinds = {
        Kind(kind): rows
        for kind, rows in opened.sql("SELECT kind, count(*) FROM _found GROUP BY 1").fetchall()
    }
    listed = exp.select("*").from_("_found").order_by("kind", '"left"', '"right"').limit(most)
    entries = opened.sql(to_sql(listed)).to_arrow_table()
    assert entries is not None, "a SELECT has a result"
    common: tuple[Pattern, ...] = ()
    if Kind.DIFFERING in kinds:
        _store(opened, "_differing", exp.select("*").from_("_pairs").where(outcomes.is_kind(Kind.DIFFERING)))
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
