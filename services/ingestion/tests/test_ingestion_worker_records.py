"""Records: the vectorised way, the state machine and Python's csv module agree; no byte is lost."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_ingestion.worker.encodings import UTF8
from plaza_ingestion.worker.plan import Dialect, InvalidPlan
from plaza_ingestion.worker.records import Fault, Split, split_fast, split_slow
from plaza_ingestion.worker.source import SourceChanged, SourceFile, windows

BOM = UTF8.bom

Row = tuple[int, int, int, int, int]
"""offset, length, line, fields, fault"""

PIECES = [b"a", b"bc", b",", b'"', b'""', b',"', b'",', b"\n", b"\r", b"\r\n", "空".encode(), b"\xff", b" "]
anything = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)


def rows_of(split: Split) -> list[Row]:
    records = split.records
    columns = (records.offset, records.length, records.line, records.fields, records.fault)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def read_all(data: bytes, dialect: Dialect, widest: int = 2 << 20) -> list[tuple[Row, bytes]]:
    """Every record of a file with these bytes, as the reader of files finds it."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "file.csv"
        path.write_bytes(data)
        found = []
        with SourceFile(path) as source:
            for window in windows(source, dialect, widest=widest):
                rows = rows_of(Split(window.records, 0, 0, blocked=False))
                found += [(row, window.original(i)) for i, row in enumerate(rows)]
            assert source.size == len(data)
        return found


def by_the_machine(data: bytes, dialect: Dialect) -> list[Row]:
    """The definition: one pass of the state machine over the whole file, and a look at each record's bytes."""
    start = len(BOM) if data.startswith(BOM) else 0
    rows = []
    for offset, length, line, fields, fault in rows_of(split_slow(data[start:], dialect, final=True)):
        begin = offset + start
        if fault == Fault.NONE:
            try:
                data[begin : begin + length].decode("utf-8")
            except UnicodeDecodeError:
                fault = Fault.ENCODING
        rows.append((begin, length, line + 1, fields, fault))
    return rows


@settings(max_examples=400, deadline=None)
@given(data=anything, limit=st.sampled_from([3, 8, 1000]), final=st.booleans())
def test_what_the_fast_way_decides_the_machine_decides_alike(data: bytes, limit: int, final: bool) -> None:
    dialect = Dialect(max_record_bytes=limit)
    if not data:
        return
    fast = split_fast(data, dialect, final=final)
    slow = rows_of(split_slow(data, dialect, final=final))
    assert rows_of(fast) == [row for row in slow if row[0] < fast.consumed]
    if final and not fast.blocked:
        assert fast.consumed == len(data)
        assert fast.lines == split_slow(data, dialect, final=True).lines


@settings(max_examples=200, deadline=None)
@given(
    data=anything,
    bom=st.booleans(),
    limit=st.sampled_from([1, 4, 1000]),
    widest=st.sampled_from([1, 7, 32, 4096]),
)
def test_records_do_not_depend_on_how_the_file_is_cut(
    data: bytes, bom: bool, limit: int, widest: int
) -> None:
    data = BOM * bom + data
    dialect = Dialect(max_record_bytes=limit)
    assert [row for row, _ in read_all(data, dialect, widest)] == by_the_machine(data, dialect)


@settings(max_examples=200, deadline=None)
@given(data=anything, limit=st.sampled_from([4, 1000]), widest=st.sampled_from([5, 64]))
def test_every_byte_is_bom_record_or_line_end(data: bytes, limit: int, widest: int) -> None:
    at = len(BOM) if data.startswith(BOM) else 0
    for (offset, length, line, _, _), original in read_all(data, Dialect(max_record_bytes=limit), widest):
        assert set(data[at:offset]) <= set(b"\r\n")
        before = data[:offset].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        assert line == before.count(b"\n") + 1
        assert data[offset : offset + length].startswith(original)
        assert len(original) == length or length > limit
        at = offset + length
    assert set(data[at:]) <= set(b"\r\n")


cell = st.text(alphabet='ab,;"\n\r 空é\x00\u2028\ufeff', max_size=6)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(cell, min_size=width, max_size=width), min_size=1, max_size=8)
    ),
    quote_all=st.booleans(),
    ends=st.lists(st.sampled_from(["\n", "\r", "\r\n"]), min_size=8, max_size=8),
    last_end=st.booleans(),
)
def test_conforming_files_read_as_pythons_csv_reads_them(
    rows: list[list[str]], quote_all: bool, ends: Sequence[str], last_end: bool
) -> None:
    def written(text: str) -> str:
        must = quote_all or any(sign in text for sign in ',"\r\n')
        return '"' + text.replace('"', '""') + '"' if must or (text == "" and len(rows[0]) == 1) else text

    lines = [",".join(map(written, row)) for row in rows]
    text = "".join(line + end for line, end in zip(lines, ends, strict=False))
    text = text if last_end else text.rstrip("\r\n") if not lines[-1].endswith(("\r", "\n")) else text
    data = text.encode()
    if data.startswith(BOM):
        return  # a byte order mark at the start is no text
    expected = list(csv.reader(io.StringIO(text, newline="")))
    assert expected == rows

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "file.csv"
        path.write_bytes(data)
        with SourceFile(path) as source:
            (window,) = windows(source, Dialect())
    assert window.records.fault.tolist() == [0] * len(rows)
    assert window.records.fields.tolist() == [len(row) for row in rows]
    good = np.arange(len(rows))
    cells = window.cells(good, len(rows[0]), range(len(rows[0])), Dialect())
    assert [list(row) for row in zip(*(column.to_pylist() for column in cells), strict=True)] == rows


