"""The figures of a profile against plain Python, whatever the parts are that they are counted in."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza.common.v1 import contract_pb2
from plaza.quality.v1 import profiles_pb2 as pb
from plaza_lake.fields import Column, FieldType, TableSchema
from plaza_lake.scan import Part
from plaza_lake.schema import arrow_schema
from plaza_quality.domain.around import Around
from plaza_quality.domain.shapes import pattern_of
from plaza_quality.domain.value_texts import value_text
from plaza_quality.kernels import profiling
from plaza_quality.kernels.profiling import Profiler
from plaza_quality.kernels.relations import Ordered, Present, Rising, Sample
from plaza_quality.kernels.shapes import readable_as, shapes
from plaza_quality.kernels.tallies import LONGEST, Tally
from plaza_quality.storage.profiling import SHARES, TOP_VALUES, Scanned, written

SCHEMA = TableSchema(
    (
        Column("x", FieldType.NUMBER),
        Column("n", FieldType.INTEGER),
        Column("s", FieldType.STRING),
        Column("b", FieldType.BOOLEAN),
        Column("d", FieldType.DATE),
        Column("t", FieldType.TIMESTAMP),
    )
)
NOW = Around(datetime(2026, 11, 21, tzinfo=UTC), ZoneInfo("Asia/Shanghai"))
words = st.sampled_from(["", "a", "AB-1", "AB-12", "京A12345", "ß", "é x", "0", "\u3000", "z" * 120, "true"])
values = {
    "x": st.none()
    | st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 0.0, 1.5])
    | st.floats(-1e9, 1e9, width=32),
    "n": st.none() | st.sampled_from([0, 1, 13800138000]) | st.integers(-(2**62), 2**62),
    "s": st.none() | words | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    "b": st.none() | st.booleans(),
    "d": st.none() | st.dates(date(1900, 1, 1), date(2100, 1, 1)),
    "t": st.none()
    | st.datetimes(datetime(1950, 1, 1), datetime(2050, 1, 1)).map(  # noqa: DTZ001  # the zone is added
        lambda at: at.replace(tzinfo=timezone(timedelta(hours=at.hour % 13 - 6)))
    ),
}
tables = st.lists(st.fixed_dictionaries(values), max_size=30)


def profiled(rows: Sequence[dict[str, Any]], part: int = 7, encoded: bool = False) -> Scanned:
    """Counted in parts of so many rows; `encoded`: texts as dictionaries."""
    profiler = Profiler(SCHEMA, len(rows))
    for number, first in enumerate(range(0, len(rows), part)):
        table = pa.Table.from_pylist(list(rows[first : first + part]), schema=arrow_schema(SCHEMA))
        if encoded:
            texts = table.column("s").dictionary_encode()
            table = table.set_column(table.schema.get_field_index("s"), "s", texts)
        profiler(Part(number % 2, first, table))
    return written(profiler, len(rows), NOW)


@settings(max_examples=60, deadline=None)
@given(tables, st.integers(1, 9), st.booleans())
def test_every_figure_is_that_of_plain_python(rows: list[dict[str, Any]], part: int, encoded: bool) -> None:
    found = profiled(rows, part, encoded)
    assert (found.profile.rows, found.profile.sampled_rows) == (len(rows), len(rows))
    assert [each.field for each in found.profile.columns] == list(SCHEMA.names)
    for column, kind in zip(found.profile.columns, SCHEMA.columns, strict=True):
        check(column, [row[kind.name] for row in rows], kind.type)


def check(column: pb.ColumnProfile, cells: list[Any], kind: FieldType) -> None:
    present = [cell for cell in cells if cell is not None]
    finite = [cell for cell in present if not isinstance(cell, float) or math.isfinite(cell)]
    if kind is FieldType.NUMBER:
        finite = [cell + 0.0 for cell in finite]
    assert column.nulls == len(cells) - len(present)
    assert column.not_finite == len(present) - len(finite)
    assert column.empty_texts == present.count("")
    different = {"nan" if cell != cell else cell for cell in present}
    assert (column.distinct, column.distinct_exact) == (len(different), True)
    assert column.minimum == value_text(min(finite, default=None), LONGEST)
    assert column.maximum == value_text(max(finite, default=None), LONGEST)
    check_values(column, finite)
    if kind in (FieldType.NUMBER, FieldType.INTEGER, FieldType.BOOLEAN) and finite:
        mean = math.fsum(finite) / len(finite)
        spread = math.sqrt(math.fsum((cell - mean) ** 2 for cell in finite) / len(finite))
        size = max(abs(cell) for cell in finite)
        assert column.mean == pytest.approx(mean, rel=1e-9, abs=1e-9 * size)
        assert column.standard_deviation == pytest.approx(spread, rel=1e-6, abs=1e-7 * size)
    else:
        assert not column.HasField("mean")
    if kind in (FieldType.STRING, FieldType.BOOLEAN) or not finite:
        assert not column.quantiles
    else:
        ordered = sorted(finite)
        expected = [ordered[max(math.ceil(share * len(ordered)) - 1, 0)] for share in SHARES]
        assert [each.value for each in column.quantiles] == [value_text(each, LONGEST) for each in expected]
    if kind is FieldType.STRING and present:
        lengths = [len(cell) for cell in present]
        assert (column.lengths.minimum, column.lengths.maximum) == (min(lengths), max(lengths))
        assert column.lengths.mean == pytest.approx(sum(lengths) / len(lengths))
        kinds = {each.type: each.share for each in column.kinds}
        whole = sum(re.fullmatch(r"[+-]?(0|[1-9][0-9]*)", cell) is not None for cell in present)
        assert kinds.get(contract_pb2.FIELD_TYPE_INTEGER, 0.0) == pytest.approx(whole / len(present))
        truths = sum(cell.lower() in ("true", "false") and cell.isascii() for cell in present)
        assert kinds.get(contract_pb2.FIELD_TYPE_BOOLEAN, 0.0) == pytest.approx(truths / len(present))


def check_values(column: pb.ColumnProfile, finite: list[Any]) -> None:
    expected = Counter(cell[:LONGEST] if isinstance(cell, str) else cell for cell in finite)
    told = [(each.value, each.rows) for each in column.top_values]
    assert sorted(told) == sorted((value_text(cell, LONGEST), n) for cell, n in expected.items())[:TOP_VALUES]
    assert [rows for _, rows in told] == sorted((rows for _, rows in told), reverse=True)
    assert column.top_values_exact == all(len(cell) <= LONGEST for cell in finite if isinstance(cell, str))


def test_parts_may_come_in_any_order() -> None:
    rows = [{"x": 0.1 * n, "n": n, "s": "a", "b": True, "d": None, "t": None} for n in range(50)]
    parts = [
        Part(0, first, pa.Table.from_pylist(rows[first : first + 10], schema=arrow_schema(SCHEMA)))
        for first in range(0, 50, 10)
    ]
    found = []
    for order in (parts, parts[::-1]):
        profiler = Profiler(SCHEMA, 50)
        for part in order:
            profiler(part)
        found.append(written(profiler, 50, NOW).profile)
    assert found[0] == found[1]


def test_more_values_than_are_kept_are_estimated_and_said_to_be() -> None:
    tally = Tally(FieldType.INTEGER, values=100, hashes=1024)
    numbers = [n // 2 if n % 10 else -1 for n in range(100_000)]
    for first in range(0, len(numbers), 5000):
        tally.add((0, first), pa.chunked_array([pa.array(numbers[first : first + 5000], pa.int64())]))
    facts, exact = tally.facts(), len(set(numbers))
    assert not facts.distinct_exact
    assert facts.distinct == pytest.approx(exact, rel=0.15)  # five standard errors
    assert not facts.values_exact
    assert len(facts.values) <= 100
    assert facts.values[0] == (-1, 10_000)
    assert all(rows <= numbers.count(value) for value, rows in facts.values[:5])
    assert (facts.minimum, facts.maximum) == (-1, max(numbers))


def test_a_large_table_is_sampled_the_same_way_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiling, "SAMPLE_ROWS", 1000)
    rows = [{"x": float(n), "n": n, "s": str(n), "b": None, "d": None, "t": None} for n in range(10_000)]
    first, again = (profiled(rows, 2000).profile for _ in range(2))
    assert first == again
    assert 850 < first.sampled_rows < 1150
    middle = next(each for each in first.columns[1].quantiles if each.share == 0.5)
    assert int(middle.value) == pytest.approx(5000, abs=600)
    assert (first.columns[1].distinct, first.columns[1].maximum) == (10_000, "9999")


@given(st.text("09AZazß京- \n", max_size=45))
@settings(max_examples=50, deadline=None)
def test_shapes_say_what_signs_a_text_has(text: str) -> None:
    plain = "".join(
        "9" if c in "09" else "A" if c in "AZ" else "a" if c in "az" else {"ß": "x", "京": "字"}.get(c, c)
        for c in text
    )
    [found] = shapes(pa.array([text])).to_pylist()
    assert found == plain if len(plain) <= 40 else len(found) <= 40


@given(st.lists(st.from_regex(r"[A-Z]{2}-[0-9]{3,5}|[0-9]{4}年", fullmatch=True), min_size=1, max_size=8))
@settings(max_examples=25, deadline=None)
def test_a_pattern_matches_what_it_is_made_of(texts: list[str]) -> None:
    counted = Counter(shapes(pa.array(texts)).to_pylist())
    found = pattern_of(list(counted.items()), len(texts), 1.0)
    assert found is not None
    expression = re.compile(found.text.replace(r"\p{Han}", "[一-龥]"))
    assert all(expression.fullmatch(text) for text in texts if text.isascii() or "年" in text)


@pytest.mark.parametrize(
    "seen",
    [
        [],
        [("aaa", 5)],
        [("字字", 3), ("字字字", 3)],
        [(f"9{sign}9", 1) for sign in "-_/.:"],
        [("9" * 40, 9)],
    ],
)
def test_words_and_many_forms_are_no_pattern(seen: list[tuple[str, int]]) -> None:
    assert pattern_of(seen, sum(rows for _, rows in seen), 0.98) is None


def test_a_text_is_read_as_a_whole() -> None:
    texts = pa.array(["1", "1\n", " 1", "1.5", "-2e3", "2013-03-01", "2013-03-01T00:00:00Z"])
    assert readable_as(texts, FieldType.INTEGER).tolist() == [True, *[False] * 6]
    assert readable_as(texts, FieldType.NUMBER).tolist() == [True, False, False, True, True, False, False]
    assert readable_as(texts, FieldType.DATE).tolist() == [*[False] * 5, True, False]
    assert readable_as(texts, FieldType.TIMESTAMP).tolist() == [*[False] * 6, True]


def test_personal_identifiers_are_recognised() -> None:
    row: dict[str, Any] = {"x": None, "b": None, "d": None, "t": None}
    ids = ["11010519491231002X", "440524188001010014", "11010519491231002X", "110105194912310021"]
    rows = [row | {"n": 13800138000 + n, "s": text} for n, text in enumerate(ids)]
    columns = {each.field: each for each in profiled(rows).profile.columns}
    shares = {each.format: each.share for each in columns["s"].formats}
    assert shares[contract_pb2.TEXT_FORMAT_RESIDENT_ID] == 0.75, "one check digit is wrong"
    assert [each.format for each in columns["n"].formats] == [contract_pb2.TEXT_FORMAT_MOBILE_PHONE]


ROWS = 400
RELATED = TableSchema(
    (
        Column("id", FieldType.INTEGER),
        Column("line", FieldType.STRING),
        Column("stop", FieldType.INTEGER),
        Column("colour", FieldType.STRING),
        Column("opened", FieldType.DATE),
        Column("closed", FieldType.DATE),
        Column("state", FieldType.STRING),
        Column("seen", FieldType.TIMESTAMP),
    )
)


def related() -> Sample:
    rows = []
    for n in range(ROWS):
        opened = date(2020, 1, 1) + timedelta(days=n * 37 % 200)
        state = "closed" if n % 3 else "open"
        rows.append(
            {
                "id": n,
                "line": f"L{n % 4}",
                "stop": n // 4,
                "colour": ["red", "blue", "red", "green"][n % 4],
                "opened": opened,
                "closed": opened + timedelta(days=n % 5) if state == "closed" else None,
                "state": state,
                "seen": datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=n),
            }
        )
    table = pa.Table.from_pylist(rows, schema=arrow_schema(RELATED))
    distinct = {name: len(set(table.column(name).drop_null().to_pylist())) for name in RELATED.names}
    return Sample(table, RELATED, distinct, ROWS)


def test_keys_dependencies_and_orders_are_found() -> None:
    sample = related()
    found = sample.relations()
    assert found.keys[:3] == (("id",), ("seen",), ("line", "stop"))
    assert ("line", "colour") in found.dependencies
    assert ("colour", "line") not in found.dependencies, "red is of two lines"
    assert not {one for one, _ in found.dependencies} & {"id", "seen"}, (
        "what tells every row apart says nothing"
    )
    assert sample.mapping("line", "colour") == (("L0", "red"), ("L1", "blue"), ("L2", "red"), ("L3", "green"))
    assert found.ordered == (Ordered("opened", "closed"),)
    assert Present("state", ("closed",), "closed") in found.present
    assert set(sample.rising("seen", ("line",))) == {
        Rising("id", "seen", ("line",)),
        Rising("stop", "seen", ("line",)),
    }


def test_too_few_rows_have_no_relations() -> None:
    one = pa.table({"id": pa.array([1], pa.int64())})
    schema = TableSchema((Column("id", FieldType.INTEGER),))
    found = Sample(one, schema, {"id": 1}, 1).relations()
    assert (found.keys, found.dependencies, found.ordered, found.present) == ((), (), (), ())
