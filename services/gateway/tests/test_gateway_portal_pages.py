"""The portal's pages over an in-memory source with generated data: words, structure, safety, addresses."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import httpx
import pytest
from fastapi import FastAPI
from plaza_design.headers import CONTENT_SECURITY_POLICY
from plaza_design.i18n import LocalText
from plaza_gateway.portal.routes import error_response, portal_router
from plaza_gateway.portal.views import (
    DatasetSummary,
    DatasetView,
    DepartmentStones,
    DimensionView,
    Facet,
    FacetValue,
    FieldView,
    FileView,
    HomeView,
    LedgerView,
    LicenceView,
    QualityView,
    ReleaseSummary,
    RowsQuery,
    RowsView,
    RuleView,
    SearchQuery,
    SearchView,
    Site,
    TombstoneView,
)
from plaza_kit.errors import NotFound, Unavailable
from starlette.requests import Request
from starlette.responses import Response

NOW = datetime(2026, 11, 20, 6, 31, tzinfo=UTC)
SITE = Site(
    LocalText("云汀市", "Yunting"), LocalText("云汀市数据局", "Yunting Data Bureau"), "https://data.test"
)
HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}{% raw %}"

_DEPARTMENTS = {
    "ecology": LocalText("生态环境局", "Ecology Bureau"),
    "transport": LocalText("交通运输局", "Transport Bureau"),
    "health": LocalText("卫生健康委", "Health Commission"),
    "market": LocalText("市场监管局"),
}
_THINGS = (
    ("air-hourly", "空气质量小时值", "Air quality, hourly"),
    ("bus-stops", "公交站点", "Bus stops"),
    ("clinics", "社区诊所名录", ""),
    ("food-tests", "食品抽检结果", "Food inspection results"),
    ("noise", "建筑工地噪声", "Noise of building sites"),
)


@dataclass
class Specimen:
    """A small city. Everything is drawn from a seed; nothing is real."""

    hostile: bool = False
    datasets: int = 31
    down: bool = False

    def summaries(self) -> list[DatasetSummary]:
        draw = random.Random(7)
        made = []
        for i in range(self.datasets):
            slug, zh, en = _THINGS[i % len(_THINGS)]
            department = list(_DEPARTMENTS)[draw.choice([0, 0, 0, 1, 1, 2, 2, 3])]
            score = draw.choice([97.84, 99.2, 93.1, 84.9, None, 100.0])
            made.append(
                DatasetSummary(
                    department=department,
                    dataset=f"{slug}-{i}",
                    title=LocalText(zh + f"（{i}）", f"{en} ({i})" if en else ""),
                    department_title=_DEPARTMENTS[department],
                    released_at=NOW - timedelta(hours=7 * i),
                    rows=draw.randrange(12, 3 * 10**6),
                    score=score,
                    light=_light(score),
                    description=LocalText(
                        "按小时发布的观测值，含缺测。" * 3,
                        "Observations by the hour, with gaps." if i % 2 else "",
                    ),
                    formats=("CSV",),
                    update_cycle=draw.choice(["hourly", "daily", "monthly", "unspecified"]),
                )
            )
        return made

    async def home(self) -> HomeView:
        if self.down:
            raise Unavailable("open-data does not answer")
        all_ = self.summaries()
        counts = {d: sum(s.department == d for s in all_) for d in _DEPARTMENTS}
        return HomeView(
            datasets=len(all_),
            departments=tuple(DepartmentStones(d, _DEPARTMENTS[d], n) for d, n in counts.items() if n),
            latest=tuple(all_[:6]),
            sample=self.file() if all_ else None,
        )

    async def search(self, query: SearchQuery) -> SearchView:
        found = [
            s
            for s in self.summaries()
            if s.department in (dict(query.chosen).get("department") or _DEPARTMENTS)
            and all(w in s.title.zh + s.title.en for w in query.words.split())
        ]
        first = (query.page - 1) * 10
        departments = Facet(
            "department",
            tuple(
                FacetValue(d, sum(s.department == d for s in found), title)
                for d, title in _DEPARTMENTS.items()
            ),
        )
        bad = HOSTILE if self.hostile else ""
        facets = (
            departments,
            Facet("cycle", (FacetValue("hourly", 3),)),
            Facet("category", (FacetValue("水" + bad, 2),)),
        )
        return SearchView(tuple(found[first : first + 10]), len(found), 10, facets)

    async def suggest(self, typed: str) -> tuple[LocalText, ...]:
        return tuple(s.title for s in self.summaries() if typed in s.title.zh)[:10]

    def file(self) -> FileView:
        path = "/api/v1/departments/ecology/datasets/air-hourly/releases/5/files/air-hourly-r5.csv"
        return FileView(
            "air-hourly-r5.csv", "CSV", 31_412_345, "9f3c41d077be2a15" * 4, path, f"{path}.proof.json"
        )

    async def dataset(
        self, department: str, dataset: str, release: int | None, query: RowsQuery
    ) -> DatasetView | TombstoneView:
        if dataset == "gone":
            raise NotFound(f"departments/{department}/datasets/{dataset}")
        if release == 3:
            return TombstoneView(
                department,
                dataset,
                LocalText("空气质量小时值", "Air quality, hourly"),
                _DEPARTMENTS["ecology"],
                3,
                LocalText("含有未核实的站点", ""),
                NOW - timedelta(days=2),
                newest_release=5,
                ledger_index=8_204_002,
            )
        view = self.view(5 if release is None else release)
        if not query.asks:
            return view
        if "bad" in query.filter:
            return replace(view, found=RowsView((), (), 0, 20, 1, "filter, character 1: " + HOSTILE))
        fields = tuple(f for f in view.fields if not query.columns or f.name in query.columns)
        kept = [view.fields.index(f) for f in fields]
        rows = tuple(tuple(row[i] for i in kept) for row in view.preview)
        return replace(view, found=RowsView(fields, rows, 431, 20, 22))

    def view(self, release: int = 5) -> DatasetView:
        bad = HOSTILE if self.hostile else ""
        draw = random.Random(11)
        rows = tuple(
            (
                (NOW - timedelta(hours=i // 4)).replace(minute=0).isoformat(),
                str(2013 + i % 4),
                draw.choice(["东塘", "望江台", "北苑"]) + bad,
                None if i == 3 else f"{draw.uniform(5, 120):.{draw.choice([0, 1])}f}",
                f"{draw.uniform(-4, 30):.1f}",
                None if i in (1, 5) else "有效",
            )
            for i in range(8)
        )
        rules = (
            RuleView(
                LocalText("PM2.5 有值" + bad), "completeness", 16_480, 1_153, 0, 93.46, 95, False, "pm25"
            ),
            RuleView(LocalText("气温在 −30 到 45 度"), "accuracy", 17_600, 0, 33, 100.0, 99.5, True, "temp"),
            RuleView(
                LocalText("站点与时间不重复", "One row per station and hour"),
                "uniqueness",
                17_633,
                0,
                0,
                100,
                100,
                True,
            ),
            RuleView(LocalText("标记属于代码表"), "validity", 0, 0, 17_633, None, 95, True, "flag"),
        )
        releases = tuple(
            ReleaseSummary(
                n,
                n * 2,
                "withdrawn" if n == 3 else "published" if n == 5 else "superseded",
                NOW - timedelta(days=40 * (5 - n) + 2, hours=1),
                17_633 - (5 - n) * 1000,
                LocalText("更正：3 个站点的编码" + bad, "") if n == 4 else LocalText(""),
            )
            for n in range(5, 0, -1)
        )
        return DatasetView(
            department="ecology",
            dataset="air-hourly",
            title=LocalText("环境空气质量小时值" + bad, "Ambient air quality, hourly" + bad),
            description=LocalText("12 个监测站每小时的 PM2.5 与气温。缺测写作 null，不作插补。" + bad),
            department_title=_DEPARTMENTS["ecology"],
            release=next(r for r in releases if r.number == release),
            newest_release=5,
            rows=17_633,
            files=(self.file(), replace(self.file(), name="air-hourly-r5.parquet", format="Parquet")),
            fields=(
                FieldView("time", "timestamp", LocalText("时间", "Time"), is_key=True, null_percent=0),
                FieldView("year", "integer", LocalText("年", "Year"), required=True),
                FieldView(
                    "station", "string", LocalText("站点", "Station"), description=LocalText("站点名称" + bad)
                ),
                FieldView("pm25", "number", LocalText("细颗粒物", "PM2.5"), "μg/m³", null_percent=6.54),
                FieldView("temp", "number", LocalText("气温", "Temperature"), "°C"),
                FieldView(
                    "flag", "string", LocalText("标记"), description=LocalText("", "Checked by a person")
                ),
            ),
            preview=rows,
            quality=QualityView(
                score=96.44,
                light="green",
                dimensions=(
                    DimensionView("accuracy", 100.0),
                    DimensionView("completeness", 93.46),
                    DimensionView("uniqueness", 100.0),
                    DimensionView("validity", None),
                ),
                rules=rules,
            ),
            licence=LicenceView(
                "CC BY 4.0", "javascript:alert(1)" if bad else "https://creativecommons.org/licenses/by/4.0/"
            ),
            grade="public",
            sharing_class="unconditional",
            update_cycle="hourly",
            ledger=LedgerView(8_204_117, 8_204_120, 23, "c60d9b245f08e1a7" * 4),
            releases=releases,
            content_sha256="77be2a159f3c41d0" * 4,
            code="302/04/017-0003" + bad,
            category="生态环境",
            keywords=("空气" + bad, "PM2.5"),
            due_at=NOW - timedelta(days=2),
            rows_url="/api/v1/departments/ecology/datasets/air-hourly/rows?where=a='b'",
        )


def _light(score: float | None) -> str:
    return "none" if score is None else "green" if score >= 95 else "yellow" if score >= 85 else "red"


def make_app(source: Specimen) -> FastAPI:
    app = FastAPI()
    app.include_router(portal_router(source, SITE, lambda: NOW))

    @app.exception_handler(404)
    async def not_found(request: Request, _: Exception) -> Response:
        return error_response(request, SITE, 404, NOW)

    return app


def client(source: Specimen) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(make_app(source)), base_url="http://plaza.test")


@pytest.fixture
async def portal() -> AsyncIterator[httpx.AsyncClient]:
    async with client(Specimen()) as http:
        yield http


@pytest.fixture
async def hostile() -> AsyncIterator[httpx.AsyncClient]:
    async with client(Specimen(hostile=True)) as http:
        yield http


_DATASET = "/datasets/ecology/air-hourly"
PATHS = {
    "/": 200,
    "/datasets": 200,
    "/datasets?q=%E7%A9%BA%E6%B0%94&department=ecology": 200,
    "/datasets?q=nothing-like-it": 200,
    "/datasets?cycle=hourly&cycle=daily&category=%E6%B0%B4&format=CSV": 200,
    f"{_DATASET}/releases/5?filter=pm25+%3E+35&columns=pm25,time&order_by=pm25+desc&page=3": 200,
    f"{_DATASET}/releases/5?filter=bad": 400,
    "/datasets?page=2": 200,
    "/datasets?page=99": 200,
    _DATASET: 200,
    f"{_DATASET}/releases/2": 200,
    f"{_DATASET}/releases/3": 410,
    "/datasets/ecology/gone": 404,
    "/nowhere/at/all": 404,
}
PAGES = [(f"/{prefix}{path}", status) for prefix in ("zh", "en") for path, status in PATHS.items()]


class Outline(HTMLParser):
    """What the tests look at in a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[int] = []
        self.text = ""
        self._silent = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    def ids(self) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get("id"))]


