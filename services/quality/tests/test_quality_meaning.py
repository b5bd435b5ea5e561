"""Every check, row by row on the engine, against plain Python."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plaza_lake.access import Access
from plaza_lake.fields import Column, FieldType, TableSchema
from plaza_lake.judge import evaluated
from plaza_lake.judged import Judged
from plaza_lake.judgements import ROW_BITS, WORD, Plan
from plaza_lake.render import to_sql
from plaza_lake.row_bits import rows_in
from plaza_lake.schema import arrow_schema
from plaza_lake.versions import VersionInfo
from plaza_quality.domain.around import Around, CodeList
from plaza_quality.domain.checks import (
    Check,
    Compared,
    Comparison,
    Conditional,
    Expression,
    HasLength,
    InCodeList,
    InList,
    InRange,
    Matches,
    Monotone,
    NotFuture,
    NotNull,
    Unique,
)
from plaza_quality.kernels.hashing import Seeds
from plaza_quality.spark.judge import Answer, Group, judge_on_spark
from plaza_quality.spark.sent import Asked
from plaza_quality.spark.server import Spark
from plaza_quality.storage.rows import ByRow, prepared

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2024, 2, 29, 16, 30, tzinfo=UTC)
"""In Shanghai it is the first of March already."""
SCHEMA = TableSchema(
    (
        Column("x", FieldType.NUMBER),
        Column("y", FieldType.NUMBER),
        Column("n", FieldType.INTEGER),
        Column("s", FieldType.STRING),
        Column("b", FieldType.BOOLEAN),
        Column("d", FieldType.DATE),
        Column("t", FieldType.TIMESTAMP),
        Column("position", FieldType.INTEGER),
    )
)
CODES = ("a", "é", "𠀀", "1", "", "-9223372036854775808")
AROUND = Around(NOW, SHANGHAI, code_lists={("codeLists/c", False): CodeList("codeLists/c/versions/1", CODES)})

numbers = (
    st.none()
    | st.sampled_from([math.inf, -math.inf, math.nan, 0.0, -0.0, 0.5, 1e300, 1e-320])
    | st.floats(-3, 3)
)
integers = st.none() | st.sampled_from([2**63 - 1, -(2**63), 2**53 + 1, 0, 1]) | st.integers(-3, 3)
texts = st.none() | st.sampled_from(
    ["", " ", "a", "A", "ab", "a\nb", "é", "e\u0301", "𠀀", "𠀀a", "1", "%", "'", "NaN"]
)
days = st.none() | st.sampled_from(
    [date(2024, 2, 29), date(2024, 3, 1), date(2024, 3, 2), date(1, 1, 1), date(9999, 12, 31)]
)
moments = st.none() | st.sampled_from(
    [NOW, NOW + timedelta(microseconds=1), NOW - timedelta(microseconds=1), datetime(1900, 1, 1, tzinfo=UTC)]
)
rows = st.fixed_dictionaries(
    {
        "x": numbers,
        "y": numbers,
        "n": integers,
        "s": texts,
        "b": st.none() | st.booleans(),
        "d": days,
        "t": moments,
    }
)
tables = st.lists(rows, max_size=9)
names = st.sampled_from(["x", "y", "n", "s", "b", "d", "t"])
bounds = (
    st.none() | st.sampled_from([-0.0, 0.5, -1e300, 1e300, 2.0**63, -(2.0**63), 1e-320]) | st.floats(-3, 3)
)
keys = st.lists(names, min_size=1, max_size=3, unique=True).map(tuple)
spans = st.sampled_from([timedelta(0), timedelta(seconds=1), timedelta(hours=23), timedelta(days=1, hours=1)])
same = st.sampled_from(["xy", "xn", "nx", "nn", "ss", "bb", "dd", "tt", "yx"])
listed = st.one_of(
    st.builds(
        InList, st.just("s"), st.lists(texts.filter(bool), min_size=1, max_size=20, unique=True).map(tuple)
    ),
    st.builds(
        InList,
        st.just("n"),
        st.sampled_from([("1",), ("0", "-1", "9223372036854775807"), tuple(map(str, range(40)))]),
    ),
    st.builds(InList, st.just("b"), st.just(("true",))),
    st.builds(InList, st.just("d"), st.just(("2024-02-29", "0001-01-01"))),
    st.builds(InList, st.just("t"), st.just(("2024-02-29T16:30:00Z", "2024-03-01T00:30:00.000001+08:00"))),
)
checks: st.SearchStrategy[Check] = st.one_of(
    st.builds(NotNull, names),
    st.builds(InRange, st.sampled_from("xn"), bounds, bounds),
    keys.map(Unique),
    st.builds(HasLength, st.just("s"), st.integers(0, 2), st.none() | st.integers(0, 3)),
    st.builds(
        Matches,
        st.just("s"),
        st.sampled_from(["a", "a.b", "[a-z]+", "", ".", "..", "(?i)A", "a|ab", r"\p{Han}"]),
    ),
    listed,
    st.builds(InCodeList, st.sampled_from("sn"), st.just("codeLists/c"), st.just(False)),
    st.builds(
        lambda pair, how, tolerance: Compared(
            pair[0], how, pair[1], tolerance if set(pair) <= set("xyn") else 0.0
        ),
        same,
        st.sampled_from(Comparison),
        st.sampled_from([0.0, 0.5, 1e300]),
    ),
    st.sampled_from(
        [
            Conditional("", "x > 0"),
            Conditional("b = true", "n != null"),
            Conditional('s = "a"', "x >= 0 AND y >= 0"),
            Conditional("x > 0 OR y > 0", 's = ("a" OR "é" OR "𠀀")'),
            Conditional("NOT n = 1", 't <= "2024-02-29T16:30:00Z"'),
        ]
    ),
    st.builds(NotFuture, st.sampled_from("dt"), spans),
    st.builds(
        Monotone,
        st.sampled_from("xnsdt"),
        st.sampled_from("xnsdt"),
        st.sampled_from([(), ("s",), ("b", "x")]),
        st.booleans(),
        st.booleans(),
    ),
    st.sampled_from(
        [Expression("x > 0"), Expression("n + n > 0"), Expression("b"), Expression("length(s) > 1 AND b")]
    ),
)

Row = dict[str, Any]
Verdict = bool | None
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
LISTED: dict[str, Callable[[str], Any]] = {
    "s": str,
    "n": int,
    "b": lambda text: text == "true",
    "d": date.fromisoformat,
    "t": datetime.fromisoformat,
}


def total(value: Any) -> Any:
    """In the engine's order: NaN equals itself and is the greatest; texts by code points."""
    if isinstance(value, float):
        return (value != value, 0.0 if value != value else value)
    return value.encode() if isinstance(value, str) else value


