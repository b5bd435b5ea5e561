"""The counts of the engine are those of plain Python."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plaza_lake.ir import Count, typecheck
from plaza_lake.render import render_aggregate, to_sql
from plaza_lake.schema import Column, FieldType, TableSchema, arrow_schema
from plaza_quality.domain.counting import Counts, Finding, absent_fields, findings, questions
from plaza_quality.domain.rules import Check, InRange, NotNull, Unique
from sqlglot import exp

SCHEMA = TableSchema(
    (
        Column("x", FieldType.NUMBER),
        Column("n", FieldType.INTEGER),
        Column("s", FieldType.STRING),
    )
)
INFINITE = (math.inf, -math.inf, math.nan)
bounds = (
    st.none() | st.sampled_from([-0.0, 0.5, -1e300, 1e300, 2.0**63, -(2.0**63), 1e-320]) | st.floats(-5, 5)
)
numbers = st.none() | st.sampled_from([*INFINITE, 0.0, -0.0, 0.5, 1e300, 1e-320]) | st.floats(-5, 5)
integers = st.none() | st.sampled_from([2**63 - 1, -(2**63), 0, 1]) | st.integers(-5, 5)
texts = st.none() | st.sampled_from(["", "a", "b"])
tables = st.lists(st.fixed_dictionaries({"x": numbers, "n": integers, "s": texts}), max_size=12)
checks = st.one_of(
    st.builds(NotNull, st.sampled_from("xns")),
    st.builds(InRange, st.sampled_from("xn"), bounds, bounds),
    st.lists(st.sampled_from("xns"), min_size=1, unique=True).map(lambda names: Unique(tuple(names))),
)


def judge(check: Check, table: list[dict[str, Any]]) -> Counts:
    """What the contract's definitions say, row by row."""
    passed = failed = silent = 0
    seen = set()
    for row in table:
        match check:
            case NotNull(field):
                verdict = row[field] is not None
            case InRange(field, minimum, maximum):
                value = row[field]
                if value is None:
                    silent += 1
                    continue
                verdict = (
                    value == value
                    and (minimum is None or value >= minimum)
                    and (maximum is None or value <= maximum)
                )
            case Unique(fields):
                values = tuple("NaN" if row[name] != row[name] else row[name] for name in fields)
                if all(value is None for value in values):
                    silent += 1
                    continue
                verdict = values not in seen
                seen.add(values)
        passed, failed = passed + verdict, failed + (not verdict)
    return Counts(passed, failed, silent)


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": "1"}) as connection:
        yield connection


def count(
    engine: duckdb.DuckDBPyConnection, wanted: list[Check], table: list[dict[str, Any]]
) -> tuple[int, tuple[Finding, ...]]:
    asked = questions(wanted, SCHEMA)
    for node in asked.values():
        typecheck(node, SCHEMA)
    items = [exp.alias_(render_aggregate(node, SCHEMA), f"a{i}") for i, node in enumerate(asked.values())]
    engine.register("t", pa.Table.from_pylist(table, schema=arrow_schema(SCHEMA)))
    [answers] = engine.execute(to_sql(exp.select(*items).from_("t"))).fetchall()
    return findings(wanted, SCHEMA, dict(zip(asked, answers, strict=True)))


@settings(max_examples=150, deadline=None)
@given(st.lists(checks, max_size=5), tables)
@example([InRange("x", 0, None), InRange("x", None, 0)], [{"x": math.nan, "n": 1, "s": None}])
@example([InRange("x", 0, None), InRange("x", None, None)], [{"x": math.inf, "n": 1, "s": None}])
@example([InRange("n", 2.0**63, None)], [{"x": None, "n": 2**63 - 1, "s": None}])
@example([Unique(("x", "n")), Unique(("x",))], [{"x": None, "n": None, "s": None}] * 3)
def test_counts_are_those_of_plain_python(
    engine: duckdb.DuckDBPyConnection, wanted: list[Check], table: list[dict[str, Any]]
) -> None:
    rows, found = count(engine, wanted, table)
    assert rows == len(table)
    assert found == tuple(Finding(judge(check, table)) for check in wanted)


@pytest.mark.parametrize(
    ("check", "absent"),
    [
        (NotNull("y"), ("y",)),
        (Unique(("x", "y", "z")), ("y", "z")),
        (InRange("y", 0, 1), ("y",)),
        (InRange("s", 0, 1), ("s",)),
        (InRange("n", 0, 1), ()),
        (NotNull("s"), ()),
    ],
)
def test_a_rule_about_what_is_not_there_judges_nothing(
    engine: duckdb.DuckDBPyConnection, check: Check, absent: tuple[str, ...]
) -> None:
    assert absent_fields(check, SCHEMA) == absent
    table = [{"x": 1.0, "n": 1, "s": "a"}] * 2
    if absent:
        assert count(engine, [check, NotNull("x")], table) == (
            2,
            (Finding(Counts(0, 0, 2), absent), Finding(Counts(2, 0, 0))),
        )


def test_equal_questions_are_asked_once() -> None:
    asked = questions(
        [NotNull("x"), NotNull("x"), InRange("x", 0, 1), Unique(("x",)), Unique(("x",))], SCHEMA
    )
    assert len(asked) == 4  # rows, rows without x, rows in range, different x
    assert Count() in questions([], SCHEMA).values()