def _check_frame(page: Outline, language: str) -> None:
    assert page.all("html")[0]["lang"] == language
    other = "en" if language == "zh-CN" else "zh-CN"
    switch = next(a for a in page.all("a") if a.get("hreflang"))
    assert switch["lang"] == switch["hreflang"] == other
    assert page.headings.count(1) == 1
    assert page.headings[0] == 1
    assert all(b - a <= 1 for a, b in zip(page.headings, page.headings[1:], strict=False)), page.headings
    ids = page.ids()
    assert len(ids) == len(set(ids))
    assert len(page.all("main")) == 1
    assert page.tags[[name for name, _ in page.tags].index("body") + 1][1]["href"] == "#main"


def _check_policy(page: Outline) -> None:
    for tag, attrs in page.tags:
        assert tag != "style"
        assert "style" not in attrs, (tag, attrs)
        assert not [name for name in attrs if name.startswith("on")], (tag, attrs)
        for name in ("href", "src", "action"):
            assert not (attrs.get(name) or "").lower().startswith(("javascript:", "data:")), (tag, attrs)
    assert all(script.get("src", "").startswith("/static/") for script in page.all("script"))


def _check_references(page: Outline) -> None:
    ids = set(page.ids())
    for a in page.all("a"):
        href = a["href"] or ""
        if href.startswith("#"):
            assert href[1:] in ids, href
    for _, attrs in page.tags:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            if attrs.get(name):
                assert set((attrs[name] or "").split()) <= ids, attrs


