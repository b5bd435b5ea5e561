"""Reconciliations from the definition to the file of differences: real PostgreSQL, real lake, the real policies."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import openpyxl
import orjson
import pyarrow as pa
import pytest
import pytest_asyncio
from google.protobuf.json_format import ParseDict
from plaza.quality.v1 import reconciliations_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.db.requests import RequestIdReused
from plaza_kit.errors import PermissionDenied
from plaza_kit.identity import Principal
from plaza_kit.policy import Decider, NotPermitted, Resource
from plaza_kit.rpc.context import caller, set_caller
from plaza_lake.compaction import CompactionPolicy, compact
from plaza_lake.comparing import Incomparable
from plaza_lake.reconcile import ENTRY, PositionsMoved
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_quality.domain.reconciliations import AgreementMissing, CodeListMissing, LeftElsewhere, Side
from plaza_quality.rpc.reconciliations import ReconciliationServicer
from plaza_quality.storage.reconciliation_entries import CHUNK, packed, unpacked
from plaza_quality.usecases import reconciling
from plaza_quality.usecases.reconciliation_differences import NotCompared, UnknownField
from plaza_quality.usecases.reconciliations import Archived, UnknownReconciliation
from plaza_quality.usecases.reconciling import Reconciling
from plaza_testing.callers import person
from sqlalchemy import text

RPC = cast(Any, None)
Quality = Any
"""The fixture's class lives in conftest, which tests do not import."""
POLICIES = Path(__file__).parents[2] / "security" / "plaza_security" / "policies"
POLICY = Decider(
    (POLICIES / "plaza.cedar").read_text(), (POLICIES / "plaza.cedarschema").read_text(), version="test"
)
OURS = TableSchema(
    (
        Column("id", FieldType.STRING),
        Column("name", FieldType.STRING),
        Column("sex", FieldType.STRING),
        Column("income", FieldType.NUMBER),
    )
)
THEIRS = TableSchema(
    (
        Column("person", FieldType.STRING),
        Column("full_name", FieldType.STRING),
        Column("gender", FieldType.STRING),
        Column("income", FieldType.NUMBER),
    )
)


class SideRefused(PermissionDenied):
    """As the peer says it."""


class Policies:
    """`plaza_kit.policy.PolicyFollower` with the product's own policies."""

    def authorize(self, action: str, resource: Resource, facts: Mapping[str, Any] | None = None) -> Principal:
        POLICY.authorize(caller(), action, resource, facts)
        return caller()


@dataclass
class City:
    """Security and catalogue: who may read what, by the product's policies."""

    quality: Quality
    agreements: set[tuple[str, str, str]] = field(default_factory=set)
    """(agreement, dataset, reader) in force."""
    masked: set[str] = field(default_factory=set)
    lists: dict[str, dict[str, str]] = field(default_factory=dict)
    starters: dict[str, Principal] = field(default_factory=dict)

    def _granted(self, side: Side, who: Principal) -> str:
        agreed = (side.agreement, str(side.dataset), side.reader) in self.agreements
        facts = {
            "purpose": "own" if side.own else "share",
            "agreement": agreed,
            "reader": str(side.reader),
        }
        resource = Resource.of_dataset(
            str(side.dataset), city_level="internal", sharing_class="unconditional"
        )
        try:
            POLICY.authorize(who, "rows.read", resource, facts)
        except NotPermitted as error:
            raise SideRefused(f"{side.word}: {error.message}") from error
        columns = tuple(each for each in side.columns if each not in self.masked)
        granter = self.quality.peer.granter
        return str(granter(dataset=str(side.dataset), version=side.version or None, columns=columns))

    async def reading(self, side: Side) -> str:
        return self._granted(side, caller())

    async def run_grant(self, run: str, side: Side) -> str:
        self.starters[f"{run} {side.word}"] = caller()
        return f"{run} {side.word}"

    async def reconciling(self, side: Side, run_grant: str) -> str:
        return self._granted(side, self.starters[run_grant])

    async def code_names(self, code_list: str) -> tuple[str, Mapping[str, str]] | None:
        newest = max((each for each in self.lists if each.startswith(code_list)), default=None)
        return None if newest is None else (newest, self.lists[newest])


