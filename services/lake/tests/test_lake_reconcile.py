"""Comparing two versions: by the engine over Parquet files, against plain Python; and what is made of differences."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plaza_lake.access import Access, ColumnNotGranted
from plaza_lake.comparing import SLACK, Comparison, Folding, Incomparable, Pair, add_functions
from plaza_lake.differences import Hint, PatternKind
from plaza_lake.fields import Column, FieldType, TableSchema
from plaza_lake.judge import Judged, evaluated
from plaza_lake.judgements import Agrees, Plan
from plaza_lake.matching import Sides
from plaza_lake.reconcile import Kind, Reconciled, explained_entries, reconciled
from plaza_lake.schema import arrow_schema
from plaza_lake.versions import VersionInfo

NOW = datetime(2024, 2, 29, 16, 30, tzinfo=UTC)
LEFT = TableSchema(
    (
        Column("id", FieldType.STRING),
        Column("part", FieldType.INTEGER),
        Column("x", FieldType.NUMBER),
        Column("n", FieldType.INTEGER),
        Column("s", FieldType.STRING),
        Column("t", FieldType.TIMESTAMP),
        Column("d", FieldType.DATE),
        Column("b", FieldType.BOOLEAN),
    )
)
RIGHT = TableSchema(tuple(Column(f"r_{each.name}", each.type) for each in LEFT.columns))
Row = dict[str, Any]


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": "1"}) as connection:
        add_functions(connection)
        connection.execute("SET TimeZone = 'America/New_York'")  # no meaning hangs on it
        yield connection


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sides")


def opened(folder: Path, name: str, schema: TableSchema, rows: Sequence[Row]) -> Access:
    """Two files: what is said of a side must hold across them."""
    middle = len(rows) // 2
    paths = []
    for number, part in enumerate((rows[:middle], rows[middle:])):
        path = folder / f"{name}{number}.parquet"
        pq.write_table(pa.Table.from_pylist(list(part), schema=arrow_schema(schema)), path)
        paths.append(str(path))
    version = VersionInfo(1, 1, NOW, len(rows), len(rows), "b")
    return Access(cast(Any, None), version, schema, schema, None, tuple(paths))


def compare(
    engine: duckdb.DuckDBPyConnection,
    folder: Path,
    left: Sequence[Row],
    right: Sequence[Row],
    comparison: Comparison,
    most: int = 1000,
) -> tuple[Reconciled, list[Row]]:
    """The result, and the kept differences explained."""
    right = [{f"r_{name}": value for name, value in row.items()} for row in right]
    sides = Sides.of(opened(folder, "l", LEFT, left), opened(folder, "r", RIGHT, right), comparison)
    with engine.cursor() as cursor:
        found = reconciled(cursor, sides, most)
        for (name,) in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            cursor.execute(f"DROP TABLE {name}")
        explained = explained_entries(cursor, sides, found.entries).to_pylist()
    return found, explained


# --- the reference -----------------------------------------------------------------------------------------------


def fold(text: str, how: Folding) -> str:
    if how.width:
        text = unicodedata.normalize("NFKC", text)
    if how.blanks:
        text = " ".join(text.split())
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text) if how.case else text


def normal(value: Any, pair: Pair, side: int, *, as_text: bool) -> Any:
    if value is None:
        return None
    if as_text and not isinstance(value, str):
        value = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    if side == 0 and pair.values:
        value = dict(pair.values).get(value, value)
    return fold(value, pair.folding) if isinstance(value, str) else value


def agree(left: Any, right: Any, pair: Pair) -> bool:
    if isinstance(left, datetime):
        return bool(abs(left - right) <= pair.within)
    if isinstance(left, date):
        return abs((left - right).days) <= pair.within.days
    if isinstance(left, int | float) and not isinstance(left, bool):
        if {type(left), type(right)} == {int, float}:
            left, right = float(left), float(right)
        if left == right or (left != left and right != right):
            return True
        if not pair.absolute and not pair.relative:
            return False
        left, right = float(left), float(right)
        if not (math.isfinite(left) and math.isfinite(right)):
            return False
        greater = max(abs(left), abs(right))
        return bool(abs(left - right) <= max(pair.absolute, pair.relative * greater) + SLACK * greater)
    return bool(left == right)


def reference(
    left: list[Row], right: list[Row], comparison: Comparison
) -> tuple[Counter[Any], list[Counter[str]]]:
    """How often which kind, `None` for agreement; by field how often which outcome."""

    def is_text(pair: Pair) -> bool:
        types = (LEFT.column(pair.left), RIGHT.column(pair.right))
        kinds = {each.type for each in types if each is not None}
        return bool(pair.values) or (len(kinds) == 2 and FieldType.STRING in kinds)

    def keys(rows: list[Row], side: int) -> list[Any]:
        found = []
        for row in rows:
            names = [(p, (p.left, p.right.removeprefix("r_"))[side]) for p in comparison.key]
            key = tuple(normal(row[name], p, side, as_text=is_text(p)) for p, name in names)
            found.append(None if None in key else key)
        return found

    kinds: Counter[Any] = Counter()
    fields: list[Counter[str]] = [Counter() for _ in comparison.fields]
    at: list[dict[Any, list[int]]] = [defaultdict(list), defaultdict(list)]
    for side, rows in enumerate((left, right)):
        for number, key in enumerate(keys(rows, side)):
            if key is None:
                kinds[(Kind.NO_KEY_LEFT, Kind.NO_KEY_RIGHT)[side]] += 1
            else:
                at[side][key].append(number)
    for key in {*at[0], *at[1]}:
        here, there = len(at[0][key]), len(at[1][key])
        if here > 1 or there > 1:
            kinds[Kind.REPEATED_LEFT if here > 1 else Kind.AMBIGUOUS_LEFT] += here
            kinds[Kind.REPEATED_RIGHT if there > 1 else Kind.AMBIGUOUS_RIGHT] += there
        elif not there:
            kinds[Kind.ONLY_LEFT] += 1
        elif not here:
            kinds[Kind.ONLY_RIGHT] += 1
        else:
            one, other = left[at[0][key][0]], right[at[1][key][0]]
            outcomes = []
            for counts, pair in zip(fields, comparison.fields, strict=True):
                a = normal(one[pair.left], pair, 0, as_text=is_text(pair))
                b = normal(other[pair.right.removeprefix("r_")], pair, 1, as_text=is_text(pair))
                outcome = (
                    "both_absent" if a is None and b is None
                    else "left_absent" if a is None
                    else "right_absent" if b is None
                    else "agreed" if agree(a, b, pair)
                    else "differing"
                )  # fmt: skip
                counts[outcome] += 1
                outcomes.append(outcome)
            if "differing" in outcomes:
                kinds[Kind.DIFFERING] += 1
            elif "agreed" in outcomes and not {"left_absent", "right_absent"} & set(outcomes):
                kinds[None] += 1
            else:
                kinds[Kind.INCOMPARABLE] += 1
    return +kinds, fields


# --- random tables -----------------------------------------------------------------------------------------------

texts = st.none() | st.sampled_from(
    ["", " ", "a", "A", "Ａ", "a b", "a　b ", " a  b", "1", "男", "女", "ﬁ", "é"]
)
rows = st.fixed_dictionaries(
    {
        "id": st.none() | st.sampled_from(["1", "a", "A", "Ａ", " a", "b", "c", "d", "e", "f"]),
        "part": st.none() | st.integers(0, 2),
        "x": st.none()
        | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, 1.1, 1e308, -1e308, 1000.0]),
        "n": st.none() | st.sampled_from([2**63 - 1, -(2**63), 2**53 + 1, 2**53, 0, 1, 2]),
        "s": texts,
        "t": st.none() | st.sampled_from([NOW, NOW + timedelta(hours=8), NOW + timedelta(microseconds=1)]),
        "d": st.none()
        | st.sampled_from([date(2024, 1, 2), date(2024, 2, 1), date(1, 1, 1), date(9999, 12, 31)]),
        "b": st.none() | st.booleans(),
    }
)
tables = st.lists(rows, max_size=8)
foldings = st.builds(Folding, st.booleans(), st.booleans(), st.booleans())
maps = st.sampled_from([(), (("1", "男"), ("a", "b")), (("true", "1"), ("2024-01-02", "a"), ("0", ""))])
key_pairs = st.one_of(
    st.builds(lambda how, values: Pair("id", "r_id", folding=how, values=values), foldings, maps),
    st.just(Pair("part", "r_part")),
    st.just(Pair("id", "r_part")),
    st.just(Pair("d", "r_d")),
)
amounts = st.sampled_from([0.0, 0.1, 1.0, 1e308])
field_pairs = st.one_of(
    st.builds(
        lambda names, absolute, relative: Pair(names[0], f"r_{names[1]}", absolute, relative),
        st.sampled_from(["xx", "xn", "nx", "nn"]),
        amounts,
        st.sampled_from([0.0, 0.1, 0.5]),
    ),
    st.builds(lambda how, values: Pair("s", "r_s", folding=how, values=values), foldings, maps),
    st.builds(lambda left, values: Pair(left, "r_s", values=values), st.sampled_from("nbd"), maps),
    st.builds(
        lambda name, within: Pair(name, f"r_{name}", within=within),
        st.sampled_from("td"),
        st.sampled_from([timedelta(0), timedelta(microseconds=1), timedelta(hours=8), timedelta(days=31)]),
    ),
    st.just(Pair("b", "r_b")),
)
comparisons = st.builds(
    lambda key, fields: Comparison(tuple(key), tuple(fields)),
    st.lists(key_pairs, min_size=1, max_size=2),
    st.lists(field_pairs, min_size=1, max_size=4),
)
EMPTY: Row = dict.fromkeys(LEFT.names)
NUMBERS = Comparison((Pair("id", "r_id"),), (Pair("x", "r_x", 0.1), Pair("n", "r_n", relative=0.5)))


@settings(max_examples=25, deadline=None)
@given(tables, tables, comparisons)
@example([], [], NUMBERS)
@example([EMPTY | {"id": "a", "x": math.inf}], [EMPTY | {"id": "a", "x": -math.inf}], NUMBERS)
@example([EMPTY | {"id": "a", "n": 2**63 - 1}], [EMPTY | {"id": "a", "n": -(2**63)}], NUMBERS)
@example([EMPTY | {"id": "a"}] * 2, [EMPTY | {"id": "a"}] * 3, NUMBERS)
@example([EMPTY | {"id": "a"}] * 2, [EMPTY | {"id": "a"}], NUMBERS)
def test_the_engine_finds_what_plain_python_finds(
    engine: duckdb.DuckDBPyConnection,
    folder: Path,
    left: list[Row],
    right: list[Row],
    comparison: Comparison,
) -> None:
    found, explained = compare(engine, folder, left, right, comparison)
    kinds, fields = reference(left, right, comparison)
    assert found.agreed == kinds.pop(None, 0)
    assert dict(found.kinds) == kinds
    for counts, expected in zip(found.fields, fields, strict=True):
        assert {name: getattr(counts, name) for name in counts.__slots__} == {
            name: expected[name] for name in counts.__slots__
        }
    assert (found.left_rows, found.right_rows) == (len(left), len(right))
    both = (*map(Kind, kinds.elements()),)
    assert sorted(both) == [row["kind"] for row in explained], "each one is listed, by kind"
    expect_values(explained, left, right, comparison)
    if not any(pair.values for pair in comparison.key + comparison.fields):
        by_row = verdicts(engine, folder, left, right, comparison)
        assert (by_row.passed, by_row.failed) == ((found.agreed,), (kinds[Kind.DIFFERING],)), (
            "a rule says the same"
        )


def verdicts(
    engine: duckdb.DuckDBPyConnection, folder: Path, left: list[Row], right: list[Row], comparison: Comparison
) -> Judged:
    """What a rule says of the left rows."""
    other = [{f"r_{name}": value for name, value in row.items()} for row in right]
    accesses = opened(folder, "l", LEFT, left), opened(folder, "r", RIGHT, other)
    plan = Plan(accesses[0], (Agrees("g", comparison),), {"g": accesses[1]})
    with engine.cursor() as cursor:
        return evaluated(cursor, plan, {}, 0, 10)


def expect_values(explained: list[Row], left: list[Row], right: list[Row], comparison: Comparison) -> None:
    """The values told are those that stand at the positions."""
    for row in explained:
        for side, rows, place in ((0, left, row["_lp"]), (1, right, row["_rp"])):
            if place is None:
                assert row[f"_r{side}_f0"] is None
                continue
            middle = len(rows) // 2
            own = rows[(place >> 40) * middle + (place & ((1 << 40) - 1))]
            for number, pair in enumerate(comparison.fields):
                name = (pair.left, pair.right.removeprefix("r_"))[side]
                told = row[f"_r{side}_f{number}"]
                assert told == own[name] or (told != told and own[name] != own[name])


@settings(max_examples=10, deadline=None)
@given(st.integers(-(10**6), 10**6), st.integers(-(10**4), 10**4), st.integers(0, 10**4), st.integers(0, 4))
@example(10, 1, 1, 1)  # 1.1 and 1.0 within 0.1
def test_a_tolerance_is_the_decimal_that_was_written(
    engine: duckdb.DuckDBPyConnection, folder: Path, at: int, apart: int, tolerance: int, places: int
) -> None:
    left, right, most = (Decimal(each).scaleb(-places) for each in (at, at + apart, tolerance))
    comparison = Comparison((Pair("id", "r_id"),), (Pair("x", "r_x", float(most)),))
    one, other = (EMPTY | {"id": "a", "x": float(each)} for each in (left, right))
    found, _ = compare(engine, folder, [one], [other], comparison)
    assert found.agreed == (abs(left - right) <= most)


# --- patterns ----------------------------------------------------------------------------------------------------


def side(name: str, values: Sequence[Any], **more: Any) -> list[Row]:
    return [EMPTY | {"id": str(at), name: value} | more for at, value in enumerate(values)]


def patterns_of(
    engine: duckdb.DuckDBPyConnection, folder: Path, name: str, pairs: Sequence[tuple[Any, Any]]
) -> dict[PatternKind, tuple[int, float | None]]:
    comparison = Comparison((Pair("id", "r_id"),), (Pair(name, f"r_{name}"),))
    left, right = ([pair[at] for pair in pairs] for at in (0, 1))
    found, _ = compare(engine, folder, side(name, left), side(name, right), comparison)
    return {each.kind: (each.rows, each.constant) for each in found.patterns}


@pytest.mark.parametrize(
    ("name", "pairs", "kind", "expected"),
    [
        ("x", [(float(n), n / 1000) for n in range(1, 9)], PatternKind.FACTOR, (8, 1000.0)),
        ("n", [(n, n * 10) for n in range(1, 9)], PatternKind.FACTOR, (8, 0.1)),
        ("x", [(n + 0.5, float(n)) for n in range(9)], PatternKind.OFFSET, (9, 0.5)),
        ("x", [(float(n), -float(n)) for n in range(1, 4)], PatternKind.SIGN, (3, None)),
        ("x", [(1.2345, 1.23), (2.0, 2.04)], PatternKind.ROUNDED, (2, None)),
        (
            "t",
            [(NOW + timedelta(hours=n + 8), NOW + timedelta(hours=n)) for n in range(6)],
            PatternKind.TIME_ZONE,
            (6, 8 * 3600.0),
        ),
        (
            "t",
            [(NOW + timedelta(hours=n, seconds=7), NOW + timedelta(hours=n)) for n in range(6)],
            PatternKind.OFFSET,
            (6, 7.0),
        ),
        ("d", [(date(2024, 1, 2), date(2024, 2, 1))], PatternKind.DAY_AND_MONTH, (1, None)),
        (
            "d",
            [(date(2024, 1, n + 1), date(2024, 1, n)) for n in range(13, 19)],
            PatternKind.OFFSET,
            (6, 1.0),
        ),
        ("s", [("007", "7"), ("0070", "70"), ("0", "00")], PatternKind.LEADING_ZEROS, (3, None)),
        ("s", [("Ａ１", "A1"), ("１", "1")], PatternKind.WIDTH, (2, None)),
        ("s", [("a b", "ab"), (" x", "x　")], PatternKind.BLANKS, (2, None)),
        ("s", [("Abc", "aBC")], PatternKind.CASE, (1, None)),
        ("s", [("Ａ b", "a  B")], PatternKind.WRITING, (1, None)),
        ("s", [("北京市东城区", "北京市")], PatternKind.CUT_OFF, (1, None)),
        ("s", [("1", "男")] * 6 + [("2", "女")] * 5, PatternKind.CODES, (11, None)),
    ],
)
def test_what_many_differences_have_in_common(
    engine: duckdb.DuckDBPyConnection,
    folder: Path,
    name: str,
    pairs: list[tuple[Any, Any]],
    kind: PatternKind,
    expected: tuple[int, float | None],
) -> None:
    assert patterns_of(engine, folder, name, pairs)[kind] == expected


@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        ("x", [(3.0, 1.5)]),
        ("x", [(3.0, 1.5)] * 20),
        ("x", [(1.0, 2.0), (5.0, 7.0), (1.0, 3.0)]),
        ("s", [("1", "男"), ("2", "女")]),
        ("s", [("1", "男")] * 6 + [("1", "女")] * 6),
        ("t", [(NOW, NOW + timedelta(hours=8))] * 9),
    ],
)
def test_no_constant_is_told_that_few_values_would_give_away(
    engine: duckdb.DuckDBPyConnection, folder: Path, name: str, pairs: list[tuple[Any, Any]]
) -> None:
    told = patterns_of(engine, folder, name, pairs)
    telling = {PatternKind.FACTOR, PatternKind.OFFSET, PatternKind.TIME_ZONE, PatternKind.CODES}
    assert not telling & set(told)


def test_columns_that_were_swapped(engine: duckdb.DuckDBPyConnection, folder: Path) -> None:
    texts = TableSchema(
        (Column("k", FieldType.STRING), Column("p", FieldType.STRING), Column("q", FieldType.STRING))
    )
    one = [{"k": str(n), "p": f"p{n}", "q": f"q{n}"} for n in range(3)]
    other = [row | {"p": row["q"], "q": row["p"]} for row in one]
    sides = Sides.of(
        opened(folder, "sl", texts, one),
        opened(folder, "sr", texts, other),
        Comparison((Pair("k", "k"),), (Pair("p", "p"), Pair("q", "q"))),
    )
    with engine.cursor() as cursor:
        swapped = reconciled(cursor, sides, 10).patterns
        for (name,) in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            cursor.execute(f"DROP TABLE {name}")
    assert [(each.field, each.kind, each.rows, each.other_field) for each in swapped] == [
        (0, PatternKind.SWAPPED, 3, 1),
        (1, PatternKind.SWAPPED, 3, 0),
    ]


def test_each_difference_has_its_hints(engine: duckdb.DuckDBPyConnection, folder: Path) -> None:
    comparison = Comparison(
        (Pair("id", "r_id"),), (Pair("s", "r_s", folding=Folding(blanks=True)), Pair("x", "r_x", 0.5))
    )
    left = side("s", [" 东城 ", "007"], x=1.0)
    right = side("s", ["东　城", "7"], x=-1.0)
    _, (first, second) = compare(engine, folder, left, right, comparison)
    assert (first["_r0_f0"], first["_n0_f0"], first["_r1_f0"], first["_n1_f0"]) == (
        " 东城 ",
        "东城",
        "东　城",
        "东 城",
    )
    assert Hint(first["_h0"]) == Hint.BLANKS
    assert Hint(second["_h0"]) == Hint.LEADING_ZEROS
    assert Hint(second["_h1"]) == Hint.SIGN


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "field", "word"),
    [
        (Pair("x", "r_x"), Pair("s", "r_s"), "no key"),
        (Pair("id", "r_id"), Pair("s", "r_x"), "no common form"),
        (Pair("id", "r_id"), Pair("t", "r_d"), "no common form"),
        (Pair("id", "r_id"), Pair("s", "r_s", absolute=1), "for numbers"),
        (Pair("id", "r_id"), Pair("x", "r_x", within=timedelta(1)), "days and moments"),
        (Pair("id", "r_id"), Pair("x", "r_x", folding=Folding(case=True)), "in texts"),
        (Pair("part", "r_part", absolute=1), Pair("s", "r_s"), "equal keys"),
        (Pair("id", "r_id"), Pair("s", "r_s", values=(("1", "a"), ("1", "b"))), "twice"),
    ],
)
def test_what_means_nothing_is_refused(folder: Path, key: Pair, field: Pair, word: str) -> None:
    with pytest.raises(Incomparable, match=word):
        Sides.of(opened(folder, "l", LEFT, []), opened(folder, "r", RIGHT, []), Comparison((key,), (field,)))


def test_a_column_that_is_not_granted_is_neither_key_nor_field(folder: Path) -> None:
    class Grant:
        columns = ("r_id", "r_s")

    whole = opened(folder, "r", RIGHT, [])
    right = Access(cast(Any, Grant), whole.version, RIGHT, RIGHT.select(["r_id", "r_s"]), None, whole.paths)
    left = opened(folder, "l", LEFT, [])
    for key, field in ((Pair("id", "r_id"), Pair("x", "r_x")), (Pair("part", "r_part"), Pair("s", "r_s"))):
        with pytest.raises(ColumnNotGranted):
            Sides.of(left, right, Comparison((key,), (field,)))


def test_only_so_many_are_told_one_by_one(engine: duckdb.DuckDBPyConnection, folder: Path) -> None:
    comparison = Comparison((Pair("id", "r_id"),), (Pair("x", "r_x"),))
    found, explained = compare(engine, folder, side("x", [1.0] * 9), side("x", [2.0] * 9), comparison, most=4)
    assert found.kinds == {Kind.DIFFERING: 9}
    assert len(explained) == 4
