"""From a committed version to its assessment, against a real PostgreSQL and a real lake."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plaza.common.v1 import grades_pb2
from plaza.quality.v1 import quality_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.db.inbox import ForeignEvent
from plaza_kit.grants import GrantRefused
from plaza_kit.identity import Principal
from plaza_kit.names import BadName
from plaza_kit.paging import BadPageToken
from plaza_kit.policy import Decider, NotPermitted, Resource
from plaza_kit.rpc.context import caller, set_caller
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_lake.versions import VersionNotFound
from plaza_quality.kernels import scan
from plaza_quality.storage import assessments
from plaza_quality.usecases.assessing import Assessing
from plaza_quality.usecases.events import BadEvent
from plaza_quality.usecases.reading import NotAssessedYet, UnknownVersion
from plaza_testing.callers import machine, person, service
from sqlalchemy import text

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Quality = Any
"""The fixture's class lives in conftest, which tests do not import."""
REAL = Path(__file__).parents[4] / "shared" / "data" / "beijing-air-quality"
POLICIES = Path(__file__).parents[2] / "security" / "plaza_security" / "policies"


def row(id: int, x: float | None = 1.0, n: int | None = 1, s: str | None = "a") -> dict[str, Any]:
    return {"id": id, "x": x, "n": n, "s": s}


HAS_X = {"id": "x-present", "dimension": "DIMENSION_COMPLETENESS", "notNull": {"field": "x"}}
X_SANE = {"id": "x-sane", "weight": 2, "range": {"field": "x", "minimum": 0, "maximum": 10}}
ONCE = {"id": "once", "dimension": "DIMENSION_UNIQUENESS", "unique": {"fields": ["n", "s"]}}


async def test_a_committed_version_is_assessed(quality: Quality, monkeypatch: pytest.MonkeyPatch) -> None:
    scans: list[Any] = []
    real = scan.judge_parts
    monkeypatch.setattr(scan, "judge_parts", lambda *args, **kept: scans.append(1) or real(*args, **kept))
    quality.rules(HAS_X, X_SANE, ONCE, contract_version=3)
    found = await quality.assessed(
        [
            row(1, 10.0, 1, "a"),
            row(2, 10.5, 1, "a"),
            row(3, None, None, None),
            row(4, math.nan, None, "a"),
            row(5, 0.0, None, "a"),
        ]
    )
    assert len(scans) == 1, "all rules are counted in one scan"
    assert found.name == f"{quality.name}/versions/1/assessment"
    assert (found.version, found.contract_version, found.rows) == (1, 3, 5)
    assert [r.rule for r in found.rules] == list(quality.peer.dataset.contract.rules)
    assert [(r.passed, r.failed, r.not_applicable, r.pass_rate, r.met) for r in found.rules] == [
        (4, 1, 0, 80, False),
        (2, 2, 1, 50, False),
        (2, 2, 1, 50, False),
    ]
    assert found.score == 57.5  # (80 + 2 × 50 + 50) / 4
    assert found.light == grades_pb2.LIGHT_RED
    assert [(d.dimension, d.score) for d in found.dimensions] == [
        (grades_pb2.DIMENSION_COMPLETENESS, 80),
        (grades_pb2.DIMENSION_UNIQUENESS, 50),
        (grades_pb2.DIMENSION_VALIDITY, 50),
    ]
    assert abs(found.create_time.ToSeconds() - time.time()) < 60
    assert quality.peer.asked == [("dataset", quality.name), ("grant", quality.name, 1)]


