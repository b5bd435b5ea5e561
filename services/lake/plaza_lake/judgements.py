"""What is judged of every row, and the SQL that says so for all judgements at once.

A judgement has three outcomes for a row: true (it passes), false (it fails), null (it says nothing). Row by row the
failures are packed into words of 63 bits, the ones that were judged at all likewise; judgement `i` is bit `i % 63` of
word `i // 63`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import pyarrow as pa
from sqlglot import exp

from plaza_lake.access import Access
from plaza_lake.comparing import Comparison
from plaza_lake.ir import Count, CountWhere, Max, Min
from plaza_lake.matching import LEFT, Sides
from plaza_lake.positions import ROW_BITS as ROW_BITS
from plaza_lake.positions import scanned as scanned
from plaza_lake.render import DIALECT, column, render_aggregate
from plaza_lake.schema import TableSchema

WORD: Final = 63
"""Bits of a word: one fewer than a signed integer has, so that no word is negative."""

Mergeable: TypeAlias = Count | CountWhere | Min | Max
"""Aggregates of parts that make the aggregate of the whole."""


@dataclass(frozen=True, slots=True)
class ByExpression:
    """A boolean over the columns of the row."""

    expression: exp.Expr


@dataclass(frozen=True, slots=True)
class Values:
    """A list of single texts, kept beside the query."""

    texts: pa.Array


@dataclass(frozen=True, slots=True)
class OtherRows:
    """Columns of another version, opened by a grant of its own."""

    grant: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """Whether the columns' values, all present, stand together in the lookup. Against texts a column is compared by
    its own text."""

    columns: tuple[str, ...]
    among: Values | OtherRows


@dataclass(frozen=True, slots=True)
class First:
    """Whether the row is the first, by position, of those with its values; absent equals absent. Says nothing where
    all are absent."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ascending:
    """Whether the value is not below the last present one before it in the order, by position among equals. Says
    nothing without a value or a place in the order."""

    column: str
    ordered_by: str
    within: tuple[str, ...] = ()
    falling: bool = False
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Agrees:
    """Whether the row agrees with the one of another version that has its key: no field differs, at least one agrees,
    and no value is there on one side only. Fails where a field differs. Says nothing else, nor where the key is absent,
    is not there, or stands several times on either side."""

    grant: str
    comparison: Comparison


Judgement: TypeAlias = ByExpression | Member | First | Ascending | Agrees


