"""What the tests of the portal's pages share: an in-memory source with generated data, and what a page is held to."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import httpx
from fastapi import FastAPI
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
            Facet("keyword", (FacetValue("大气" + bad, 4), FacetValue("PM2.5", 1))),
        )
        return SearchView(tuple(found[first : first + 10]), len(found), 10, facets)

    async def suggest(self, typed: str) -> tuple[LocalText, ...]:
        return tuple(s.title for s in self.summaries() if typed in s.title.zh)[:10]

    def file(self) -> FileView:
        path = "/api/v1/departments/ecology/datasets/air-hourly/releases/5/files/air-hourly-r5.csv"
        return FileView(
            "air-hourly-r5.csv",
            "CSV",
            31_412_345,
            "9f3c41d077be2a15" * 4,
            path,
            "c0ffee0077be2a15" * 4,
            f"{path}.proof.json",
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
            rows_url="/api/v1/departments/ecology/datasets/air-hourly/releases/5/rows",
            package_url="/api/v1/departments/ecology/datasets/air-hourly/releases/5/datapackage.json",
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


DATASET = "/datasets/ecology/air-hourly"


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


def check_frame(page: Outline, language: str) -> None:
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


def check_policy(page: Outline) -> None:
    for tag, attrs in page.tags:
        assert tag != "style"
        assert "style" not in attrs, (tag, attrs)
        assert not [name for name in attrs if name.startswith("on")], (tag, attrs)
        for name in ("href", "src", "action"):
            assert not (attrs.get(name) or "").lower().startswith(("javascript:", "data:")), (tag, attrs)
    assert all(script.get("src", "").startswith("/static/") for script in page.all("script"))


def check_references(page: Outline) -> None:
    ids = set(page.ids())
    for a in page.all("a"):
        href = a["href"] or ""
        if href.startswith("#"):
            assert href[1:] in ids, href
    for _, attrs in page.tags:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            if attrs.get(name):
                assert set((attrs[name] or "").split()) <= ids, attrs
