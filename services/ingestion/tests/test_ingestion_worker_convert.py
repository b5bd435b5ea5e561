"""Conversion: the grammar of each type, and that whole columns obey the one-cell definition."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_ingestion.worker.convert import ARROW_TYPES, convert, explain, parse

TYPES = ["integer", "number", "boolean", "date", "timestamp"]


@pytest.mark.parametrize(
    ("type_name", "text", "value"),
    [
        ("integer", "0", 0),
        ("integer", "+7", 7),
        ("integer", "-0012", -12),
        ("integer", "9223372036854775807", 2**63 - 1),
        ("integer", "-9223372036854775808", -(2**63)),
        ("integer", "0" * 5000 + "5", 5),
        ("number", "-0.7", -0.7),
        ("number", ".5", 0.5),
        ("number", "5.", 5.0),
        ("number", "+1E-3", 0.001),
        ("number", "12345678901234567890", 12345678901234567890.0),
        ("boolean", "TRUE", True),
        ("boolean", "0", False),
        ("date", "2016-02-29", date(2016, 2, 29)),
        ("date", "0001-01-01", date(1, 1, 1)),
        ("timestamp", "2024-05-01T08:00:00+08:00", datetime(2024, 5, 1, tzinfo=UTC)),
        ("timestamp", "2024-05-01 00:00Z", datetime(2024, 5, 1, tzinfo=UTC)),
        ("timestamp", "2024-04-30T19Z", datetime(2024, 4, 30, 19, tzinfo=UTC)),
        ("timestamp", "2024-05-01T00:00:00.25-0130", datetime(2024, 5, 1, 1, 30, 0, 250_000, tzinfo=UTC)),
        ("string", " kept ", " kept "),
    ],
)
def test_what_is_accepted(type_name: str, text: str, value: object) -> None:
    assert parse(text, type_name) == value
    column = convert(pa.array([text]), type_name)
    assert column.values.to_pylist() == [value]
    assert not column.bad.any()
    assert column.values.type == ARROW_TYPES[type_name]


@pytest.mark.parametrize(
    ("type_name", "text", "because"),
    [
        ("integer", "1.5", '"1.5" is not an integer'),
        ("integer", "1e3", '"1e3" is not an integer'),
        ("integer", " 7", '" 7" is not an integer: spaces around it are not trimmed'),
        ("integer", "1_000", '"1_000" is not an integer'),
        ("integer", "٣", '"٣" is not an integer'),
        ("integer", "0x1F", '"0x1F" is not an integer'),
        ("integer", "9223372036854775808", '"9223372036854775808" does not fit into 64 bits'),
        ("integer", "-", '"-" is not an integer'),
        ("number", "nan", '"nan" is not a number'),
        ("number", "inf", '"inf" is not a number'),
        ("number", "1e999", '"1e999" is too large for a number'),
        ("number", "1,5", '"1,5" is not a number'),
        ("number", "1e", '"1e" is not a number'),
        ("number", "a\nb", '"a\\nb" is not a number'),
        ("number", "x" * 81, '"' + "x" * 80 + '…" is not a number'),
        ("boolean", "yes", '"yes" is not a boolean (true, false, 1, 0)'),
        ("date", "2015-02-29", '"2015-02-29" is not a date (YYYY-MM-DD)'),
        ("date", "0000-01-01", '"0000-01-01" is not a date (YYYY-MM-DD)'),
        ("date", "2015-1-1", '"2015-1-1" is not a date (YYYY-MM-DD)'),
        ("timestamp", "2024-05-01T25:00:00Z", '"2024-05-01T25:00:00Z" is not a timestamp (ISO 8601)'),
        ("timestamp", "2024-05-01T00:00:00.1234567Z", None),
        ("timestamp", "0001-01-01T00:00:00+10:00", None),
        ("timestamp", "9999-12-31T23:59:59-10:00", None),
        ("timestamp", "2024-05-01T00:00:00+24:00", None),
    ],
)
def test_what_is_refused_and_why(type_name: str, text: str, because: str | None) -> None:
    assert parse(text, type_name) is None
    column = convert(pa.array([text]), type_name)
    assert column.bad.tolist() == [True]
    assert column.values.to_pylist() == [None] if type_name != "timestamp" else column.values.null_count == 1
    if because:
        assert explain(text, type_name) == because


def test_a_time_without_offset_is_refused_with_the_way_out() -> None:
    assert parse("2024-05-01 00:00:00", "timestamp") is None
    assert "has no UTC offset: write for instance" in explain("2024-05-01 00:00:00", "timestamp")


@pytest.mark.parametrize("type_name", [*TYPES, "string"])
def test_empty_cells_and_tokens_are_missing_and_nothing_else_is(type_name: str) -> None:
    column = convert(pa.array(["", "NA", "NAN", "无", "na"]), type_name, ("NA", "无"))
    assert column.missing.tolist() == [True, True, False, True, False]
    assert column.values.is_null().to_pylist()[:2] == [True, True]
    assert column.bad.tolist() == [False, False, type_name != "string", False, type_name != "string"]


number_like = st.text(alphabet="0123456789+-.eE", max_size=8)
date_like = st.from_regex(r"\A[0-9]{4}-[01][0-9]-[0-3][0-9]\Z")
timestamp_like = st.from_regex(
    r"\A[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9](:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,7})?)?)?"
    r"(Z|[+-][0-2][0-9](:?[0-6][0-9])?)?\Z"
)
odd = st.sampled_from(
    ["", "NA", " ", "nan", "inf", "-inf", "0x10", "1 ", "true", "False", "1", "0", "空", "1e400", "-"]
)
whole = st.integers(-(2**65), 2**65).map(str)
texts = st.lists(
    st.one_of(
        odd,
        number_like,
        date_like,
        timestamp_like,
        whole,
        st.floats(allow_nan=False).map(repr),
        st.text(max_size=4),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(texts=texts, type_name=st.sampled_from(TYPES), head=st.integers(0, 3))
def test_columns_obey_the_definition(texts: list[str], type_name: str, head: int) -> None:
    cells = pa.array([*["1"] * head, *texts], pa.string()).slice(head)
    column = convert(cells, type_name, ("NA",))
    for i, text in enumerate(texts):
        missing = text in ("", "NA")
        expected = None if missing else parse(text, type_name)
        assert column.missing[i] == missing
        assert column.bad[i] == (expected is None and not missing), (text, type_name)
        assert repr(column.values[i].as_py()) == repr(_utc(expected)), text


def _utc(value: object) -> object:
    """As pyarrow gives timestamps back."""
    return pa.scalar(value, ARROW_TYPES["timestamp"]).as_py() if isinstance(value, datetime) else value


def test_one_bad_cell_among_many_is_found() -> None:
    cells = [str(i) for i in range(5000)]
    cells[4321] = "9" * 20
    cells[17] = "+17"
    cells[99] = "x"
    column = convert(pa.array(cells), "integer")
    assert column.bad.nonzero()[0].tolist() == [99, 4321]
    assert column.values[17].as_py() == 17
    assert column.values[4999].as_py() == 4999
