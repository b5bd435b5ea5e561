"""Profiles, suggested rules and anomalies as people see them, over a real PostgreSQL and a real lake."""

from __future__ import annotations

import csv
import functools
import math
import operator
import uuid
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, timezone
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median
from typing import Any, cast

import pytest
from google.protobuf.json_format import ParseDict
from plaza.catalogue.v1 import catalogue_pb2
from plaza.common.v1 import contract_pb2, events_pb2
from plaza.quality.v1 import anomalies_pb2, profiles_pb2, suggestions_pb2
from plaza_catalogue.domain.contract_checks import check_contract
from plaza_kit.db import Scope
from plaza_kit.db.inbox import EventSink
from plaza_kit.grants import GrantRefused
from plaza_kit.names import DatasetName
from plaza_kit.policy import Decider, NotPermitted, Resource
from plaza_kit.rpc.context import caller, set_caller
from plaza_lake.access import ColumnNotGranted
from plaza_lake.fields import Column, FieldType, TableSchema
from plaza_lake.ir import UnknownField
from plaza_quality.domain.value_texts import value_text
from plaza_quality.rpc.anomalies import AnomalyServicer
from plaza_quality.rpc.profiles import ProfileServicer
from plaza_quality.rpc.suggestions import SuggestionServicer
from plaza_quality.storage.series import NotASeries
from plaza_quality.usecases import anomalies as finding
from plaza_quality.usecases.events import handlers
from plaza_quality.usecases.ordering import Ordering
from plaza_quality.usecases.ports import ListedCode
from plaza_quality.usecases.profile_ports import InForce, ProfileWorld
from plaza_quality.usecases.profiles import COMMITTED, NotProfiled, Profiling, with_profiles
from plaza_quality.usecases.reading import UnknownVersion
from plaza_quality.usecases.suggestions import NothingProfiled, UnknownSuggestion
from plaza_testing.callers import machine, person, service
from sqlalchemy import text

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Quality = Any
"""The fixture's class lives in conftest, which tests do not import."""
REAL = Path(__file__).parents[4] / "shared" / "data" / "beijing-air-quality"
POLICIES = Path(__file__).parents[2] / "security" / "plaza_security" / "policies"
SHANGHAI = timezone(timedelta(hours=8))


@dataclass
class Around:
    """Security and catalogue for the caller: real policies decide who gets a grant; a contract is adopted by etag."""

    quality: Quality
    grant: dict[str, Any] = field(default_factory=dict)
    """Changes of the grants that are signed."""
    adopted: list[Any] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    grants: int = 0
    """How many were asked for."""

    def __post_init__(self) -> None:
        texts = [(POLICIES / f"plaza.{kind}").read_text() for kind in ("cedar", "cedarschema")]
        self.decider = Decider(texts[0], texts[1], version="1")

    async def own(self, name: DatasetName, version: int) -> str:
        facts = {"purpose": "own", "agreement": False, "reader": ""}
        resource = Resource.of_dataset(str(name), city_level="internal", sharing_class="unconditional")
        self.decider.authorize(caller(), "rows.read", resource, facts)
        self.grants += 1
        return cast(
            str,
            self.quality.peer.granter(
                dataset=str(name), version=version or None, purpose="own", **self.grant
            ),
        )

    async def assessing(self, name: DatasetName, version: int) -> str:
        return cast(str, await self.quality.peer.assessing(name, version))

    async def code_lists(self) -> list[str]:
        return self.lists

    async def in_force(self, name: DatasetName) -> InForce:
        dataset: catalogue_pb2.Dataset = self.quality.peer.dataset
        return InForce(dataset.contract, dataset.contract_version, str(dataset.contract_version))

    async def adopt(self, name: DatasetName, wanted: InForce, request_id: str, *, validate_only: bool) -> int:
        dataset = self.quality.peer.dataset
        assert wanted.etag == str(dataset.contract_version)
        self.adopted.append((caller().name, request_id, validate_only))
        if not validate_only:
            dataset.contract.CopyFrom(wanted.contract)
            dataset.contract_version += 1
        return int(wanted.version + 1)