async def test_the_event_tells_of_it_once(quality: Quality) -> None:
    quality.rules(HAS_X, X_SANE)
    version = quality.commit([row(1), row(2), row(3, None)]).version
    event = quality.event(version)
    await quality.deliver(event)
    assert await quality.jobs() == [{"dataset": quality.name, "version": 1, "lock": quality.name}]
    await quality.deliver(event, event)  # the same again
    await quality.deliver(quality.event(version))  # and told anew
    assert len(await quality.jobs()) == 1
    await quality.work()
    first = await quality.get(version)
    quality.rules(X_SANE, contract_version=2)
    await quality.work()  # killed after the commit, so it runs again
    assert await quality.get(version) == first
    events = await quality.outbox()
    (opened,) = events[0][2]["work_orders"]
    assert opened.startswith(f"departments/{quality.name.split('/')[1]}/workOrders/")
    assert events == [
        (
            "city.plaza.quality.version.assessed.v1",
            f"{quality.name}/versions/1/assessment",
            {
                "dataset": quality.name,
                "version": 1,
                "score": "88.8888",  # (66.6… + 2 × 100) / 3
                "light": "red",
                "rows": 3,
                "contract_version": 1,
                "failed_rules": [{"id": "x-present", "failed": 1, "judged": 3, "met": False}],
                "work_orders": [opened],
                "stopped_sharing": [],
                "stopped_opening": [],
                "last_shared_version": 1,
            },
            "services/plaza-quality",
            ["catalogue", "ingestion", "security"],
        )
    ]


async def test_two_workers_make_one_assessment(quality: Quality, monkeypatch: pytest.MonkeyPatch) -> None:
    quality.rules(HAS_X)
    version = quality.commit([row(1)]).version
    await quality.deliver(quality.event(version))
    await quality.work()

    async def not_seen(*_: object) -> int:
        return 0

    monkeypatch.setattr(assessments, "number_of", not_seen)
    await quality.work()
    assert len(await quality.outbox()) == 1


async def test_without_applicable_rules_there_is_no_score(quality: Quality) -> None:
    made = await quality.assessed([row(1), row(2)])
    assert (made.rows, made.HasField("score"), made.light) == (2, False, grades_pb2.LIGHT_UNSPECIFIED)
    quality.rules(X_SANE)
    made = await quality.assessed([row(3)])
    assert made.score == 100
    quality.rules({"unique": {"fields": ["gone", "s"]}}, {"range": {"field": "s", "maximum": 1}})
    made = await quality.assessed([row(4)])
    assert (made.rows, made.HasField("score"), made.light) == (4, False, grades_pb2.LIGHT_UNSPECIFIED)
    assert [(r.not_applicable, r.met, list(r.absent_fields)) for r in made.rules] == [
        (4, True, ["gone"]),
        (4, True, ["s"]),
    ]
    assert not any(r.HasField("pass_rate") for r in made.rules)
    assert not made.dimensions
    events = [(data["score"], data["light"], data["rows"]) for _, _, data, _, _ in await quality.outbox()]
    assert events == [("", "", 2), ("100", "green", 3), ("", "", 4)]


async def test_a_rule_about_a_later_field(quality: Quality) -> None:
    """The rule is registered with a field that came with version 2; version 1 is assessed late."""
    wider = TableSchema((*quality.stage.schema.columns, Column("extra", FieldType.NUMBER)))
    quality.commit([row(1)])
    quality.commit([row(2) | {"extra": 1.0}, row(3) | {"extra": None}], wider)
    quality.rules({"notNull": {"field": "extra"}}, HAS_X)
    await quality.deliver(quality.event(1), quality.event(2))
    await quality.work()
    old, new = await quality.get(1), await quality.get(2)
    assert (old.rows, new.rows) == (1, 3)
    assert [list(r.absent_fields) for r in old.rules] == [["extra"], []]
    assert old.score == 100
    assert (new.rules[0].passed, new.rules[0].failed) == (1, 2)


