"""Rows as Parquet and as an Arrow stream."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_lake import columnar
from plaza_lake.schema import Column, FieldType, TableSchema, arrow_schema

SCHEMA = TableSchema(tuple(Column(f"c_{kind}", kind) for kind in FieldType))
ARROW = arrow_schema(SCHEMA)
FULL: dict[str, Any] = {
    "c_string": "东城\x00,\n",
    "c_integer": 2**63 - 1,
    "c_number": -0.0,
    "c_boolean": True,
    "c_date": date(1900, 1, 1),
    "c_timestamp": datetime(2013, 3, 1, 1, 2, 3, 450001, tzinfo=UTC),
    "c_bytes": b"\x00\xff",
}
EMPTY: dict[str, Any] = dict.fromkeys(SCHEMA.names)
Read = Callable[[bytes], pa.Table]


def read_arrow(body: bytes) -> pa.Table:
    return pa.ipc.open_stream(body).read_all()


def read_parquet(body: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(body))


READ: dict[str, Read] = {"parquet": read_parquet, "arrow": read_arrow}
FORMS = pytest.mark.parametrize("form", list(columnar.FORMATS))


def stream(*batches: list[dict[str, Any]]) -> Any:
    arrow = [pa.RecordBatch.from_pylist(rows, schema=ARROW) for rows in batches]
    return SimpleNamespace(schema=SCHEMA, batches=iter(arrow))


def written(form: str, *batches: list[dict[str, Any]]) -> bytes:
    return b"".join(columnar.FORMATS[form](stream(*batches)))


@FORMS
def test_every_type_comes_back_as_itself(form: str) -> None:
    found = READ[form](written(form, [FULL, EMPTY], [], [FULL]))
    assert found.schema.equals(ARROW)
    assert found.to_pylist() == [FULL, EMPTY, FULL]


@FORMS
def test_no_rows_are_a_table_with_columns(form: str) -> None:
    for batches in ((), ([],)):
        found = READ[form](written(form, *batches))
        assert (found.num_rows, found.column_names) == (0, list(SCHEMA.names))


@FORMS
@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(
        st.lists(
            st.fixed_dictionaries(
                {
                    **{name: st.none() for name in SCHEMA.names},
                    "c_string": st.none() | st.text(st.characters(exclude_categories=["Cs"])),
                    "c_number": st.none() | st.floats(allow_nan=False),
                    "c_bytes": st.none() | st.binary(),
                }
            ),
            max_size=4,
        ),
        max_size=5,
    )
)
def test_any_rows_come_back(form: str, rows: list[list[dict[str, Any]]]) -> None:
    assert READ[form](written(form, *rows)).to_pylist() == [row for batch in rows for row in batch]


@FORMS
def test_a_part_is_not_a_table(form: str) -> None:
    """What came before a break is refused by its reader, or visibly has no end."""
    pieces = columnar.FORMATS[form](stream([FULL]))
    got = next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    if form == "parquet":
        with pytest.raises(pa.ArrowInvalid):
            read_parquet(got)
    else:
        assert not got.endswith(b"\xff\xff\xff\xff\x00\x00\x00\x00")
        assert written(form, [FULL]).endswith(b"\xff\xff\xff\xff\x00\x00\x00\x00")


@FORMS
def test_it_is_written_while_it_is_read(form: str) -> None:
    """Memory: not more than one row group waits to be sent."""
    batch = pa.RecordBatch.from_pylist([FULL] * 1000, schema=ARROW)
    read = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal read
        for _ in range(400):
            read += batch.num_rows
            yield batch

    pieces = columnar.FORMATS[form](SimpleNamespace(schema=SCHEMA, batches=batches()))
    sent_at = [read for _ in pieces]
    assert sent_at[0] <= columnar.GROUP_ROWS + batch.num_rows
    assert max(b - a for a, b in itertools.pairwise(sent_at)) <= columnar.GROUP_ROWS + 1000
    assert read == 400_000


def test_another_engine_reads_it(tmp_path: Any) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(written("parquet", [FULL, EMPTY]))
    found = duckdb.sql(f"SELECT c_integer, c_date, c_bytes FROM '{path}'").fetchall()
    assert found == [(FULL["c_integer"], FULL["c_date"], FULL["c_bytes"]), (None, None, None)]


@pytest.mark.parametrize("offset", [0, 1])
def test_nothing_stands_in_the_place_of_an_absent_value(offset: int) -> None:
    secret = np.array([1, 0x5EC3E7, 3, 4], np.int64)
    marks = pa.py_buffer(bytes([0b1101]))
    whole = pa.Array.from_buffers(pa.int64(), 4, [marks, pa.py_buffer(secret)])
    found = columnar.plain(whole.slice(offset))
    assert found.to_pylist() == [1, None, 3, 4][offset:]
    assert 0x5EC3E7 not in np.frombuffer(found.buffers()[1], np.int64)
    assert columnar.plain(whole.slice(2)).buffers()[0] is None