@dataclass(frozen=True)
class Api:
    """The three services as a test sees them."""

    quality: Quality
    around: Around
    world: ProfileWorld

    @property
    def name(self) -> str:
        return str(self.quality.name)

    def contract(self, **document: Any) -> None:
        self.quality.peer.dataset.contract.CopyFrom(ParseDict(document, contract_pb2.Contract()))
        self.quality.peer.dataset.contract_version = 1

    async def load(self, rows: list[dict[str, Any]], schema: TableSchema) -> int:
        """One version more, told and assessed."""
        version = int(self.quality.commit(rows, schema).version)
        await self.quality.deliver(self.quality.event(version))
        await self.quality.work()
        return version

    async def create(self, version: int) -> profiles_pb2.Profile:
        request = profiles_pb2.CreateProfileRequest(parent=f"{self.name}/versions/{version}")
        return await ProfileServicer(self.world).CreateProfile(request, RPC)

    async def get(self, version: int) -> profiles_pb2.Profile:
        request = profiles_pb2.GetProfileRequest(name=f"{self.name}/versions/{version}/profile")
        return await ProfileServicer(self.world).GetProfile(request, RPC)

    async def profiled(self, rows: list[dict[str, Any]], schema: TableSchema) -> profiles_pb2.Profile:
        version = await self.load(rows, schema)
        await Profiling(self.world).make(self.name, version, asked=True)
        return await self.get(version)

    async def suggestions(self, **more: Any) -> suggestions_pb2.ListRuleSuggestionsResponse:
        request = suggestions_pb2.ListRuleSuggestionsRequest(parent=self.name, **more)
        return await SuggestionServicer(self.world).ListRuleSuggestions(request, RPC)

    async def suggested(self) -> dict[str, suggestions_pb2.RuleSuggestion]:
        return {each.rule.id: each for each in (await self.suggestions(page_size=200)).suggestions}

    async def accept(self, *rules: str, **more: Any) -> suggestions_pb2.AcceptRuleSuggestionsResponse:
        request = suggestions_pb2.AcceptRuleSuggestionsRequest(parent=self.name, rules=rules, **more)
        return await SuggestionServicer(self.world).AcceptRuleSuggestions(request, RPC)

    async def find(self, **more: Any) -> anomalies_pb2.FindAnomaliesResponse:
        request = ParseDict({"parent": self.name, **more}, anomalies_pb2.FindAnomaliesRequest())
        return await AnomalyServicer(self.world).FindAnomalies(request, RPC)

    async def history(self, **more: Any) -> anomalies_pb2.ListAnomaliesResponse:
        request = anomalies_pb2.ListAnomaliesRequest(parent=self.name, **more)
        return await AnomalyServicer(self.world).ListAnomalies(request, RPC)


@pytest.fixture
def api(quality: Quality) -> Api:
    around = Around(quality)
    quality.be("data-officer")
    return Api(quality, around, ProfileWorld(replace(quality.world, granting=around), around, 1_000_000))


SCHEMA = TableSchema(
    (
        Column("id", FieldType.INTEGER),
        Column("person", FieldType.STRING),
        Column("phone", FieldType.STRING),
        Column("state", FieldType.STRING),
        Column("opened", FieldType.DATE),
        Column("closed", FieldType.DATE),
        Column("region", FieldType.STRING),
        Column("score", FieldType.NUMBER),
    ),
    ("id",),
)
DAY = date(2024, 1, 1)


def resident_id(number: int) -> str:
    body = f"110101{1950 + number % 50}{1 + number % 12:02}{1 + number % 28:02}{number % 1000:03}"
    return body + "10X98765432"[sum(int(c) * pow(2, 17 - i, 11) for i, c in enumerate(body)) % 11]


