"""Filters: their text, their meaning in the engine held against a plain Python one, pages by position."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_lake.filter_text import MAX_DEPTH, FilterSyntax, parse_filter, print_filter
from plaza_lake.ir import (
    And,
    ColumnRef,
    Compare,
    Contains,
    Count,
    CountDistinct,
    CountWhere,
    Expr,
    In,
    IsNull,
    Literal,
    Max,
    Min,
    Not,
    Op,
    Or,
    TypeMismatch,
    UnknownField,
    columns_of,
    typecheck,
)
from plaza_lake.keyset import after_position
from plaza_lake.render import column, ordered, render, render_aggregate, to_sql
from plaza_lake.schema import Column, FieldType, TableSchema, arrow_schema
from sqlglot import exp

SCHEMA = TableSchema(
    (
        Column("s", FieldType.STRING),
        Column("i", FieldType.INTEGER),
        Column("n", FieldType.NUMBER),
        Column("b", FieldType.BOOLEAN),
        Column("d", FieldType.DATE),
        Column("t", FieldType.TIMESTAMP),
        Column("raw", FieldType.BYTES),
    )
)

_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
_instants = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
VALUES: dict[FieldType, st.SearchStrategy[Any]] = {
    FieldType.STRING: st.sampled_from(["", "a", "ab", "东城", "a'b", 'q"\\', "NULL", "null", "%"]) | _texts,
    FieldType.INTEGER: st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)]) | st.integers(-(2**63), 2**63 - 1),
    FieldType.NUMBER: st.sampled_from([0.0, -0.0, 0.1, 1e300, 5e-324])
    | st.floats(allow_nan=False, allow_infinity=False),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.DATE: st.dates(date(1, 1, 1), date(9999, 12, 31)),
    FieldType.TIMESTAMP: _instants,
    FieldType.BYTES: st.binary(max_size=4),
}
CELLS = VALUES | {
    FieldType.NUMBER: VALUES[FieldType.NUMBER] | st.sampled_from([math.nan, math.inf, -math.inf])
}


def rows(schema: TableSchema = SCHEMA) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({c.name: st.none() | CELLS[c.type] for c in schema.columns})


def _leaves() -> st.SearchStrategy[Expr]:
    comparable = [c for c in SCHEMA.columns if c.type is not FieldType.BYTES]
    options: list[st.SearchStrategy[Expr]] = [
        st.sampled_from(SCHEMA.columns).map(lambda c: IsNull(ColumnRef(c.name))),
        VALUES[FieldType.STRING].map(lambda text: Contains(ColumnRef("s"), text)),
    ]
    for found in comparable:
        ref = st.just(ColumnRef(found.name))
        ops = [Op.EQ, Op.NE] if found.type is FieldType.BOOLEAN else list(Op)
        literal = VALUES[found.type].map(Literal)
        options.append(st.builds(Compare, st.sampled_from(ops), ref, literal))
        options.append(st.builds(In, ref, st.lists(literal, min_size=1, max_size=20).map(tuple)))
    return st.one_of(options)


def expressions() -> st.SearchStrategy[Expr]:
    def grow(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.builds(Not, inner) | st.builds(And, several) | st.builds(Or, several)

    return st.recursive(_leaves(), grow, max_leaves=8)


def evaluate(expr: Expr, row: Mapping[str, Any]) -> bool | None:
    match expr:
        case IsNull(ColumnRef(name)):
            return row[name] is None
        case Compare(op, ColumnRef(name), Literal(value)):
            return None if row[name] is None else _compare(op, row[name], value)
        case In(ColumnRef(name), values):
            if row[name] is None:
                return None
            return any(_compare(Op.EQ, row[name], literal.value) for literal in values)
        case Contains(ColumnRef(name), text):
            return None if row[name] is None else text in row[name]
        case Not(operand):
            inner = evaluate(operand, row)
            return None if inner is None else not inner
        case And(operands):
            results = [evaluate(operand, row) for operand in operands]
            return False if False in results else None if None in results else True
        case Or(operands):
            results = [evaluate(operand, row) for operand in operands]
            return True if True in results else None if None in results else False


def sort_key(value: Any) -> Any:
    """The order of the IR: texts by UTF-8, NaN above all numbers."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, float):
        return (math.isnan(value), 0.0 if math.isnan(value) else value)
    return value


def _compare(op: Op, cell: Any, value: Any) -> bool:
    left, right = sort_key(cell), sort_key(value)
    match op:
        case Op.EQ:
            return bool(left == right)
        case Op.NE:
            return bool(left != right)
        case Op.LT:
            return bool(left < right)
        case Op.LE:
            return bool(left <= right)
        case Op.GT:
            return bool(left > right)
        case Op.GE:
            return bool(left >= right)


