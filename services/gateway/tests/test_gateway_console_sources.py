"""The console's pages of sources: the list, one of them, a new one, and when they are pulled."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from plaza.catalogue.v1 import source_systems_pb2 as sy
from plaza.common.v1 import runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as ing
from plaza.ingestion.v1 import sources_pb2 as src
from plaza.security.v1 import security_pb2 as sec
from plaza_gateway.console import sources_form
from plaza_gateway.console.schedules import BadTime, Rhythm
from plaza_gateway.transcode.problems import Complaint, Problem
from plaza_testing.console import (
    DEPARTMENT,
    HOSTILE,
    RUN,
    SESSION_OF_TESTS,
    City,
    assert_page,
    browser,
    page,
    run,
    sent,
)

HERE = "/console/sources/warehouse"
CSRF = {"csrf": SESSION_OF_TESTS.csrf}
WEB = {
    **CSRF,
    "kind": "http",
    "id": "air-feed",
    "display_name": "空气",
    "class": "iot",
    "owner": "监测科",
    "basis": "环境保护法",
    "justification": "只取小时均值",
    "dataset": "air",
    "mode": "upsert",
    "url": "https://feed.test/air.csv",
    "credential": "feed-key",
    "every": "daily",
    "at": "2:30",
}
BASE = {
    **{key: value for key, value in WEB.items() if key not in ("url", "every", "at")},
    "kind": "postgres",
    "host": "db.test:6432",
    "database": "mis",
    "user": "reader",
    "tls": "require",
    "table": "air.hours",
    "watermark": "changed",
    "lateness": "10",
    "key_order": "station, hour",
}


def web(**more: Any) -> src.Source:
    made = src.Source(
        name=f"{DEPARTMENT}/sources/feed",
        display_name="网站文件",
        owner="监测科",
        lawful_basis="法",
        justification="少",
        dataset=f"{DEPARTMENT}/datasets/air",
        state=src.SOURCE_STATE_ACTIVE,
        http=src.HttpConnector(url="https://feed.test/air.csv", headers={"Accept": "text/csv"}),
        schedule=src.PullSchedule(cron="30 2 * * *"),
        **more,
    )
    setattr(made, "class", src.SOURCE_CLASS_IOT)
    made.next_pull_time.FromJsonString("2026-11-21T18:30:00Z")
    return made


def warehouse(**more: Any) -> src.Source:
    made = src.Source(
        name=f"{DEPARTMENT}/sources/warehouse",
        display_name=HOSTILE,
        owner=HOSTILE,
        lawful_basis=HOSTILE,
        justification=HOSTILE,
        source_system=f"{DEPARTMENT}/sourceSystems/mis",
        dataset=f"{DEPARTMENT}/datasets/air",
        mode=ing.LOAD_MODE_UPSERT,
        state=src.SOURCE_STATE_FAILING,
        postgres=src.PostgresConnector(
            host="db.test",
            database="mis",
            user="reader",
            credential="mis-reader",
            query=f"SELECT 1 -- {HOSTILE}",
            watermark_column="changed",
            key_order=["a", "b"],
        ),
        last_run=f"{DEPARTMENT}/runs/{RUN}",
        last_error=ing.RunError(message=f"db.test: {HOSTILE}", remedy="look"),
        cursor=src.PullCursor(watermark="2026-11-20 08:00:00"),
        etag="e7",
        **more,
    )
    made.postgres.lateness.seconds = 90
    setattr(made, "class", src.SOURCE_CLASS_GOVERNMENT)
    made.last_success_time.FromJsonString("2026-11-20T01:00:00Z")
    return made


@dataclass
class Town(City):
    """Services with two sources."""

    roles: tuple[str, ...] = ("steward",)
    there: list[src.Source] = field(default_factory=lambda: [web(), warehouse()])
    done: list[Any] = field(default_factory=list)
    changed: list[tuple[src.Source, tuple[str, ...]]] = field(default_factory=list)

    @property
    def sources(self) -> Town:
        return self

    @property
    def standards(self) -> Town:
        return self

    async def caller(self) -> sec.Caller:
        return sec.Caller(display_name="林清源", departments=self.departments, roles=self.roles)

    async def runs(self, department: str, name: str = "") -> list[ing.Run]:
        other = run()
        pulled = run(self.state)
        pulled.source = f"{DEPARTMENT}/sources/warehouse"
        other.file_name = "somebody-uploaded-it.csv"
        return [other, pulled]

    async def systems(self, department: str) -> list[Any]:
        retired = [("mis", sy.SOURCE_SYSTEM_STATE_RETIRED), ("gone", sy.SOURCE_SYSTEM_STATE_RETIRED)]
        return [
            sy.SourceSystem(name=f"{department}/sourceSystems/{id_}", state=state) for id_, state in retired
        ]

    async def all(self, department: str) -> list[src.Source]:
        self._refuse()
        return list(self.there)

    async def one(self, name: str) -> src.Source:
        found = [one for one in self.there if one.name == name]
        if not found:
            raise Problem(404, "UNKNOWN_SOURCE", f"there is no {name}")
        return found[0]

    async def register(self, department: str, id_: str, made: Any, request_id: str) -> Any:
        self._refuse()
        self.done.append(MessageToDict(made))
        return src.Source(name=f"{department}/sources/{id_}")

    async def update(self, changed: Any, fields: tuple[str, ...]) -> Any:
        self._refuse()
        self.changed.append((changed, fields))
        return changed

    async def pause(self, name: str) -> src.Source:
        self._refuse()
        self.done.append("pause")
        return warehouse()

    async def resume(self, name: str) -> src.Source:
        self._refuse()
        self.done.append("resume")
        return warehouse()

    async def pull(self, name: str, request_id: str) -> ing.Run:
        self._refuse()
        self.done.append(("pull", name))
        return run(runs_pb2.RUN_STATE_QUEUED)


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture
async def here(town: Town) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(town) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "chinese", "english"),
    [
        ("/console/sources", "2 个数据源，1 个失败", "2 sources, 1 failing"),
        (HERE, "最近一次接入失败", "The last pull failed"),
        ("/console/sources/feed", "不需要凭据", "None is needed"),
        (f"{HERE}/edit", "下次从第一行接入", "next pull begins at the first row"),
        ("/console/register-source", "以 https:// 或 http:// 开头", "without user and password"),
        ("/console/register-source?kind=postgres", "水位列", "Watermark column"),
    ],
)
async def test_pages_of_sources_in_both_languages(
    here: httpx.AsyncClient, path: str, chinese: str, english: str
) -> None:
    assert chinese in await page(here, path, "zh-CN")
    assert english in await page(here, path)


async def test_the_list_has_those_that_fail_first_and_what_the_last_pull_brought(
    here: httpx.AsyncClient,
) -> None:
    text = await page(here, "/console/sources")
    assert re.findall(r'<th scope="row"><a href="/console/sources/(\w+)"', text) == ["warehouse", "feed"]
    assert ">1,200<" in text
    assert "2026-11-22 02:30" in text
    assert 'href="/console/register-source"' in text
    assert 'href="/console/sources" aria-current="page"' in text


async def test_a_sources_page_says_why_it_is_lawful_how_far_it_is_and_how_to_place_its_secret(
    here: httpx.AsyncClient,
) -> None:
    text = await page(here, HERE)
    for said in (
        "plaza source credential ecology mis-reader",
        "2026-11-20 08:00:00",
        "db.test:5432/mis",
        "Government",
        '<span class="num">1.5<',
        "/console/systems/mis",
        "Update by key",
    ):
        assert said in text, said
    assert text.count("&lt;script&gt;alert(1)") >= 6
    assert f'/console/runs/{RUN}"' in text
    assert "somebody-uploaded-it" not in text, "only its own pulls"
    assert "every day 02:30" in (await page(here, "/console/sources/feed")).lower()


async def test_who_may_not_sees_no_button_and_is_told_what_the_service_says(
    here: httpx.AsyncClient, town: Town
) -> None:
    town.roles = ("auditor",)
    for path in ("/console/sources", HERE):
        text = await page(here, path)
        assert "register-source" not in text
        assert re.findall(rf'action="{HERE}/|{HERE}/edit', text) == []
    town.roles = ("reader",)
    assert 'href="/console/sources"' not in await page(here, "/console/datasets")
    town.refusal = Problem(
        403, "NOT_PERMITTED", "source.manage is not for you", remedy="ask the data officer"
    )
    assert "source.manage is not for you" in await page(here, "/console/sources", status=403)
    for path in (
        f"{HERE}/pull",
        f"{HERE}/pause",
        f"{HERE}/schedule",
        "/console/register-source",
    ):
        answer = await here.post(path, data={**WEB, **CSRF})
        assert answer.status_code == 403
        assert "source.manage is not for you" in answer.text
    assert town.done == []


async def test_pull_now_leads_to_the_run_and_a_refusal_stays_on_the_page(
    here: httpx.AsyncClient, town: Town
) -> None:
    went = await here.post(f"{HERE}/pull", data=CSRF)
    assert (went.status_code, went.headers["location"]) == (303, f"/console/runs/{RUN}")
    for way in ("pause", "resume"):
        assert (await here.post(f"{HERE}/{way}", data=CSRF)).headers["location"] == HERE
    assert town.done == [("pull", f"{DEPARTMENT}/sources/warehouse"), "pause", "resume"]
    town.refusal = Problem(400, "SOURCE_PAUSED", "it is paused", remedy="resume it first")
    answer = await here.post(f"{HERE}/pull", data=CSRF)
    assert answer.status_code == 400
    assert_page(answer)
    assert "resume it first" in answer.text


async def test_no_form_of_another_place_touches_a_source(here: httpx.AsyncClient, town: Town) -> None:
    for way in ("pull", "pause", "resume", "schedule", "edit"):
        assert (await here.post(f"{HERE}/{way}", data={})).status_code == 403
    assert town.done == []


async def test_a_schedule_is_changed_in_the_words_of_people(here: httpx.AsyncClient, town: Town) -> None:
    for form in (
        {"every": "weekly", "at": "6:05", "zone": "Asia/Urumqi", "etag": "e7"},
        {"every": "hand", "etag": "e7"},
    ):
        sent = await here.post(f"{HERE}/schedule", data={**CSRF, **form})
        assert sent.headers["location"] == f"{HERE}#schedule"
    said = [(one.schedule.cron, one.schedule.zone, one.etag, fields) for one, fields in town.changed]
    assert said == [("5 6 * * 1", "Asia/Urumqi", "e7", ("schedule",)), ("", "", "e7", ("schedule",))]
    wrong = await here.post(f"{HERE}/schedule?lang=zh-CN", data={**CSRF, "every": "daily", "at": "soon"})
    assert wrong.status_code == 400
    assert_page(wrong)
    assert "请填写时间，如 02:30" in wrong.text
    assert 'value="soon"' in wrong.text
    town.refusal = Problem(
        409, "ETAG_MISMATCH", f"{DEPARTMENT}/sources/warehouse was changed since it was read"
    )
    late = await here.post(f"{HERE}/schedule?lang=zh-CN", data={**CSRF, "every": "hand"})
    assert "在您打开之后有人改过" in late.text
    assert len(town.changed) == 2


async def test_a_web_address_is_registered(here: httpx.AsyncClient, town: Town) -> None:
    sent = await here.post("/console/register-source", data=WEB)
    assert (sent.status_code, sent.headers["location"]) == (303, "/console/sources/air-feed")
    assert town.done == [
        {
            "displayName": "空气",
            "class": "SOURCE_CLASS_IOT",
            "owner": "监测科",
            "lawfulBasis": "环境保护法",
            "justification": "只取小时均值",
            "dataset": f"{DEPARTMENT}/datasets/air",
            "mode": "LOAD_MODE_UPSERT",
            "http": {"url": "https://feed.test/air.csv", "credential": "feed-key"},
            "schedule": {"cron": "30 2 * * *"},
        }
    ]


async def test_a_database_is_registered(here: httpx.AsyncClient, town: Town) -> None:
    assert (await here.post("/console/register-source", data=BASE)).status_code == 303
    assert town.done[0]["postgres"] == {
        "host": "db.test",
        "port": 6432,
        "database": "mis",
        "user": "reader",
        "tls": "TLS_MODE_REQUIRE",
        "credential": "feed-key",
        "table": {"schema": "air", "table": "hours"},
        "watermarkColumn": "changed",
        "lateness": "600s",
        "keyOrder": ["station", "hour"],
    }
    assert "schedule" not in town.done[0]
    query = {**BASE, "table": "", "query": "SELECT a FROM b", "host": "2001:db8::1"}
    assert (await here.post("/console/register-source", data=query)).status_code == 303
    assert town.done[1]["postgres"]["query"] == "SELECT a FROM b"
    assert town.done[1]["postgres"]["host"] == "2001:db8::1"


async def test_errors_stand_at_their_fields_and_nothing_is_lost(here: httpx.AsyncClient, town: Town) -> None:
    both = {**BASE, "query": "SELECT 1", "owner": " ", "lateness": "ten", "basis": HOSTILE}
    answer = await here.post("/console/register-source?lang=zh-CN", data=both)
    assert answer.status_code == 400
    assert_page(answer)
    assert {"rows", "owner", "lateness"} == set(re.findall(r'<a href="#(\w+)">', answer.text))
    assert "请填写表或查询，只填一个" in answer.text
    assert 'value="db.test:6432"' in answer.text
    assert town.done == []
    town.refusal = Problem.of_complaints(
        (
            Complaint("body", "source_id", "does not match regex pattern `^[a-z]$`"),
            Complaint("body", "source.mode", "cannot be append without a watermark_column: every pull reads"),
            Complaint("body", "source.postgres.table.table", "odd"),
            Complaint("body", "source.new_field", "odd too"),
        )
    )
    answer = await here.post("/console/register-source?lang=zh-CN", data=BASE)
    assert_page(answer)
    for place, said in (("id", "格式不对"), ("mode", "没有水位列时"), ("table", "odd")):
        assert re.search(rf'id="{place}-error">[^/]*{said}', answer.text), place
    assert "odd too" in answer.text


async def test_an_id_that_is_taken_is_said_at_its_field(here: httpx.AsyncClient, town: Town) -> None:
    town.refusal = Problem(409, "SOURCE_EXISTS", f"{DEPARTMENT}/sources/air-feed exists already")
    answer = await here.post("/console/register-source?lang=zh-CN", data=WEB)
    assert answer.status_code == 409
    assert re.search(r'id="id-error">[^<]*已存在', answer.text)


async def test_only_what_was_changed_of_a_source_is_changed(here: httpx.AsyncClient, town: Town) -> None:
    text = await page(here, f"{HERE}/edit")
    # It keeps the system that it names, though no other could name it any more.
    assert ('<option value="mis" selected' in text, '<option value="gone"' in text) == (True, False)
    form = sent(text, f"{HERE}/edit")
    same = await here.post(f"{HERE}/edit", data=form)
    assert (same.status_code, same.headers["location"], town.changed) == (303, HERE, [])
    await here.post(f"{HERE}/edit", data=form | {"owner": "新科室", "basis": "法\r\n第二条"})
    await here.post(f"{HERE}/edit", data=form | {"host": "other.test:6432", "lateness": "2.5"})
    (first, fields), (second, others) = town.changed
    assert (fields, first.owner, first.lawful_basis) == (("owner", "lawful_basis"), "新科室", "法\r\n第二条")
    assert (first.name, first.etag) == (warehouse().name, "e7")
    assert others == ("postgres",)
    assert (second.postgres.host, second.postgres.port, second.postgres.lateness.seconds) == (
        "other.test",
        6432,
        150,
    )
    feed = "/console/sources/feed/edit"
    form = sent(await page(here, feed), feed)
    await here.post(feed, data=form | {"url": "https://other.test/air.csv", "system": "", "mode": "replace"})
    changed, fields = town.changed[-1]
    assert (fields, changed.mode) == (("mode", "http"), ing.LOAD_MODE_REPLACE)
    assert dict(changed.http.headers) == {"Accept": "text/csv"}


@pytest.mark.parametrize("made", [web, warehouse])
def test_a_source_that_goes_through_its_form_stays_the_same(made: Callable[[], src.Source]) -> None:
    before = made()
    if before.HasField("postgres"):
        before.postgres.host, before.postgres.port = "2001:db8::1", 6432
        before.postgres.tls = src.TLS_MODE_VERIFY_FULL
        # What the form cannot say stays.
        before.postgres.lateness.seconds = 740_740
        before.postgres.key_order[:] = ["station id", "a,b"]
        before.postgres.table.schema, before.postgres.table.table = "air", "hours.2026"
    before.mode = before.mode or ing.LOAD_MODE_APPEND
    values = sources_form.values_from(before)
    assert sources_form.changed_source(before, DEPARTMENT, values) == before


def test_a_query_of_several_lines_is_not_changed_by_the_browsers_line_ends() -> None:
    before = warehouse()
    before.postgres.query = "SELECT 1\nFROM b"
    values = sources_form.values_from(before)
    values = values | {"query": "SELECT 1\r\nFROM b", "user": "other"}
    changed = sources_form.changed_source(before, DEPARTMENT, values)
    assert (changed.postgres.query, changed.postgres.user) == ("SELECT 1\nFROM b", "other")
    values = values | {"query": "", "table": "air.hours"}
    changed = sources_form.changed_source(before, DEPARTMENT, values)
    assert changed.postgres.WhichOneof("rows") == "table"


async def test_a_colleagues_change_of_a_source_is_shown_and_not_overwritten(
    here: httpx.AsyncClient, town: Town
) -> None:
    form = sent(await page(here, f"{HERE}/edit"), f"{HERE}/edit")
    mine = form | {"owner": "我的科室", "justification": "更少"}
    town.refusal = Problem(409, "ETAG_MISMATCH", "changed since")
    (theirs,) = [one for one in town.there if one.name.endswith("warehouse")]
    theirs.owner, theirs.etag, theirs.postgres.tls = "他的科室", "e8", src.TLS_MODE_DISABLE
    answer = await here.post(f"{HERE}/edit?lang=zh-CN", data=mine)
    assert answer.status_code == 409
    assert_page(answer)
    assert "有人刚刚改过这里" in answer.text
    assert re.search(r'id="owner-theirs">同事改成： <b>他的科室</b>', answer.text)
    assert re.findall(r'<th scope="row">\s*([^<]*?)\s*</th>', answer.text) == ["负责人", "连接保护"]
    assert '<ins class="now">不加密</ins>' in answer.text
    both = sent(answer.text, f"{HERE}/edit")
    assert (both["owner"], both["justification"], both["tls"]) == ("我的科室", "更少", "disable")
    assert (both["etag"], both["was.owner"]) == ("e8", "他的科室")
    town.refusal = None
    await here.post(f"{HERE}/edit", data=both)
    changed, fields = town.changed[-1]
    assert (changed.etag, fields, changed.postgres.tls) == (
        "e8",
        ("owner", "justification"),
        src.TLS_MODE_DISABLE,
    )


async def test_a_change_that_is_refused_stands_at_its_field(here: httpx.AsyncClient, town: Town) -> None:
    form = sent(await page(here, f"{HERE}/edit"), f"{HERE}/edit")
    answer = await here.post(f"{HERE}/edit?lang=zh-CN", data=form | {"owner": "", "table": "a.b"})
    assert answer.status_code == 400
    assert_page(answer)
    assert {"rows", "owner"} == set(re.findall(r'<a href="#(\w+)">', answer.text))
    busy = f"{DEPARTMENT}/sources/warehouse is being pulled by {DEPARTMENT}/runs/{RUN}"
    town.refusal = Problem(400, "SOURCE_BUSY", busy, remedy="wait")
    answer = await here.post(f"{HERE}/edit?lang=zh-CN", data=form | {"mode": "replace"})
    assert "请等它结束" in answer.text
    assert '<option value="replace" selected' in answer.text
    assert town.changed == []


@pytest.mark.parametrize(
    ("cron", "every", "at"),
    [
        ("", "hand", ""),
        ("5 * * * *", "hourly", "00:05"),
        ("30 2 * * *", "daily", "02:30"),
        ("0 23 * * 1", "weekly", "23:00"),
        ("0 0 1 * *", "monthly", "00:00"),
        ("0 2 1 * 1", "cron", ""),
        ("*/5 * * * *", "cron", ""),
        ("0 2 * * MON", "cron", ""),
    ],
)
def test_a_schedule_in_words_is_the_same_schedule(cron: str, every: str, at: str) -> None:
    rhythm = Rhythm.of_cron(cron)
    assert (rhythm.every, rhythm.at) == (every, at)
    assert rhythm.to_cron() == cron


@pytest.mark.parametrize("form", [{"every": "daily", "at": "24:00"}, {"every": "cron"}, {"every": "hourly"}])
def test_a_schedule_that_says_nothing_is_none(form: dict[str, str]) -> None:
    with pytest.raises(BadTime):
        Rhythm.of_form(form).to_cron()


def test_every_field_that_can_be_refused_has_its_place() -> None:
    for connector, kind in ((src.HttpConnector, "http"), (src.PostgresConnector, "postgres")):
        for name in connector.DESCRIPTOR.fields_by_name:
            if name not in ("headers", "max_bytes"):
                assert sources_form.place_of(f"source.{kind}.{name}") != "main", name
    assert sources_form.place_of("source.http.headers[X]") == "main"