def case(number: int, **changes: Any) -> dict[str, Any]:
    closed = number % 2 == 0
    opened = DAY + timedelta(days=number % 300)
    return {
        "id": number,
        "person": resident_id(number),
        "phone": f"138{number:08}",
        "state": "closed" if closed else "open",
        "opened": opened,
        "closed": opened + timedelta(days=number % 9) if closed else None,
        "region": ["110101", "110102", "310101", "440300"][number % 4],
        "score": 50 + 10 * math.sin(number),
        **changes,
    }


def cases(many: int = 600) -> list[dict[str, Any]]:
    """With one wrong check digit, one telephone too short, and one impossible score."""
    rows = [case(number) for number in range(many)]
    rows[7]["person"] = rows[7]["person"][:17] + ("1" if rows[7]["person"][17] != "1" else "2")
    rows[8]["phone"] = "1380"
    rows[9]["score"] = 9000.0
    return rows


CONTRACT = {
    "fields": [{"name": each.name, "type": f"FIELD_TYPE_{each.type.upper()}"} for each in SCHEMA.columns],
    "key": ["id"],
}


async def test_suggested_rules_are_useful_counted_and_acceptable(api: Api) -> None:
    api.contract(**CONTRACT)
    api.around.lists = ["codeLists/divisions/versions/1"]
    codes = [ListedCode(code, "", "") for code in ("110101", "110102", "310101", "440300", "440301")]
    for name in ("codeLists/divisions", "codeLists/divisions/versions/1"):
        api.quality.peer.code_lists[name] = "codeLists/divisions/versions/1", codes
    profile = await api.profiled(cases(), SCHEMA)
    assert profile.state == profiles_pb2.PROFILE_STATE_SUCCEEDED
    assert next((list(key.fields), key.repeated_rows) for key in profile.keys) == (["id"], 0)
    found = await api.suggested()
    counts = {id: (each.passed, each.failed, each.not_applicable) for id, each in found.items()}
    assert counts["person-format"] == (599, 1, 0)
    assert found["person-format"].rule.format.format == contract_pb2.TEXT_FORMAT_RESIDENT_ID
    assert counts["phone-format"] == (599, 1, 0)
    assert counts["score-range"] == (599, 1, 0)
    assert counts["opened-closed-compare"] == (300, 0, 300)
    assert counts["state-closed-conditional"] == (300, 0, 300)
    assert counts["region-in-code-list"] == (600, 0, 0)
    assert list(found["state-in-list"].rule.in_list.values) == ["closed", "open"]
    assert counts["opened-not-future"] == (600, 0, 0)
    assert "id-not-null" not in found, "without a key no row came in"
    assert "closed-not-null" not in found, "half of the rows have none"
    assert "id-unique" not in found, "the key is refused twice already"
    assert found["person-format"].rule.threshold_percent == 99.5, "half as many failures again"
    assert found["opened-closed-compare"].rule.threshold_percent == 100
    told = [(*each.fields, each.rule.WhichOneof("check")) for each in found.values()]
    assert len(told) == len(set(told))
    contract = contract_pb2.Contract()
    contract.CopyFrom(api.quality.peer.dataset.contract)
    contract.rules.extend(each.rule for each in found.values())
    check_contract(contract)  # as the catalogue does


