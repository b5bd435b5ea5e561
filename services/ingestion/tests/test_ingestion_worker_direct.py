"""Columns read straight from the bytes: whatever they answer is what the texts give, to the bit."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_ingestion.worker.csv_reader import CsvReader
from plaza_ingestion.worker.direct import DirectColumns
from plaza_ingestion.worker.header import Header
from plaza_ingestion.worker.judge import Judge, Judged
from plaza_ingestion.worker.plan import BuildTimestamp, FieldSpec, LoadPlan
from plaza_ingestion.worker.refusal import Reason
from plaza_ingestion.worker.source import SourceFile, unchecked_windows
from plaza_ingestion.worker.steps.declared import Trim

FIELDS = (
    FieldSpec("count", "Count", "integer", missing=("NA", "-1")),
    FieldSpec("amount", "Amount", "number", missing=("NA",)),
    FieldSpec("name", "Name", "string", required=True, missing=("NA",)),
    FieldSpec("year", "Year", "integer"),
    FieldSpec("seen", "Seen", "date", missing=("NA",)),
    FieldSpec("time", "", "timestamp"),
)
PLAN = LoadPlan(FIELDS, steps=(BuildTimestamp("time", "year", "count", "count"),))
HEADING = ["Count", "Amount", "Name", "Year", "Seen", "Not asked for"]

numeric = st.one_of(
    st.integers(-(2**64), 2**64).map(str),
    st.floats().map(repr),
    st.text("0123456789+-.eExXnaifINF_ \t,\"'NA０", max_size=6),
    st.sampled_from(
        ["", "NA", "-1", "-0", "007", "1e400", "0x1F", "1e5", "+1", " 1", "1 ", "０", "inf", "nan(1)"]
    ),
    st.sampled_from(
        ["9223372036854775807", "9223372036854775808", "-9223372036854775808", "1" * 30, "0" * 25]
    ),
)
text = st.text('a 站é0x,"\n\r\tNA\ufeff\u3000\U00020000', max_size=6)
plain = st.tuples(st.sampled_from(["1", "12", "NA", ""]), st.sampled_from(["0.5", "-7", "NA"]), text)
dates = st.sampled_from(["2013-03-01", "2013-03-01", "", "NA", "2013-02-30", "x"])
widths = st.sampled_from([1 << 20, 64])
row = st.tuples(
    st.one_of(numeric, st.just("3")), numeric, text, st.sampled_from(["2013", "", "x"]), dates, text
)


@contextmanager
def window_of(data: bytes, encoding: str, widest: int = 1 << 20) -> Iterator[CsvReader]:
    """The first window is always checked, because of the heading; `widest` makes others."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.csv"
        path.write_bytes(data)
        cut = partial(unchecked_windows, widest=widest)
        with SourceFile(path) as source, patch("plaza_ingestion.worker.csv_reader.unchecked_windows", cut):
            yield CsvReader(source, LoadPlan(FIELDS[:5], encoding=encoding).dialect)


def judged(data: bytes, plan: LoadPlan, widest: int = 1 << 20) -> tuple[list[Judged], int]:
    """The outcome of each window, and how many of them were read directly."""
    answers = []

    def counted(self: DirectColumns, *given: object) -> object:
        answers.append(read(self, *given))  # type: ignore[arg-type]  # as the judge gives them
        return answers[-1]

    read = DirectColumns.read
    with window_of(data, plan.encoding, widest) as reader, patch.object(DirectColumns, "read", counted):
        judge = Judge(plan, Header(reader.headings))
        found = [judge.judge(batch) for batch in reader.batches()]
    return found, sum(answer is not None for answer in answers)


def by_text(data: bytes, plan: LoadPlan, widest: int = 1 << 20) -> list[Judged]:
    with patch.object(DirectColumns, "read", lambda *_: None):
        return judged(data, plan, widest)[0]


def assert_same(ours: list[Judged], texts: list[Judged]) -> None:
    assert len(ours) == len(texts)
    for one, other in zip(ours, texts, strict=True):
        one.accepted.validate(full=True)
        assert one.accepted.schema == other.accepted.schema
        # Values bit by bit: 0.0 and -0.0 are not the same number here.
        assert bits(one.accepted) == bits(other.accepted)
        assert one.positions.equals(other.positions)
        assert one.refused == other.refused


def bits(table: pa.Table) -> list[list[object]]:
    columns = []
    for column in table.columns:
        values = column.combine_chunks()
        columns.append((values.view(pa.int64()) if pa.types.is_float64(values.type) else values).to_pylist())
    return columns


def written(rows: list[tuple[str, ...]], encoding: str, *, quote_all: bool, end: str) -> bytes:
    out = io.StringIO()
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    csv.writer(out, quoting=quoting, lineterminator=end).writerows([HEADING, *rows])
    return out.getvalue().encode(encoding)