@dataclass
class Room:
    """What a test works with."""

    quality: Quality
    city: City
    api: ReconciliationServicer
    department: str
    left: str
    right: str

    def definition(self, **changes: Any) -> dict[str, Any]:
        base = {
            "title": "people",
            "left": {"dataset": self.left},
            "right": {"dataset": self.right, "agreement": "agreements/1"},
            "key": [{"left": "id", "right": "person"}],
            "fields": [
                {"left": "name", "right": "full_name", "foldBlanks": True},
                {"left": "sex", "right": "gender", "values": {"1": "男", "2": "女"}},
                {"left": "income", "absoluteTolerance": 0.5},
            ],
            "authority": "AUTHORITY_RIGHT",
        }
        return base | changes

    async def create(self, request_id: str = "", **changes: Any) -> pb.Reconciliation:
        made = ParseDict(self.definition(**changes), pb.Reconciliation())
        request = pb.CreateReconciliationRequest(
            parent=f"departments/{self.department}", reconciliation=made, request_id=request_id
        )
        return await self.api.CreateReconciliation(request, RPC)

    async def start(self, name: str, request_id: str = "") -> pb.ReconciliationRun:
        request = pb.RunReconciliationRequest(name=name, request_id=request_id)
        return await self.api.RunReconciliation(request, RPC)

    async def work(self, run: str, **how: Any) -> pb.ReconciliationRun:
        """The job, in the service's own name; then the run as it stands."""
        who = caller()
        set_caller(None)
        await Reconciling(self.quality.world, self.city, **how).reconcile(run)
        set_caller(who)
        return await self.api.GetReconciliationRun(pb.GetReconciliationRunRequest(name=run), RPC)

    async def compared(self, **changes: Any) -> pb.ReconciliationRun:
        """All of it, from the definition on."""
        made = await self.create(**changes)
        return await self.work((await self.start(made.name)).name)

    async def differences(self, run: str, **asked: Any) -> list[pb.Difference]:
        """By pages of two."""
        found: list[pb.Difference] = []
        token = ""
        while True:
            request = pb.ListDifferencesRequest(parent=run, page_size=2, page_token=token, **asked)
            page = await self.api.ListDifferences(request, RPC)
            assert len(page.differences) <= 2
            found += page.differences
            token = page.next_page_token
            if not token:
                return found

    async def export(self, run: str, **asked: Any) -> bytes:
        request = pb.ExportDifferencesRequest(parent=run, **asked)
        return b"".join([piece.data async for piece in self.api.ExportDifferences(request, RPC)])

    async def all_of(self, statement: str) -> list[Any]:
        async with self.quality.world.database.transaction(Scope.everything()) as connection:
            return list(await connection.execute(text(statement), {"department": self.department}))


def ours(id: str | None, name: str | None, sex: str | None, income: float | None) -> dict[str, Any]:
    return {"id": id, "name": name, "sex": sex, "income": income}


def theirs(*values: Any) -> dict[str, Any]:
    return dict(zip(THEIRS.names, values, strict=True))


