"""Search among 100,000 datasets through the running catalogue's own socket; floor: one row by its key, the same way.

The datasets are written with the catalogue's storage functions into the suite's own database, so words, columns and
indexes are those of real registrations. Every kind asks different things; of several rounds the best is shown beside
the worst, because a shared machine slows some of them.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.catalogue.v1 import catalogue_pb2_grpc
from plaza_catalogue.storage import datasets, search
from plaza_kit.db import Database, Scope
from sqlalchemy import text
from story import Suite

from bench import search_city as city
from bench.processes import resident

DATASETS = 100_000
BATCH = 1_000
ROUNDS = 5
REQUESTS = 40
FACETS = [number for number in pb.SearchFacet.values() if number]
_COMMON = (
    "空气",
    "医保",
    "数据",
    "监测",
    "学校",
    "地铁",
    "水位",
    "客流",
    "海淀",
    "名称",
    "街道",
    "年度",
    "医院",
)
_ENGLISH = (
    "quality",
    "hourly",
    "HOSPITAL",
    "water",
    "monthly report",
    "air quality",
    "bus",
    "land",
    "permits",
)
_RARE = ("鹦鹉", "珊瑚", "琥珀", "蓝藻", "芦苇", "麋鹿", "鲟鱼", "银杏")
_RUNS = ("空气质量", "医保结算", "小时监测数据", "不动产登记", "石景山区", "各街道空气质量", "空气质量 海淀")
_TYPED = ("空", "医", "海淀", "海淀区空", "air", "bus r", "hour", "水", "石景山区公", "空气 年度", "小时 bus")


@dataclass(frozen=True)
class Catalogue:
    """The running service."""

    pid: int
    database_url: str
    listen: str

    @classmethod
    def of(cls, suite: Suite) -> Catalogue:
        """Found by what its process was started with."""
        status = suite.plaza("status")
        pid = int(next(child["pid"] for child in status["processes"] if child["name"] == "catalogue"))
        lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
        environment = dict(line.partition("=")[::2] for line in lines if "=" in line)
        return cls(pid, environment["PLAZA_DATABASE_URL"], environment["PLAZA_LISTEN"])


async def fill(database_url: str, count: int) -> None:
    """A city's departments and datasets, as registrations leave them."""
    database = Database(database_url, "catalogue")
    insert = text("INSERT INTO departments VALUES (:id, :zh, :en, :id, 'e', now()) ON CONFLICT DO NOTHING")
    async with database.transaction(Scope.everything()) as connection:
        await connection.execute(
            insert, [{"id": id, "zh": zh, "en": en} for id, zh, en in city.departments()]
        )
    new = city.datasets(count)
    while batch := list(itertools.islice(new, BATCH)):
        async with database.transaction(Scope.everything()) as connection:
            await datasets.insert_many(connection, batch)
            await search.put_many(connection, [(one.name, one.dataset) for one in batch])
    await database.close()


def requests() -> dict[str, Iterator[pb.SearchDatasetsRequest]]:
    """Searches by kind, without end."""

    def turns(words: Sequence[str], **fields: Any) -> Iterator[pb.SearchDatasetsRequest]:
        return (pb.SearchDatasetsRequest(query=word, **fields) for word in itertools.cycle(words))

    return {
        "two characters": turns(_COMMON),
        "two characters, 8 facets": turns(_COMMON, facets=FACETS),
        "three and more characters": turns(_RUNS, facets=FACETS),
        "English, 8 facets": turns(_ENGLISH, facets=FACETS),
        "rare, 8 facets": turns(_RARE, facets=FACETS),
        "nothing typed": turns([""]),
        "nothing typed, 8 facets": turns([""], facets=FACETS),
        "filters, 8 facets": _filtered(),
    }


def _filtered() -> Iterator[pb.SearchDatasetsRequest]:
    owners = [f"departments/{id}" for id, _, _ in city.departments()]
    for number, word in enumerate(itertools.cycle((*_COMMON, "", ""))):
        yield pb.SearchDatasetsRequest(
            query=word,
            department=[owners[number % 7], owners[number % 11]],
            format=["CSV", "XLSX"],
            update_cycle=[number % 8 + 1],
            keyword=["海淀"] if number % 3 == 0 else [],
            facets=FACETS,
        )


def measure(suite: Suite) -> None:
    """Print one line for each kind."""
    catalogue = Catalogue.of(suite)
    begin = time.perf_counter()
    asyncio.run(fill(catalogue.database_url, DATASETS))
    print(f"search: {DATASETS:,} datasets written in {time.perf_counter() - begin:.0f} s")
    before = resident(catalogue.pid)
    asyncio.run(_compare(catalogue.listen, lambda: suite.token("transport-officer")))
    print(
        f"search: catalogue grew from {before:.0f} to {resident(catalogue.pid):.0f} MiB (the directory's columns)"
    )


async def _compare(listen: str, token: Callable[[], str]) -> None:
    async with grpc.aio.insecure_channel(listen) as channel:
        stub = catalogue_pb2_grpc.CatalogueServiceStub(channel)
        metadata = (("authorization", f"Bearer {token()}"),)

        async def find(request: pb.SearchDatasetsRequest) -> None:
            await stub.SearchDatasets(request, metadata=metadata)

        async def suggest(typed: str) -> None:
            await stub.SuggestDatasets(pb.SuggestDatasetsRequest(query=typed), metadata=metadata)

        async def department(number: int) -> None:
            name = f"departments/bench-{number:02}"
            await stub.GetDepartment(pb.GetDepartmentRequest(name=name), metadata=metadata)

        begin = time.perf_counter()
        await find(pb.SearchDatasetsRequest(query="空气"))
        print(f"search: the first after the datasets came   {(time.perf_counter() - begin) * 1000:6.0f} ms")
        kinds: dict[str, tuple[Callable[[Any], Awaitable[None]], Iterator[Any]]] = {
            "floor: one row by its key": (department, itertools.cycle(range(city.DEPARTMENTS))),
            **{kind: (find, each) for kind, each in requests().items()},
            "suggestion": (suggest, itertools.cycle(_TYPED)),
        }
        times: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
        for _ in range(ROUNDS):
            metadata = (("authorization", f"Bearer {token()}"),)
            for kind, (call, wanted) in kinds.items():
                times[kind].append([await _milliseconds(call, next(wanted)) for _ in range(REQUESTS)])
    for kind, rounds in times.items():
        print(_line(kind, rounds))


async def _milliseconds(call: Callable[[Any], Awaitable[None]], request: Any) -> float:
    begin = time.perf_counter()
    await call(request)
    return (time.perf_counter() - begin) * 1000


def _line(kind: str, rounds: Sequence[Sequence[float]]) -> str:
    """Percentiles of the best round, and the 95th of all rounds together."""
    cuts = [statistics.quantiles(each, n=100) for each in rounds]
    best = min(cuts, key=lambda cut: cut[94])
    every = statistics.quantiles(itertools.chain.from_iterable(rounds), n=100)
    return (
        f"search: {kind:<26} p50 {best[49]:5.1f}  p95 {best[94]:5.1f}  p99 {best[98]:5.1f} ms"
        f"   all {ROUNDS} rounds: p50 {every[49]:5.1f}  p95 {every[94]:5.1f} ms"
    )