@dataclass(frozen=True, slots=True)
class Plan:
    """Judgements over one opened version. Names that begin with an underscore are ours: no field can have them."""

    access: Access
    judgements: tuple[Judgement, ...]
    others: Mapping[str, Access]
    """What the grants among the judgements open."""

    @property
    def words(self) -> int:
        return -(-len(self.judgements) // WORD)

    def paths(self) -> tuple[str, ...]:
        """Every file that the query may open."""
        return tuple(
            dict.fromkeys((*self.access.paths, *(p for each in self.others.values() for p in each.paths)))
        )

    def tables(self) -> dict[str, pa.Table]:
        """What stands beside the query, by name."""
        return {
            f"_texts{number}": pa.table({"_k0": each.among.texts.drop_null().unique()})
            for number, each in enumerate(self.judgements)
            if isinstance(each, Member) and isinstance(each.among, Values)
        }

    def judged(self, carried: Sequence[exp.Expr] = ()) -> exp.Select:
        """One row per row: `_position`, `_failed0…`, `_judged0…`, and what is to be carried along."""
        verdicts = exp.select(_all("_t"), *self._verdicts()).from_(self._with_windows().subquery("_t"))
        for number, each in enumerate(self.judgements):
            for table, on in self._joined(number, each):
                verdicts = verdicts.join(table, on=on, join_type="left", copy=False)
        words = [word for number in range(self.words) for word in self._words(number)]
        return exp.select(column("_position"), *words, *carried).from_(verdicts.subquery("_v"))

    def _with_windows(self) -> exp.Select:
        windows = [
            exp.alias_(_last_before(each), f"_before{number}", quoted=True)
            for number, each in enumerate(self.judgements)
            if isinstance(each, Ascending)
        ]
        rows = scanned(self.access)
        return exp.select(_all("_r"), *windows).from_(rows.subquery("_r")) if windows else rows

    def _verdicts(self) -> Iterator[exp.Expr]:
        for number, each in enumerate(self.judgements):
            verdict = (
                self._sides(each).verdict("_t", f"_look{number}", f"_again{number}")
                if isinstance(each, Agrees)
                else _verdict(number, each)
            )
            yield exp.alias_(verdict, f"_v{number}", quoted=True)

    def _sides(self, judgement: Agrees) -> Sides:
        return Sides.of(self.access, self.others[judgement.grant], judgement.comparison)

    def _words(self, word: int) -> Iterator[exp.Expr]:
        verdicts = [
            (column(f"_v{number}"), 1 << (number % WORD))
            for number in range(word * WORD, min((word + 1) * WORD, len(self.judgements)))
        ]
        failed = [(exp.Is(this=verdict, expression=exp.false()), bit) for verdict, bit in verdicts]
        judged = [
            (exp.Not(this=exp.Is(this=verdict, expression=exp.null())), bit) for verdict, bit in verdicts
        ]
        yield exp.alias_(_bits(failed), f"_failed{word}", quoted=True)
        yield exp.alias_(_bits(judged), f"_judged{word}", quoted=True)

    def _joined(self, number: int, judgement: Judgement) -> Iterator[tuple[exp.Expr, exp.Expr]]:
        """The tables that a verdict looks into, one row per key, and how rows find theirs."""
        name = f"_look{number}"
        match judgement:
            case Member(columns, Values()):
                text = exp.cast(column(columns[0], "_t"), "VARCHAR", dialect=DIALECT)
                table = exp.alias_(exp.to_table(f"_texts{number}", dialect=DIALECT), name, table=True)
                yield table, exp.EQ(this=text, expression=column("_k0", name))
            case Member(columns, OtherRows(grant, others)):
                on = exp.and_(
                    *(
                        exp.EQ(this=column(mine, "_t"), expression=column(f"_k{i}", name))
                        for i, mine in enumerate(columns)
                    )
                )
                yield _distinct(self.others[grant], others).subquery(name), on
            case First(columns):
                on = exp.and_(
                    *(
                        exp.NullSafeEQ(this=column(mine, "_t"), expression=column(f"_k{i}", name))
                        for i, mine in enumerate(columns)
                    )
                )
                yield _repeated(self.access, columns).subquery(name), on
            case Agrees():
                sides = self._sides(judgement)
                yield sides.unique().subquery(name), sides.found("_t", name)
                again = f"_again{number}"
                yield sides.repeated(LEFT).subquery(again), sides.found("_t", again)


def _all(table: str) -> exp.Column:
    return exp.Column(this=exp.Star(), table=exp.to_identifier(table))


def columns_of_judgement(judgement: Judgement) -> Iterator[str]:
    """Every column that it looks at."""
    match judgement:
        case ByExpression(expression):
            yield from (found.name for found in expression.find_all(exp.Column))
        case Member(columns) | First(columns):
            yield from columns
        case Ascending(value, ordered_by, within):
            yield from (value, ordered_by, *within)
        case Agrees(_, comparison):
            yield from comparison.columns(LEFT)


def _distinct(access: Access, columns: Sequence[str]) -> exp.Select:
    keys = [exp.alias_(column(name), f"_k{number}", quoted=True) for number, name in enumerate(columns)]
    present = exp.and_(*(_present(column(name)) for name in columns))
    rows = scanned(access, positions=False).subquery("_o")
    return exp.select(*keys).distinct().from_(rows).where(present)


def _repeated(access: Access, columns: Sequence[str]) -> exp.Select:
    """Keys that occur more than once, with their first position."""
    keys = [exp.alias_(column(name), f"_k{number}", quoted=True) for number, name in enumerate(columns)]
    first = exp.alias_(exp.Min(this=column("_position")), "_where", quoted=True)
    return (
        exp.select(*keys, first)
        .from_(scanned(access).subquery("_o"))
        .where(exp.or_(*(_present(column(name)) for name in columns)))
        .group_by(*(column(name) for name in columns))
        .having(exp.GT(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(1)))
    )


def _last_before(judgement: Ascending) -> exp.Expr:
    placed = exp.Case(
        ifs=[exp.If(this=_present(column(judgement.ordered_by)), true=column(judgement.column))]
    )
    order = [
        exp.Ordered(this=column(name), nulls_first=False) for name in (judgement.ordered_by, "_position")
    ]
    return exp.Window(
        this=exp.IgnoreNulls(this=exp.Lag(this=placed)),
        partition_by=[column(name) for name in judgement.within],
        order=exp.Order(expressions=order),
    )


def _verdict(number: int, judgement: ByExpression | Member | First | Ascending) -> exp.Expr:
    name = f"_look{number}"
    match judgement:
        case ByExpression(expression):
            return expression.copy()
        case Member(columns):
            present = exp.and_(*(_present(column(each, "_t")) for each in columns))
            return exp.Case(ifs=[exp.If(this=present, true=_present(column("_k0", name)))])
        case First(columns):
            present = exp.or_(*(_present(column(each, "_t")) for each in columns))
            first = exp.or_(
                exp.Is(this=column("_where", name), expression=exp.null()),
                exp.EQ(this=column("_where", name), expression=column("_position", "_t")),
            )
            return exp.Case(ifs=[exp.If(this=present, true=first)])
        case Ascending():
            value, before = column(judgement.column), column(f"_before{number}")
            kinds = ((exp.GTE, exp.GT), (exp.LTE, exp.LT))[judgement.falling]
            rises = kinds[judgement.strict](this=value, expression=before)
            holds = exp.or_(exp.Is(this=before, expression=exp.null()), rises)
            present = exp.and_(_present(value), _present(column(judgement.ordered_by)))
            return exp.Case(ifs=[exp.If(this=present, true=holds)])


def _present(node: exp.Expr) -> exp.Expr:
    return exp.Not(this=exp.Is(this=node, expression=exp.null()))


def _bits(conditions: Sequence[tuple[exp.Expr, int]]) -> exp.Expr:
    """The sum of the bits whose condition holds."""
    zero = exp.cast(exp.Literal.number(0), "BIGINT", dialect=DIALECT)
    total: exp.Expr | None = None
    for condition, bit in conditions:
        one = exp.cast(exp.Literal.number(bit), "BIGINT", dialect=DIALECT)
        term = exp.Case(ifs=[exp.If(this=condition, true=one)], default=zero.copy())
        total = term if total is None else exp.Add(this=total, expression=term)
    assert total is not None, "a word has a bit"
    return total


def aggregate_items(aggregates: Sequence[Mergeable], schema: TableSchema) -> list[exp.Expr]:
    """Select-list items `_a0…`."""
    return [
        exp.alias_(render_aggregate(node, schema), f"_a{number}", quoted=True)
        for number, node in enumerate(aggregates)
    ]