def both(*parts: Verdict) -> Verdict:
    """AND of three values."""
    if False in parts:
        return False
    return None if None in parts else True


def compared(check: Compared, row: Row) -> Verdict:
    left, right = row[check.left], row[check.right]
    if left is None or right is None:
        return None
    if check.tolerance or {type(left), type(right)} == {int, float}:
        left, right = float(left), float(right)
    how = OPERATORS[check.comparison]
    plain = how(total(left), total(right))
    if not check.tolerance:
        return plain
    match check.comparison:
        case Comparison.EQUAL:
            return plain or total(abs(left - right)) <= total(check.tolerance)
        case Comparison.NOT_EQUAL:
            return plain and total(abs(left - right)) > total(check.tolerance)
        case Comparison.LESS | Comparison.LESS_OR_EQUAL:
            return plain or how(total(left), total(right + check.tolerance))
        case _:
            return plain or how(total(left + check.tolerance), total(right))


def conditional(check: Conditional, row: Row) -> Verdict:
    """The handful of conditions above, said in Python."""
    x, y, n, s, t = (row[name] for name in "xynst")
    above = {name: None if row[name] is None else total(row[name]) > total(0.0) for name in "xy"}
    match check.when:
        case "":
            return above["x"]
        case "b = true":
            return n is not None if row["b"] else None
        case 's = "a"':
            parts = (None if each is None else total(each) >= total(0.0) for each in (x, y))
            return both(*parts) if s == "a" else None
        case "x > 0 OR y > 0":
            applies = above["x"] or above["y"]
            return (None if s is None else s in ("a", "é", "𠀀")) if applies else None
        case _:
            return (None if t is None else t <= NOW) if n is not None and n != 1 else None


def expression(check: Expression, row: Row) -> Verdict:
    x, n, s, b = (row[name] for name in "xnsb")
    match check.text:
        case "x > 0":
            return None if x is None else total(x) > total(0.0)
        case "n + n > 0":
            return None if n is None or not -(2**63) <= n + n < 2**63 else n + n > 0
        case "b":
            return cast(Verdict, b)
        case _:
            return both(None if s is None else len(s) > 1, b)