@pytest_asyncio.fixture
async def room(new_quality: Callable[..., Quality], dataset_name: str) -> AsyncIterator[Room]:
    quality = new_quality(Policies())
    department = dataset_name.split("/")[1]
    other = f"departments/o{uuid.uuid4().hex[:12]}/datasets/people"
    city = City(quality)
    city.agreements.add(("agreements/1", other, department))
    made = Room(quality, city, ReconciliationServicer(quality.world, city), department, quality.name, other)
    quality.commit(
        [
            ours("a", "王 芳", "2", 100.0),
            ours("b", "李伟", "1", 200.0),
            ours("c", "张敏", "2", None),
            ours("d", "刘洋", "1", 400.0),
            ours("d", "刘洋", "1", 400.0),
            ours("e", "=1+1", "1", 500.0),
            ours(None, "nobody", None, None),
        ],
        OURS,
    )
    quality.commit(
        [
            theirs("a", " 王  芳 ", "女", 100.4),
            theirs("b", "李玮", "女", 200.0),
            theirs("c", "张敏", "女", 300.0),
            theirs("d", "刘洋", "男", 400.0),
            theirs("f", "陈静", "女", 600.0),
        ],
        THEIRS,
        other,
    )
    quality.be("data-officer")
    yield made


pytestmark = pytest.mark.integration


async def test_everything_that_is_no_agreement_is_counted_listed_and_explained(room: Room) -> None:
    run = await room.compared()
    assert run.state == pb.RECONCILIATION_STATE_SUCCEEDED
    result = run.result
    assert (run.left_version, run.right_version, result.left_rows, result.right_rows) == (1, 1, 7, 5)
    assert (result.agreed, result.accuracy, result.left_repeated_keys, result.listed) == (1, 50, 1, 8)
    assert {pb.DifferenceKind.Name(each.kind)[16:]: each.count for each in result.differences} == {
        "DIFFERING": 1,
        "NOT_COMPARABLE": 1,
        "ONLY_LEFT": 1,
        "ONLY_RIGHT": 1,
        "REPEATED_LEFT": 2,
        "AMBIGUOUS_RIGHT": 1,
        "NO_KEY_LEFT": 1,
    }
    assert [(f.left, f.agreed, f.differing, f.right_absent, f.left_absent) for f in result.fields] == [
        ("name", 2, 1, 0, 0),
        ("sex", 2, 1, 0, 0),
        ("income", 2, 0, 0, 1),
    ]
    assert [round(f.agreement, 4) for f in result.fields] == [66.6666, 66.6666, 100]
    found = await room.differences(run.name)
    assert [(each.number, list(each.key)) for each in found] == [
        (1, ["b"]),
        (2, ["c"]),
        (3, ["e"]),
        (4, ["f"]),
        (5, ["d"]),
        (6, ["d"]),
        (7, ["d"]),
        (8, [""]),
    ]
    name, sex = found[0].fields
    assert (name.left_value, name.right_value, name.rule) == (
        "李伟",
        "李玮",
        "differ (without regard to blanks)",
    )
    assert (sex.left_value, sex.left_compared, sex.right_value) == ("1", "男", "女")
    assert [(f.left, f.rule, f.HasField("left_value")) for f in found[1].fields] == [
        ("income", "no value on the left", False)
    ]
    assert [list(each.key) for each in await room.differences(run.name, field="sex")] == [["b"]]
    kind = pb.DIFFERENCE_KIND_REPEATED_LEFT
    assert [each.number for each in await room.differences(run.name, kind=kind)] == [5, 6]
    with pytest.raises(UnknownField):
        await room.differences(run.name, field="id")


async def test_the_files_hold_every_difference(room: Room) -> None:
    run = await room.compared()
    table = list(csv.DictReader(io.StringIO((await room.export(run.name)).decode())))
    assert [(row["number"], row["kind"], row["key:id"], row["left_field"]) for row in table] == [
        ("1", "differing", "b", "name"),
        ("1", "differing", "b", "sex"),
        ("2", "not_comparable", "c", "income"),
        ("3", "only_left", "e", ""),
        ("4", "only_right", "f", ""),
        ("5", "repeated_left", "d", ""),
        ("6", "repeated_left", "d", ""),
        ("7", "ambiguous_right", "d", ""),
        ("8", "no_key_left", "", ""),
    ]
    book = openpyxl.load_workbook(io.BytesIO(await room.export(run.name, format="xlsx", field="name")))
    assert [cell.value for cell in next(iter(book["differences"].iter_rows(min_row=2)))][:8] == [
        "1",
        "differing",
        "b",
        "name",
        "full_name",
        "李伟",
        "李玮",
        "李伟",
    ]


