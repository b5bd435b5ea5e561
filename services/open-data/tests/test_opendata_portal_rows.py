"""Facets and suggestions of what is open; rows of a release by filter, columns and order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from plaza.catalogue.v1 import catalogue_pb2
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza_kit.errors import InvalidArgument
from plaza_kit.paging import BadPageToken
from plaza_kit.rpc.context import set_caller
from plaza_lake.filter_text import FilterSyntax
from plaza_lake.ir import UnknownField
from plaza_lake.order_text import BadOrder
from plaza_opendata.domain.portal_facets import Facet, Group, counts, total
from plaza_opendata.usecases.portal import ReleaseWithdrawn

City = Any
"""The fixture's class lives in conftest, which tests do not import."""
DEPARTMENT, CATEGORY, FORMAT, CYCLE, LICENCE, KEYWORD = range(1, 7)


def test_each_facet_is_counted_with_the_other_filters() -> None:
    def group(category: str, formats: list[str], count: int) -> Group:
        return Group({f: [""] for f in Facet} | {Facet.CATEGORY: [category], Facet.FORMAT: formats}, count)

    groups = [group("水", ["CSV"], 3), group("气", ["CSV", "JSON"], 2), group("", [], 4)]
    assert total(groups, {}) == 9
    chosen = {Facet.FORMAT: ["JSON"]}
    assert total(groups, chosen) == 2
    assert counts(groups, chosen, Facet.FORMAT, 1).values == (("CSV", 5), ("JSON", 2))
    assert counts(groups, chosen, Facet.CATEGORY, 9).values == (("气", 2),)
    assert counts(groups, {Facet.CATEGORY: ["火"]}, Facet.CATEGORY, 1).values == (("水", 3), ("火", 0))
    assert counts(groups, {Facet.CATEGORY: ["火"]}, Facet.CATEGORY, 1).different == 2


@pytest.mark.integration
async def test_open_datasets_are_narrowed_down_and_suggested(city: City) -> None:
    monthly = catalogue_pb2.UPDATE_CYCLE_MONTHLY
    for dataset, title, category, cycle, keywords in (
        ("river", "河流水位", "水务", monthly, ["水", "监测"]),
        ("air", "空气质量", "生态环境", monthly, ["大气", "监测", "监测"]),
        ("noise", "噪声空气", "生态环境", catalogue_pb2.UPDATE_CYCLE_HOURLY, []),
    ):
        name = city.register(
            title,
            dataset,
            category=category,
            update_cycle=cycle,
            display_name_en=f"{dataset} x",
            keywords=keywords,
        )
        city.load(name, [{"station": "a", "hour": 1}])
        await city.publish(name)
    set_caller(None)
    own = f"departments/{city.department}"

    async def search(**fields: Any) -> pb.SearchOpenDatasetsResponse:
        request = pb.SearchOpenDatasetsRequest(departments=[own], facets=list(range(1, 7)), **fields)
        found: pb.SearchOpenDatasetsResponse = await city.portal.SearchOpenDatasets(request, None)
        return found

    def values(found: pb.SearchOpenDatasetsResponse, facet: int) -> list[tuple[str, int]]:
        return [(v.value, v.count) for f in found.facets if f.facet == facet for v in f.values]

    found = await search()
    assert found.total_size == 3
    assert values(found, CATEGORY) == [("生态环境", 2), ("水务", 1)]
    assert values(found, FORMAT) == [("CSV", 3), ("PARQUET", 3)]
    assert values(found, KEYWORD) == [("监测", 2), ("大气", 1), ("水", 1)]
    assert values(found, LICENCE) == [("CC-BY-4.0", 3)]
    mine = next(v for f in found.facets if f.facet == DEPARTMENT for v in f.values if v.value == own)
    assert (mine.count, mine.display_name, mine.selected) == (3, "生态环境局", True)

    narrow = await search(category=["生态环境"], update_cycle=["UPDATE_CYCLE_MONTHLY"])
    assert [d.name.split("/")[3] for d in narrow.datasets] == ["air"]
    assert narrow.total_size == 1
    assert values(narrow, CATEGORY) == [("水务", 1), ("生态环境", 1)]
    assert values(narrow, CYCLE) == [("UPDATE_CYCLE_HOURLY", 1), ("UPDATE_CYCLE_MONTHLY", 1)]
    assert (await search(format=["XLSX"])).total_size == 0

    # By keyword: the others count what has one of them, keywords count what passes the others.
    tagged = await search(keyword=["水", "没有"], facet_limit=1)
    assert ([d.name.split("/")[3] for d in tagged.datasets], tagged.total_size) == (["river"], 1)
    assert values(tagged, CATEGORY) == [("水务", 1)]
    assert values(tagged, KEYWORD) == [("监测", 2), ("水", 1), ("没有", 0)]
    counted = next(f for f in tagged.facets if f.facet == KEYWORD)
    assert (counted.value_count, [v.selected for v in counted.values]) == (3, [False, True, True])
    both = await search(keyword=["监测"], category=["生态环境"])
    assert ([d.name.split("/")[3] for d in both.datasets], both.total_size) == (["air"], 1)
    assert values(both, CATEGORY) == [("水务", 1), ("生态环境", 1)]
    assert values(both, KEYWORD) == [("大气", 1), ("监测", 1)]
    assert values(await search(query="没有这样的词", keyword=["水"]), KEYWORD) == [("水", 0)]
    assert (await search(query="空气", licence=["CC-BY-4.0"])).total_size == 2

    async def suggest(query: str) -> list[str]:
        request = pb.SuggestOpenDatasetsRequest(query=query)
        answer = await city.portal.SuggestOpenDatasets(request, None)
        own = f"departments/{city.department}/"
        return [s.open_dataset.split("/")[3] for s in answer.suggestions if s.open_dataset.startswith(own)]

    assert await suggest("空") == ["air", "noise"]
    assert await suggest("RIV") == ["river"]
    assert await suggest(" ") == []