async def test_accepted_rules_are_the_contract_of_the_next_load(api: Api) -> None:
    api.contract(**CONTRACT)
    await api.profiled(cases(), SCHEMA)
    before = await api.suggested()
    looked = await api.accept("person-format", validate_only=True)
    assert (looked.contract_version, looked.validate_only) == (2, True)
    request_id = str(uuid.uuid4())
    answer = await api.accept("person-format", "opened-closed-compare", request_id=request_id)
    assert answer.contract_version == 2
    assert [rule.id for rule in answer.rules] == ["person-format", "opened-closed-compare"]
    again = await api.accept("person-format", "opened-closed-compare", request_id=request_id)
    assert (again.contract_version, len(again.rules)) == (2, 0)
    assert api.around.adopted == [(caller().name, "", True), (caller().name, request_id, False)]
    after = await api.suggested()
    assert set(before) - set(after) == {"person-format", "opened-closed-compare"}
    with pytest.raises(UnknownSuggestion) as raised:
        await api.accept("person-format", "made-up")
    assert [each.field for each in raised.value.violations] == ["rules[1]"]
    await api.load(cases(), SCHEMA)
    assessed = await api.quality.get(2)
    assert [(each.rule.id, each.failed) for each in assessed.rules] == [
        ("person-format", 2),  # both loads are in the table
        ("opened-closed-compare", 0),
    ]


async def test_suggestions_come_in_pages(api: Api) -> None:
    api.contract(**CONTRACT)
    with pytest.raises(NothingProfiled):
        await api.suggestions()
    await api.profiled(cases(), SCHEMA)
    whole = [each.rule.id for each in (await api.suggestions()).suggestions]
    pages, token = [], ""
    while True:
        page = await api.suggestions(page_size=4, page_token=token)
        pages.append([each.rule.id for each in page.suggestions])
        token = page.next_page_token
        if not token:
            break
    assert functools.reduce(operator.iadd, pages, []) == whole
    assert all(len(page) == 4 for page in pages[:-1])


async def test_a_profile_shows_what_rows_would_show(api: Api) -> None:
    """Who may not read the rows for their own department sees none of it; who may read some columns sees those."""
    api.contract(**CONTRACT)
    whole = await api.profiled(cases(), SCHEMA)
    department = api.name.split("/")[1]
    for stranger in (
        person("data-officer", "other"),
        person("auditor"),
        person("city-administrator"),
        machine("other"),
    ):
        set_caller(stranger)
        for ask in (
            lambda: api.get(1),
            lambda: api.create(1),
            api.suggestions,
            lambda: api.accept("person-format"),
            api.history,
            lambda: api.find(timeField="opened", valueField="score"),
        ):
            with pytest.raises(NotPermitted):
                await ask()
    for colleague in (person("reader", department), machine(department)):
        set_caller(colleague)
        assert await api.get(1) == whole
    api.around.grant = {"columns": ("id", "opened", "score")}
    seen = await api.get(1)
    assert [each.field for each in seen.columns] == ["id", "opened", "score"]
    assert {name for key in seen.keys for name in key.fields} <= {"id", "opened", "score"}
    assert not {each.determinant for each in seen.dependencies} - {"id", "opened", "score"}
    assert resident_id(3).encode() not in seen.SerializeToString()
    assert {name for each in (await api.suggested()).values() for name in each.fields} <= {
        "id",
        "opened",
        "score",
    }
    with pytest.raises(UnknownSuggestion):
        await api.accept("person-format")
    with pytest.raises(ColumnNotGranted):
        await api.find(timeField="closed", valueField="score")
    api.around.grant = {"columns": ("id", "score"), "masks": (("score", "left(2)"),)}
    assert [each.field for each in (await api.get(1)).columns] == ["id"]
    api.around.grant = {"row_filter": "id < 10"}
    with pytest.raises(GrantRefused):
        await api.get(1)