async def test_another_departments_rows_are_read_under_an_agreement_of_that_moment(room: Room) -> None:
    room.city.agreements.clear()
    with pytest.raises(SideRefused, match="right"):
        await room.create()
    room.city.agreements.add(("agreements/1", room.right, room.department))
    made = await room.create()
    run = await room.start(made.name)
    room.city.agreements.clear()
    failed = await room.work(run.name)
    assert failed.state == pb.RECONCILIATION_STATE_FAILED
    assert "right" in failed.error
    room.city.agreements.add(("agreements/1", room.right, room.department))
    done = await room.work((await room.start(made.name)).name)
    assert done.state == pb.RECONCILIATION_STATE_SUCCEEDED
    room.city.agreements.clear()
    with pytest.raises(SideRefused, match="right"):
        await room.differences(done.name)
    with pytest.raises(SideRefused, match="right"):
        await room.export(done.name)
    room.quality.be("auditor", "somewhere")  # sees what was counted, and no value
    found = await room.api.GetReconciliationRun(pb.GetReconciliationRunRequest(name=done.name), RPC)
    assert found.result.agreed == 1
    with pytest.raises(SideRefused, match="left"):
        await room.differences(done.name)
    room.quality.be("data-officer", "elsewhere")
    for ask in (room.differences(done.name), room.start(made.name), room.create()):
        with pytest.raises(NotPermitted):
            await ask


async def test_a_masked_column_is_neither_key_nor_compared(room: Room) -> None:
    made = await room.create()
    room.city.masked.add("gender")
    with pytest.raises(PermissionDenied, match="gender"):
        await room.create()
    with pytest.raises(PermissionDenied, match="gender"):
        await room.start(made.name)
    room.city.masked = {"person"}
    with pytest.raises(PermissionDenied, match="person"):
        await room.create()
    room.city.masked = {"gender"}
    run = await room.compared(fields=[{"left": "name", "right": "full_name"}])
    assert run.state == pb.RECONCILIATION_STATE_SUCCEEDED


async def test_no_value_is_kept_or_told_in_events(room: Room) -> None:
    run = await room.compared()
    kept = await room.all_of(
        "SELECT row_to_json(r)::text FROM reconciliation_runs r WHERE department = :department"
    )
    events = await room.all_of(
        "SELECT data FROM outbox WHERE type LIKE '%completed%'"
        " AND subject LIKE 'departments/' || :department || '/reconciliations/%'"
    )
    told = "".join(str(row[0]) for row in (*kept, *events))
    for value in ("李伟", "李玮", "100.4", "女", "男"):
        assert value not in told
    assert [orjson.loads(row[0]) for row in events] == [
        {
            "left": f"{room.left}/versions/1",
            "right": f"{room.right}/versions/1",
            "agreed": 1,
            "differences": {
                "differing": 1,
                "incomparable": 1,
                "only_left": 1,
                "only_right": 1,
                "repeated_left": 2,
                "ambiguous_right": 1,
                "no_key_left": 1,
            },
            "accuracy": "50.0000",
        }
    ]
    assert run.result.listed == 8


