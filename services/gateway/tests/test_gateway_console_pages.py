"""The console's pages: words, strangers, forms of other places, refusals, what waits."""

from __future__ import annotations

import re

import httpx
import pytest
from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza.common.v1 import runs_pb2
from plaza.security.v1 import security_pb2 as sec
from plaza_design.i18n import Language
from plaza_gateway.console import cookies
from plaza_gateway.console.sessions import SESSION, Session
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
)

PAGES = {
    "/console/": ("空气质量", "4 things"),
    "/console/datasets": ("1 个数据集", "1 dataset"),
    "/console/datasets/air": ("2 个版本", "2 versions"),
    "/console/datasets/air/load": ("再接入一个文件", "Load a further file"),
    "/console/datasets/air/quarantine": ("3 行在隔离区", "3 rows in quarantine"),
    "/console/datasets/air/quarantine?state=discarded": ("3 行已放弃", "3 rows were given up"),
    f"/console/datasets/air/quarantine?replay={RUN}": ("1,200 行已进入版本 2", "1,200 rows are in version 2"),
    "/console/datasets/air/edit": ("修改目录信息", "Edit the directory entry"),
    "/console/datasets/air/history": ("目录信息共 3 版", "3 versions of the directory entry"),
    "/console/register": ("从文件登记数据集", "Register a dataset from a file"),
    f"/console/runs/{RUN}": ("1,200 行已进入版本 2", "1,200 rows are in version 2"),
}


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_in_both_languages(http: httpx.AsyncClient, path: str) -> None:
    chinese, english = PAGES[path]
    assert chinese in await page(http, path, "zh-CN")
    text = await page(http, path, "en")
    assert re.search(english, text)
    assert '<html lang="en"' in text
    assert "Ecology Bureau" in text


@pytest.mark.parametrize(
    "path", ["/console/", "/console/datasets/air", "/console/register", f"/console/runs/{RUN}", "/console/x"]
)
async def test_strangers_see_no_page(http: httpx.AsyncClient, city: City, path: str) -> None:
    http.cookies.clear()
    answer = await http.get(path)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("/console/login?next=%2Fconsole%2F")
    assert city.tokens == []
    http.cookies.set(SESSION, "forged")
    assert (await http.get(path)).status_code == 302
    assert (await http.get(f"/console/runs/{RUN}/events")).status_code == 401


async def test_the_services_are_asked_with_the_persons_own_token(http: httpx.AsyncClient, city: City) -> None:
    await page(http, "/console/datasets")
    assert city.tokens == ["the access token"]


@pytest.mark.parametrize("origin", [None, "https://evil.test", "null", "http://console.test.evil.test"])
async def test_no_form_of_another_place(http: httpx.AsyncClient, city: City, origin: str | None) -> None:
    del http.headers["origin"]
    if origin is not None:
        http.headers["origin"] = origin
    answer = await http.post(
        "/console/datasets/air/release", data={"csrf": SESSION_OF_TESTS.csrf, "request_id": ""}
    )
    assert answer.status_code == 403
    assert city.tokens == []


async def test_no_form_of_another_session(http: httpx.AsyncClient, city: City) -> None:
    for form in ({}, {"csrf": ""}, {"csrf": Session.new(SESSION_OF_TESTS.tokens).csrf}):
        for path in ("/console/datasets/air/release", "/console/logout", f"/console/register/{RUN}"):
            assert (await http.post(path, data=form)).status_code == 403
        sent = await http.post(
            "/console/register", data=form or {"x": "y"}, files={"file": ("a.csv", b"a\n1\n")}
        )
        assert sent.status_code == 403
    assert city.uploaded == {}
    assert city.registered == []


async def test_an_empty_department_is_told_what_to_do(http: httpx.AsyncClient, city: City) -> None:
    city.empty = True
    text = await page(http, "/console/")
    assert "No dataset yet" in text
    assert 'href="/console/register"' in text
    assert "No version yet" in await page(http, "/console/datasets/air")
    city.departments = ()
    assert "You belong to no department yet" in await page(http, "/console/", status=403)


async def test_what_waits_is_sorted_and_leads_somewhere(http: httpx.AsyncClient, city: City) -> None:
    city.state = runs_pb2.RUN_STATE_FAILED
    text = await page(http, "/console/")
    assert "5 things wait for you, 2 first" in text
    links = re.findall(r'class="inbox__title"><a href="([^"]+)"', text)
    air = "/console/datasets/air"
    assert links == [
        f"/console/runs/{RUN}",
        f"{air}#releases",
        f"{air}/quality",
        f"{air}/quarantine",
        f"{air}#releases",
    ]
    assert "&lt;script&gt;" in text