ENGINE = duckdb.connect(config={"threads": "1"})


def _query(select: exp.Select, table: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    with ENGINE.cursor() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        arrow = pa.Table.from_pylist(table, schema=arrow_schema(SCHEMA))
        arrow = arrow.append_column("at", pa.array(range(len(table)), pa.int64()))
        connection.register("t", arrow)
        return connection.execute(to_sql(select.from_("t"))).fetchall()


@settings(max_examples=150, deadline=None)
@given(expressions(), st.lists(rows(), min_size=1, max_size=8))
def test_the_engine_means_what_the_reference_means(expr: Expr, table: list[dict[str, Any]]) -> None:
    typecheck(expr, SCHEMA)
    found = _query(exp.select("at", exp.alias_(exp.paren(render(expr, SCHEMA)), "verdict")), table)
    assert [verdict for _, verdict in sorted(found)] == [evaluate(expr, row) for row in table]


@settings(max_examples=300, deadline=None)
@given(expressions())
def test_a_printed_filter_reads_back_the_same(expr: Expr) -> None:
    assert parse_filter(print_filter(expr), SCHEMA) == expr


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("sint=!<>:()\"'\\ -.0aANDORTnul\n东"), max_size=30))
def test_any_text_is_read_or_refused_in_domain_words(text: str) -> None:
    try:
        found = parse_filter(text, SCHEMA)
    except (FilterSyntax, UnknownField):
        return
    assert found is None or parse_filter(print_filter(found), SCHEMA) == found


_ORDERS = st.permutations(["s", "i", "n", "t"]).flatmap(
    lambda names: st.lists(st.booleans(), min_size=2, max_size=4).map(
        lambda flags: tuple(zip(names, flags, strict=False))
    )
)


@settings(max_examples=150, deadline=None)
@given(st.lists(rows(), min_size=1, max_size=8), _ORDERS, st.data())
def test_the_rows_behind_a_position_are_the_next_page(
    table: list[dict[str, Any]], order: tuple[tuple[str, bool], ...], data: st.DataObject
) -> None:
    table = [{**row, "i": number} for number, row in enumerate(table)]  # a key
    order = (*(item for item in order if item[0] != "i"), ("i", False))
    names = [name for name, _ in order]
    everything = _query(exp.select("i").order_by(*ordered(order)), table)
    last = data.draw(st.integers(0, len(table) - 1))
    position = tuple(table[everything[last][0]][name] for name in names)
    behind = render(after_position(order, position), SCHEMA)
    page = _query(exp.select("i").where(behind).order_by(*ordered(order)), table)
    assert page == everything[last + 1 :]


@settings(max_examples=60, deadline=None)
@given(expressions(), st.lists(rows(), max_size=8))
def test_aggregates_count_what_python_counts(expr: Expr, table: list[dict[str, Any]]) -> None:
    asked = [Count(), CountWhere(expr), CountDistinct((ColumnRef("s"), ColumnRef("b"))), Min(ColumnRef("i"))]
    [found] = _query(exp.select(*(render_aggregate(node, SCHEMA) for node in asked)), table)
    integers = [row["i"] for row in table if row["i"] is not None]
    assert found == (
        len(table),
        sum(evaluate(expr, row) is True for row in table),
        len({(row["s"], row["b"]) for row in table}),
        min(integers, default=None),
    )


STATIONS = TableSchema(
    (
        Column("station", FieldType.STRING),
        Column("pm2_5", FieldType.NUMBER),
        Column("wd", FieldType.STRING),
        Column("time", FieldType.TIMESTAMP),
        Column("hour", FieldType.INTEGER),
        Column("ok", FieldType.BOOLEAN),
        Column("day", FieldType.DATE),
        Column("original", FieldType.BYTES),
    )
)


def test_the_example_of_the_documentation() -> None:
    text = 'station = "东城" AND (pm2_5 > 35 OR pm2_5 = null) AND NOT wd:"N"'
    text += ' AND time >= "2013-03-01T08:00:00+08:00"'
    pm, wd = ColumnRef("pm2_5"), ColumnRef("wd")
    assert parse_filter(text, STATIONS) == And(
        (
            Compare(Op.EQ, ColumnRef("station"), Literal("东城")),
            Or((Compare(Op.GT, pm, Literal(35.0)), IsNull(pm))),
            Not(Contains(wd, "N")),
            Compare(Op.GE, ColumnRef("time"), Literal(datetime(2013, 3, 1, tzinfo=UTC))),
        )
    )