def of_row(check: Check, row: Row) -> Verdict:
    """What the contract says of checks that look at a row alone."""
    match check:
        case NotNull(field):
            return row[field] is not None
        case Compared():
            return compared(check, row)
        case Conditional():
            return conditional(check, row)
        case Expression():
            return expression(check, row)
    value = row[check.field]  # type: ignore[union-attr]  # all others have one
    if value is None:
        return None
    match check:
        case InRange(_, minimum, maximum):
            inside = (minimum is None or value >= minimum) and (maximum is None or value <= maximum)
            return bool(value == value and inside)
        case HasLength(_, minimum, maximum):
            return minimum <= len(value) and (maximum is None or len(value) <= maximum)
        case Matches(_, pattern):
            if pattern == r"\p{Han}":
                return bool(value == "𠀀")
            return re.fullmatch(pattern, value) is not None
        case InList(field, values):
            return value in {LISTED[field](each) for each in values}
        case InCodeList():
            return str(value) in CODES
        case NotFuture(field, tolerance):
            last: Any = NOW + tolerance if field == "t" else date(2024, 3, 1) + timedelta(days=tolerance.days)
            return bool(value <= last)
    raise AssertionError(check)


def reference(check: Check, table: list[Row]) -> list[Verdict]:
    match check:
        case Unique(fields):
            seen = set()
            found: list[Verdict] = []
            for row in table:
                key = tuple(None if row[name] is None else total(row[name]) for name in fields)
                absent = all(part is None for part in key)
                found.append(None if absent else key not in seen)
                seen.add(key)
            return found
        case Monotone():
            return monotone(check, table)
    return [of_row(check, row) for row in table]


def monotone(check: Monotone, table: list[Row]) -> list[Verdict]:
    verdicts: list[Verdict] = [None] * len(table)
    placed = [number for number, row in enumerate(table) if row[check.ordered_by] is not None]
    last: dict[Any, Any] = {}
    for number in sorted(placed, key=lambda at: (total(table[at][check.ordered_by]), at)):
        value = table[number][check.field]
        if value is None:
            continue
        group = tuple(
            None if table[number][name] is None else total(table[number][name]) for name in check.within
        )
        now = total(value)
        before = last.get(group, now)
        if group not in last:
            verdicts[number] = True
        else:
            rises = now > before if not check.falling else now < before
            verdicts[number] = rises or (now == before and not check.strict)
        last[group] = now
    return verdicts


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": "1"}) as connection:
        connection.execute("SET TimeZone = 'America/New_York'")  # no meaning hangs on it
        yield connection


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows")


def planned(wanted: list[Check], table: list[Row], folder: Path, around: Around = AROUND) -> Plan:
    """Two files: what is said of a table must hold across them."""
    middle = len(table) // 2
    paths = []
    for number, part in enumerate((table[:middle], table[middle:])):
        path = folder / f"{number}.parquet"
        numbered = [row | {"position": at} for at, row in enumerate(part)]
        pq.write_table(pa.Table.from_pylist(numbered, schema=arrow_schema(SCHEMA)), path)
        paths.append(str(path))
    version = VersionInfo(1, 1, NOW, len(table), len(table), "b")
    access = Access(cast(Any, None), version, SCHEMA, SCHEMA, None, tuple(paths))
    tasks = [prepared(check, SCHEMA, around, cast(Any, None)) for check in wanted]
    assert all(isinstance(task, ByRow) for task in tasks)
    return Plan(access, tuple(cast(ByRow, task).judgement for task in tasks), {})


def verdicts(plan: Plan, engine: duckdb.DuckDBPyConnection) -> list[list[Verdict]]:
    """By judgement, the verdicts of the rows in order."""
    for name, texts_ in plan.tables().items():
        engine.register(name, texts_)
    query = to_sql(plan.judged().order_by("_position"))
    found = engine.execute(query).fetchall()
    by_rule = []
    for number in range(len(plan.judgements)):
        word, bit = divmod(number, WORD)
        masks = [(row[1 + 2 * word] >> bit & 1, row[2 + 2 * word] >> bit & 1) for row in found]
        assert all(judged or not failed for failed, judged in masks)
        by_rule.append([None if not judged else not failed for failed, judged in masks])
    return by_rule


@settings(max_examples=80, deadline=None)
@given(st.lists(checks, min_size=1, max_size=12), tables)
@example([InRange("x", 0, None), InRange("x", None, 0)], [{"x": math.nan}])
@example(
    [Compared("x", Comparison.EQUAL, "y", 0.5)],
    [{"x": math.inf, "y": math.inf}, {"x": math.inf, "y": math.nan}],
)
@example(
    [Unique(("x",)), Monotone("x", "x", (), False, True)],
    [{"x": 0.0}, {"x": -0.0}, {"x": math.nan}, {"x": math.nan}],
)
@example([Expression("n + n > 0")], [{"n": 2**63 - 1}, {"n": 1}])
def test_every_verdict_is_that_of_plain_python(
    engine: duckdb.DuckDBPyConnection, folder: Path, wanted: list[Check], table: list[Row]
) -> None:
    whole = [dict.fromkeys("xynsbdt") | row for row in table]
    plan = planned(wanted, whole, folder)
    for check, found in zip(wanted, verdicts(plan, engine), strict=True):
        assert found == reference(check, whole), check