@pytest.mark.parametrize(("path", "status"), PAGES)
async def test_page_is_whole(portal: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await portal.get(path)
    assert answer.status_code == status
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    page = Outline(answer.text)
    _check_frame(page, "zh-CN" if path.startswith("/zh") else "en")
    _check_policy(page)
    _check_references(page)
    assert not re.search(r"\b(None|Undefined|StrictUndefined|LocalText)\b", page.text)


@pytest.mark.parametrize(("path", "status"), PAGES)
async def test_hostile_metadata_is_text(hostile: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await hostile.get(path)
    assert answer.status_code == status
    page = Outline(answer.text)
    _check_policy(page)
    assert "<script>alert" not in answer.text
    assert "<img" not in answer.text
    assert "49" not in re.findall(r"'(\d+)\{%", page.text)


async def test_hostile_search_words_are_text(portal: httpx.AsyncClient) -> None:
    answer = await portal.get("/en/datasets", params={"q": HOSTILE, "department": HOSTILE, "page": HOSTILE})
    assert answer.status_code == 200
    _check_policy(Outline(answer.text))
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize("prefix", ["zh", "en"])
async def test_english_pages_mark_what_is_chinese(portal: httpx.AsyncClient, prefix: str) -> None:
    """Every run of Chinese on an English page stands in an element that says so (WCAG 3.1.2)."""
    html = (await portal.get(f"/{prefix}{_DATASET}")).text
    if prefix == "zh":
        assert '<span lang="en">Checked by a person</span>' in html
        return
    body = html[html.index("<body>") :]
    unmarked = re.sub(r'<(span|a)[^>]* lang="zh-CN"[^>]*>.*?</\1>', "", body)
    # rows of the data themselves and the directory's own codes have no declared language
    unmarked = re.sub(r"<tbody>.*?</tbody>|<aside.*?</aside>", "", unmarked, flags=re.S)
    unmarked = re.sub(r"<[^>]+>", "", unmarked)
    assert not re.findall(r"[\u4e00-\u9fff]+", unmarked)


async def test_dataset_page_says_what_is_true(portal: httpx.AsyncClient) -> None:
    page = Outline((await portal.get(f"/en{_DATASET}")).text)
    text = re.sub(r"\s+", " ", page.text)
    for fact in (
        *("17,633", "6 columns", "31.4 MB", "96.4", "CC BY 4.0", "18 Nov", "8,204,117", "8,204,120"),
        *(
            "1 of 1 rules is not met",
            "1,153 of 17,633 rows fail",
            "2 days late",
            "null 6.5%",
            "First 8 of 17,633",
        ),
        *("Release 5", "withdrawn", "UTC+8", "2026-11-20 14:00", "It applies to no row"),
    ):
        assert fact in text, fact
    assert "2,013" not in text
    hrefs = [a["href"] for a in page.all("a")]
    assert "#rule-1" in hrefs
    assert "#field-pm25" in hrefs
    assert any(h and h.endswith(".csv.proof.json") for h in hrefs)


async def test_every_red_mark_has_its_way_out(portal: httpx.AsyncClient) -> None:
    for path in ("/en/", "/en/datasets", f"/en{_DATASET}"):
        html = (await portal.get(path)).text
        marks = re.findall(r'(<a [^>]*>)?<span class="sig sig--bad">', html)
        assert marks
        assert all(marks), path


async def test_missing_values_are_written(portal: httpx.AsyncClient) -> None:
    html = (await portal.get(f"/zh{_DATASET}")).text
    preview = html[html.index('id="rows"') : html.index('id="promise"')]
    assert preview.count('<span class="null">null</span>') == 3


async def test_an_unmeasured_dataset_hides_its_quality(portal: httpx.AsyncClient) -> None:
    class Bare(Specimen):
        def view(self, release: int = 5) -> DatasetView:
            return replace(
                super().view(release),
                quality=QualityView(None, "none"),
                preview=(),
                files=(),
                ledger=None,
                licence=None,
                sharing_class=None,
                update_cycle="unspecified",
                due_at=None,
                rows_url=None,
                keywords=(),
            )

    async with client(Bare()) as http:
        for language, prefix in (("zh-CN", "zh"), ("en", "en")):
            page = Outline((await http.get(f"/{prefix}{_DATASET}")).text)
            _check_frame(page, language)
            _check_references(page)
            assert not {"quality", "rows", "promise", "download", "fetch"} & set(page.ids())


async def test_empty_city_invents_nothing() -> None:
    async with client(Specimen(datasets=0)) as http:
        for path in ("/zh/", "/en/", "/zh/datasets", "/en/datasets"):
            page = Outline((await http.get(path)).text)
            assert len(page.all("table")) == 0
            assert "waffle__row" not in str(page.tags)
            _check_frame(page, "zh-CN" if "zh" in path else "en")


async def test_waffle_has_one_stone_per_dataset(portal: httpx.AsyncClient) -> None:
    html = (await portal.get("/zh/")).text
    assert sum(d.count("M") for d in re.findall(r'class="w-\w+" d="([^"]*)"', html)) == 31


async def test_pager_and_filters_keep_the_words(portal: httpx.AsyncClient) -> None:
    page = Outline((await portal.get("/en/datasets?department=ecology&q=e")).text)
    assert {"type": "hidden", "name": "q", "value": "e"} in page.all("input")
    chosen = [i for i in page.all("input") if i.get("type") == "checkbox" and "checked" in i]
    assert [i["value"] for i in chosen] == ["ecology"]
    pager = Outline((await portal.get("/en/datasets?page=2")).text)
    assert {a["rel"]: a["href"] for a in pager.all("a") if a.get("rel")} == {
        "prev": "/en/datasets",
        "next": "/en/datasets?page=3",
    }


async def test_found_words_are_marked(portal: httpx.AsyncClient) -> None:
    assert "<mark>空气</mark>质量" in (await portal.get("/zh/datasets?q=空气")).text


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ({}, "/zh/"),
        ({"accept-language": "en-GB,en;q=0.9,zh;q=0.5"}, "/en/"),
        ({"accept-language": "fr, zh;q=0.3, en;q=0.2"}, "/zh/"),
        ({"accept-language": "en", "cookie": "lang=zh-CN"}, "/zh/"),
        ({"accept-language": "zh", "cookie": "lang=en"}, "/en/"),
    ],
)
async def test_front_speaks_the_readers_language(
    portal: httpx.AsyncClient, headers: dict[str, str], target: str
) -> None:
    answer = await portal.get("/", headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (302, target)


async def test_language_switch_keeps_the_page(portal: httpx.AsyncClient) -> None:
    page = Outline((await portal.get("/zh/datasets?q=%E7%A9%BA%E6%B0%94&page=1")).text)
    switch = next(a for a in page.all("a") if a.get("hreflang"))
    assert switch["href"] == "/en/datasets?q=%E7%A9%BA%E6%B0%94&page=1"


async def test_theme_switch_works_without_a_script(portal: httpx.AsyncClient) -> None:
    page = Outline((await portal.get("/en/datasets?q=e")).text)
    form = next(f for f in page.all("form") if f.get("method") == "post")
    hidden = next(i for i in page.all("input") if i.get("name") == "next")
    answer = await portal.post(form["action"] or "", data={"theme": "dark", "next": hidden["value"]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/en/datasets?q=e")
    again = await portal.get(
        "/en/datasets?q=e", headers={"cookie": answer.headers["set-cookie"].split(";")[0]}
    )
    assert Outline(again.text).all("html")[0]["data-theme"] == "dark"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.test/",
        "///evil.test/",
        "https://evil.test/",
        "/\\evil.test",
        "/\tevil",
        "javascript:alert(1)",
        "",
        "zh/",
    ],
)
async def test_preferences_never_leave_the_site(portal: httpx.AsyncClient, target: str) -> None:
    answer = await portal.post("/preferences", data={"theme": "light", "next": target})
    assert answer.headers["location"] == "/"


async def test_preferences_keep_only_known_values(portal: httpx.AsyncClient) -> None:
    answer = await portal.post(
        "/preferences", data={"theme": "pink", "lang": "en", "next": "/zh/datasets?q=a"}
    )
    assert answer.headers["location"] == "/en/datasets?q=a"
    assert "lang=en" in answer.headers["set-cookie"]
    assert "theme" not in answer.headers["set-cookie"]
    assert (await portal.post("/preferences", content=b"x" * 10_000)).status_code == 413


async def test_assets_resolve_and_may_be_kept_for_ever(portal: httpx.AsyncClient) -> None:
    page = Outline((await portal.get("/zh/")).text)
    addresses = [a["href"] for a in page.all("link") if "/static/" in (a["href"] or "")]
    addresses += [s["src"] for s in page.all("script")]
    assert len(addresses) == 4
    for address in addresses:
        answer = await portal.get(address or "")
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert (await portal.get("/static/0000000000000000/plaza.css")).status_code == 404


async def test_errors_speak_the_design_language() -> None:
    async with client(Specimen(down=True)) as http:
        answer = await http.get("/en/")
        assert answer.status_code == 503
        page = Outline(answer.text)
        _check_frame(page, "en")
        assert "open-data does not answer" not in page.text
        other = await http.get("/elsewhere", headers={"accept-language": "en"})
        assert other.status_code == 404
        _check_frame(Outline(other.text), "en")


async def test_pages_are_not_in_the_api_description() -> None:
    assert make_app(Specimen()).openapi()["paths"] == {}


async def test_each_choice_can_be_taken_back(portal: httpx.AsyncClient) -> None:
    page = Outline((await portal.get("/zh/datasets?q=e&department=ecology&cycle=hourly&cycle=daily")).text)
    taken_back = [a["href"] for a in page.all("a") if a.get("class") == "tag tag--on"]
    assert taken_back == [
        "/zh/datasets?q=e&cycle=hourly&cycle=daily",
        "/zh/datasets?q=e&department=ecology&cycle=daily",
        "/zh/datasets?q=e&department=ecology&cycle=hourly",
    ]
    assert "更新周期：每日" in page.text
    assert "/zh/datasets?q=e" in [a["href"] for a in page.all("a") if a.get("class") == "small"]


async def test_titles_are_suggested(portal: httpx.AsyncClient) -> None:
    answer = await portal.get("/zh/suggest", params={"q": "公交"})
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json()[0].startswith("公交站点")
    assert (await portal.get("/en/suggest", params={"q": "公交"})).json()[0].startswith("Bus stops")
    box = next(
        i for i in Outline((await portal.get("/zh/datasets")).text).all("input") if i.get("id") == "hq"
    )
    assert (box["data-suggest"], box["list"]) == ("/zh/suggest", "hq-titles")


async def test_a_query_has_an_address_of_its_own_that_is_cited(portal: httpx.AsyncClient) -> None:
    asked = {
        "filter": "temp < 3",
        "f": "pm25",
        "o": ">",
        "v": "35",
        "order_by": "pm25 desc",
        "column": ["time", "pm25"],
    }
    sent = await portal.get(f"/en{_DATASET}/releases/5", params=asked)
    assert sent.status_code == 303
    target = sent.headers["location"]
    assert target == (
        "/en/datasets/ecology/air-hourly/releases/5"
        "?filter=temp+%3C+3+AND+pm25+%3E+35&columns=time%2Cpm25&order_by=pm25+desc#rows"
    )
    page = Outline((await portal.get(f"{target.partition('#')[0]}&page=2")).text)
    permanent = target.partition("#")[0]
    assert permanent in [a["href"] for a in page.all("a")], "without the page number"
    assert f"https://data.test{permanent}" in page.text
    for said in (
        "Filter: temp < 3 AND pm25 > 35.",
        "Columns: time, pm25.",
        "Sorted by: pm25 desc.",
        "431 rows fit",
    ):
        assert said in page.text
    assert (
        next(i for i in page.all("input") if i.get("name") == "filter")["value"] == "temp < 3 AND pm25 > 35"
    )
    assert len([th for th in page.all("th") if th.get("scope") == "col"]) == 2 + 8  # rows, and the rules
    # Without a query the address is the release's own.
    plain = Outline((await portal.get(f"/en{_DATASET}")).text)
    assert "https://data.test/en/datasets/ecology/air-hourly/releases/5" in plain.text
    form = next(f for f in plain.all("form") if "rows" in (f["action"] or ""))
    assert form["action"] == "/en/datasets/ecology/air-hourly/releases/5#rows"


async def test_a_filter_that_cannot_be_read_says_why(portal: httpx.AsyncClient) -> None:
    answer = await portal.get(f"/zh{_DATASET}/releases/5?filter=bad")
    assert answer.status_code == 400
    assert "filter, character 1" in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert "releases/5?filter=bad" not in Outline(answer.text).text
