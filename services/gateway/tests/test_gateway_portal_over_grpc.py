"""The portal over the service that is really asked: pages for everybody, in both languages."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from plaza.opendata.v1 import opendata_pb2
from plaza_gateway.portal import from_protos
from plaza_gateway.portal.views import DatasetView, TombstoneView

sys.path.insert(0, str(Path(__file__).parent / "protos"))
from gateway_city import CONTENT, FILE, City, city, open_dataset, release

PAGE = "/datasets/ecology/air"


@pytest.fixture
async def plaza() -> AsyncIterator[City]:
    async with city(("public",), city="云汀市", portal_owner="云汀市数据局") as running:
        yield running


@pytest.mark.integration
@pytest.mark.parametrize(("prefix", "title"), [("zh", "空气质量小时值"), ("en", "Air quality, hourly")])
async def test_anybody_reads_the_pages(plaza: City, prefix: str, title: str) -> None:
    for path in ("/", "/datasets", "/datasets?q=PM", PAGE):
        answer = await plaza.http.get(f"/{prefix}{path}")
        assert answer.status_code == 200, path
        assert title in answer.text, path
        assert "云汀市" in answer.text
    assert "authorization" not in plaza.portal.metadata


@pytest.mark.integration
async def test_downloads_and_proofs_lead_to_the_file(plaza: City) -> None:
    page = (await plaza.http.get(f"/zh{PAGE}")).text
    links = set(re.findall(r'href="(/api/v1/[^"]*/files/[^"]*)"', page))
    assert {link.rpartition("/")[2] for link in links} == {FILE, f"{FILE}.proof.json"}
    main = next(link for link in links if link.endswith(".csv"))
    assert (await plaza.http.get(main)).content == CONTENT
    assert "4,711" in page
    assert "CC-BY-4.0" in page


@pytest.mark.integration
async def test_what_is_not_there_is_a_page_too(plaza: City) -> None:
    for path in ("/datasets/ecology/nope", "/datasets/Ecology/nope", f"{PAGE}/releases/9"):
        answer = await plaza.http.get(f"/en{path}")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8"), path


@pytest.mark.integration
async def test_a_withdrawn_release_leaves_a_tombstone(plaza: City) -> None:
    gone = await plaza.http.get(f"/zh{PAGE}/releases/1")
    assert gone.status_code == 410
    assert "站点编码有误" in gone.text
    plaza.portal.alive = False
    assert (await plaza.http.get(f"/zh{PAGE}")).status_code == 410


@pytest.mark.integration
@pytest.mark.parametrize(
    ("page", "shown", "calls"), [(1, 20, 1), (3, 20, 1), (7, 20, 2), (13, 7, 3), (50, 0, 1)]
)
async def test_a_numbered_page_is_walked_to(plaza: City, page: int, shown: int, calls: int) -> None:
    plaza.portal.found = 247
    answer = (await plaza.http.get(f"/en/datasets?page={page}")).text
    found = [
        int(each) for each in re.findall(r'result__title"><a href="/en/datasets/ecology/air-(\d+)"', answer)
    ]
    first = (page - 1) * 20
    assert found == list(range(first, first + shown))
    assert len(plaza.portal.searches) == calls
    assert all(each.page_size <= 100 for each in plaza.portal.searches)


def test_an_older_release_shows_only_what_is_told_of_it() -> None:
    found = open_dataset()
    older = release(1, opendata_pb2.RELEASE_STATE_SUPERSEDED)
    found.releases[1].CopyFrom(older)
    view = from_protos.dataset_view(found, "ecology", "air", 1)
    assert isinstance(view, DatasetView)
    assert (view.fields, view.preview, view.quality.rules, view.quality.dimensions) == ((), (), (), ())
    assert (view.rows, view.quality.score, view.newest_release) == (40, 96.44, 2)
    assert view.files[0].url.endswith("/releases/1/files/air-r1.csv")
    newest = from_protos.dataset_view(found, "ecology", "air", None)
    assert isinstance(newest, DatasetView)
    assert [each.is_key for each in newest.fields] == [True, False]
    assert newest.preview == (("东四", None),)
    assert newest.grade is None


@pytest.mark.integration
async def test_the_page_of_an_older_release_has_no_empty_parts(plaza: City) -> None:
    page = (await plaza.http.get(f"/en{PAGE}")).text
    assert 'id="fields"' in page
    assert "grade" not in re.sub(r"<[^>]*>", "", page).lower().split()


def test_what_is_not_said_stays_unsaid() -> None:
    bare = opendata_pb2.OpenDataset(
        name="departments/a/datasets/b/openDataset", display_name="b", update_cycle="UPDATE_CYCLE_NEW"
    )
    view = from_protos.dataset_view(bare, "a", "b", None)
    assert isinstance(view, TombstoneView)
    assert view.release is None
    assert from_protos.dataset_view(bare, "a", "b", 1) is None
    assert from_protos.summaries([bare]) == ()
    bare.latest_release.CopyFrom(opendata_pb2.Release(name="x", release=1, light=99))
    view = from_protos.dataset_view(bare, "a", "b", None)
    assert isinstance(view, DatasetView)
    assert (view.quality.score, view.quality.light, view.licence, view.ledger) == (None, "none", None, None)
    assert (view.update_cycle, view.sharing_class) == ("unspecified", None)
    odd = opendata_pb2.OpenDataset()
    odd.CopyFrom(open_dataset())
    del odd.preview[0].cells[1]
    shown = from_protos.dataset_view(odd, "ecology", "air", None)
    assert isinstance(shown, DatasetView)
    assert shown.preview == ()


@pytest.mark.integration
async def test_what_is_chosen_is_asked_of_the_service(plaza: City) -> None:
    page = (await plaza.http.get("/zh/datasets?department=ecology&cycle=hourly&format=CSV&licence=CC0")).text
    asked = plaza.portal.searches[-1]
    assert list(asked.departments) == ["departments/ecology"]
    assert list(asked.update_cycle) == ["UPDATE_CYCLE_HOURLY"]
    assert (list(asked.format), list(asked.licence), len(asked.facets)) == (["CSV"], ["CC0"], 6)
    assert 'value="hourly" checked' in page
    assert (await plaza.http.get("/zh/suggest?q=空")).json() == ["空气质量小时值"]
    assert (await plaza.http.get("/zh/suggest?q=")).json() == []


@pytest.mark.integration
async def test_rows_are_asked_of_the_release_that_is_shown(plaza: City) -> None:
    await plaza.http.get(f"/zh{PAGE}")
    assert plaza.portal.rows == []  # the preview comes with the dataset
    page = (await plaza.http.get(f"/zh{PAGE}/releases/2?filter=pm25+%3E+1&order_by=pm25&page=3")).text
    asked = plaza.portal.rows[-1]
    assert asked.release.endswith("/datasets/air/releases/2")
    assert (asked.filter, asked.order_by, asked.page_size, asked.skip) == ("pm25 > 1", "pm25", 20, 40)
    assert "/releases/2/rows?filter=pm25+%3E+1&amp;orderBy=pm25" in page
    wrong = await plaza.http.get(f"/zh{PAGE}/releases/2?filter=%3F")
    assert wrong.status_code == 400
    assert "this sign means nothing" in wrong.text