@settings(max_examples=15, deadline=None)
@given(st.lists(checks, min_size=1, max_size=3), tables, st.integers(1, 3))
def test_counts_combinations_and_examples_follow_from_the_verdicts(
    engine: duckdb.DuckDBPyConnection, folder: Path, wanted: list[Check], table: list[Row], examples: int
) -> None:
    many = [wanted[number % len(wanted)] for number in range(64)]  # a bit more than a word has
    plan = planned(many, table, folder)
    found = evaluated(engine, plan, {}, examples, 100)
    by_rule = [reference(check, table) for check in wanted]
    expect_counts(found, [by_rule[number % len(wanted)] for number in range(64)], len(table))
    middle = len(table) // 2
    for number, each in enumerate(found.examples):
        failing = [at for at, verdict in enumerate(by_rule[number % len(wanted)]) if verdict is False]
        places = [(0, at) if at < middle else (1, at - middle) for at in failing[:examples]]
        assert [(plan.access.paths.index(place.file), place.row) for place in each] == places


@pytest.mark.integration
@settings(max_examples=30, deadline=None)
@given(st.lists(checks, min_size=1, max_size=12), tables)
@example([InRange("x", 0, None), InRange("x", None, 0)], [{"x": math.nan}])
@example(
    [Unique(("x",)), Monotone("x", "x", (), False, True)],
    [{"x": 0.0}, {"x": -0.0}, {"x": math.nan}, {"x": math.nan}],
)
@example(
    [Monotone("s", "s", (), True, False), Monotone("s", "t", ("b", "x"), False, True), Unique(("s", "b"))],
    [
        {"s": "𠀀"},
        {"s": "\uffff", "t": NOW},
        {"s": "é", "t": NOW, "x": math.nan},
        {"s": "é", "t": NOW, "x": math.nan},
    ],
)
@example([Expression("n + n > 0"), InCodeList("n", "codeLists/c", False)] * 33, [{"n": 2**63 - 1}, {"n": 1}])
def test_spark_says_what_plain_python_says(
    spark: Spark, folder: Path, wanted: list[Check], table: list[Row]
) -> None:
    whole = [dict.fromkeys("xynsbdt") | row for row in table]
    plan = planned(wanted, whole, folder)
    asked = [Asked(check, each, hashed=False) for check, each in zip(wanted, plan.judgements, strict=True)]
    group = Group((0, 1), tuple(range(len(wanted))), ())
    answer = judge_on_spark(spark, plan.access, {}, asked, [group], Seeds.drawn(), AROUND, str)
    assert sum(file.rows for file in answer.files.values()) == len(whole)
    for number, check in enumerate(wanted):
        assert told(answer, number) == reference(check, whole), check


def told(answer: Answer, task: int) -> list[Verdict]:
    """Over both files."""
    found: list[Verdict] = []
    for number, file in sorted(answer.files.items()):
        verdicts_: list[Verdict] = [True] * file.rows
        said = file.said[task]
        for bits, verdict in ((said.silent_bits, None), (said.failed_bits, False)):
            for row in [] if bits is None else rows_in(bits, file.rows).tolist():
                verdicts_[row] = verdict
        assert (said.failed, said.silent) == (verdicts_.count(False), verdicts_.count(None))
        for position in answer.failing.get(task, np.empty(0, np.int64)).tolist():
            if position >> ROW_BITS == number:
                assert verdicts_[position & ((1 << ROW_BITS) - 1)] is True
                verdicts_[position & ((1 << ROW_BITS) - 1)] = False
        found += verdicts_
    return found


def expect_counts(found: Judged, verdicts: list[list[Verdict]], rows: int) -> None:
    assert found.rows == rows
    assert found.passed == tuple(each.count(True) for each in verdicts)
    assert found.failed == tuple(each.count(False) for each in verdicts)
    failing = [tuple(n for n, each in enumerate(verdicts) if each[row] is False) for row in range(rows)]
    assert found.clean == failing.count(())
    together = {each: failing.count(each) for each in failing if each}
    assert dict(found.combinations) == together
    assert [rows for _, rows in found.combinations] == sorted(together.values(), reverse=True)


def test_a_table_without_rows(engine: duckdb.DuckDBPyConnection, folder: Path) -> None:
    plan = planned([NotNull("x"), Unique(("x",)), Monotone("x", "n", (), False, False)], [], folder)
    found = evaluated(engine, plan, {}, 3, 10)
    assert (found.rows, found.clean, found.passed, found.failed) == (0, 0, (0, 0, 0), (0, 0, 0))
    without_files = Plan(
        Access(cast(Any, None), plan.access.version, SCHEMA, SCHEMA, None, ()), plan.judgements, {}
    )
    assert evaluated(engine, without_files, {}, 3, 10) == found