@settings(max_examples=300)
@given(
    rows=st.lists(row, min_size=1, max_size=4),
    encoding=st.sampled_from(["utf-8", "gb18030", "utf-16"]),
    quote_all=st.booleans(),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    widest=widths,
)
def test_one_strange_cell_is_judged_as_its_text(
    rows: list[tuple[str, ...]], encoding: str, quote_all: bool, end: str, widest: int
) -> None:
    data = written(rows, encoding, quote_all=quote_all, end=end)
    plan = LoadPlan(FIELDS, steps=PLAN.steps, encoding=encoding)
    assert_same(judged(data, plan, widest)[0], by_text(data, plan, widest))


@settings(max_examples=200)
@given(
    rows=st.lists(plain, min_size=1, max_size=8),
    encoding=st.sampled_from(["utf-8", "gb18030"]),
    widest=widths,
)
def test_plain_rows_are_read_directly_and_alike(
    rows: list[tuple[str, str, str]], encoding: str, widest: int
) -> None:
    whole = [(count, amount, name.replace("x", "y"), "2013", "NA", "z") for count, amount, name in rows]
    data = written(whole, encoding, quote_all=False, end="\r\n")
    plan = LoadPlan(FIELDS, steps=PLAN.steps, encoding=encoding)
    assert_same(judged(data, plan, widest)[0], by_text(data, plan, widest))


@settings(max_examples=150)
@given(
    data=st.lists(
        st.sampled_from([b"1", b"NA", b",", b'"', b"\n", b"\r\n", b"\xb0\xa1", b"\xff", b" "]), max_size=30
    ),
    widest=widths,
)
def test_broken_records_are_refused_alike(data: list[bytes], widest: int) -> None:
    file = b"Count,Amount,Name,Year,Seen\n1,2,a,2013,\n" + b"".join(data)
    for encoding in ("utf-8", "gb18030"):
        plan = LoadPlan(FIELDS, steps=PLAN.steps, encoding=encoding)
        assert_same(judged(file, plan, widest)[0], by_text(file, plan, widest))


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("asked_for", [5, 4])
@pytest.mark.parametrize("column", range(5))
def test_a_byte_that_is_no_character_is_found_in_any_column(
    column: int, asked_for: int, encoding: str
) -> None:
    """Also where all other bytes of the window say nothing against reading it directly, and where nobody asks for
    the column."""
    plan = LoadPlan(FIELDS[:asked_for], encoding=encoding)
    cells = [b"1", b"2.5", "站".encode(encoding), b"2013", b"2013-03-01"]
    cells[column] += b"\xff"
    good = ",".join(["1", "2.5", "站", "2013", "2013-03-01"]).encode(encoding)
    data = b"\n".join([b"Count,Amount,Name,Year,Seen", *[good] * 9, b",".join(cells), *[good] * 9])
    windows, direct = judged(data, plan, 64)
    refused = [row for window in windows for row in window.refused]
    assert sum(window.accepted.num_rows for window in windows) == 18
    assert [(row.line, row.reason) for row in refused] == [(11, Reason.ENCODING)]
    assert direct >= len(windows) - 2  # beside numbers with such a byte, two are read by their texts


def direct_windows(cells: str, plan: LoadPlan = PLAN) -> int:
    data = f"Count,Amount,Name,Year,Seen\n{cells},2013-03-01\n".encode(plan.encoding)
    return judged(data, plan)[1]


@pytest.mark.parametrize(
    "cells", ["1,2.5,a,2013", '"1","2.5","a b, c",2013', "NA,NA,NA,2013", "-1,1e5,x1,2013"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_what_is_read_directly(cells: str, encoding: str) -> None:
    assert direct_windows(cells, LoadPlan(FIELDS, steps=PLAN.steps, encoding=encoding)) == 1


@pytest.mark.parametrize(
    "cells",
    [
        "0x1F,1,a,1",
        " 1,1,a,1",
        "1,1\t,a,1",
        "1,nan,a,1",
        "1,inf,a,1",
        "1,1e400,a,1",
        "+1,1,a,1",
        "１,1,a,1",
        "1,1,a",
        "1.0,1,a,1",
    ],
)
def test_what_only_the_text_can_tell(cells: str) -> None:
    assert direct_windows(cells) == 0


def test_a_field_whose_text_a_step_changes_is_read_by_its_text() -> None:
    plan = LoadPlan(FIELDS, steps=(*PLAN.steps, Trim()))
    assert direct_windows("1,2,a,2013", plan) == 0


def test_a_file_of_refused_rows_is_not_tried_again_and_again() -> None:
    with window_of(b"Count,Amount,Name,Year,Seen\nx,1,a,1,\n", "utf-8") as reader:
        batch = next(iter(reader.batches()))
        good = np.array([0])
        names = ("count", "amount", "name", "year", "seen")
        columns = DirectColumns(PLAN, 5, {name: at for at, name in enumerate(names)}, ())
        with patch("plaza_ingestion.worker.direct.read_typed", return_value=None) as tried:
            for _ in range(100):
                assert columns.read(batch, good) is None
        assert tried.call_count < 12
