"""Rows read from a published file: the same from CSV and Parquet, in the same order, cut in the same places."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza.common.v1 import contract_pb2
from plaza_kit.paging import BadPageToken
from plaza_lake import columnar, formats
from plaza_lake.schema import Column, FieldType, TableSchema, arrow_schema
from plaza_lake.tables import Lake, LakeSettings
from plaza_opendata.domain.row_forms import Form
from plaza_opendata.domain.row_query import RowQuery
from plaza_opendata.storage import batches as cutting
from plaza_opendata.storage import release_rows, row_bodies
from plaza_opendata.storage.batches import Rows, even
from plaza_opendata.storage.cells import cells_of
from plaza_opendata.storage.files import FileDamaged
from plaza_opendata.storage.release_rows import RowFile

SCHEMA = TableSchema(
    (
        Column("id", FieldType.INTEGER),
        Column("name", FieldType.STRING),
        Column("value", FieldType.NUMBER),
        Column("on", FieldType.BOOLEAN),
        Column("day", FieldType.DATE),
        Column("at", FieldType.TIMESTAMP),
    )
)
NAMES = ["东四", "", None, 'a,"b"\r\n', "null", " x "]
VALUES = [None, float("nan"), 0.0, -0.0, 1.5, float("inf"), float("-inf"), 1e300, 0.1]
INSTANTS = [None, datetime(2013, 3, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 123456, tzinfo=UTC)]
ROWS = [
    {
        "id": n if n != 7 else 2**63 - 1,
        "name": NAMES[n % 6],
        "value": VALUES[n % 9],
        "on": [True, False, None][n % 3],
        "day": [date(1, 1, 1), None, date(2026, 11, 21), date(9999, 12, 31)][n % 4],
        "at": INSTANTS[n % 3],
    }
    for n in range(60)
]


def batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, arrow_schema(SCHEMA))


def rows() -> Rows:
    return Rows(SCHEMA, iter([batch(ROWS)]))


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    lake = Lake(LakeSettings("postgresql://never.asked/", str(tmp_path / "lake"), memory_limit="256MB"))
    yield lake
    lake.close()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, RowFile]:
    """The same release as CSV and as Parquet."""
    contract = contract_pb2.Contract()
    for each in SCHEMA.columns:
        contract.fields.add(
            name=each.name, type=contract_pb2.FieldType.Value(f"FIELD_TYPE_{each.type.upper()}")
        )
    found = {}
    for form, write in (("csv", formats.csv), ("parquet", columnar.parquet)):
        path = tmp_path / f"x-r1.{form}"
        path.write_bytes(b"".join(write(rows())))
        found[form] = RowFile.of(path, path.name, contract)
        assert found[form].schema == SCHEMA
    return found


def paged(lake: Lake, file: RowFile, query: RowQuery, size: int) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    start = 0
    while True:
        table, start = release_rows.page(lake, file, query, start, size)
        seen += table.to_pylist()
        assert table.num_rows == size or not start
        if not start:
            return seen


ORDERS = ["", "value desc, name", "on, day desc, at", "name"]


@pytest.mark.parametrize("order", ORDERS)
def test_pages_hold_each_row_once_in_the_order_of_the_whole(
    lake: Lake, files: dict[str, RowFile], order: str
) -> None:
    for filter_, size in (("", 11), ("value > 0 OR name = null", 15)):
        query = RowQuery.of(SCHEMA, ["id", "value"], filter_, order)
        answers = []
        for file in files.values():
            whole = [row for each in release_rows.batches(lake, file, query) for row in each.to_pylist()]
            assert repr(paged(lake, file, query, size)) == repr(whole)
            assert release_rows.count(lake, file, query) == len(whole)
            [*some] = release_rows.numbered(lake, file, query, 3, 5)
            assert repr([row for each in some for row in each.to_pylist()]) == repr(whole[3:8])
            answers.append(repr(whole))
        assert answers[0] == answers[1], "CSV and Parquet say the same"
        assert len(answers[0]) > 100


def test_an_order_is_one(lake: Lake, files: dict[str, RowFile]) -> None:
    query = RowQuery.of(SCHEMA, ["id"], "", "day desc, name")
    found = [row["id"] for row in paged(lake, files["csv"], query, 9)]

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        day, name = row["day"], row["name"]
        return (
            day is None,
            -(day.toordinal() if day else 0),
            name is None,
            (name or "").encode(),
            ROWS.index(row),
        )

    assert found == [row["id"] for row in sorted(ROWS, key=key)]


@pytest.mark.parametrize("form", [form for form in Form if form is not Form.JSON])
def test_a_table_in_any_form_is_the_same_from_both_files(
    lake: Lake, files: dict[str, RowFile], form: Form
) -> None:
    query = RowQuery.of(SCHEMA, [], "", "")
    bodies = []
    for file in files.values():
        sent = row_bodies.Sent()
        bodies.append(b"".join(row_bodies.table(lake, file, query, form, sent)))
        assert sent.rows == len(ROWS)
    assert bodies[0] == bodies[1]
    write = {**formats.FORMATS, **columnar.FORMATS}[form]
    plain = Rows(SCHEMA, even(rows().batches))
    assert bodies[0] == b"".join(write(plain)), "by the writers that all rows leave through"


def test_cells_are_the_words_of_the_csv() -> None:
    found = cells_of(SCHEMA, [batch(ROWS[:4]), batch(ROWS[4:12])])
    assert [row[1] for row in found[:6]] == NAMES
    assert [row[2] for row in found[:9]] == [
        *(None, "NaN", "0", "-0", "1.5", "Infinity", "-Infinity", "1e+300", "0.1")
    ]
    assert [row[3] for row in found[:3]] == ["true", "false", None]
    assert found[2][4:] == ["2026-11-21", "1969-12-31T23:59:59.123456Z"]


def test_a_start_that_the_file_does_not_have_is_refused(lake: Lake, files: dict[str, RowFile]) -> None:
    with pytest.raises(BadPageToken):
        release_rows.page(lake, files["parquet"], RowQuery.of(SCHEMA, [], "", "value"), 61, 5)
    table, following = release_rows.page(
        lake, files["parquet"], RowQuery.of(SCHEMA, [], "", ""), 2**31 - 1, 5
    )
    assert (table.num_rows, following) == (0, 0)


def test_a_file_that_is_none_says_so(tmp_path: Path) -> None:
    for name in ("x.csv", "x.parquet"):
        with pytest.raises(FileDamaged, match=name):
            RowFile.of(tmp_path / name, name, contract_pb2.Contract())
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(FileDamaged, match=name):
            RowFile.of(tmp_path / name, name, contract_pb2.Contract())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=6))
def test_wherever_an_engine_cuts_the_bytes_are_the_same(cuts: list[int]) -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(cutting, "BATCH_ROWS", 16)
    places = [0, *sorted(cuts), 60]
    parts = [batch(ROWS).slice(a, b - a) for a, b in pairwise(places)]
    try:
        cut = [each.num_rows for each in even(iter(parts))]
        assert cut == [16, 16, 16, 12]
        body = b"".join(columnar.arrow(Rows(SCHEMA, even(iter(parts)))))
        whole = b"".join(columnar.arrow(Rows(SCHEMA, even(iter([batch(ROWS)])))))
    finally:
        patch.undo()
    assert body == whole


def test_nothing_lies_in_the_place_of_an_absent_value() -> None:
    """An engine leaves there what was in memory: values of other rows, addresses."""
    secret = pa.array([1, 2, 3]).buffers()[1]
    for marks, valid in ((b"\x05", [True, False, True]), (b"\x07", [True] * 3)):
        for kind in (pa.int64(), pa.float64(), pa.timestamp("us", tz="UTC")):
            given_ = pa.Array.from_buffers(kind, 3, [pa.py_buffer(marks), secret])
            [made] = even(iter([pa.RecordBatch.from_arrays([given_], ["a"])]))
            column = made.column(0)
            assert column.equals(given_)
            left = pa.Array.from_buffers(pa.int64(), 3, [None, column.buffers()[1]]).to_pylist()
            assert left == [n if there else 0 for n, there in zip((1, 2, 3), valid, strict=True)]
            assert (column.buffers()[0] is None) == all(valid)
    flags = pa.Array.from_buffers(pa.bool_(), 3, [pa.py_buffer(b"\x05"), pa.py_buffer(b"\x07")])
    [made] = even(iter([pa.RecordBatch.from_arrays([flags], ["a"])]))
    assert made.column(0).to_pylist() == [True, None, True]
    assert made.column(0).buffers()[1].to_pybytes()[0] & 7 == 5