async def test_versions_stand_beside_the_one_before(http: httpx.AsyncClient) -> None:
    text = await page(http, "/console/datasets/air")
    assert "+200" in text
    assert "−5.5" in text


async def test_search_in_the_department(http: httpx.AsyncClient) -> None:
    assert "1 dataset for “QUALITY”" in await page(http, "/console/datasets?q=QUALITY&lang=en")
    assert "Nothing found" in await page(http, "/console/datasets?q=nothing&lang=en")


async def test_gates_that_refuse_are_named(http: httpx.AsyncClient, city: City) -> None:
    city.refusal = Problem(
        400,
        "GATES_NOT_PASSED",
        "no",
        facts={"gates": "licence"},
        errors=(Complaint("body", "licence", "the dataset has no licence"),),
    )
    form = {"csrf": SESSION_OF_TESTS.csrf, "request_id": ""}
    answer = await http.post("/console/datasets/air/release?lang=zh-CN", data=form)
    assert answer.status_code == 400
    assert_page(answer)
    assert "没有开放" in answer.text
    assert "请先填写许可协议" in answer.text
    city.refusal = None
    went = await http.post("/console/datasets/air/release", data=form)
    assert (went.status_code, went.headers["location"]) == (303, "/console/datasets/air#releases")


@pytest.mark.parametrize("status", [400, 403, 404, 409, 429, 500, 503])
@pytest.mark.parametrize("language", list(Language))
async def test_what_services_refuse_is_a_page(
    http: httpx.AsyncClient, city: City, status: int, language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> cat.Dataset:
        raise Problem(status, "NO", HOSTILE, remedy="ask")

    monkeypatch.setattr(city, "dataset", refuse)
    assert "ask" in await page(http, "/console/datasets/air/load", language, status)


async def test_a_token_that_is_refused_ends_the_session(
    http: httpx.AsyncClient, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse() -> sec.Caller:
        raise Problem(401, "DENIED", "left")

    monkeypatch.setattr(city, "caller", refuse)
    answer = await http.get("/console/")
    assert answer.status_code == 302
    assert f"{cookies.name_of(SESSION, secure=False)}=" in answer.headers["set-cookie"]
    assert "Max-Age=0" in answer.headers["set-cookie"]


async def test_somebody_of_two_departments_chooses(http: httpx.AsyncClient, city: City) -> None:
    city.departments = (DEPARTMENT, "departments/health")
    text = await page(http, "/console/register")
    assert '<option value="ecology" selected>' in text
    form = {"csrf": SESSION_OF_TESTS.csrf, "department": "health"}
    answer = await http.post("/console/department", data=form)
    assert answer.headers["location"] == "/console/"
    assert '<option value="health" selected>' in await page(http, "/console/register")
    answer = await http.post("/console/department", data=form | {"department": "market"})
    assert answer.status_code == 403
    # A cookie gives nobody a department.
    http.cookies.delete("department")
    http.cookies.set("department", "market")
    assert '<option value="ecology" selected>' in await page(http, "/console/register")


async def test_a_version_that_expired_says_so_and_why(http: httpx.AsyncClient, city: City) -> None:
    versions = await city.versions("")
    versions[1].state = cat.VERSION_STATE_EXPIRED
    versions[
        1
    ].expire_rule = "kept are the newest 20, those younger than 24 h, the last of each day, and pinned ones"
    versions[1].expire_time.FromJsonString("2026-11-23T01:00:00Z")
    city.kept = versions
    text = await page(http, "/console/datasets/air", "zh-CN")
    assert text.count("已过期</span>") == 1
    assert "按规则保留最新 20 版、24 小时以内的" in text
    assert "1 version expired" in await page(http, "/console/datasets/air", "en")


@pytest.mark.parametrize(
    ("portal", "link"),
    [
        ("", 'href="/en/datasets/ecology/air"'),
        ("https://data.example", 'href="https://data.example/en/datasets/ecology/air"'),
        (None, None),
    ],
)
async def test_the_way_to_the_portal_leads_to_where_it_is(
    city: City, portal: str | None, link: str | None
) -> None:
    city.published = True
    async with browser(city, portal) as http:
        text = await page(http, "/console/datasets/air")
    assert link in text if link else "/en/datasets/ecology" not in text