async def test_a_profile_is_made_once_when_it_is_asked_for(api: Api) -> None:
    api.contract(**CONTRACT)
    with pytest.raises(UnknownVersion):
        await api.get(1)
    with pytest.raises(UnknownVersion):
        await api.create(1)
    version = await api.load(cases(20), SCHEMA)
    with pytest.raises(NotProfiled):
        await api.get(version)
    for _ in range(2):
        assert (await api.create(version)).state == profiles_pb2.PROFILE_STATE_QUEUED
    jobs = [job for job in await api.quality.jobs() if "asked" in job]
    arguments = {"dataset": api.name, "version": 1, "asked": True, "lock": f"{api.name}/profile"}
    assert jobs == [arguments]
    async with api.quality.world.database.transaction(Scope.everything()) as connection:
        waiting = text("SELECT task_name, priority FROM procrastinate_jobs WHERE args ->> 'dataset' = :name")
        found = {
            (row.task_name, row.priority) for row in await connection.execute(waiting, {"name": api.name})
        }
    assert found == {("assess", 0), ("profile", -1)}, "assessments go first"
    for _ in range(2):
        await Profiling(api.world).make(api.name, version, asked=True)
    made = await api.get(version)
    assert (made.state, made.rows) == (profiles_pb2.PROFILE_STATE_SUCCEEDED, 20)
    assert await api.create(version) == made
    assert len([job for job in await api.quality.jobs() if "asked" in job]) == 1


async def test_a_profile_that_cannot_be_made_says_why(api: Api) -> None:
    await api.quality.deliver(api.quality.event(1))  # told, but not in the lake
    await api.create(1)
    await Profiling(api.world).make(api.name, 1, asked=True)
    failed = await api.get(1)
    assert failed.state == profiles_pb2.PROFILE_STATE_FAILED
    assert failed.error
    assert (await api.create(1)).state == profiles_pb2.PROFILE_STATE_QUEUED, "asked for again"


async def test_small_newest_versions_are_profiled_by_themselves(api: Api) -> None:
    api.contract(**CONTRACT)
    sink = EventSink(api.quality.world.database, with_profiles(handlers(Ordering(api.quality.world))))
    set_caller(service("ingestion"))
    for _ in range(2):
        version = api.quality.commit(cases(20), SCHEMA).version
        event = api.quality.event(version)
        assert event.type == COMMITTED
        await sink.Deliver(events_pb2.DeliverRequest(events=[event]), RPC)
    api.quality.be("data-officer")
    waiting = [job for job in await api.quality.jobs() if "asked" in job]
    assert [(job["version"], job["asked"]) for job in waiting] == [(1, False), (2, False)]
    for version, world in ((1, api.world), (2, replace(api.world, rows_by_itself=10))):
        await Profiling(world).make(api.name, version, asked=False)
        with pytest.raises(NotProfiled):
            await api.get(version)
    await Profiling(api.world).make(api.name, 2, asked=False)
    assert (await api.get(2)).rows == 40


async def test_row_security_holds_profiles_apart(api: Api) -> None:
    api.contract(**CONTRACT)
    await api.profiled(cases(20), SCHEMA)
    for department, seen in (("other", 0), (api.name.split("/")[1], 1)):
        async with api.quality.world.database.transaction(Scope.department(department)) as connection:
            found = await connection.execute(
                text("SELECT count(*) AS n FROM profiles WHERE department = :d"),
                {"d": api.name.split("/")[1]},
            )
            assert found.one().n == seen


async def test_versions_that_stand_out_in_history(api: Api) -> None:
    api.contract(**CONTRACT)
    api.quality.rules({"notNull": {"field": "score"}})
    rows: list[int] = []
    for number in range(8):
        added = [
            case(1000 * number + n, score=None if number == 7 else 50.0)
            for n in range(20 + 200 * (number == 7))
        ]
        rows.append(len(added) + (rows[-1] if rows else 0))
        await api.profiled(added, SCHEMA)
    found = (await api.history()).anomalies
    assert {(each.version, each.figure, each.field) for each in found} >= {
        (8, anomalies_pb2.HISTORY_FIGURE_ROWS, ""),
        (8, anomalies_pb2.HISTORY_FIGURE_SCORE, ""),
        (8, anomalies_pb2.HISTORY_FIGURE_NULL_PERCENT, "score"),
    }
    [volume] = [each for each in found if each.figure == anomalies_pb2.HISTORY_FIGURE_ROWS]
    assert volume.value == rows[-1]
    first = await api.history(page_size=1)
    assert [first.anomalies[0]] == found[:1]
    rest = await api.history(page_size=100, page_token=first.next_page_token)
    assert list(rest.anomalies) == found[1:]
    api.around.grant = {"columns": ("id",)}
    assert {each.field for each in (await api.history()).anomalies} == {""}


