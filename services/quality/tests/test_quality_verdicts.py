"""A verdict for every row: what is found step by step is what is found at once, and what plain Python says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plaza.common.v1 import contract_pb2
from plaza.quality.v1 import verdicts_pb2 as pb
from plaza.quality.v1 import work_orders_pb2
from plaza_kit.policy import NotPermitted
from plaza_kit.rpc.context import set_caller
from plaza_lake import verdict_files
from plaza_lake.access import open_grant
from plaza_lake.compaction import CompactionPolicy, compact
from plaza_lake.filter_text import parse_filter
from plaza_lake.overwrite import LoadMode
from plaza_lake.read import RowQuery, read_rows
from plaza_lake.row_bits import rows_in
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_lake.verdict_files import Side, Verdicts, column_of
from plaza_lake.verdicts import JudgedSchema, NotAssessed, UnknownRule, VerdictNotGranted
from plaza_lake.write import commit_batch
from plaza_quality.domain.around import Around, CodeList
from plaza_quality.domain.checks import (
    Check,
    Compared,
    Comparison,
    Conditional,
    Expression,
    Fresh,
    HasLength,
    InCodeList,
    InRange,
    Monotone,
    NotFuture,
    NotNull,
    RowCount,
    Unique,
)
from plaza_quality.rpc.verdicts import VerdictServicer
from plaza_quality.rpc.work_orders import WorkOrderServicer
from plaza_quality.spark.server import Spark
from plaza_quality.storage import judging, rows, verdict_documents
from plaza_quality.storage.rows import Outcome, judged
from plaza_quality.usecases.assessing import Assessing
from plaza_testing.callers import person

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Quality = Any
"""The fixture's class lives in conftest, which tests do not import."""
NOW = datetime(2024, 2, 29, 16, 30, tzinfo=UTC)
KEYED = TableSchema(
    (
        Column("id", FieldType.INTEGER, required=True),
        Column("x", FieldType.NUMBER),
        Column("n", FieldType.INTEGER),
        Column("s", FieldType.STRING),
        Column("t", FieldType.TIMESTAMP),
    ),
    ("id",),
)
CHECKS: list[Check] = [
    NotNull("x"),
    InRange("x", 0, 10),
    Unique(("n", "s")),
    HasLength("s", 1, 2),
    InCodeList("s", "codeLists/c", False),
    NotFuture("t", timedelta(0)),
    Monotone("n", "t", (), False, False),
    Compared("x", Comparison.LESS, "n"),
    Expression("x > n"),
    Conditional("n = 1", "x != null"),
    Unique(("s",)),
    Fresh("t", timedelta(days=1), timedelta(0)),
    RowCount(1, None, None, None),
]
ids = st.integers(0, 9)
records = st.fixed_dictionaries(
    {
        "x": st.none() | st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 5.0, 11.0]),
        "n": st.none() | st.integers(0, 2),
        "s": st.none() | st.sampled_from(["", "a", "b", "𠀀", "e\u0301", "abc"]),
        "t": st.none() | st.sampled_from([NOW + timedelta(hours=hours) for hours in (-1, 0, 1, 30)]),
    }
)
loads = st.dictionaries(ids, records, min_size=1, max_size=4)
steps = st.one_of(
    st.tuples(st.just("append"), loads),
    st.tuples(st.just("upsert"), loads),
    st.tuples(st.just("replace"), loads),
    st.tuples(st.just("compact"), st.none()),
    st.tuples(st.just("rules"), st.sets(st.integers(0, len(CHECKS) - 1), min_size=1)),
    st.tuples(st.just("codes"), st.sampled_from([("a",), ("a", "b"), ("",)])),
    st.tuples(st.just("later"), st.sampled_from([1, 40])),
)


