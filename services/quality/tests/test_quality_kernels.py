"""Kernels against the engine's meaning of the same checks, which is held to plain Python elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plaza_lake.fields import Column, FieldType, TableSchema
from plaza_lake.judge import judge
from plaza_lake.render import to_sql
from plaza_lake.schema import arrow_schema
from plaza_quality.domain.around import Around, CodeList
from plaza_quality.domain.checks import (
    Check,
    Compared,
    Comparison,
    Expression,
    HasFormat,
    HasLength,
    InCodeList,
    InList,
    InRange,
    Matches,
    NotFuture,
    NotNull,
    TextFormat,
    Unique,
)
from plaza_quality.kernels.checks import kernel_of
from plaza_quality.kernels.columns import FAILS, PASSES, SILENT
from plaza_quality.kernels.hashing import Keys, hashed
from plaza_quality.kernels.repeated import KeyedRows, repeats_after, repetitions
from plaza_quality.storage.meaning.rows import row_verdict
from plaza_quality.storage.rows import ByRow, judged, prepared
from sqlglot import exp

NOW = datetime(2024, 2, 29, 16, 30, tzinfo=UTC)
AROUND = Around(NOW, ZoneInfo("Asia/Shanghai"))
SCHEMA = TableSchema(
    (
        Column("x", FieldType.NUMBER),
        Column("y", FieldType.NUMBER),
        Column("n", FieldType.INTEGER),
        Column("m", FieldType.INTEGER),
        Column("s", FieldType.STRING),
        Column("d", FieldType.DATE),
        Column("t", FieldType.TIMESTAMP),
    )
)
ARROW = arrow_schema(SCHEMA)

digits = "0123456789"
ids = st.text(digits, min_size=17, max_size=17).flatmap(
    lambda start: st.sampled_from([*(start + last for last in digits + "Xx"), start])
)
real_ids = st.builds(
    lambda region, born, serial: _with_check(f"{region}{born:%Y%m%d}{serial:03}"),
    st.sampled_from(["110101", "440300", "990101", "830000"]),
    st.dates(date(1000, 1, 1), date(2999, 12, 31)),
    st.integers(0, 999),
)
credit_codes = st.text("0123456789ABCDEFGHJKLMNPQRTUWXYIO", min_size=17, max_size=19) | st.sampled_from(
    ["91110000600037341L", "91110000600037341M", "9111000060003734IL", "91350100M000100Y43"]
)
texts = (
    st.none()
    | ids
    | real_ids
    | credit_codes
    | st.sampled_from(
        [
            *(
                "",
                " ",
                "a",
                "A",
                "ab",
                "a\nb",
                "é",
                "e\u0301",
                "𠀀",
                "𠀀a",
                "1",
                "NaN",
                "13800138000",
                "京A12345",
            ),
            *(
                "110101200002300002",
                "20000230",
                "a@b.cn",
                "http://a.cn/x",
                "1.2.3.4",
                "::1",
                "518000",
                "+1.50",
            ),
        ]
    )
    | st.text(max_size=4)
)
floats = st.none() | st.sampled_from([math.inf, -math.inf, math.nan, 0.0, -0.0, 1e300]) | st.floats(-3, 3)
integers = st.none() | st.sampled_from([2**63 - 1, -(2**63), 2**53 + 1, 0]) | st.integers(-3, 3)
rows = st.fixed_dictionaries(
    {
        "x": floats,
        "y": floats,
        "n": integers,
        "m": integers,
        "s": texts,
        "d": st.none() | st.sampled_from([date(2024, 3, day) for day in (1, 2)] + [date(1, 1, 1)]),
        "t": st.none()
        | st.sampled_from([NOW, NOW + timedelta(microseconds=1), datetime(1900, 1, 1, tzinfo=UTC)]),
    }
)
bounds = st.none() | st.sampled_from([-0.0, 0.5, -1e300, 2.0**63, -(2.0**63)]) | st.floats(-3, 3)
checks: st.SearchStrategy[Check] = st.one_of(
    st.builds(NotNull, st.sampled_from("xnsdt")),
    st.builds(InRange, st.sampled_from("xn"), bounds, bounds),
    st.builds(HasLength, st.just("s"), st.integers(0, 2), st.none() | st.integers(0, 3)),
    st.builds(
        Matches,
        st.just("s"),
        st.sampled_from(["a", "a.b", "[a-z]+", "", ".", "(?i)A", "a|ab", r"\p{Han}", "a$"]),
    ),
    st.builds(InList, st.just("s"), st.lists(texts.filter(lambda t: t is not None), min_size=1).map(tuple)),
    st.builds(
        Compared,
        st.sampled_from("xn"),
        st.sampled_from(Comparison),
        st.just("y"),
    ).map(lambda check: Compared(check.left, check.comparison, "y" if check.left == "x" else "m")),
    st.builds(NotFuture, st.sampled_from("dt"), st.sampled_from([timedelta(0), timedelta(days=1, hours=1)])),
    st.builds(HasFormat, st.just("s"), st.sampled_from(TextFormat)),
)


def _with_check(start: str) -> str:
    """A resident id's 17 digits with the right check character (ISO 7064 MOD 11-2)."""
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(start))
    return start + "0123456789X"[(1 - total) % 11]


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": "1"}) as connection:
        yield connection


def encodings(table: pa.Table) -> Iterator[pa.Table]:
    """The same rows as files may bring them."""
    place = table.schema.get_field_index("s")
    yield table
    yield table.set_column(place, "s", table.column("s").dictionary_encode())
    if len(table):
        # Arrays that begin in the middle of their buffers.
        doubled = pa.concat_tables([table.slice(0, 1), table]).combine_chunks()
        yield doubled.slice(1)
        yield pa.concat_tables([doubled.slice(1, 1), doubled.slice(2)])


