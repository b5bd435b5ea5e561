"""The rows of two sources, side by side: by the same key, and never more than one with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Final

import pyarrow as pa
from sqlglot import exp

from plaza_lake.access import Access
from plaza_lake.comparing import Comparison, Family, Pair, agrees, common, family, folded
from plaza_lake.positions import scanned
from plaza_lake.render import column, same_key

LEFT: Final = 0
RIGHT: Final = 1


@dataclass(frozen=True, slots=True)
class Sides:
    """Two opened versions and what is compared of them. Raises as `Access.check_names`, and `Incomparable`."""

    left: Access
    right: Access
    comparison: Comparison
    keys: tuple[Family, ...]
    fields: tuple[Family, ...]

    @classmethod
    def of(cls, left: Access, right: Access, comparison: Comparison) -> Sides:
        left.check_names(comparison.columns(LEFT))
        right.check_names(comparison.columns(RIGHT))
        schemas = (left.granted, right.granted)
        return cls(
            left,
            right,
            comparison,
            tuple(family(pair, *schemas, key=True) for pair in comparison.key),
            tuple(family(pair, *schemas) for pair in comparison.fields),
        )

    def paths(self) -> tuple[str, ...]:
        """Every file that a query may open."""
        return tuple(dict.fromkeys((*self.left.paths, *self.right.paths)))

    def access(self, side: int) -> Access:
        """What is opened on that side."""
        return (self.left, self.right)[side]

    def pairs(self) -> Iterator[tuple[str, Pair, Family]]:
        """Keys as `_k0…`, fields as `_f0…`."""
        for letter, pairs, families in (
            ("k", self.comparison.key, self.keys),
            ("f", self.comparison.fields, self.fields),
        ):
            for number, (pair, found) in enumerate(zip(pairs, families, strict=True)):
                yield f"_{letter}{number}", pair, found

    def key(self) -> tuple[str, ...]:
        """Names of the key's columns."""
        return tuple(f"_k{number}" for number in range(len(self.keys)))

    def values(self) -> dict[str, pa.Table]:
        """The maps of values, by name, to stand beside the query."""
        return {
            f"_map{name}": pa.table(
                {"_from": [a for a, _ in pair.values], "_to": [b for _, b in pair.values]}
            )
            for name, pair, _ in self.pairs()
            if pair.values
        }

    def rows(
        self, side: int, *, keys_only: bool = False, raw: bool = False, among: exp.Select | None = None
    ) -> exp.Select:
        """`_position`, `_k…` and `_f…` of every row as they are compared; `raw`: also `_rk…` and `_rf…` as they are.
        `among`: only of rows at these positions."""
        items: list[exp.Expr] = [column("_position", "_r")]
        joins = []
        for name, pair, found in self.pairs():
            if keys_only and name not in self.key():
                continue
            own = (pair.left, pair.right)[side]
            node = self._common(side, pair, found, "_r")
            if side == LEFT and pair.values:
                joins.append((name, exp.EQ(this=node.copy(), expression=column("_from", f"_map{name}"))))
                node = exp.Coalesce(this=column("_to", f"_map{name}"), expressions=[node])
            node = folded(node, pair.folding) if found is Family.TEXT else node
            items.append(exp.alias_(node, name, quoted=True))
            if raw:
                items.append(exp.alias_(column(own, "_r"), f"_r{name[1:]}", quoted=True))
        select = exp.select(*items).from_(scanned(self.access(side)).subquery("_r"))
        if among is not None:
            select = select.where(exp.In(this=column("_position", "_r"), query=among.subquery()))
        for name, on in joins:
            select = select.join(exp.to_table(f"_map{name}"), on=on, join_type="left", copy=False)
        return select

    def _common(self, side: int, pair: Pair, found: Family, table: str) -> exp.Expr:
        own = (pair.left, pair.right)[side]
        kept = self.access(side).granted.column(own)
        assert kept is not None, "the names were checked"
        return common(column(own, table), kept.type, found)

    def matched(self, left: exp.Expr, right: exp.Expr) -> exp.Select:
        """Rows with the same key as `_lp`, `_rp`, and those that only one side has; each with masks over the fields:
        `_agrees`, `_differs`, and whose value is absent while the other's is there: `_lacks0`, `_lacks1`."""
        masks = [
            exp.alias_(_mask(conditions), name, quoted=True)
            for name, conditions in (
                ("_differs", self._each(lambda *at: exp.and_(_both(*at[:2]), exp.Not(this=_agree(*at))))),
                ("_lacks0", self._each(lambda left, right, *_: exp.and_(_absent(left), _present(right)))),
                ("_lacks1", self._each(lambda left, right, *_: exp.and_(_present(left), _absent(right)))),
                ("_agrees", self._each(lambda *at: exp.and_(_both(*at[:2]), _agree(*at)))),
            )
        ]
        positions = (
            exp.alias_(column("_position", table), name, quoted=True)
            for table, name in (("_l", "_lp"), ("_r", "_rp"))
        )
        on = exp.and_(
            *(exp.EQ(this=column(name, "_l"), expression=column(name, "_r")) for name in self.key())
        )
        return (
            exp.select(*positions, *masks)
            .from_(exp.alias_(left, "_l", table=True))
            .join(exp.alias_(right, "_r", table=True), on=on, join_type="full")
        )

    def _each(self, say: Callable[..., exp.Expr]) -> list[exp.Expr]:
        return [
            say(column(f"_f{number}", "_l"), column(f"_f{number}", "_r"), pair, found)
            for number, (pair, found) in enumerate(zip(self.comparison.fields, self.fields, strict=True))
        ]

    def repeated(self, side: int) -> exp.Select:
        """Keys that more than one row of a side has, with their number `_n`."""
        count = exp.Count(this=exp.Star())
        return (
            exp.select(*map(column, self.key()), exp.alias_(count, "_n", quoted=True))
            .from_(self.rows(side, keys_only=True).subquery("_s"))
            .where(self.has_key("_s"))
            .group_by(*map(column, self.key()))
            .having(exp.GT(this=count.copy(), expression=exp.Literal.number(1)))
        )

    def unique(self) -> exp.Select:
        """`_k…` and `_f…` of the right rows whose key no other one has."""
        fields = (f"_f{number}" for number in range(len(self.fields)))
        values = (exp.alias_(exp.AnyValue(this=column(name)), name, quoted=True) for name in fields)
        return (
            exp.select(*map(column, self.key()), *values)
            .from_(self.rows(RIGHT).subquery("_s"))
            .where(self.has_key("_s"))
            .group_by(*map(column, self.key()))
            .having(exp.EQ(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(1)))
        )

    def found(self, table: str, looked: str) -> exp.Expr:
        """That a row of the left, as it is, has the key of one in a table of keys. For comparisons without maps."""
        return exp.and_(
            *(
                exp.EQ(this=node, expression=column(name, looked))
                for name, node in self._left(table)
                if name in self.key()
            )
        )

    def verdict(self, table: str, looked: str, again: str) -> exp.Expr:
        """Whether a row of the left agrees with the one found in `unique`; `again`: what was found in `repeated`."""
        mine = dict(self._left(table))
        status = [
            (mine[name], column(name, looked), pair, found)
            for name, pair, found in self.pairs()
            if name not in self.key()
        ]
        differs = exp.or_(*(exp.and_(_both(*at[:2]), exp.Not(this=_agree(*at))) for at in status))
        alike = exp.and_(
            *(exp.EQ(this=exp.paren(_absent(at[0])), expression=exp.paren(_absent(at[1]))) for at in status)
        )
        same = exp.or_(*(exp.and_(_both(*at[:2]), _agree(*at)) for at in status))
        unique = exp.and_(_present(column("_k0", looked)), _absent(column("_k0", again)))
        return exp.Case(
            ifs=[
                exp.If(this=exp.Not(this=exp.paren(unique)), true=exp.cast(exp.null(), "BOOLEAN")),
                exp.If(this=differs, true=exp.false()),
                exp.If(this=exp.and_(alike, exp.paren(same)), true=exp.true()),
            ]
        )

    def _left(self, table: str) -> Iterator[tuple[str, exp.Expr]]:
        for name, pair, found in self.pairs():
            node = self._common(LEFT, pair, found, table)
            yield name, folded(node, pair.folding) if found is Family.TEXT else node

    def has_key(self, table: str) -> exp.Expr:
        """That every part of the key has a value."""
        return exp.and_(*(_present(column(name, table)) for name in self.key()))

    def has_own_key(self, side: int, table: str) -> exp.Expr:
        """The same, of a row of a side as it is."""
        names = ((pair.left, pair.right)[side] for pair in self.comparison.key)
        return exp.and_(*(_present(column(name, table)) for name in names))

    def same_key(self, one: str, other: str) -> exp.Expr:
        """That two rows have the same key, all of which is present."""
        return same_key(self.key(), one, other)


def _agree(left: exp.Expr, right: exp.Expr, pair: Pair, found: Family) -> exp.Expr:
    return exp.paren(agrees(left, right, pair, found))


def _both(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    return exp.and_(_present(left), _present(right))


def _absent(node: exp.Expr) -> exp.Expr:
    return exp.Is(this=node.copy(), expression=exp.null())


def _present(node: exp.Expr) -> exp.Expr:
    return exp.Not(this=_absent(node))


def _mask(conditions: list[exp.Expr]) -> exp.Expr:
    bits: list[exp.Expr] = [
        exp.Case(
            ifs=[exp.If(this=condition, true=exp.Literal.number(1 << number))], default=exp.Literal.number(0)
        )
        for number, condition in enumerate(conditions)
    ]
    return exp.cast(reduce(lambda one, other: exp.Add(this=one, expression=other), bits), "INTEGER")
