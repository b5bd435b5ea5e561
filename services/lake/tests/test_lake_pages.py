"""Pages from columns in memory are the engine's pages, whatever the filter, the order and the files; no database."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_lake import pages
from plaza_lake.decoded import Decoded, Parts
from plaza_lake.ir import And, ColumnRef, Compare, Contains, Expr, In, IsNull, Literal, Not, Op, Or
from plaza_lake.kept_columns import KeptColumns
from plaza_lake.keyset import after_position
from plaza_lake.order_text import Order
from plaza_lake.render import ordered, render, to_sql
from plaza_lake.schema import Column, FieldType, TableSchema, arrow_schema
from sqlglot import exp

SCHEMA = TableSchema(
    (
        Column("id", FieldType.INTEGER, required=True),
        Column("text", FieldType.STRING),
        Column("whole", FieldType.INTEGER),
        Column("number", FieldType.NUMBER),
        Column("yes", FieldType.BOOLEAN),
        Column("day", FieldType.DATE),
        Column("time", FieldType.TIMESTAMP),
        Column("bytes", FieldType.BYTES),
    ),
    ("id",),
)
TYPES = {column.name: column.type for column in SCHEMA.columns}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
VALUES: dict[FieldType, st.SearchStrategy[Any]] = {
    FieldType.STRING: st.sampled_from(["", "a", "ab", "b", "东城", "东", "é", "\U0001f600", "\uffee"]),
    FieldType.INTEGER: st.sampled_from([-(2**63), -1, 0, 1, 7, 2**63 - 1]),
    FieldType.NUMBER: st.sampled_from(
        [math.nan, -math.nan, math.inf, -math.inf, 0.0, -0.0, 1.5, -1.5, 2.0**53, 5e-324]
    ),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.DATE: st.sampled_from([date.min, date(1969, 12, 31), date(1970, 1, 1), date.max]),
    FieldType.TIMESTAMP: st.sampled_from([-1, 0, 1, 10**15]).map(
        lambda us: EPOCH + timedelta(microseconds=us)
    ),
    FieldType.BYTES: st.sampled_from([b"", b"\x00", b"\xff", b"a"]),
}
FILES = st.lists(
    st.lists(st.tuples(*(st.none() | VALUES[column.type] for column in SCHEMA.columns[1:])), max_size=12),
    min_size=1,
    max_size=3,
)
COMPARABLE = st.sampled_from([column for column in SCHEMA.columns if column.type is not FieldType.BYTES])


@st.composite
def leaves(draw: st.DrawFn) -> Expr:
    kind = draw(st.sampled_from(["compare", "in", "null", "contains"]))
    if kind == "null":
        return IsNull(ColumnRef(draw(st.sampled_from(SCHEMA.names))))
    if kind == "contains":
        return Contains(ColumnRef("text"), draw(VALUES[FieldType.STRING]))
    column = draw(COMPARABLE)
    values = (
        VALUES[column.type] | st.integers(0, 3) if column.type is FieldType.NUMBER else VALUES[column.type]
    )
    if kind == "in":
        listed = draw(st.lists(values, min_size=1, max_size=3) | st.lists(values, min_size=17, max_size=17))
        return In(ColumnRef(column.name), tuple(map(Literal, listed)))
    ops = [Op.EQ, Op.NE] if column.type is FieldType.BOOLEAN else list(Op)
    return Compare(draw(st.sampled_from(ops)), ColumnRef(column.name), Literal(draw(values)))


def _joined(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return several.map(And) | several.map(Or) | inner.map(Not)


FILTERS = st.none() | st.recursive(leaves(), _joined, max_leaves=6)
ORDERS = st.lists(
    st.tuples(st.sampled_from(SCHEMA.names), st.booleans()), max_size=3, unique_by=lambda pair: pair[0]
).map(lambda order: tuple(order) if any(n == "id" for n, _ in order) else (*order, ("id", False)))


def _tables(files: list[list[tuple[Any, ...]]]) -> list[pa.Table]:
    tables, number = [], 0
    for rows in files:
        values = [(number + place, *row) for place, row in enumerate(rows)]
        number += len(rows)
        columns = [dict(zip(SCHEMA.names, row, strict=True)) for row in values]
        tables.append(pa.Table.from_pylist(columns, arrow_schema(SCHEMA)))
    return tables


def _decoded(table: pa.Table, batch_rows: int = 5) -> dict[str, Decoded]:
    parts = {name: Parts(TYPES[name]) for name in SCHEMA.names}
    for batch in table.to_batches(batch_rows):
        for part, array in zip(parts.values(), batch.columns, strict=True):
            part.add(array)
    return {name: part.together() for name, part in parts.items()}


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": "1"}) as opened:
        opened.execute("SET TimeZone = 'UTC'")
        yield opened


def _by_engine(
    engine: duckdb.DuckDBPyConnection, table: pa.Table, where: Expr | None, order: Order, limit: int
) -> pa.Table:
    select = exp.select("*").from_("given").order_by(*ordered(order)).limit(limit)
    if where is not None:
        select = select.where(render(where, SCHEMA))
    engine.register("given", table)
    found = engine.sql(to_sql(select)).to_arrow_table()
    assert found is not None
    return found.cast(arrow_schema(SCHEMA))


def _exact(table: pa.Table) -> list[tuple[Any, ...]]:
    """Rows with numbers by their bits, but for NaN, of which there is one."""

    def told(value: Any) -> Any:
        if isinstance(value, float):
            return "NaN" if math.isnan(value) else struct.pack(">d", value)
        return value

    return [tuple(map(told, row.values())) for row in table.to_pylist()]


@settings(max_examples=100, deadline=None)
@given(FILES, FILTERS, ORDERS, st.integers(1, 9), st.integers(1, 7))
def test_a_page_is_the_engines_page(
    engine: duckdb.DuckDBPyConnection,
    files: list[list[tuple[Any, ...]]],
    where: Expr | None,
    order: Order,
    limit: int,
    block: int,
) -> None:
    tables = _tables(files)
    decoded = [_decoded(table) for table in tables]
    whole = pa.concat_tables(tables)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "BLOCK_ROWS", block)
        found = pages.page(decoded, SCHEMA, where, order, limit)
        assert found.schema == arrow_schema(SCHEMA)
        assert _exact(found) == _exact(_by_engine(engine, whole, where, order, limit))
        # And the next one, from the position of its last row. Bytes have no position.
        if found.num_rows and all(name != "bytes" for name, _ in order):
            last = found.slice(found.num_rows - 1).to_pylist()[0]
            behind = after_position(order, tuple(last[name] for name, _ in order))
            where = behind if where is None else And((where, behind))
            found = pages.page(decoded, SCHEMA, where, order, limit)
            assert _exact(found) == _exact(_by_engine(engine, whole, where, order, limit))


def test_a_page_without_an_order_and_of_few_columns() -> None:
    [table] = _tables([[("a", 1, None, None, None, None, None), ("b", 2, None, None, None, None, None)]])
    narrow = SCHEMA.select(["whole"])
    where = Compare(Op.EQ, ColumnRef("text"), Literal("b"))
    assert pages.page([_decoded(table)], narrow, where, (), 5).to_pydict() == {"whole": [2]}
    assert pages.page([], narrow, where, (), 5) == arrow_schema(narrow).empty_table()


class Disk:
    """Files of one column of 64-bit numbers, and what was loaded of them."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.loaded: list[tuple[str, tuple[str, ...]]] = []

    def __call__(self, path: str, names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        self.loaded.append((path, names))
        for _ in range(self.rows // 10):
            yield pa.record_batch([pa.array(range(10), pa.int64()) for _ in names], list(names))


def _ask(kept: KeptColumns, disk: Disk, paths: str, names: str) -> bool:
    found = kept.files(tuple(paths), dict.fromkeys(names, FieldType.INTEGER), disk.rows * len(paths), disk)
    return found is not None


def test_columns_are_loaded_when_asked_about_again_and_once() -> None:
    kept, disk = KeptColumns(100_000), Disk(100)
    assert [_ask(kept, disk, "ab", "xy") for _ in range(4)] == [False, True, True, True]
    assert disk.loaded == [("a", ("x", "y")), ("b", ("x", "y"))]
    assert _ask(kept, disk, "ab", "yz")
    assert disk.loaded[2:] == [("a", ("z",)), ("b", ("z",))]
    assert [_ask(kept, disk, "abc", "x") for _ in range(2)] == [False, True]
    assert disk.loaded[4:] == [("c", ("x",))]


def test_never_more_is_kept_than_allowed() -> None:
    kept, disk = KeptColumns(4_000), Disk(100)  # five columns of 800 bytes
    for path in "abcdefgh":
        for names in ("x", "x", "xy", "xyz"):
            _ask(kept, disk, path, names)
            assert kept.nbytes <= 4_000
    assert _ask(kept, disk, "h", "xyz")
    disk.loaded.clear()
    assert _ask(kept, disk, "a", "x")  # had gone
    assert disk.loaded == [("a", ("x",))]


def test_what_cannot_fit_is_left_to_the_engine() -> None:
    kept, disk = KeptColumns(4_000), Disk(100)
    assert not any(_ask(kept, disk, "a", "uvwxyz") for _ in range(3))  # known without loading
    assert disk.loaded == []
    wide, calls = pa.record_batch([pa.array(["x" * 2_000])], ["t"]), []

    def load(path: str, names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        calls.append(path)
        yield wide

    for _ in range(4):
        assert kept.files(("big",), {"t": FieldType.STRING}, 1, load) is None
    assert calls == ["big"]  # tried once
    assert kept.nbytes == 0
    assert [_ask(KeptColumns(0), disk, "a", "x") for _ in range(3)] == [False] * 3