STATIONS = ("Aotizhongxin", "Gucheng")
AIR = TableSchema(
    (
        Column("station", FieldType.STRING),
        Column("time", FieldType.TIMESTAMP),
        Column("pm2_5", FieldType.NUMBER),
        Column("temp", FieldType.NUMBER),
        Column("dewp", FieldType.NUMBER),
        Column("wd", FieldType.STRING),
    ),
    ("station", "time"),
)


def real_rows() -> list[dict[str, Any]]:
    """Two stations as they were measured."""
    files = [REAL / f"{station}.csv" for station in STATIONS]
    if not all(file.exists() for file in files):
        pytest.skip(f"real data are not at {REAL}")
    rows = []
    for file in files:
        for record in csv.DictReader(file.read_text("utf-8").splitlines()):
            parts = (int(record[name]) for name in ("year", "month", "day", "hour"))
            cells = {name: record[name.upper().replace("_", ".")] for name in ("pm2_5", "temp", "dewp")}
            rows.append(
                {
                    "station": record["station"],
                    "time": datetime(*parts, tzinfo=SHANGHAI),
                    "wd": None if record["wd"] == "NA" else record["wd"],
                    **{
                        name: float(cell) if cell.strip() not in ("", "NA") else None
                        for name, cell in cells.items()
                    },
                }
            )
    return rows


async def test_the_real_stations(api: Api) -> None:
    """Useful rules, and missing readings, frozen sensors and spikes with their rows; all counted again here."""
    rows = real_rows()
    api.contract(
        fields=[
            {
                "name": each.name,
                "type": f"FIELD_TYPE_{each.type.upper()}",
                "unit": "μg/m³" if each.name == "pm2_5" else "",
            }
            for each in AIR.columns
        ],
        key=["station", "time"],
    )
    profile = await api.profiled(rows, AIR)
    columns = {each.field: each for each in profile.columns}
    present = [row["pm2_5"] for row in rows if row["pm2_5"] is not None]
    assert columns["pm2_5"].nulls == len(rows) - len(present)
    assert columns["pm2_5"].mean == pytest.approx(math.fsum(present) / len(present))
    assert columns["pm2_5"].distinct == len(set(present))
    assert [(each.value, each.rows) for each in columns["wd"].top_values] == [
        (value, n)
        for value, n in sorted(
            Counter(row["wd"] for row in rows if row["wd"]).items(), key=lambda one: (-one[1], one[0])
        )
    ]
    found = await api.suggested()
    both = [(row["dewp"], row["temp"]) for row in rows if None not in (row["dewp"], row["temp"])]
    above = sum(dew > temp for dew, temp in both)
    compared = found["dewp-temp-compare"]
    assert (compared.passed, compared.failed) == (len(both) - above, above)
    assert found["pm2_5-not-null"].failed == len(rows) - len(present)
    bounds = found["pm2_5-range"].rule.range
    assert bounds.minimum == 0
    assert sorted(present)[int(0.999 * len(present))] < bounds.maximum < 2000
    assert found["pm2_5-range"].failed == sum(value > bounds.maximum for value in present)
    assert len(found["wd-in-list"].rule.in_list.values) == 16
    assert "station-unique" not in found
    await check_series(api, rows)


