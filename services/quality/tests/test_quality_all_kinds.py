"""Rules of all kinds from the contract to the answer, over a real lake; and what stands in their way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from plaza.catalogue.v1 import catalogue_pb2
from plaza.quality.v1 import quality_pb2 as pb
from plaza_kit.db import Scope
from plaza_lake.access import ColumnNotGranted
from plaza_lake.judge import judge
from plaza_lake.judged_rows import rows_at, verdicts
from plaza_lake.judgements import ByExpression, First
from plaza_lake.read import InvalidQuery
from plaza_lake.render import column
from plaza_lake.scan import RowFilterNotSupported
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_quality.storage.versions import Grading
from plaza_quality.usecases.ports import ListedCode
from sqlalchemy import text
from sqlglot import exp

pytestmark = pytest.mark.integration

Quality = Any
"""The fixture's class lives in conftest, which tests do not import."""


@pytest.fixture(params=["here", "spark"])
def anywhere(request: pytest.FixtureRequest, new_quality: Callable[..., Quality]) -> Quality:
    """The service without and with a Spark Connect server that judges all tables."""
    spark = request.getfixturevalue("spark") if request.param == "spark" else None
    return new_quality(spark=spark)


PEOPLE = TableSchema(
    (
        Column("id", FieldType.INTEGER),
        Column("card", FieldType.STRING),
        Column("code", FieldType.STRING),
        Column("begun", FieldType.TIMESTAMP),
        Column("ended", FieldType.TIMESTAMP),
        Column("born", FieldType.DATE),
        Column("score", FieldType.NUMBER),
    )
)
BEGUN = datetime(2024, 1, 1, tzinfo=UTC)


def person(id: int, **changes: Any) -> dict[str, Any]:
    whole = {
        "id": id,
        "card": "11010119900307803X",
        "code": "AB12",
        "begun": BEGUN + timedelta(hours=id),
        "ended": BEGUN + timedelta(hours=id + 1),
        "born": date(1990, 3, 7),
        "score": float(id),
    }
    return whole | changes


CARD = {"id": "card", "format": {"field": "card", "format": "TEXT_FORMAT_RESIDENT_ID"}}
LONG = {"id": "long", "length": {"field": "code", "minimum": 4, "maximum": 4}}
CODE = {"id": "code", "pattern": {"field": "code", "pattern": "[A-Z]{2}[0-9]{2}"}}
ORDER = {
    "id": "order",
    "indicator": "0305",
    "compare": {"left": "begun", "comparison": "COMPARISON_LESS", "right": "ended"},
}


def counts(found: pb.Assessment) -> dict[str, tuple[int, int, int]]:
    return {each.rule.id: (each.passed, each.failed, each.not_applicable) for each in found.rules}


def reasons(found: pb.Assessment) -> dict[str, str]:
    return {each.rule.id: each.reason for each in found.rules}


async def test_rows_indicators_and_what_breaks_together(anywhere: Quality) -> None:
    anywhere.rules(CARD, LONG, CODE, ORDER)
    found = await anywhere.assessed(
        [
            person(1),
            person(2, card="110101199003078030", code="ab12"),
            person(3, card="", code="abc", ended=BEGUN),
            person(4, card=None, code=None, ended=None),
            person(5, code="ABC", card="x"),
            person(6, code="ABC", card="x"),
        ],
        PEOPLE,
    )
    assert counts(found) == {"card": (1, 4, 1), "long": (2, 3, 1), "code": (1, 4, 1), "order": (4, 1, 1)}
    assert (found.rows, found.rows_passed, found.row_pass_rate) == (6, 2, 33.3333)
    assert [(list(each.rules), each.rows) for each in found.broken_together] == [
        (["card", "long", "code"], 2),
        (["card", "code"], 1),
        (["card", "long", "code", "order"], 1),
    ]
    assert [(each.indicator, each.numerator, each.denominator, each.value) for each in found.indicators] == [
        ("0302", 4, 15, 0.266666),
        ("0305", 1, 5, 0.2),
    ]
    assert [each.direction for each in found.indicators] == [
        pb.DIRECTION_HIGHER_IS_BETTER,
        pb.DIRECTION_LOWER_IS_BETTER,
    ]
    assert [each.indicator for each in found.rules] == ["0302", "0302", "0302", "0305"]


async def test_what_rules_are_held_against_stays_with_the_assessment(anywhere: Quality) -> None:
    other = anywhere.name.replace("/air", "/register")
    anywhere.commit([person(number) for number in (1, 2)], PEOPLE, other)
    anywhere.commit([person(3)], PEOPLE, other)
    codes = [ListedCode("AB12", "", ""), ListedCode("AB13", "", "2001")]
    anywhere.peer.code_lists["codeLists/c"] = ("codeLists/c/versions/2024", codes)
    anywhere.peer.dataset.contract.fields.add(name="code", code_list="codeLists/c")
    anywhere.rules(
        {"id": "known", "referential": {"fields": ["id", "card"], "dataset": other}},
        {"id": "listed", "inCodeList": {"field": "code"}},
        {"id": "current", "inCodeList": {"field": "code", "currentOnly": True}},
        {"id": "missing", "inCodeList": {"field": "code", "codeList": "codeLists/gone"}},
    )
    found = await anywhere.assessed(
        [person(1), person(2, card="x"), person(3, card=None, code="AB13"), person(9, code="-")], PEOPLE
    )
    assert counts(found) == {
        "known": (1, 2, 1),
        "listed": (3, 1, 0),
        "current": (2, 2, 0),
        "missing": (0, 0, 4),
    }
    assert [list(each.compared_with) for each in found.rules] == [
        [f"{other}/versions/2"],
        ["codeLists/c/versions/2024"],
        ["codeLists/c/versions/2024"],
        [],
    ]
    assert reasons(found)["missing"] == "code_list_missing"


