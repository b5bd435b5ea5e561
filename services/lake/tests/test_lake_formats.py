from __future__ import annotations

import csv as python_csv
import io
import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_lake import formats
from plaza_lake.schema import Column, FieldType, TableSchema, arrow_schema

SCHEMA = TableSchema(tuple(Column(f"c_{kind}", kind) for kind in FieldType))
FULL: dict[str, Any] = {
    "c_string": 'a "quoted", \n东城',
    "c_integer": 2**53 + 1,
    "c_number": 0.1,
    "c_boolean": True,
    "c_date": date(2013, 3, 1),
    "c_timestamp": datetime(2013, 3, 1, 1, 2, 3, 450000, tzinfo=UTC),
    "c_bytes": b"\x00\xff",
}
EMPTY: dict[str, Any] = dict.fromkeys(SCHEMA.names)


def text(
    write: Callable[[Any], Iterator[bytes]], *batches: list[dict[str, Any]], schema: TableSchema = SCHEMA
) -> str:
    arrow = [pa.RecordBatch.from_pylist(rows, schema=arrow_schema(schema)) for rows in batches]
    return b"".join(write(SimpleNamespace(schema=schema, batches=iter(arrow)))).decode()


def test_csv() -> None:
    assert text(formats.csv, [FULL, EMPTY]) == (
        "c_string,c_integer,c_number,c_boolean,c_date,c_timestamp,c_bytes\r\n"
        '"a ""quoted"", \n东城",9007199254740993,0.1,true,2013-03-01,2013-03-01T01:02:03.45Z,AP8=\r\n'
        ",,,,,,\r\n"
    )


def test_csv_of_no_rows_has_its_header() -> None:
    assert text(formats.csv).count("\r\n") == 1


def test_json_lines() -> None:
    lines = text(formats.jsonl, [FULL], [EMPTY]).splitlines()
    assert json.loads(lines[0]) == FULL | {
        "c_date": "2013-03-01",
        "c_timestamp": "2013-03-01T01:02:03.45Z",
        "c_bytes": "AP8=",
    }
    assert json.loads(lines[1]) == EMPTY


def test_json_array_over_several_batches() -> None:
    assert json.loads(text(formats.json_array)) == []
    assert len(json.loads(text(formats.json_array, [FULL, EMPTY], [], [FULL]))) == 3


def test_arrays_over_several_batches() -> None:
    whole = f"[{text(formats.json_arrays, [FULL, EMPTY], [], [FULL])}]"
    lines = [json.loads(line) for line in text(formats.jsonl, [FULL, EMPTY, FULL]).splitlines()]
    assert json.loads(whole) == [list(line.values()) for line in lines]
    assert text(formats.json_arrays) == ""


def test_a_page_says_what_it_is_a_page_of() -> None:
    def write(stream: Any) -> Iterator[bytes]:
        yield from formats.json_page(stream, 3)
        yield formats.json_page_end('a"b')

    empty = {"version": 3, "columns": list(SCHEMA.names), "rows": [], "nextPageToken": 'a"b'}
    assert json.loads(text(write)) == empty
    assert json.loads(text(write, [EMPTY], [EMPTY])) == empty | {"rows": [[None] * len(SCHEMA.names)] * 2}


ONE_NUMBER = TableSchema((Column("n", FieldType.NUMBER), Column("s", FieldType.STRING)))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.none() | st.floats(), st.none() | st.text()), max_size=8))
def test_numbers_and_texts_read_back_the_same(cells: list[tuple[float | None, str | None]]) -> None:
    rows = [{"n": number, "s": text} for number, text in cells]
    back = list(python_csv.reader(io.StringIO(text(formats.csv, rows, schema=ONE_NUMBER), newline="")))[1:]
    for row, (number, string) in zip(rows, back, strict=True):
        assert string == (row["s"] or "")
        assert repr(float(number)) == repr(row["n"]) if number else row["n"] is None
    finite = [
        row | {"n": None if row["n"] is None or not math.isfinite(row["n"]) else row["n"]} for row in rows
    ]
    again = [
        json.loads(line, parse_int=float)
        for line in text(formats.jsonl, rows, schema=ONE_NUMBER).split("\n")[:-1]
    ]
    assert [repr(row) for row in again] == [repr(row) for row in finite]


def test_numbers_look_as_people_write_them() -> None:
    values = [3.0, -12.5, 123456789012.0, 1e15, 1e300, 5e-324, -0.0, math.inf, -math.inf, math.nan]
    lines = text(formats.csv, [{"n": n, "s": "x"} for n in values], schema=ONE_NUMBER).splitlines()[1:]
    assert [line.removesuffix(",x") for line in lines] == [
        "3",
        "-12.5",
        "123456789012",
        "1e+15",
        "1e+300",
        "5e-324",
        "-0",
        "Infinity",
        "-Infinity",
        "NaN",
    ]


def test_an_empty_text_is_not_an_absent_one() -> None:
    schema = TableSchema((Column("a", FieldType.STRING), Column("b", FieldType.STRING)))
    assert text(formats.csv, [{"a": "", "b": None}], schema=schema) == 'a,b\r\n"",\r\n'


def test_instants_have_fractions_only_where_there_are_any() -> None:
    schema = TableSchema((Column("t", FieldType.TIMESTAMP),))
    micro = [0, 1, 100_000, 120_300]
    rows = [{"t": datetime(1969, 12, 31, 20, 10, 0, m, tzinfo=UTC)} for m in micro]
    assert text(formats.csv, rows, schema=schema).split() == [
        "t",
        "1969-12-31T20:10:00Z",
        "1969-12-31T20:10:00.000001Z",
        "1969-12-31T20:10:00.1Z",
        "1969-12-31T20:10:00.1203Z",
    ]