@dataclass
class World:
    """A table, its rules and its surroundings, as steps change them."""

    quality: Quality
    name: str
    checks: list[Check] = field(default_factory=lambda: list(CHECKS))
    codes: tuple[str, ...] = ("a", "b")
    moment: datetime = NOW
    known: Verdicts | None = None
    fresh: int = 100
    """Keys that no row has yet."""

    def around(self) -> Around:
        listed = CodeList(f"codeLists/c/versions/{len(self.codes)}", self.codes)
        return Around(self.moment, ZoneInfo("Asia/Shanghai"), code_lists={("codeLists/c", False): listed})

    def load(self, mode: LoadMode, rows: Mapping[int, dict[str, Any]]) -> None:
        taken = []
        for id_, row in rows.items():
            self.fresh += 1
            taken.append({"id": self.fresh if mode is LoadMode.APPEND and id_ % 2 else id_} | row)
        files = [self.quality.stage(taken, KEYED)]
        commit_batch(self.quality.world.lake, self.name, KEYED, f"b{self.fresh}", files, mode=mode)

    def judge(self, before: Verdicts | None, spark: Spark | None = None) -> tuple[Outcome, Verdicts]:
        token = self.quality.peer.granter(dataset=self.name, purpose="assess")
        lake, grants = self.quality.world.lake, self.quality.world.grants
        outcome = judged(lake, grants, token, self.checks, self.around(), before, keep=True, spark=spark)
        rules = [(contract_pb2.QualityRule(id=f"r{n}"), check) for n, check in enumerate(self.checks)]
        return outcome, verdict_documents.document(outcome, rules, number=1, rule_set=1, moment=self.moment)

    def bits(self, verdicts: Verdicts) -> dict[tuple[int, str, Side], list[int]]:
        """The rows of each file for which a judge has a bit."""
        found = {}
        lake = self.quality.world.lake
        for number, file in enumerate(verdicts.files):
            for hash_, said in zip(verdicts.judges, file.judges, strict=True):
                for side, count in ((Side.FAILED, said.failed), (Side.SILENT, said.silent)):
                    rows: list[int] = []
                    if count:
                        uri = verdict_files.object_address(lake, self.name, said.bits)
                        column = column_of(side, hash_)
                        rows = rows_in(
                            verdict_files.read_bits(lake.files, uri, [column])[column], file.rows
                        ).tolist()
                    assert len(rows) == count
                    found[number, hash_, side] = rows
        return found


@pytest.mark.parametrize(("where", "examples"), [("here", 10), ("spark", 3)])
def test_step_by_step_is_at_once(
    quality: Quality,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    where: str,
    examples: int,
) -> None:
    """After whatever happened to table, rules, code lists and clock; on Spark, too, now and then."""
    runs = iter(range(10**6))
    there = request.getfixturevalue("spark") if where == "spark" else None

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        first=loads,
        what=st.lists(steps, min_size=2, max_size=6),
        few_kinds=st.booleans(),
        many_keys=st.booleans(),
        here=st.sets(st.integers(0, 6), max_size=3),
    )
    def check(
        first: dict[int, dict[str, Any]],
        what: list[tuple[str, Any]],
        few_kinds: bool,
        many_keys: bool,
        here: set[int],
    ) -> None:
        monkeypatch.setattr(judging, "_KINDS_TOLD", 1 if few_kinds else 2000)
        monkeypatch.setattr(rows, "_MOST_KEYS", 1 if many_keys else 1000)
        world = World(quality, f"{quality.name}{next(runs)}")
        world.load(LoadMode.APPEND, first)
        _, world.known = world.judge(None, there)
        for place, (step, argument) in enumerate(what):
            match step:
                case "append" | "upsert" | "replace":
                    world.load(LoadMode(step), argument)
                case "compact":
                    compact(quality.world.lake, world.name, CompactionPolicy(small_files=2))
                case "rules":
                    world.checks = [CHECKS[number] for number in sorted(argument)]
                case "codes":
                    world.codes = argument
                case "later":
                    world.moment += timedelta(hours=argument)
            outcome, world.known = world.judge(world.known, None if place in here else there)
            again, everything = world.judge(None)
            assert outcome.counted == again.counted, step
            assert [file.name for file in world.known.files] == [file.name for file in everything.files]
            assert world.bits(world.known) == world.bits(everything), step

    check()