@pytest.mark.parametrize(
    ("data", "lines", "faults"),
    [
        pytest.param(b"a,b\n1,2\n", [1, 2], "..", id="plain"),
        pytest.param(b"a,b\n1,2", [1, 2], "..", id="no line end at the end"),
        pytest.param(b"a\r\nb\rc\nd", [1, 2, 3, 4], "....", id="mixed line ends"),
        pytest.param(b"a\n\n\r\nb\n", [1, 4], "..", id="empty lines count and are no records"),
        pytest.param(b'a\n"x\r\ny\rz\n",1\nb\n', [1, 2, 6], "...", id="line ends inside quotes count"),
        pytest.param(
            b'a,b\n1,"oops\n2,3\n"x",4\n', [1, 2, 3, 4], ".Q..", id="a stray opening quote costs one line"
        ),
        pytest.param(b'a,b\n1,"oops\n2,3\n', [1, 2, 3], ".Q.", id="a quote that never closes costs one line"),
        pytest.param(b'a\n5" pipe\nb\n', [1, 2, 3], ".Q.", id="a quote inside an unquoted field"),
        pytest.param(b'a\n"x"y\nb\n', [1, 2, 3], ".Q.", id="text behind a closing quote"),
        pytest.param(b'a\n"x""y"\n', [1, 2], "..", id="an escaped quote"),
        pytest.param(b"a\n\xff\nb\n", [1, 2, 3], ".E.", id="not UTF-8"),
        pytest.param(b"a\n" + b"x" * 41 + b"\nb\n", [1, 2, 3], ".L.", id="too long"),
        pytest.param(b"a\n" + b"x" * 40 + b"\nb\n", [1, 2, 3], "...", id="just not too long"),
        pytest.param(b'a\n"' + b"x\n" * 30 + b'"\nb', None, None, id="a quoted field that closes too late"),
        pytest.param(b"", [], "", id="empty"),
        pytest.param(BOM, [], "", id="only a byte order mark"),
    ],
)
def test_lines_and_faults(data: bytes, lines: list[int] | None, faults: str | None) -> None:
    found = [row for row, _ in read_all(data, Dialect(max_record_bytes=40))]
    if lines is None:
        # Every line of it is a record of its own; the first and the last are at fault, the others read as rows.
        assert [row[2] for row in found] == list(range(1, 34))
        assert [row[4] for row in found] == [0, Fault.QUOTING] + [0] * 29 + [Fault.QUOTING, 0]
        return
    assert [row[2] for row in found] == lines
    assert "".join(".LQE"[row[4]] for row in found) == faults


def test_a_line_longer_than_memory_may_hold_is_one_record_with_its_first_bytes() -> None:
    data = b"a\n" + b"x" * 5000 + b"\r\nb\n"
    found = read_all(data, Dialect(max_record_bytes=10), widest=16)
    assert [(row[0], row[1], row[2]) for row, _ in found] == [(0, 1, 1), (2, 5000, 2), (5004, 1, 3)]
    assert data[2:5002].startswith(found[1][1])
    assert len(found[1][1]) >= 10


def test_the_hash_is_of_the_whole_file_in_whatever_order_it_was_read(tmp_path: Path) -> None:
    import hashlib

    data = b"a,b\n" + b'1,"x' * 999 + b"\n" * 77
    path = tmp_path / "file.csv"
    path.write_bytes(data)
    with SourceFile(path) as source:
        for _ in windows(source, Dialect(max_record_bytes=50), widest=64):
            pass
        source.read(3, 10)
        assert source.sha256() == hashlib.sha256(data).hexdigest()
    with SourceFile(path) as source:
        assert source.sha256() == hashlib.sha256(data).hexdigest()


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"a\n" * 100)
    with SourceFile(path) as source:
        path.write_bytes(b"a\n")
        with pytest.raises(SourceChanged, match="ended at byte 2"):
            source.read(0, 200)


@pytest.mark.parametrize(
    "bad", [{"delimiter": "；"}, {"delimiter": '"'}, {"quote": "\n"}, {"max_record_bytes": 0}]
)
def test_a_dialect_that_cannot_be_is_refused(bad: dict[str, str]) -> None:
    with pytest.raises(InvalidPlan):
        Dialect(**bad)  # type: ignore[arg-type]
