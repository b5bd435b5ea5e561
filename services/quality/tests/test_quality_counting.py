"""What a version lacks, and what a text does not mean, is found before any row is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_quality.domain.around import Around, Silence
from plaza_quality.domain.checks import (
    Check,
    Compared,
    Comparison,
    Conditional,
    Drift,
    Expression,
    Fresh,
    HasFormat,
    HasLength,
    InCodeList,
    InList,
    InRange,
    Matches,
    Monotone,
    NotFuture,
    NotNull,
    Refers,
    RowCount,
    TextFormat,
    Unique,
)
from plaza_quality.domain.fitting import absent_fields, unreadable
from plaza_quality.storage.rows import prepared

SCHEMA = TableSchema(
    (
        Column("x", FieldType.NUMBER),
        Column("n", FieldType.INTEGER),
        Column("s", FieldType.STRING),
        Column("b", FieldType.BOOLEAN),
        Column("t", FieldType.TIMESTAMP),
    )
)
AROUND = Around(datetime(2024, 1, 1, tzinfo=UTC), ZoneInfo("Asia/Shanghai"))
NO_TIME = timedelta(0)


@pytest.mark.parametrize(
    ("check", "absent"),
    [
        (NotNull("y"), ("y",)),
        (NotNull("s"), ()),
        (Unique(("x", "y", "z")), ("y", "z")),
        (InRange("y", 0, 1), ("y",)),
        (InRange("s", 0, 1), ("s",)),
        (InRange("n", 0, 1), ()),
        (HasFormat("n", TextFormat.URL), ("n",)),
        (HasLength("s", 1, None), ()),
        (Matches("x", "a"), ("x",)),
        (InList("x", ("1",)), ("x",)),
        (InList("b", ("true",)), ()),
        (InCodeList("b", "codeLists/c", False), ("b",)),
        (Compared("x", Comparison.LESS, "n"), ()),
        (Compared("x", Comparison.LESS, "s"), ("s",)),
        (Compared("s", Comparison.LESS, "s", 1.0), ("s",)),
        (Conditional("x > 1", "y > 1"), ("y",)),
        (Refers(("n", "y"), "departments/a/datasets/b", ("n", "y")), ("y",)),
        (NotFuture("s", NO_TIME), ("s",)),
        (Monotone("b", "t", ("y",), False, False), ("b", "y")),
        (Fresh("t", None, NO_TIME), ()),
        (Drift("y", 0.1, 0), ("y",)),
        (RowCount(1, None, None, None), ()),
    ],
)
def test_fields_that_a_version_lacks(check: Check, absent: tuple[str, ...]) -> None:
    assert absent_fields(check, SCHEMA) == absent


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (Conditional("x >", "n > 1"), "filter"),
        (Conditional("", 'x = "a"'), "filter"),
        (Expression("getenv('HOME') = s"), "the function getenv is not allowed"),
        (Expression("y > 1"), "unknown field 'y'"),
        (Conditional("b = true", "x > 1"), ""),
        (Expression("b AND x > 1"), ""),
    ],
)
def test_texts_that_mean_nothing_here(check: Check, said: str) -> None:
    found = unreadable(check, SCHEMA)
    assert said in found
    assert bool(found) == bool(said)
    assert not found or found.startswith(f"{Silence.NOT_EVALUABLE}: ")


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (InCodeList("s", "codeLists/c", False), Silence.CODE_LIST_MISSING),
        (Refers(("n",), "departments/a/datasets/b", ("n",)), Silence.DATASET_MISSING),
        (Drift("x", 0.1, 0), Silence.VERSION_BEFORE_MISSING),
    ],
)
def test_what_is_not_there_to_compare_with(check: Check, reason: Silence) -> None:
    assert prepared(check, SCHEMA, AROUND, cast(Any, None)) == reason