async def test_whoever_reads_anothers_values_stands_in_the_ledger(room: Room) -> None:
    run = await room.compared()
    await room.differences(run.name, kind=pb.DIFFERENCE_KIND_REPEATED_LEFT)
    await room.differences(run.name, field="name")
    await room.export(run.name)
    await room.export(run.name, format="xlsx")
    told = await room.all_of(
        "SELECT data, principal FROM outbox WHERE type = 'city.plaza.quality.differences.read.v1'"
        " AND subject LIKE 'departments/' || :department || '/%' ORDER BY seq"
    )
    assert [orjson.loads(row.data)["form"] for row in told] == ["page", "page", "csv", "xlsx"]
    assert orjson.loads(told[0].data) == {
        "dataset": room.right,
        "version": 1,
        "agreement": "agreements/1",
        "reader": f"departments/{room.department}",
        "columns": ["person", "full_name", "gender", "income"],
        "form": "page",
        "first": 1,
    }
    assert told[0].principal == caller().name
    own = await room.compared(right={"dataset": room.left}, key=[{"left": "id"}], fields=[{"left": "name"}])
    await room.differences(own.name)
    assert len(await room.all_of("SELECT 1 FROM outbox WHERE subject LIKE '%" + own.name + "'")) == 1


async def test_a_killed_job_gives_the_same_when_it_runs_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await room.create()
    run = await room.start(made.name)

    class Killed(BaseException):
        """The process is gone: nothing after it runs."""

    def killed(*_: object, **__: object) -> Any:
        raise Killed

    for module, place in (
        (reconciling, "reconcile"),
        (reconciling, "packed"),
        (reconciling, "result_message"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(module, place, killed)
            with pytest.raises(Killed):
                await room.work(run.name)
        set_caller(person("data-officer", room.department))
        request = pb.GetReconciliationRunRequest(name=run.name)
        stands = await room.api.GetReconciliationRun(request, RPC)
        assert stands.state == pb.RECONCILIATION_STATE_RUNNING
        # Meanwhile the newest versions are others.
        room.quality.commit([ours("z", "z", "1", 1.0)], OURS)
    done = await room.work(run.name)
    assert (done.left_version, done.result.agreed, done.result.listed) == (1, 1, 8)
    assert await room.work(run.name) == done
    assert len(await room.differences(run.name)) == 8
    events = await room.all_of(
        "SELECT 1 FROM outbox WHERE type LIKE '%completed%'"
        " AND subject LIKE 'departments/' || :department || '/reconciliations/%'"
    )
    assert len(events) == 1


async def test_the_same_request_makes_and_starts_once(room: Room) -> None:
    request_id, start_id = str(uuid.uuid4()), str(uuid.uuid4())
    made = await room.create(request_id)
    assert await room.create(request_id) == made
    with pytest.raises(RequestIdReused):
        await room.create(request_id, title="another")
    first = await room.start(made.name, start_id)
    assert await room.start(made.name, start_id) == first
    second = await room.start(made.name)
    assert [first.name[-7:], second.name[-7:]] == ["/runs/1", "/runs/2"]
    jobs = await room.all_of(
        "SELECT args ->> 'run' FROM procrastinate_jobs WHERE args ->> 'run' LIKE"
        " 'departments/' || :department || '/%' ORDER BY id"
    )
    assert [row[0] for row in jobs] == [first.name, second.name]
    page = await room.api.ListReconciliationRuns(
        pb.ListReconciliationRunsRequest(parent=made.name, page_size=1), RPC
    )
    assert [run.name for run in page.runs] == [second.name]
    page = await room.api.ListReconciliationRuns(
        pb.ListReconciliationRunsRequest(parent=made.name, page_size=1, page_token=page.next_page_token), RPC
    )
    assert ([run.name for run in page.runs], page.next_page_token) == ([first.name], "")


async def test_archived_ones_are_run_no_more(room: Room) -> None:
    made = [(await room.create(title=title)).name for title in "abc"]
    run = await room.work((await room.start(made[0])).name)
    await room.api.ArchiveReconciliation(pb.ArchiveReconciliationRequest(name=made[0]), RPC)
    with pytest.raises(Archived):
        await room.start(made[0])
    assert await room.differences(run.name)
    parent = f"departments/{room.department}"

    async def listed(**asked: Any) -> list[str]:
        names: list[str] = []
        token = ""
        while True:
            request = pb.ListReconciliationsRequest(parent=parent, page_size=2, page_token=token, **asked)
            page = await room.api.ListReconciliations(request, RPC)
            names += [each.name for each in page.reconciliations]
            token = page.next_page_token
            if not token:
                return names

    assert await listed() == [made[2], made[1]]
    assert await listed(show_archived=True) == [made[2], made[1], made[0]]
    shown = await room.api.GetReconciliation(pb.GetReconciliationRequest(name=made[0]), RPC)
    assert shown.latest_run == run
    assert shown.HasField("archive_time")


async def test_two_versions_of_one_dataset(room: Room) -> None:
    room.quality.commit([ours("a", "王芳", "2", 100.0), ours("g", "g", "1", 1.0)], OURS)
    pairs = [{"left": name} for name in ("name", "income")]
    run = await room.compared(
        left={"dataset": room.left, "version": 1},
        right={"dataset": room.left},
        key=[{"left": "id", "right": "id"}],
        fields=pairs,
        authority="AUTHORITY_UNSPECIFIED",
    )
    assert (run.left_version, run.right_version) == (1, 2)
    assert not run.result.HasField("accuracy")


async def test_values_are_translated_by_a_version_of_a_code_list_that_stays(room: Room) -> None:
    fields = [{"left": "sex", "right": "gender", "codeList": "codeLists/sex"}]
    with pytest.raises(CodeListMissing):
        await room.create(fields=fields)
    room.city.lists["codeLists/sex/versions/1"] = {"1": "男", "2": "女"}
    run = await room.compared(fields=fields)
    room.city.lists["codeLists/sex/versions/2"] = {"1": "m", "2": "f"}
    assert list(run.result.code_lists) == ["codeLists/sex/versions/1"]
    (first, *_) = await room.differences(run.name)
    assert (first.fields[0].left_value, first.fields[0].left_compared) == ("1", "男")


async def test_what_cannot_be_compared_is_said_before_a_run(room: Room) -> None:
    with pytest.raises(LeftElsewhere):
        await room.create(left={"dataset": room.right})
    with pytest.raises(AgreementMissing):
        await room.create(right={"dataset": room.right})
    with pytest.raises(Incomparable):
        await room.create(fields=[{"left": "name", "right": "income"}])
    with pytest.raises(UnknownReconciliation):
        await room.start(f"departments/{room.department}/reconciliations/{uuid.uuid4()}")
    made = await room.create()
    run = await room.start(made.name)
    with pytest.raises(NotCompared):
        await room.differences(run.name)


async def test_positions_in_files_that_were_written_again_are_refused(room: Room) -> None:
    room.quality.commit([ours("n", "n", "1", 1.0)], OURS)
    run = await room.compared()
    assert await room.differences(run.name)
    compact(room.quality.world.lake, room.left, CompactionPolicy(small_files=2))
    with pytest.raises(PositionsMoved):
        await room.differences(run.name)


async def test_only_so_many_are_listed_and_all_are_counted(room: Room) -> None:
    made = await room.create()
    run = await room.work((await room.start(made.name)).name, most=3)
    assert run.result.listed == 3
    assert sum(each.count for each in run.result.differences) == 8
    assert len(await room.differences(run.name)) == 3


def test_entries_are_packed_and_come_back() -> None:
    many = CHUNK + 3
    rows = [
        {
            "kind": 1 + at % 10,
            "left": None if at % 3 == 0 else at << 40,
            "right": at,
            "differs": 1 << (at % 30),
        }
        for at in range(many)
    ]
    table = pa.Table.from_pylist(rows, schema=ENTRY)
    chunks = list(packed(table))
    assert [chunk.first for chunk in chunks] == [1, CHUNK + 1]
    back = pa.concat_tables(map(unpacked, chunks))
    assert back.column("number").to_pylist() == list(range(1, many + 1))
    assert back.drop_columns(["number"]).to_pylist() == rows
    assert chunks[1].kinds == sum(1 << row["kind"] for row in rows[CHUNK:])
