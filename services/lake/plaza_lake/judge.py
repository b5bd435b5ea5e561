"""All judgements over the rows that a grant opens, in one query: counts, combinations, examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import duckdb
from plaza_kit.errors import FailedPrecondition
from plaza_kit.grants import GrantVerifier
from sqlglot import exp

from plaza_lake import engine
from plaza_lake.access import Access, open_grant
from plaza_lake.ir import columns_of
from plaza_lake.judged import Groups
from plaza_lake.judged import Judged as Judged
from plaza_lake.judged import Position as Position
from plaza_lake.judgements import (
    Agrees,
    ByExpression,
    Judgement,
    Member,
    Mergeable,
    OtherRows,
    Plan,
    aggregate_items,
    columns_of_judgement,
)
from plaza_lake.matching import Sides
from plaza_lake.read import InvalidQuery
from plaza_lake.render import column, read_parquet, to_sql
from plaza_lake.scan import whole
from plaza_lake.tables import Lake

UNREASONABLE: Final = (
    duckdb.BinderException,
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.OutOfRangeException,
)
"""What the engine says of a query that means nothing; a file that is gone or a full disk is another matter."""
_TOLD: Final = 20
"""Words of an engine's complaint that are told."""


class NotEvaluable(FailedPrecondition):
    """The engine cannot evaluate a judgement over these columns. `judgement`: its number."""

    def __init__(self, judgement: int, problem: str) -> None:
        super().__init__(
            f"judgement {judgement} cannot be evaluated: {problem}",
            remedy="Compare values of the same type; CAST changes a type.",
            facts={"judgement": str(judgement)},
        )
        self.judgement = judgement
        self.problem = problem


def judge(
    lake: Lake,
    verifier: GrantVerifier,
    grant_token: str,
    judgements: Sequence[Judgement],
    aggregates: Mapping[str, Mergeable] | None = None,
    *,
    examples: int = 0,
    combinations: int = 50,
) -> Judged:
    """Every judgement and every aggregate in one query. `examples`: of failing rows, by judgement; `combinations`: at
    most so many are told.

    Blocking. Raises as `read_rows`, `NotEvaluable`, and when examples are asked for `RowFilterNotSupported`.
    """
    wanted = dict(aggregates or {})
    plan = planned(lake, verifier, grant_token, judgements)
    if examples:
        whole(plan.access)
    for node in wanted.values():
        plan.access.check(node)
    with engine.connection(lake, plan.paths()) as opened:
        return evaluated(opened, plan, wanted, examples, combinations)


def evaluated(
    opened: duckdb.DuckDBPyConnection,
    plan: Plan,
    aggregates: Mapping[str, Mergeable],
    examples: int,
    combinations: int,
) -> Judged:
    """A plan on a connection that can read its files. Raises `NotEvaluable`."""
    found = Groups(len(plan.judgements), plan.words, list(aggregates.values()), examples)
    for name, table in plan.tables().items():
        opened.register(name, table)
    try:
        reader = opened.sql(to_sql(_grouped(plan, list(aggregates.values()), examples)))
        batches = reader.to_arrow_reader(engine.BATCH_ROWS)
        assert batches is not None, "a SELECT has a result"
        with batches:
            for batch in batches:
                found.add(batch)
    except UNREASONABLE as error:
        _find_culprit(opened, plan, error)
    return found.judged(plan.access, aggregates, combinations)


def planned(lake: Lake, verifier: GrantVerifier, token: str, judgements: Sequence[Judgement]) -> Plan:
    """What the grants open, every field granted. Raises as `read_rows`."""
    access = open_grant(lake, verifier, token)
    others: dict[str, Access] = {}
    for each in judgements:
        access.check_names(tuple(columns_of_judgement(each)))
        if isinstance(each, ByExpression) and each.expression.find(exp.From, exp.Table) is not None:
            raise InvalidQuery("a judgement looks at one row only", remedy="Take the query out.")
        if isinstance(each, Member) and isinstance(each.among, OtherRows):
            others[each.among.grant] = open_grant(lake, verifier, each.among.grant)
            others[each.among.grant].check_names(each.among.columns)
        if isinstance(each, Agrees):
            others[each.grant] = open_grant(lake, verifier, each.grant)
            Sides.of(access, others[each.grant], each.comparison)
            assert not any(pair.values for pair in each.comparison.key + each.comparison.fields), (
                "no maps here"
            )
    return Plan(access, tuple(judgements), others)


def aggregates_by_file(
    lake: Lake, access: Access, aggregates: Sequence[Mergeable], files: Sequence[int]
) -> dict[int, tuple[object, ...]]:
    """Each aggregate over each of these files that has a row, by number of the file. Raises as `Access.check_names`,
    and `RowFilterNotSupported`."""
    for node in aggregates:
        whole(access).check(node)
    if not aggregates or not files:
        return {}
    paths = [access.paths[number] for number in files]
    select = (
        exp.select(exp.column("file_index"), *aggregate_items(aggregates, access.granted))
        .from_(read_parquet(paths, row_numbers=True))
        .group_by(exp.column("file_index"))
    )
    found = engine.rows(lake, select, paths)
    return {
        files[int(str(row["file_index"]))]: tuple(row[f"_a{number}"] for number in range(len(aggregates)))
        for row in found
    }


def fails(plan: Plan) -> exp.Expr:
    """That a row of `Plan.judged` fails somewhere."""
    zero = exp.Literal.number(0)
    words = (exp.NEQ(this=column(f"_failed{word}"), expression=zero) for word in range(plan.words))
    return exp.or_(exp.false(), *words)


def _grouped(plan: Plan, aggregates: Sequence[Mergeable], examples: int) -> exp.Select:
    masks = [column(f"_{kind}{word}") for kind in ("failed", "judged") for word in range(plan.words)]
    items = [*masks, exp.alias_(exp.Count(this=exp.Star()), "_rows", quoted=True)]
    items += aggregate_items(aggregates, plan.access.granted)
    if examples:
        first = exp.Anonymous(this="min", expressions=[column("_position"), exp.Literal.number(examples)])
        where = exp.Where(this=fails(plan))
        items.append(exp.alias_(exp.Filter(this=first, expression=where), "_first", quoted=True))
    used = [column(name) for name in sorted({name for node in aggregates for name in columns_of(node)})]
    return exp.select(*items).from_(plan.judged(used).subquery("_j")).group_by(*masks)


def _find_culprit(opened: duckdb.DuckDBPyConnection, plan: Plan, error: Exception) -> None:
    """Each judgement alone: the engine complains of the whole. Most complaints come before a row is read."""
    for reading in (False, True):
        for number, each in enumerate(plan.judgements):
            alone = Plan(plan.access, (each,), plan.others)
            try:
                for name, table in alone.tables().items():
                    opened.register(name, table)
                query = opened.sql(to_sql(_grouped(alone, [], 0)))
                if reading:
                    query.fetchall()
            except UNREASONABLE as own:
                raise NotEvaluable(number, first_line(own)) from own
    raise error


def first_line(error: Exception) -> str:
    """The first words of what the engine complains of."""
    words = str(error).split("\n", 1)[0].split()
    return " ".join(words[:_TOLD])