async def test_counts_of_random_tables(quality: Quality) -> None:
    """Each example is one more version: the whole table is judged again."""
    quality.rules(HAS_X, X_SANE, ONCE)
    everything: list[dict[str, Any]] = []
    numbers = st.none() | st.sampled_from([math.nan, -1.0, 0.0, -0.0, 10.0, 10.1])
    tables = st.lists(
        st.tuples(numbers, st.none() | st.integers(0, 1), st.none() | st.sampled_from(["", "a"])),
        min_size=1,
        max_size=6,
    )
    examples: list[list[Any]] = []

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(tables)
    def collect(table: list[Any]) -> None:
        examples.append(table)

    collect()
    for table in examples:
        added = [row(len(everything) + i, x, n, s) for i, (x, n, s) in enumerate(table)]
        everything += added
        found = await quality.assessed(added)
        values = [r["x"] for r in everything]
        present = [x for x in values if x is not None]
        sane = sum(0 <= x <= 10 for x in present)
        pairs = [(r["n"], r["s"]) for r in everything if (r["n"], r["s"]) != (None, None)]
        assert [(r.passed, r.failed, r.not_applicable) for r in found.rules] == [
            (len(present), len(values) - len(present), 0),
            (sane, len(present) - sane, len(values) - len(present)),
            (len(set(pairs)), len(pairs) - len(set(pairs)), len(values) - len(pairs)),
        ]


async def test_pages_show_the_newest_version_first(quality: Quality, monkeypatch: pytest.MonkeyPatch) -> None:
    quality.rules(HAS_X, X_SANE)
    made = [await quality.assessed([row(number)]) for number in range(5)]

    async def pages(size: int) -> list[list[int]]:
        request, found = pb.ListAssessmentsRequest(parent=quality.name, page_size=size), []
        while True:
            answer = await quality.api.ListAssessments(request, RPC)
            assert all(item == made[item.version - 1] for item in answer.assessments)
            found.append([item.version for item in answer.assessments])
            request.page_token = answer.next_page_token
            if not answer.next_page_token:
                return found

    assert await pages(2) == [[5, 4], [3, 2], [1]]
    assert await pages(5) == await pages(0) == [[5, 4, 3, 2, 1]]
    monkeypatch.setattr(assessments, "PAGE_BYTES", 700)
    assert await pages(5) == [[5, 4], [3, 2], [1]]
    monkeypatch.setattr(assessments, "PAGE_BYTES", 1)
    assert await pages(5) == [[5], [4], [3], [2], [1]]
    with pytest.raises(BadPageToken):
        await quality.api.ListAssessments(pb.ListAssessmentsRequest(parent=quality.name, page_token="x"), RPC)
    other = quality.name.replace("/air", "/water")
    assert not (await quality.api.ListAssessments(pb.ListAssessmentsRequest(parent=other), RPC)).assessments


async def test_what_is_not_there_says_why(quality: Quality) -> None:
    quality.be("data-officer")
    with pytest.raises(UnknownVersion):
        await quality.get(1)
    await quality.deliver(quality.event(1))
    with pytest.raises(NotAssessedYet) as raised:
        await quality.get(1)
    assert raised.value.remedy == "ask again in some seconds"
    with pytest.raises(UnknownVersion):
        await quality.get(2)


async def test_a_refused_grant_leaves_nothing_behind(quality: Quality) -> None:
    quality.rules(HAS_X)
    quality.commit([row(1)])
    quality.peer.granter.audience = "sharing"  # the verifier still reads for quality
    await quality.deliver(quality.event(1))
    with pytest.raises(GrantRefused):
        await quality.work()
    with pytest.raises(NotAssessedYet):
        await quality.get(1)
    assert not await quality.outbox()


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "//plaza/quality"},
        {"source": "//plaza/ingestion/x"},
        {"version": 0},
        {"version": "1"},
        {"version": True},
        {"version": None},
        {"version": 10**9},
        {"dataset": "departments/d"},
    ],
)
async def test_an_event_must_say_what_its_type_promises(quality: Quality, changes: dict[str, Any]) -> None:
    event = quality.event(changes.pop("version", 1), **changes)
    with pytest.raises((BadEvent, BadName, ForeignEvent)):
        await quality.deliver(quality.event(1), event)
    assert not await quality.jobs(), "nothing of a refused delivery is kept"


