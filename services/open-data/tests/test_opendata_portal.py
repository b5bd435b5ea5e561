"""What everybody may see, without a caller."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from plaza.catalogue.v1 import catalogue_pb2
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.db.jobs import Jobs
from plaza_kit.names import BadName
from plaza_kit.paging import BadPageToken
from plaza_kit.rpc.context import set_caller
from plaza_kit.rpc.guard import is_anonymous
from plaza_opendata.domain.releases import ReleaseName
from plaza_opendata.rpc.build import SPEC
from plaza_opendata.storage.files import FileDamaged
from plaza_opendata.usecases.portal import NotOpen, ReleaseWithdrawn, UnknownFile
from plaza_opendata.usecases.ports import UnknownRelease
from plaza_opendata.usecases.releases import BUILD
from sqlalchemy import text

City = Any
"""The fixture's class lives in conftest, which tests do not import."""

pytestmark = pytest.mark.integration


def rows(count: int) -> list[dict[str, Any]]:
    return [{"station": f"站{n:03}", "hour": n, "pm2_5": n / 4, "wd": None} for n in range(count)]


async def search(city: City, query: str, **page: Any) -> pb.SearchOpenDatasetsResponse:
    set_caller(None)
    page.setdefault("department", f"departments/{city.department}")
    request = pb.SearchOpenDatasetsRequest(query=query, **page)
    return await city.portal.SearchOpenDatasets(request, None)


def ids(found: pb.SearchOpenDatasetsResponse) -> list[str]:
    return [dataset.name.split("/")[3] for dataset in found.datasets]


def test_the_portal_needs_no_caller() -> None:
    for method in pb.DESCRIPTOR.services_by_name["PortalService"].methods:
        assert is_anonymous(f"/{method.containing_service.full_name}/{method.name}"), method.name
    for method in pb.DESCRIPTOR.services_by_name["ReleaseService"].methods:
        assert not is_anonymous(f"/{method.containing_service.full_name}/{method.name}"), method.name


async def test_search_finds_published_datasets_by_all_words(city: City) -> None:
    titles = {"a-report": "空气质量月报", "b-air": "空气质量", "c-water": "河流水位", "d-draft": "空气草稿"}
    for dataset, title in titles.items():
        name = city.register(title, dataset, display_name_en=dataset, description=f"{title}的说明")
        city.load(name, rows(2))
        if dataset != "d-draft":
            await city.publish(name)
    await city.approve(name)  # approved is not published

    assert ids(await search(city, "空气")) == ["a-report", "b-air"]
    assert ids(await search(city, "空气质量")) == ["b-air", "a-report"]  # the exact title first
    assert ids(await search(city, "B-AIR 空气")) == ["b-air"]
    assert ids(await search(city, "空气 水位")) == []
    assert ids(await search(city, "生态环境局 颗粒 水位")) == ["c-water"]
    assert ids(await search(city, "！？")) == []
    everything = await search(city, "")
    assert (ids(everything), everything.total_size) == (["a-report", "b-air", "c-water"], 3)
    first = everything.datasets[0]
    assert first.latest_release.release == 1
    assert not first.HasField("contract")
    assert (len(first.preview), len(first.rules), len(first.dimensions)) == (0, 0, 0)
    assert (await search(city, "空气", department="")).total_size >= 2
    assert ids(await search(city, "空气", department="departments/elsewhere")) == []
    with pytest.raises(BadName):
        await search(city, "", department="elsewhere")


async def test_search_in_pages(city: City) -> None:
    for number in range(5):
        name = city.register(f"数据{number}", f"x{number}")
        city.load(name, rows(1))
        await city.publish(name)
    seen: list[str] = []
    token = ""
    for size in (2, 2, 1):
        page = await search(city, "数据", page_size=2, page_token=token)
        assert (len(page.datasets), page.total_size) == (size, 5)
        seen += ids(page)
        token = page.next_page_token
    assert (seen, token) == ([f"x{number}" for number in range(5)], "")
    with pytest.raises(BadPageToken):
        page = await search(city, "数据", page_size=2)
        await search(city, "别的", page_token=page.next_page_token)


async def test_the_summary_counts_what_is_open_now(city: City) -> None:
    async def counted() -> tuple[int, int, list[str]]:
        set_caller(None)
        summary = await city.portal.GetPortalSummary(pb.GetPortalSummaryRequest(), None)
        own = [d for d in summary.departments if d.department == f"departments/{city.department}"]
        assert all((d.display_name, d.display_name_en) == ("生态环境局", "Ecology Bureau") for d in own)
        assert len(summary.latest) <= 6
        return summary.dataset_count, sum(d.count for d in own), [d.name for d in summary.latest]

    before = await counted()
    releases = []
    for dataset in ("one", "two"):
        name = city.register(dataset, dataset)
        city.load(name, rows(1))
        releases.append(await city.publish(name))
    after = await counted()
    assert (after[0] - before[0], after[1]) == (2, 2)
    mine = f"departments/{city.department}/datasets"
    assert after[2][:2] == [f"{mine}/two/openDataset", f"{mine}/one/openDataset"]
    await city.withdraw(releases[1].name)
    last = await counted()
    assert (last[0] - before[0], last[1], last[2][0]) == (1, 1, f"{mine}/one/openDataset")