async def test_a_rule_does_not_look_into_what_its_department_may_not_have(quality: Quality) -> None:
    closed, open_, nowhere = (
        f"departments/o{quality.name.split('/')[1]}/datasets/{x}" for x in ("a", "b", "c")
    )
    for name in (closed, open_):
        quality.commit([person(1)], PEOPLE, name)
    quality.peer.gradings = {
        closed: Grading("internal", "conditional"),
        open_: Grading("internal", "unconditional"),
    }
    quality.rules(
        *(
            {"id": name, "referential": {"fields": ["id"], "dataset": dataset}}
            for name, dataset in (("closed", closed), ("open", open_), ("nowhere", nowhere))
        ),
        {"id": "lacking", "referential": {"fields": ["id"], "dataset": open_, "otherFields": ["gone"]}},
    )
    found = await quality.assessed([person(1), person(2)], PEOPLE)
    assert counts(found) == {
        "closed": (0, 0, 2),
        "open": (1, 1, 0),
        "nowhere": (0, 0, 2),
        "lacking": (0, 0, 2),
    }
    assert reasons(found) == {
        "closed": "dataset_not_shared",
        "open": "",
        "nowhere": "dataset_missing",
        "lacking": "dataset_missing: gone",
    }
    assert ("grant", closed, 0) not in quality.peer.asked


async def test_accuracy_against_an_authoritative_source(anywhere: Quality) -> None:
    other = f"departments/{anywhere.name.split('/')[1]}/datasets/register"
    register = TableSchema(
        (
            Column("number", FieldType.INTEGER),
            Column("points", FieldType.NUMBER),
            Column("word", FieldType.STRING),
        )
    )
    rows = [(1, 1.05, " A"), (2, 9.0, "a"), (3, 3.0, None), (4, 1.0, "a"), (4, 1.0, "a")]
    anywhere.commit([dict(zip(register.names, row, strict=True)) for row in rows], register, other)
    agrees = {
        "dataset": other,
        "key": ["id"],
        "otherKey": ["number"],
        "fields": ["score", "code"],
        "otherFields": ["points", "word"],
        "absoluteTolerance": 0.05,
        "foldCase": True,
        "foldBlanks": True,
    }
    anywhere.rules(
        {"id": "right", "agreesWith": agrees},
        {"id": "lacking", "agreesWith": agrees | {"otherFields": ["points", "gone"]}},
        {"id": "odd", "agreesWith": agrees | {"otherFields": ["word", "points"]}},
    )
    found = await anywhere.assessed(
        [person(1, code="a"), person(2, code="a"), person(3), person(4), person(5), person(5)], PEOPLE
    )
    assert counts(found) == {"right": (1, 1, 4), "lacking": (0, 0, 6), "odd": (0, 0, 6)}
    assert reasons(found)["lacking"] == "dataset_missing: gone"
    assert reasons(found)["odd"].startswith("not_evaluable: score = word")
    assert list(found.rules[0].compared_with) == [f"{other}/versions/1"]
    (indicator,) = found.indicators
    assert (indicator.indicator, indicator.numerator, indicator.denominator) == ("0301", 1, 2)
    later = await anywhere.assessed([person(1, code="a")], PEOPLE)
    assert counts(later)["right"] == (0, 1, 6), "what is appended makes a key stand twice"


async def test_tables_against_the_version_before(anywhere: Quality) -> None:
    anywhere.peer.dataset.update_cycle = catalogue_pb2.UPDATE_CYCLE_DAILY
    anywhere.rules(
        {"id": "rows", "rowCount": {"minimum": 1, "growthPercent": 50}},
        {"id": "drift", "drift": {"field": "score", "limit": 0.2, "bins": 4}},
        {"id": "words", "drift": {"field": "code", "limit": 0.2}},
        {"id": "fresh", "freshness": {"field": "begun"}},
    )
    now = datetime.now(UTC)
    first = await anywhere.assessed([person(n, begun=now) for n in range(20)], PEOPLE)
    assert counts(first) == {"rows": (1, 0, 0), "drift": (0, 0, 1), "words": (0, 0, 1), "fresh": (1, 0, 0)}
    assert reasons(first)["drift"] == "version_before_missing"
    second = await anywhere.assessed([person(n, score=-1.0, begun=now) for n in range(11)], PEOPLE)
    assert counts(second) == {"rows": (0, 1, 0), "drift": (0, 1, 0), "words": (1, 0, 0), "fresh": (1, 0, 0)}
    before = [f"{anywhere.name}/versions/1"]
    assert [list(each.compared_with) for each in second.rules] == [before, before, before, []]
    rows, drift, *_ = second.rules
    assert (rows.measure.value, rows.measure.maximum, rows.measure.unit) == (31, 30, "rows")
    assert drift.measure.unit == "psi"
    assert drift.measure.value > drift.measure.maximum == 0.2
    assert (second.rows, second.rows_passed) == (31, 31), "no row breaks a rule about the table"