class Cedar:
    """Security's real policies."""

    def __init__(self) -> None:
        texts = [(POLICIES / f"plaza.{kind}").read_text() for kind in ("cedar", "cedarschema")]
        self._decider = Decider(texts[0], texts[1], version="1")

    def authorize(self, action: str, resource: Resource, facts: Any = None) -> Principal:
        self._decider.authorize(caller(), action, resource, facts)
        return caller()


async def test_who_may_see_an_assessment(new_quality: Callable[..., Quality]) -> None:
    quality = new_quality(Cedar())
    department = quality.name.split("/")[1]
    inside = [person("reader", department), machine(department)]
    oversight = [person("auditor"), person("city-administrator")]
    elsewhere = [person("data-officer", "other"), machine("other")]
    nobody = [person("reader"), service("sharing")]

    async def sees() -> list[bool]:
        answers = []
        for principal in [*inside, *oversight, *elsewhere, *nobody]:
            set_caller(principal)
            try:
                await quality.get(1)
                await quality.api.ListAssessments(pb.ListAssessmentsRequest(parent=quality.name), RPC)
            except NotPermitted:
                answers.append(False)
                continue
            except UnknownVersion:
                pass
            answers.append(True)
        return answers

    within, all_departments = [True] * 4 + [False] * 4, [True] * 6 + [False] * 2
    assert await sees() == within, "before anything is known only the department itself may ask"
    set_sharing(quality, grades_pb2.SHARING_CLASS_CONDITIONAL)
    await quality.assessed([row(1)])
    assert await sees() == all_departments
    set_sharing(quality, grades_pb2.SHARING_CLASS_NOT_SHARED)
    await quality.assessed([row(2)])
    assert await sees() == within, "what the catalogue says now holds for the older versions too"


def set_sharing(quality: Quality, value: int) -> None:
    """`class` is a word of Python."""
    setattr(quality.peer.dataset.sharing, "class", value)


async def test_row_security_holds_departments_apart(quality: Quality) -> None:
    quality.rules(HAS_X)
    await quality.assessed([row(1)])
    tables = ("versions", "gradings", "assessments", "rule_results", "dimension_scores")
    for department, seen in (("other", False), (quality.name.split("/")[1], True)):
        async with quality.world.database.transaction(Scope.department(department)) as connection:
            for table in tables:
                found = await connection.execute(
                    text(f"SELECT 1 FROM {table} WHERE department = :d"), {"d": quality.name.split("/")[1]}
                )
                assert (found.first() is not None) == seen


async def test_the_missing_values_of_a_real_file(quality: Quality) -> None:
    source = REAL / "Aotizhongxin.csv"
    if not source.exists():
        pytest.skip(f"real data are not at {REAL}")
    with source.open(encoding="utf-8", newline="") as lines:
        cells = [record["PM2.5"] for record in csv.DictReader(lines)]
    missing = cells.count("NA")
    assert missing > 0
    quality.rules(HAS_X, {"unique": {"fields": ["id"]}, "dimension": "DIMENSION_UNIQUENESS"})
    found = await quality.assessed(
        [row(number, None if cell == "NA" else float(cell)) for number, cell in enumerate(cells)]
    )
    assert found.rows == len(cells) == 35_064
    assert (found.rules[0].failed, found.rules[0].passed) == (missing, len(cells) - missing)
    assert found.rules[1].failed == 0
    assert found.rules[0].pass_rate == pytest.approx(100 - 100 * missing / len(cells), abs=1e-4)


async def test_a_job_for_a_version_that_the_lake_does_not_know_fails(quality: Quality) -> None:
    quality.commit([row(1)])
    with pytest.raises(VersionNotFound):
        await Assessing(quality.world).assess(quality.name, 2)