async def test_an_open_dataset_shows_what_was_true_at_its_newest_release(city: City) -> None:
    name = city.register(description_en="Measured hourly")
    with pytest.raises(NotOpen):
        await city.show(name)
    city.load(name, rows(3))
    release = await city.publish(name)
    city.directory.datasets[name].display_name = "改名了"
    shown = await city.show(name)
    assert shown.latest_release == release
    assert list(shown.releases) == [release]
    assert (shown.display_name, shown.description_en) == ("空气质量小时监测数据", "Measured hourly")
    assert (shown.department_display_name, shown.department_display_name_en) == (
        "生态环境局",
        "Ecology Bureau",
    )
    assert shown.update_cycle == "UPDATE_CYCLE_HOURLY"
    assert shown.contract == city.directory.datasets[name].contract
    assert [c.is_null for c in shown.preview[0].cells] == [False, False, False, True, True]
    rule, dimension = shown.rules[0], shown.dimensions[0]
    assert (rule.title, rule.passed, rule.failed, rule.pass_rate, rule.met) == ("有值", 9, 1, 90, False)
    assert dimension.score == 90
    city.load(name, [{"station": "新", "hour": 99}])
    await city.publish(name)
    shown = await city.show(name)
    assert (shown.display_name, shown.latest_release.release, shown.latest_release.rows) == ("改名了", 2, 4)
    assert [r.release for r in shown.releases] == [2, 1]


async def test_only_names_that_the_release_has(city: City) -> None:
    name = city.register()
    city.load(name, rows(3))
    release = await city.publish(name)
    file = release.files[0].file_name
    for trick in (
        f"../1/{file}",
        f"./{file}",
        f"/{file}",
        f"{file}/",
        f".{file}.x.part",
        f"{file}.proof.json.proof.json",
        ".proof.json",
        "..",
        file.upper(),
    ):
        with pytest.raises(UnknownFile):
            await city.read(release.name, trick)
    with pytest.raises(UnknownRelease):
        await city.read(f"{name}/releases/2", file)
    path = city.world.store.path(ReleaseName.parse(release.name), file)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(FileDamaged):
        await city.read(release.name, file)
    await city.withdraw(release.name, "含个人信息")
    with pytest.raises(ReleaseWithdrawn, match="含个人信息"):
        await city.read(release.name, file)


async def test_any_range_equals_slicing(city: City) -> None:
    name = city.register()
    city.load(name, rows(60))
    release = await city.publish(name)
    file = release.files[0].file_name
    data = b"".join((await city.read(release.name, file))[1])
    size = len(data)
    loop = asyncio.get_running_loop()

    async def check(offset: int, limit: int) -> None:
        record, chunks = await city.read(release.name, file, offset=offset, limit=limit)
        assert record == release.files[0]
        assert b"".join(chunks) == data[offset : offset + limit if limit else None]

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(offset=st.integers(0, size + 10), limit=st.integers(0, size + 10))
    @example(offset=0, limit=0)
    @example(offset=size, limit=1)
    @example(offset=size - 1, limit=2**62)
    def examples(offset: int, limit: int) -> None:
        asyncio.run_coroutine_threadsafe(check(offset, limit), loop).result(10)

    await asyncio.to_thread(examples)


async def test_the_job_runs_by_itself(city: City) -> None:
    """As in the service: the queue, the outbox and the build, each on its own."""
    async with city.world.database.transaction(Scope.everything()) as connection:
        # What other tests left is not ours to run.
        await connection.execute(text("DELETE FROM procrastinate_jobs"))
    name = city.register(opening=catalogue_pb2.Opening(allowed=True))
    city.load(name, rows(5))
    approved = await city.approve(name)
    jobs = Jobs(city.world.database.url, SPEC.schema)
    jobs.register(BUILD, city.building.build)
    running = asyncio.create_task(jobs.run())
    try:
        for _ in range(200):
            release = await city.get(approved.name)
            if release.state != pb.RELEASE_STATE_APPROVED:
                break
            await asyncio.sleep(0.05)
        assert release.state == pb.RELEASE_STATE_PUBLISHED
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert [event.type.rsplit(".", 2)[1] for event in city.directory.events] == ["published"]
    # The version was pinned before its rows were read.
    kept = [event for event in city.keeper.events if approved.name in event.data]
    assert [event.type.rsplit(".", 2)[1] for event in kept][:1] == ["approved"]
    assert orjson.loads(kept[0].data) == {"dataset": name, "release": approved.name, "version": 1}
