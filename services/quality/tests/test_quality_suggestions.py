"""What a profile speaks for, rule by rule."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st
from plaza.common.v1 import contract_pb2
from plaza.quality.v1 import profiles_pb2
from plaza_lake.expressions import parse_expression
from plaza_lake.fields import Column, FieldType, TableSchema
from plaza_lake.filter_text import parse_filter
from plaza_quality.domain.counting import Counts
from plaza_quality.domain.suggestions import MOST, Draft, fields_of, new_ones, threshold, told
from plaza_quality.domain.suggestions_columns import Subject, _outwards, of_column
from plaza_quality.domain.suggestions_tables import Seen, drafts

SHARES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
ROWS = 10_000


def column(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "field": name,
        "type": f"FIELD_TYPE_{kind.upper()}",
        "distinct": 500,
        "distinctExact": True,
        **more,
    }


def spread(*values: object) -> list[dict[str, Any]]:
    return [{"share": share, "value": str(value)} for share, value in zip(SHARES, values, strict=True)]


def drawn(*columns: dict[str, Any], contract: dict[str, Any] | None = None, **more: Any) -> dict[str, Draft]:
    """By kind of check, and for a second one with its fields."""
    profile = ParseDict({"rows": ROWS, "columns": list(columns)}, profiles_pb2.Profile())
    found = drafts(Seen(profile, ParseDict(contract or {}, contract_pb2.Contract()), **more))
    return {str(each.rule.WhichOneof("check")): each for each in found}


def field(name: str, kind: str = "NUMBER", **more: Any) -> contract_pb2.Field:
    return ParseDict({"name": name, "type": f"FIELD_TYPE_{kind}", **more}, contract_pb2.Field())


def checks(made: dict[str, Any], **described: Any) -> dict[str, contract_pb2.QualityRule]:
    subject = Subject(
        ParseDict(made, profiles_pb2.ColumnProfile()),
        field(made["field"], made["type"].removeprefix("FIELD_TYPE_"), **described),
        ROWS,
        in_key=False,
    )
    return {str(each.rule.WhichOneof("check")): each.rule for each in of_column(subject)}


def test_a_range_is_no_minimum_and_maximum() -> None:
    wide = column(
        "pm2_5", "number", minimum="2", maximum="99999", quantiles=spread(3, 3, 6, 20, 54, 110, 241, 368, 564)
    )
    found = checks(wide, unit="μg/m³")["range"].range
    assert (found.minimum, found.maximum) == (0, 1100)  # 54 + 2 × (564 - 54), outwards; nothing is below 0
    cold = column("temp", "number", quantiles=spread(-14, -8, -4, 3, 14, 23, 30, 34, 36))
    found = checks(cold)["range"].range
    assert (found.minimum, found.maximum) == (-42, 58)


@pytest.mark.parametrize(
    ("name", "described", "expected"),
    [
        ("hour", {}, (0, 23)),
        ("station_lat", {}, (-90, 90)),
        ("share", {"unit": "%"}, (0, 100)),
        ("x", {"title": "湿度"}, (0, 100)),
    ],
)
def test_what_the_thing_itself_cannot_leave(
    name: str, described: dict[str, str], expected: tuple[int, int]
) -> None:
    found = checks(column(name, "number", quantiles=spread(1, 1, 2, 3, 4, 5, 6, 7, 8)), **described)[
        "range"
    ].range
    assert (found.minimum, found.maximum) == expected


@given(st.floats(-1e15, 1e15).filter(lambda value: value == 0 or abs(value) > 1e-6))
def test_bounds_are_rounded_outwards_and_not_far(value: float) -> None:
    upper, lower = _outwards(value, 1), _outwards(value, -1)
    slack = abs(value) * 1e-9
    assert lower - slack <= value <= upper + slack
    assert upper - lower <= abs(value) / 9 + slack


def test_of_several_forms_the_one_that_says_most_is_told() -> None:
    listed = [{"codeList": "codeLists/x/versions/1", "matchingValues": "9", "share": 0.99}]
    ids = [{"format": "TEXT_FORMAT_RESIDENT_ID", "share": 0.97}]
    shapes = [{"value": "AA-999", "rows": "9990"}, {"value": "??", "rows": "10"}]
    everything = {"formats": ids, "codeLists": listed, "shapes": shapes}
    assert list(checks(column("a", "string", **everything))) == ["not_null", "in_code_list"]
    del everything["codeLists"]
    assert list(checks(column("a", "string", **everything))) == ["not_null", "format"]
    del everything["formats"]
    assert checks(column("a", "string", **everything))["pattern"].pattern.pattern == r"[A-Z]{2}\-[0-9]{3}"
    fixed = column("a", "string", lengths={"minimum": "6", "maximum": "6"})
    assert checks(fixed)["length"].length.maximum == 6
    assert list(checks(column("a", "string", lengths={"minimum": "1", "maximum": "6"}))) == ["not_null"]


def test_plain_numbers_are_no_telephones_unless_they_are_called_so() -> None:
    seen = {"formats": [{"format": "TEXT_FORMAT_PHONE", "share": 1.0}]}
    assert "format" not in checks(column("code", "string", **seen))
    assert "format" in checks(column("code", "string", **seen), title="联系电话")


def test_rare_values_are_no_part_of_a_list() -> None:
    values = [{"value": "N", "rows": "6000"}, {"value": "S", "rows": "3990"}, {"value": "s", "rows": "1"}]
    few = column("wd", "string", distinct=3, topValues=values, topValuesExact=True)
    assert list(checks(few)["in_list"].in_list.values) == ["N", "S"]
    assert "in_list" not in checks(few | {"topValuesExact": False})
    assert "in_list" not in checks(few | {"distinct": 51})


def test_nothing_is_said_that_a_load_says_already() -> None:
    contract = {
        "fields": [
            {"name": "id", "type": "FIELD_TYPE_INTEGER"},
            {"name": "n", "type": "FIELD_TYPE_INTEGER", "required": True},
        ],
        "key": ["id"],
    }
    found = drawn(
        column("id", "integer"), column("n", "integer"), contract=contract, keys=[("id",), ("id", "n")]
    )
    assert not {"not_null", "unique"} & set(found)
    assert "unique" in drawn(
        column("id", "integer"), column("n", "integer"), contract=contract, keys=[("n",)]
    )


def test_what_numbers_rows_has_no_bounds() -> None:
    number = column("no", "integer", quantiles=spread(1, 2, 3, 4, 5, 6, 7, 8, 9))
    assert "range" in drawn(number)
    found = drawn(number, rising=[("no", "time", ("station",))])
    assert "range" not in found
    assert found["monotone"].rule.monotone == contract_pb2.MonotoneCheck(
        field="no", ordered_by="time", within=["station"]
    )


def test_texts_of_rules_are_written_so_that_they_are_read_as_meant() -> None:
    schema = TableSchema(
        (Column("a", FieldType.STRING), Column("b", FieldType.DATE), Column("c", FieldType.INTEGER))
    )
    awkward = 'O\'Neil \\ "x"'
    found = drawn(
        present=[("a", (awkward, "y"), "b")],
        mappings={("a", "b"): [(awkward, date(2024, 2, 29)), ("y", date(2024, 3, 1))]},
    )
    when = parse_filter(found["conditional"].rule.conditional.when, schema)
    assert when is not None
    assert repr(awkward) in repr(when)
    parse_filter(found["conditional"].rule.conditional.then, schema)
    parse_expression(found["expression"].rule.expression.expression, schema)
    assert found["expression"].fields == ("a", "b")


def test_freshness_follows_the_promise() -> None:
    times = column("time", "timestamp", maximum="2017-02-28T15:00:00Z")
    assert "freshness" not in drawn(times)
    assert drawn(times, cycle=timedelta(hours=1))["freshness"].rule.freshness.field == "time"
    two = (times, column("other", "timestamp", maximum="2017-02-28T15:00:00Z"))
    assert "freshness" not in drawn(*two, cycle=timedelta(hours=1)), "which of them?"
    keyed = {"fields": [{"name": "other", "type": "FIELD_TYPE_TIMESTAMP"}], "key": ["other"]}
    assert drawn(*two, contract=keyed, cycle=timedelta(hours=1))["freshness"].rule.freshness.field == "other"


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([100], {"minimum": 1}),
        ([100, 110, 120], {"minimum": 1}),
        ([100, 104, 103, 108], {"growth_percent": 10, "loss_percent": 2}),
        ([100, 100, 100, 100], {"growth_percent": 1, "loss_percent": 1}),
        ([100, 10, 100, 10], {"growth_percent": 1000, "loss_percent": 100}),
    ],
)
def test_how_a_table_grows(history: list[int], expected: dict[str, int]) -> None:
    assert drawn(history=history)["row_count"].rule.row_count == contract_pb2.RowCountCheck(**expected)


@given(st.integers(0, 10**7), st.integers(0, 10**6))
def test_a_threshold_is_met_today_and_leaves_room(passed: int, failed: int) -> None:
    found = threshold(passed, failed)
    assert 0 <= found <= 100
    assert (found == 100) == (failed == 0)
    if failed and failed <= 0.1 * (passed + failed):
        assert passed / (passed + failed) * 100 >= found
        assert 100 - found >= 149 * failed / (passed + failed)


def test_what_is_contradicted_is_not_told_and_few_are() -> None:
    profile = {"rows": ROWS, "columns": [column(f"c{n}", "boolean") for n in range(2 * MOST)]}
    made = drafts(Seen(ParseDict(profile, profiles_pb2.Profile()), contract_pb2.Contract()))
    counts = [Counts(10_000 - 9 * n, 9 * n, 0) for n in range(len(made))]
    found = told(made, counts, 3)
    assert len(found) == MOST
    assert all(each.failed <= 0.1 * ROWS for each in found)
    assert [each.failed > 0 for each in found[:3]] == [True] * 3, "what finds something comes first"
    assert len({each.rule.id for each in found}) == MOST
    assert told(made[:1], [Counts(0, 0, ROWS)], 3) == [], "nothing was judged"


def test_rules_that_a_contract_has_are_not_suggested_again() -> None:
    made = list(drawn(column("x", "number", quantiles=spread(*range(1, 10))), keys=[("a", "b")]).values())
    found = told(made, [Counts(ROWS, 0, 0)] * len(made), 1)
    kinds = [each.rule.WhichOneof("check") for each in found]
    assert {"range", "not_null", "unique"} <= set(kinds)
    present = [
        contract_pb2.QualityRule(id="mine", range=contract_pb2.RangeCheck(field="x", maximum=5)),
        contract_pb2.QualityRule(id="both", unique=contract_pb2.UniqueCheck(fields=["b", "a"])),
        contract_pb2.QualityRule(id="x-not-null", range=contract_pb2.RangeCheck(field="y", maximum=5)),
    ]
    left = {each.rule.WhichOneof("check"): each.rule.id for each in new_ones(found, present)}
    assert "range" not in left
    assert "unique" not in left
    assert left["not_null"] == "x-not-null-2", "the id is taken"


def test_fields_of_every_kind_of_check() -> None:
    rule = contract_pb2.QualityRule
    fresh = contract_pb2.FreshnessCheck(field="t")
    fresh.within.seconds = 60
    assert fields_of(rule(freshness=fresh)) == ("t",)
    monotone = contract_pb2.MonotoneCheck(field="n", ordered_by="t", within=["s"])
    assert fields_of(rule(monotone=monotone)) == ("n", "t", "s")
    compared = contract_pb2.CompareCheck(left="a", right="b")
    assert fields_of(rule(compare=compared)) == ("a", "b")
    assert fields_of(rule(row_count=contract_pb2.RowCountCheck(minimum=1))) == ()
    assert fields_of(rule()) == ()
    assert math.isfinite(threshold(1, 1))