def test_bare_values_take_the_type_of_the_field() -> None:
    assert parse_filter("station = 0101", STATIONS) == Compare(Op.EQ, ColumnRef("station"), Literal("0101"))
    assert parse_filter("hour=-5", STATIONS) == Compare(Op.EQ, ColumnRef("hour"), Literal(-5))
    assert parse_filter("-ok = true", STATIONS) == Not(Compare(Op.EQ, ColumnRef("ok"), Literal(True)))
    assert parse_filter('station = "null"', STATIONS) == Compare(Op.EQ, ColumnRef("station"), Literal("null"))
    assert parse_filter("wd != null", STATIONS) == Not(IsNull(ColumnRef("wd")))
    assert parse_filter('wd = ("N" OR S)', STATIONS) == In(ColumnRef("wd"), (Literal("N"), Literal("S")))
    assert parse_filter("  ", STATIONS) is None


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        ("station = ", 11, "expected a value"),
        ("station", 8, "expected an operator"),
        ('station = "东', 11, "not closed"),
        ("pm2_5 > high", 9, "is number"),
        ('pm2_5 > "35"', 9, "is number"),
        ("pm2_5 > 1e999", 9, "is number"),
        ("hour = 1.5", 8, "is integer"),
        ("hour = 9223372036854775808", 8, "is integer"),
        ("hour < null", 8, "null has no order"),
        ("ok > true", 4, "no order"),
        ('hour:"1"', 6, "only a string contains"),
        ('time > "2013-03-01T00:00:00"', 8, "is timestamp"),
        ('day = "2013-02-30"', 7, "is date"),
        ("original = x", 12, "is bytes"),
        ("hour = 1 AND hour = 2 OR hour = 3", 23, "mixed"),
        ("hour = 1 hour = 2", 10, "expected AND or OR"),
        ("(hour = 1", 10, "not closed"),
        ("hour = 1)", 9, "expected AND or OR"),
        ("AND", 1, "expected a field"),
        ("wd != (a OR b)", 7, "list goes with ="),
        ("hour = 1 & hour = 2", 10, "expected AND or OR"),
        ("NOT " * (MAX_DEPTH + 1) + "ok = true", 4 * MAX_DEPTH + 1, "deep"),
    ],
)
def test_errors_name_position_and_remedy(text: str, position: int, problem: str) -> None:
    with pytest.raises(FilterSyntax, match=problem) as caught:
        parse_filter(text, STATIONS)
    assert caught.value.position == position
    assert caught.value.remedy


def test_an_unknown_field_names_the_known_ones() -> None:
    with pytest.raises(UnknownField) as caught:
        parse_filter("ozone > 1", STATIONS)
    assert caught.value.field == "ozone"
    assert caught.value.known == STATIONS.names


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hour", True),
        ("hour", 1.0),
        ("hour", 2**63),
        ("pm2_5", "1"),
        ("ok", 1),
        ("station", 1),
        ("station", "a\0b"),
        ("station", "\ud800"),
        ("day", datetime(2013, 3, 1, tzinfo=UTC)),
        ("time", date(2013, 3, 1)),
        ("time", datetime(2013, 3, 1)),  # noqa: DTZ001
        ("original", b"x"),
    ],
)
def test_values_of_another_type_are_refused(name: str, value: Any) -> None:
    with pytest.raises(TypeMismatch):
        typecheck(Compare(Op.EQ, ColumnRef(name), Literal(value)), STATIONS)
    with pytest.raises(TypeMismatch):
        typecheck(In(ColumnRef(name), (Literal(value),)), STATIONS)


def test_aggregates_are_checked_too() -> None:
    for node in (
        Min(ColumnRef("x")),
        Max(ColumnRef("x")),
        CountDistinct((ColumnRef("x"),)),
        CountWhere(IsNull(ColumnRef("x"))),
    ):
        assert list(columns_of(node)) == ["x"]
        with pytest.raises(UnknownField):
            typecheck(node, STATIONS)


def test_long_lists_become_a_join_and_text_cannot_leave_its_quotes() -> None:
    values = tuple(Literal(f"x') OR 1=1 --{number}") for number in range(300))
    sql = to_sql(exp.select("at").from_("t").where(render(In(ColumnRef("s"), values), SCHEMA)))
    assert "UNNEST" in sql
    table = [dict.fromkeys(SCHEMA.names) | {"s": text} for text in ("x') OR 1=1 --7", "y")]
    assert _query(exp.select("at").where(render(In(ColumnRef("s"), values), SCHEMA)), table) == [(0,)]


def test_columns_are_quoted() -> None:
    assert to_sql(column("select")) == '"select"'