@pytest.mark.integration
async def test_rows_by_filter_columns_and_order(city: City) -> None:
    name = city.register()
    stations = ["东四", 'a,"b"\n', "", "西城"]
    given = [
        {
            "station": stations[n % 4] or f"空{n}",
            "hour": n,
            "pm2_5": None if n == 5 else n % 7 + 0.5,
            "wd": "",
        }
        for n in range(50)
    ]
    city.load(name, given)
    release = (await city.publish(name)).name
    set_caller(None)

    async def read(**fields: Any) -> pb.ReadReleaseRowsResponse:
        set_caller(None)
        request = pb.ReadReleaseRowsRequest(release=release, **fields)
        found: pb.ReadReleaseRowsResponse = await city.portal.ReadReleaseRows(request, None)
        return found

    def cells(found: pb.ReadReleaseRowsResponse) -> list[list[str | None]]:
        return [[None if c.is_null else c.text for c in row.cells] for row in found.rows]

    # The file's own order, and the file's own words, as in the preview.
    everything = await read(page_size=50)
    assert everything.total_size == 50
    assert [f.name for f in everything.fields] == ["station", "hour", "pm2_5", "wd", "calm"]
    assert everything.all_fields[2].title == "细颗粒物"
    assert list(everything.rows[:10]) == list((await city.show(name)).preview)
    assert {c[0] for c in cells(everything)} >= {"东四", 'a,"b"\n'}

    # Numbers are compared as numbers; an absent value passes no comparison and comes last.
    found = await read(filter='hour >= 9 AND hour < 12 AND station != "东四"', columns=["hour", "station"])
    assert sorted(int(c[0] or 0) for c in cells(found)) == [9, 10, 11]
    assert [f.name for f in found.fields] == ["hour", "station"]
    high = await read(
        filter="pm2_5 > 5", order_by="pm2_5 desc, hour", columns=["pm2_5", "hour"], page_size=200
    )
    assert cells(high) == [
        [f"{n % 7 + 0.5}", str(n)]
        for n in sorted((n for n in range(50) if n % 7 >= 5 and n != 5), key=lambda n: (-(n % 7), n))
    ]
    assert (await read(filter="pm2_5 = null")).total_size == 1
    assert (await read(filter="wd = null")).total_size == 0
    last = await read(order_by="pm2_5", columns=["hour"], skip=49)
    assert cells(last) == [["5"]]

    # Pages: no row twice, none left out.
    seen, token = [], ""
    for _ in range(4):
        page = await read(order_by="pm2_5", columns=["hour"], page_size=13, page_token=token)
        seen += [c[0] for c in cells(page)]
        token = page.next_page_token
    assert token == ""
    assert sorted(map(int, seen)) == list(range(50))
    assert await read(order_by="pm2_5", columns=["hour"]) == await read(order_by="pm2_5", columns=["hour"])

    for wrong, error in (
        ({"filter": "hour >"}, FilterSyntax),
        ({"filter": "nothing = 1"}, UnknownField),
        ({"columns": ["nothing"]}, UnknownField),
        ({"order_by": "hour up"}, BadOrder),
        ({"page_token": "x"}, BadPageToken),
        ({"page_token": token or "x", "skip": 1}, InvalidArgument),
    ):
        with pytest.raises(error):
            await read(**wrong)
    answers = await asyncio.gather(*(read(filter=f"hour > {n}") for n in range(10)))
    assert [each.total_size for each in answers] == [49 - n for n in range(10)]

    await city.withdraw(release)
    with pytest.raises(ReleaseWithdrawn):
        await read(page_size=50)