async def check_series(api: Api, rows: list[dict[str, Any]]) -> None:
    asked = {"timeField": "time", "valueField": "pm2_5", "seriesFields": ["station"], "pageSize": 1000}
    answer = await api.find(**asked)
    assert (answer.series, answer.rows, answer.version) == (2, len(rows), 1)
    anomalies, page = list(answer.anomalies), answer
    while page.next_page_token:
        page = await api.find(**asked, pageToken=page.next_page_token)
        anomalies += page.anomalies
    by_kind = {each.kind: each for each in answer.counts}
    kinds = anomalies_pb2.SeriesAnomalyKind
    series = {station: [row["pm2_5"] for row in rows if row["station"] == station] for station in STATIONS}
    times = {station: [row["time"] for row in rows if row["station"] == station] for station in STATIONS}
    # Every hour has a row, so missing readings are runs of rows without a value.
    runs = {
        station: [(absent, len(list(run))) for absent, run in groupby(values, lambda value: value is None)]
        for station, values in series.items()
    }
    missing = [many for each in runs.values() for absent, many in each if absent]
    counted = by_kind[kinds.SERIES_ANOMALY_KIND_MISSING]
    assert (counted.anomalies, counted.readings) == (len(missing), sum(missing))
    assert len(anomalies) == sum(each.anomalies for each in answer.counts)
    frozen = [each for each in anomalies if each.kind == kinds.SERIES_ANOMALY_KIND_FROZEN]
    spikes = [each for each in anomalies if each.kind == kinds.SERIES_ANOMALY_KIND_SPIKE]
    assert len(frozen) > 1
    assert len(spikes) > 5
    for each in frozen:
        values = {point.value for point in each.points}
        assert len(values) == 1
        assert len(each.points) == each.readings >= 6
        first = times[each.series[0]].index(datetime.fromisoformat(each.start_time))
        told = series[each.series[0]][first - 1 : first + each.readings + 1]
        assert set(told[1:-1]) == values
        assert told[0] not in values
        assert told[-1] not in values
    station = "Aotizhongxin"
    expected = plain_spikes([value for value in series[station] if value is not None])
    when = [time for time, value in zip(times[station], series[station], strict=True) if value is not None]
    assert [(each.start_time, each.points[0].value) for each in spikes if each.series[0] == station] == [
        (value_text(when[at], 50), value) for at, value in expected
    ]
    [spike] = [each for each in spikes if each.points[0].value == 463]
    assert dict(spike.points[0].key) == {"station": station, "time": "2014-06-24T09:00:00Z"}


def plain_spikes(values: list[float]) -> list[tuple[int, float]]:
    """By hand: further than 8 scales from the median of 12 readings on each side, and alone there."""
    least = median(abs(b - a) for a, b in pairwise(values) if a != b)
    found = []
    for at in range(12, len(values) - 12):
        if abs(values[at] - values[at - 1]) < 4 * least and abs(values[at] - values[at + 1]) < 4 * least:
            continue  # no spike is so near to both: half of 8 scales
        window = values[at - 12 : at + 13]
        middle = median(window)
        scale = max(1.4826 * median(abs(each - middle) for each in window), least)
        away = values[at] - middle
        side = 1 if away > 0 else -1
        beside = max(side * (values[at - 1] - middle), side * (values[at + 1] - middle))
        if abs(away) > 8 * scale and beside < abs(away) / 2:
            found.append((at, values[at]))
    return found


async def test_series_that_are_none_say_what_to_do(api: Api) -> None:
    api.contract(**CONTRACT)
    await api.load(cases(30), SCHEMA)
    for wrong in (
        {"timeField": "state", "valueField": "score"},
        {"timeField": "opened", "valueField": "state"},
    ):
        with pytest.raises(NotASeries) as raised:
            await api.find(**wrong)
        assert "choose from" in raised.value.remedy
    with pytest.raises(UnknownField):
        await api.find(timeField="never", valueField="score")
    narrow = await api.find(timeField="opened", valueField="score", filter="id < 10")
    assert narrow.rows == 10


async def test_a_long_reading_renews_its_grant(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_RENEW", timedelta(seconds=-1))
    api.contract(**CONTRACT)
    await api.load(cases(30), SCHEMA)
    assert (await api.find(timeField="opened", valueField="score")).rows == 30
    assert api.around.grants > 1