def test_an_append_reads_its_own_file_only(quality: Quality, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    real = judging.scan_of
    monkeypatch.setattr(
        judging, "scan_of", lambda lake, access, files: seen.append(list(files)) or real(lake, access, files)
    )
    monkeypatch.setattr(judging, "not_passing", None)
    world = World(quality, quality.name, [check for check in CHECKS if not isinstance(check, Monotone)])
    for number in range(3):
        world.load(LoadMode.APPEND, {1: {"x": 1.0, "n": number, "s": "a", "t": NOW}})
        _, world.known = world.judge(world.known)
    assert seen == [[0], [1], [2]]


def test_an_append_sends_its_own_file_only(
    quality: Quality, spark: Spark, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the order; what is known already goes nowhere."""
    seen: list[list[tuple[tuple[int, ...], int]]] = []
    real = judging.judge_on_spark

    def noted(*given: Any) -> Any:
        seen.append([(group.files, len(group.tasks)) for group in given[4]])
        return real(*given)

    monkeypatch.setattr(judging, "judge_on_spark", noted)
    for name in ("judge_files", "not_passing", "aggregates_by_file"):
        monkeypatch.setattr(judging, name, None)
    world = World(quality, quality.name)
    for number in range(2):
        world.load(LoadMode.APPEND, {1: {"x": 1.0, "n": number, "s": "a", "t": NOW}})
        _, world.known = world.judge(world.known, spark)
    judges = len(CHECKS) - 2
    assert seen == [[((0,), judges)], [((0,), 1), ((1,), judges)]]
    world.checks = [check for check in CHECKS if not isinstance(check, Monotone)]
    world.judge(world.known, spark)
    assert len(seen) == 2


RULES = [
    {"id": "x-present", "title": "每行有读数 / each row has a reading", "notNull": {"field": "x"}},
    {"id": "x-sane", "range": {"field": "x", "minimum": 0, "maximum": 10}},
    {"id": "once", "dimension": "DIMENSION_UNIQUENESS", "unique": {"fields": ["n", "s"]}},
    *({"id": f"long-{n}", "length": {"field": "s", "minimum": n % 3}} for n in range(61)),
    {"id": "enough", "rowCount": {"minimum": 1}},
]
CHANGED = [
    {"id": "x-sane", "range": {"field": "x", "minimum": 3}},
    {"id": "s-there", "notNull": {"field": "s"}},
]


def reference(rows: list[dict[str, Any]], rules: list[dict[str, Any]]) -> dict[int, set[str]]:
    """By id of the row the rules that it breaks; in plain Python. Rows in the order of commits."""
    broken: dict[int, set[str]] = {row["id"]: set() for row in rows}
    seen: dict[str, set[tuple[Any, ...]]] = {}
    for row in rows:
        for rule in rules:
            if _breaks(row, rule, seen):
                broken[row["id"]].add(rule["id"])
    return broken


def _breaks(row: dict[str, Any], rule: dict[str, Any], seen: dict[str, set[tuple[Any, ...]]]) -> bool:
    if "notNull" in rule:
        return row[rule["notNull"]["field"]] is None
    if "range" in rule:
        x, bounds = row[rule["range"]["field"]], rule["range"]
        if x is None:
            return False
        return not (bounds.get("minimum", -math.inf) <= x <= bounds.get("maximum", math.inf))
    if "length" in rule:
        return row["s"] is not None and len(row["s"]) < rule["length"]["minimum"]
    if "unique" in rule:
        key = tuple(row[name] for name in rule["unique"]["fields"])
        known = seen.setdefault(rule["id"], set())
        again = key in known
        known.add(key)
        return again and any(value is not None for value in key)
    return False


def row(id_: int, x: float | None, n: int | None, s: str | None) -> dict[str, Any]:
    return {"id": id_, "x": x, "n": n, "s": s, "t": NOW}


def read(quality: Quality, text: str, version: int | None = None, **grant: Any) -> dict[int, dict[str, Any]]:
    """Rows by their ids."""
    lake = quality.world.lake
    token = quality.peer.granter(dataset=quality.name, version=version, **grant)
    access = open_grant(lake, quality.world.grants, token)
    number = access.version.version
    schema = JudgedSchema.of(
        access.granted, quality.name, number, verdict_files.find(lake, quality.name, number)
    )
    query = RowQuery(
        columns=("id", "_verdict", "_failed_rules", "_reasons", "_rule_set")
        if "columns" not in grant
        else ("id",),
        filter=parse_filter(text, schema),
    )
    with read_rows(lake, quality.world.grants, token, query) as stream:
        return {found["id"]: found for batch in stream.batches for found in batch.to_pylist()}


async def load(quality: Quality, rows: list[dict[str, Any]], mode: LoadMode = LoadMode.APPEND) -> int:
    """A version more, assessed."""
    files = [quality.stage(rows, KEYED)]
    done = commit_batch(quality.world.lake, quality.name, KEYED, f"b{rows[0]['id']}-{mode}", files, mode=mode)
    await quality.deliver(quality.event(done.version))
    await quality.work()
    return int(done.version)


def compare(quality: Quality, rows: list[dict[str, Any]], rules: list[dict[str, Any]], rule_set: int) -> None:
    """What readers see is what plain Python says, row for row."""
    broken = reference(rows, rules)
    failing = read(quality, "verdict = fail")
    assert set(failing) == {id_ for id_, some in broken.items() if some}
    order = [rule["id"] for rule in rules]
    for id_, found in failing.items():
        assert found["_failed_rules"].split(",") == sorted(broken[id_], key=order.index)
        assert (found["_verdict"], found["_rule_set"]) == ("fail", rule_set)
    passing = read(quality, "verdict = pass")
    assert set(passing) == {id_ for id_, some in broken.items() if not some}
    assert {found["_failed_rules"] for found in passing.values()} <= {None}
    for rule in order:
        if rule != "enough":
            assert set(read(quality, f"verdict.{rule} = fail")) == {
                i for i, some in broken.items() if rule in some
            }


async def test_readers_see_what_plain_python_says(quality: Quality) -> None:
    """Three appends, an upsert, a compaction and a change of rules; 63 + 2 rules."""
    quality.rules(*RULES)
    rows = [row(1, 1.0, 1, "a"), row(2, None, 1, "a"), row(3, math.nan, None, None), row(4, math.inf, 2, "")]
    await load(quality, rows)
    compare(quality, rows, RULES, 1)
    for more in (
        [row(5, -0.0, 1, "a"), row(6, 11.0, 3, "𠀀")],
        [row(7, 5.0, 3, "𠀀"), row(8, None, None, "e\u0301")],
    ):
        await load(quality, more)
        rows += more
        compare(quality, rows, RULES, 1)
    await load(quality, [row(2, 2.0, 9, "bb"), row(9, -math.inf, 1, "a")], LoadMode.UPSERT)
    # The file that had row 2 was written again: what comes with a load stands behind what was there, the batch first.
    rows = [*rows[4:], row(2, 2.0, 9, "bb"), row(9, -math.inf, 1, "a"), rows[0], *rows[2:4]]
    compare(quality, rows, RULES, 1)
    assert compact(quality.world.lake, quality.name, CompactionPolicy(small_files=2)).did_something
    compare(quality, rows, RULES, 1)
    quality.rules(*CHANGED, contract_version=2)
    request = pb.AssessVersionRequest(name=f"{quality.name}/versions/4")
    assert (await VerdictServicer(quality.world).AssessVersion(request, RPC)).queued
    await again(quality)
    compare(quality, rows, CHANGED, 2)


async def again(quality: Quality) -> None:
    """Runs the newest waiting job."""

    job = (await quality.jobs())[-1]
    await Assessing(quality.world).assess(job["dataset"], job["version"], job["number"])


async def test_a_rule_has_three_answers_for_readers_too(quality: Quality) -> None:
    quality.rules(*RULES, {"id": "gone", "notNull": {"field": "later"}})
    await load(quality, [row(1, None, 1, "a"), row(2, 1.0, 1, "b"), row(3, 11.0, 1, "c")])
    assert set(read(quality, "verdict.x-sane = not_applicable")) == {1}
    assert set(read(quality, "verdict.x-sane = pass")) == {2}
    assert set(read(quality, 'verdict.x-sane = ("fail" OR "not_applicable")')) == {1, 3}
    assert set(read(quality, "NOT verdict.x-sane = fail AND id > 1")) == {2}
    assert set(read(quality, "_verdict = fail OR id = 2")) == {1, 2, 3}
    assert set(read(quality, "verdict.gone = not_applicable")) == {1, 2, 3}
    assert set(read(quality, "verdict.gone = fail")) == set()
    reasons = read(quality, "verdict.x-present = fail")[1]["_reasons"].split("; ")
    assert reasons[:2] == ["每行有读数 / each row has a reading", "long-2"]
    with pytest.raises(UnknownRule, match="no rule 'nobody' that judges rows"):
        read(quality, "verdict.nobody = fail")
    with pytest.raises(UnknownRule):
        read(quality, "verdict.enough = fail")
    with pytest.raises(Exception, match="never 'bad'"):
        read(quality, "verdict = bad")


async def test_a_field_called_verdict_keeps_its_name(quality: Quality) -> None:
    schema = TableSchema((Column("id", FieldType.INTEGER), Column("verdict", FieldType.STRING)))
    quality.rules({"id": "there", "notNull": {"field": "verdict"}})
    await quality.assessed([{"id": 1, "verdict": "guilty"}, {"id": 2, "verdict": None}], schema)
    assert set(read(quality, "verdict = guilty")) == {1}
    assert set(read(quality, "_verdict = fail")) == {2}
    assert set(read(quality, "_verdict.there = fail")) == {2}


async def test_verdicts_are_shown_as_far_as_the_fields_are(quality: Quality) -> None:
    quality.rules(*RULES[:3])
    await load(quality, [row(1, None, 1, "a"), row(2, 1.0, 1, "a")])
    some = {"columns": ("id", "x")}
    assert set(read(quality, "verdict.x-present = fail", **some)) == {1}
    with pytest.raises(VerdictNotGranted) as raised:
        read(quality, "verdict = fail", **some)
    assert "x-present, x-sane" in raised.value.remedy
    assert "once" not in raised.value.remedy
    with pytest.raises(VerdictNotGranted):
        read(quality, "verdict.once = fail", **some)
    with pytest.raises(Exception, match="row filter"):
        read(quality, "verdict.x-present = fail", row_filter="id = 1")


async def test_what_is_not_assessed_says_so(quality: Quality) -> None:
    quality.rules(*RULES[:2])
    await load(quality, [row(1, 1.0, 1, "a")])
    commit_batch(
        quality.world.lake, quality.name, KEYED, "b-2", [quality.stage([row(2, 1.0, 1, "a")], KEYED)]
    )
    assert set(read(quality, "verdict = pass", version=1)) == {1}
    with pytest.raises(NotAssessed, match="versions/2 has no verdicts") as raised:
        read(quality, "verdict = fail")
    assert "plaza quality run" in raised.value.remedy


async def test_an_assessment_is_made_again_for_other_rules_only(quality: Quality) -> None:
    service = VerdictServicer(quality.world)
    quality.rules(*RULES[:2])
    await quality.assessed([{"id": 1, "x": 11.0, "n": 1, "s": "a"}])
    name = f"{quality.name}/versions/1"
    request = pb.AssessVersionRequest(name=name, request_id="7b0a1c1e-6f4d-4c5e-9c55-0a52b7a4a001")
    first = await quality.get(1)
    answer = await service.AssessVersion(request, RPC)
    assert (answer.queued, answer.number) == (False, 1)
    quality.rules(RULES[0], contract_version=2)
    for _ in range(2):
        answer = await service.AssessVersion(request, RPC)
        assert (answer.queued, answer.number) == (True, 2)
    jobs = [job for job in await quality.jobs() if job.get("number")]
    assert jobs == [{"dataset": quality.name, "version": 1, "number": 2, "lock": quality.name}]
    await again(quality)
    await again(quality)
    second = await quality.get(1)
    assert (second.number, second.contract_version, second.score, first.score) == (2, 2, 100, 50)
    past = await service.ListPastAssessments(pb.ListPastAssessmentsRequest(parent=name), RPC)
    assert list(past.assessments) == [first]
    assert not (await service.AssessVersion(request, RPC)).queued
    # What is kept of the rows is a part of it.
    quality.world.lake.files.remove(verdict_files.address(quality.world.lake, quality.name, 1))
    assert (await service.AssessVersion(pb.AssessVersionRequest(name=name), RPC)).number == 3
    set_caller(person("reader", quality.name.split("/")[1]))
    with pytest.raises(NotPermitted):
        await service.AssessVersion(request, RPC)


async def test_a_rule_that_goes_closes_its_work_order(quality: Quality) -> None:
    quality.rules(RULES[0], RULES[1])
    await quality.assessed([{"id": 1, "x": None, "n": 1, "s": "a"}])
    orders = WorkOrderServicer(quality.world)
    request = work_orders_pb2.ListWorkOrdersRequest(parent=f"departments/{quality.name.split('/')[1]}")
    assert len((await orders.ListWorkOrders(request, RPC)).work_orders) == 1
    quality.rules(RULES[1], {"id": "n-there", "notNull": {"field": "n"}}, contract_version=2)
    await VerdictServicer(quality.world).AssessVersion(
        pb.AssessVersionRequest(name=f"{quality.name}/versions/1"), RPC
    )
    await again(quality)
    assert not (await orders.ListWorkOrders(request, RPC)).work_orders


async def test_what_nobody_needs_is_cleared_away(
    quality: Quality, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    quality.rules(*RULES[:3])
    lake = quality.world.lake
    await load(quality, [row(1, None, 1, "a")])
    await load(quality, [row(2, None, 1, "a")], LoadMode.REPLACE)
    folder = lake.verdicts_location(quality.name)

    def objects() -> set[str]:
        return {file.uri.rpartition("/")[2] for file in lake.files.listed(f"{folder}/objects")}

    before = objects()
    later = datetime.now(UTC) + timedelta(days=3)
    assert verdict_documents.sweep(lake, quality.name, later) == 0
    live = verdict_documents.versions(lake, quality.name)
    monkeypatch.setattr(verdict_documents, "versions", lambda *_: live[1:])
    assert verdict_documents.sweep(lake, quality.name, datetime.now(UTC)) == 0, "looked at a moment ago"
    assert verdict_documents.sweep(lake, quality.name, later) > 1
    assert objects() < before
    assert set(read(quality, "verdict = fail")) == {2}
    assert verdict_files.find(lake, quality.name, 1) is None