@settings(max_examples=300, deadline=None)
@given(check=checks, table=st.lists(rows, max_size=8))
@example(check=HasFormat("s", TextFormat.RESIDENT_ID), table=[{"s": "11010120000229001X"}, {"s": None}])
@example(check=InRange("n", None, 2.0**63), table=[{"n": 2**63 - 1}])
@example(check=InRange("n", -(2.0**63), None), table=[{"n": -(2**63)}])
def test_a_kernel_says_what_the_engine_says(
    engine: duckdb.DuckDBPyConnection, check: Check, table: list[dict[str, Any]]
) -> None:
    kernel = kernel_of(check, SCHEMA, AROUND)
    if kernel is None:
        assert isinstance(check, HasFormat), "all others here have one"
        return
    whole = pa.Table.from_pylist([dict.fromkeys(SCHEMA.names) | row for row in table], ARROW)
    expression = row_verdict(check, SCHEMA, AROUND)
    assert expression is not None
    engine.register("part", whole)
    answer = engine.execute(to_sql(exp.select(expression).from_("part"))).fetchall()
    expected = [{None: SILENT, True: PASSES, False: FAILS}[value] for (value,) in answer]
    for rows_ in encodings(whole):
        assert kernel.judge(rows_).tolist() == expected, check


@settings(deadline=None)
@given(
    table=st.lists(rows, max_size=12), names=st.lists(st.sampled_from(SCHEMA.names), min_size=1, unique=True)
)
def test_hashes_are_equal_exactly_where_the_values_are(table: list[dict[str, Any]], names: list[str]) -> None:
    whole = pa.Table.from_pylist(table, ARROW)

    def same(value: Any) -> Any:
        if isinstance(value, float):
            return "NaN" if math.isnan(value) else value + 0.0
        return value

    keys = [tuple(same(row[name]) for name in names) for row in table]
    for rows_ in encodings(whole):
        found = hashed([rows_.column(name) for name in names], np.uint64(7)).tolist()
        assert [a == b for a in keys for b in keys] == [a == b for a in found for b in found]


@given(keys=st.lists(st.integers(0, 5), max_size=20), parts=st.integers(1, 4), weak=st.booleans())
def test_all_but_the_first_of_each_key_repeat(keys: list[int], parts: int, weak: bool) -> None:
    """Also where one half of the hash collides (`weak`); 0 is no key."""
    hashes = np.array(keys, np.uint64) << np.uint64(60)
    one = np.zeros_like(hashes) if weak else hashes
    cuts = sorted({0, len(keys), *(len(keys) * part // parts for part in range(1, parts))})
    given_parts = [KeyedRows(1000 + a, Keys(one[a:b], hashes[a:b])) for a, b in pairwise(cuts)]
    expected = [1000 + place for place, key in enumerate(keys) if key and key in keys[:place]]
    assert repetitions(given_parts).tolist() == expected


@given(keys=st.lists(st.integers(0, 5), max_size=20), cut=st.integers(0, 20), weak=st.booleans())
def test_new_keys_are_found_among_the_old(keys: list[int], cut: int, weak: bool) -> None:
    """As if all were looked at."""
    hashes = np.array(keys, np.uint64) << np.uint64(60)
    one = np.zeros_like(hashes) if weak else hashes
    everywhere = repetitions([KeyedRows(0, Keys(one, hashes))])
    found = repeats_after([Keys(one[:cut], hashes[:cut])], [KeyedRows(cut, Keys(one[cut:], hashes[cut:]))])
    assert found.tolist() == [place for place in everywhere.tolist() if place >= cut]


@pytest.mark.integration
async def test_a_scan_by_kernels_finds_what_the_engine_finds(quality: Any) -> None:
    """Two files; rules by kernel, by the engine part by part, and by keys; more than one word of them."""
    schema = TableSchema(
        (
            Column("id", FieldType.INTEGER),
            Column("x", FieldType.NUMBER),
            Column("n", FieldType.INTEGER),
            Column("s", FieldType.STRING),
        )
    )
    wanted: list[Check] = [
        *(InRange("x", bound / 10, None) for bound in range(60)),
        NotNull("s"),
        HasFormat("s", TextFormat.DATE),
        Unique(("n", "s")),
        Unique(("s",)),
        Matches("s", "a.*"),
        InCodeList("s", "codeLists/c", False),
        Expression("x > n"),
    ]
    around = Around(
        NOW, AROUND.zone, code_lists={("codeLists/c", False): CodeList("codeLists/c/versions/1", ("a", ""))}
    )
    for part in range(2):
        quality.commit(
            [
                {
                    "id": at,
                    "x": at / 3 if at % 5 else None,
                    "n": at % 4,
                    "s": [None, "a", "ab", "2024-02-30", ""][at % 5],
                }
                for at in range(part * 17, 40)
            ]
        )
    token = quality.peer.granter(dataset=quality.name, version=2, purpose="assess")
    reading = (quality.world.lake, quality.world.grants)
    judgements = [prepared(check, schema, around, reading) for check in wanted]
    assert all(isinstance(each, ByRow) for each in judgements)
    found = judged(*reading, token, wanted, around).found
    by_engine = judge(*reading, token, [each.judgement for each in judgements])  # type: ignore[union-attr]  # ByRow
    assert found.failed == by_engine.failed
    passed = tuple(63 - bad - silent for bad, silent in zip(found.failed, found.silent, strict=True))
    assert passed == by_engine.passed
    assert (found.rows, found.clean, found.together) == (63, by_engine.clean, by_engine.combinations)
    assert found.failed[63] > 0