async def test_what_the_engine_cannot_evaluate_stops_no_other_rule(anywhere: Quality) -> None:
    anywhere.rules(
        {"id": "bad", "expression": {"expression": "card > begun - begun"}},
        CARD,
        {"id": "worse", "pattern": {"field": "code", "pattern": "(?=x)"}},
        {"id": "long", "inList": {"field": "id", "values": [str(number) for number in range(2, 40)]}},
        {"id": "good", "expression": {"expression": "length(code) = 4 AND id > 1"}},
        {"id": "text", "conditional": {"when": "card > 1 2", "then": "id > 0"}},
        {"id": "gone", "conditional": {"when": "gone > 1", "then": "id > 0"}},
    )
    found = await anywhere.assessed([person(1), person(2)], PEOPLE)
    assert counts(found) == {
        "bad": (0, 0, 2),
        "card": (2, 0, 0),
        "worse": (0, 0, 2),
        "long": (1, 1, 0),
        "good": (1, 1, 0),
        "text": (0, 0, 2),
        "gone": (0, 0, 2),
    }
    unsaid = reasons(found)
    assert all(unsaid[name].startswith("not_evaluable: ") for name in ("bad", "worse", "text"))
    assert (unsaid["card"], unsaid["good"]) == ("", "")
    assert list(found.rules[-1].absent_fields) == ["gone"]


async def test_an_assessment_of_before_is_still_read(quality: Quality) -> None:
    quality.rules(CARD)
    await quality.assessed([person(1)], PEOPLE)
    key = {"d": quality.name.split("/")[1]}
    async with quality.world.database.transaction(Scope.everything()) as connection:
        for statement in (
            "UPDATE assessments SET rows_passed = NULL, indicators = DEFAULT, broken_together = DEFAULT,"
            " size = DEFAULT WHERE department = :d",
            "UPDATE rule_results SET reason = DEFAULT, measure = DEFAULT, compared_with = DEFAULT,"
            " indicator = DEFAULT WHERE department = :d",
        ):
            await connection.execute(text(statement), key)
    found = await quality.get(1)
    assert not found.HasField("rows_passed")
    assert not found.HasField("row_pass_rate")
    assert (len(found.rules), found.score) == (1, 100)


def test_evidence_and_verdicts_come_by_the_one_read_path(quality: Quality) -> None:
    world, granter = quality.world, quality.peer.granter
    quality.commit([person(1), person(2, score=-1.0)], PEOPLE)
    quality.commit([person(3, score=-2.0), person(1)], PEOPLE)
    positive = ByExpression(exp.GT(this=column("score"), expression=exp.convert(0)))
    reading = (world.lake, world.grants)
    found = judge(*reading, granter(), [positive, First(("id",))], examples=1)
    assert (found.rows, found.clean, found.failed) == (4, 1, (2, 1))
    evidence = rows_at(
        *reading, granter(), [each for places in found.examples for each in places], ("id", "score")
    )
    assert evidence.column_names == ["file_name", "file_row", "id", "score"]
    assert sorted(evidence.column("id").to_pylist()) == [1, 2]
    [batch] = verdicts(*reading, granter(), [positive, First(("id",))], columns=("id",), failing_only=True)
    assert batch.to_pydict() == {
        "file_number": [0, 1, 1],
        "file_row": [1, 0, 1],
        "failed0": [1, 1, 2],
        "judged0": [3, 3, 3],
        "id": [2, 3, 1],
    }
    narrow = granter(columns=("id",), row_filter="score < 0")
    assert judge(*reading, narrow, [First(("id",))]).rows == 2
    for sneaking in (positive, First(("card",))):
        with pytest.raises(ColumnNotGranted):
            judge(*reading, narrow, [sneaking])
    with pytest.raises(ColumnNotGranted):
        rows_at(*reading, granter(columns=("id",)), [], ("card",))
    for telling in (
        lambda: judge(*reading, narrow, [First(("id",))], examples=1),
        lambda: rows_at(*reading, narrow, []),
        lambda: list(verdicts(*reading, narrow, [First(("id",))])),
    ):
        with pytest.raises(RowFilterNotSupported):
            telling()
    query = ByExpression(exp.Exists(this=exp.select("1").from_("t")))
    with pytest.raises(InvalidQuery):
        judge(*reading, granter(), [query])


def test_the_migrations_only_add() -> None:
    folder = Path(__file__).parents[1] / "plaza_quality" / "storage" / "migrations" / "versions"
    later = "".join(path.read_text() for path in sorted(folder.glob("*.py"))[1:])
    assert not {"DROP", "RENAME", "DELETE"} & set(later.split())
