"""The services behind the gateway, small and made up, on one real gRPC server; and the gateway before them."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
from fastapi import FastAPI
from google.api import httpbody_pb2
from google.protobuf import timestamp_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from plaza.common.v1 import contract_pb2, runs_pb2
from plaza.ingestion.v1 import ingestion_pb2, ingestion_pb2_grpc
from plaza.opendata.v1 import opendata_pb2, opendata_pb2_grpc
from plaza.sharing.v1 import sharing_pb2, sharing_pb2_grpc
from plaza_gateway.app import BEHIND, create_app, peers_of
from plaza_gateway.settings import GatewaySettings
from plaza_kit.errors import InvalidArgument, NotFound, PlazaError, Unavailable
from plaza_kit.rpc.status import DETAILS_KEY, code_of, to_status

RUN = "departments/ecology/runs/01980000-0000-7000-8000-000000000000"
DATASET = "departments/ecology/datasets/air"
FILE = "air-r2.csv"
CONTENT = b"time,station,pm2_5\n" + b"2013-03-01T00:00:00Z,Dongsi,9.0\n" * 40
TIME = timestamp_pb2.Timestamp(seconds=1_790_000_000)


async def refuse(error: PlazaError, context: Any) -> None:
    status = to_status(error)
    await context.abort(
        code_of(status), status.message, trailing_metadata=((DETAILS_KEY, status.SerializeToString()),)
    )


@dataclass
class Ingestion(ingestion_pb2_grpc.IngestionServiceServicer):
    header: ingestion_pb2.UploadHeader | None = None
    chunks: list[int] = field(default_factory=list)
    received: bytes = b""
    ended: bool = False
    committed: bool = False
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    refusal: PlazaError | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    break_watch: bool = False
    deaf: bool = False
    """Reads no further than the header."""

    async def UploadFile(self, requests: Any, context: Any) -> ingestion_pb2.Upload:
        self.metadata = dict(context.invocation_metadata())
        try:
            async for request in requests:
                if request.WhichOneof("part") == "header":
                    self.header = request.header
                    if self.refusal is not None:
                        await refuse(self.refusal, context)
                elif request.WhichOneof("part") == "end":
                    self.ended = request.end.size_bytes == len(self.received)
                else:
                    self.chunks.append(len(request.chunk))
                    self.received += request.chunk
                self.began.set()
                if self.deaf:
                    await asyncio.sleep(30)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        assert self.header is not None
        if not self.ended:
            self.cancelled.set()
            await refuse(InvalidArgument("cut off"), context)
        self.committed = True
        return ingestion_pb2.Upload(
            name="departments/ecology/uploads/01980000-0000-7000-8000-000000000000",
            file_name=self.header.file_name,
            size_bytes=len(self.received),
            sha256=hashlib.sha256(self.received).hexdigest(),
            create_time=TIME,
        )

    async def WatchRun(self, request: Any, context: Any) -> AsyncIterator[ingestion_pb2.Run]:
        if request.name != RUN:
            await refuse(NotFound(request.name), context)
        yield ingestion_pb2.Run(name=RUN, state=runs_pb2.RUN_STATE_RUNNING)
        if self.break_watch:
            await refuse(Unavailable("going down"), context)
        yield ingestion_pb2.Run(name=RUN, state=runs_pb2.RUN_STATE_SUCCEEDED, version=3)

    async def ExportQuarantine(self, request: Any, context: Any) -> AsyncIterator[httpbody_pb2.HttpBody]:
        yield httpbody_pb2.HttpBody(content_type="text/csv", data=b"a,\xff\n")
        yield httpbody_pb2.HttpBody(content_type="text/csv", data=request.run.encode())


@dataclass
class Rows(sharing_pb2_grpc.RowsServiceServicer):
    requests: list[sharing_pb2.ReadRowsRequest] = field(default_factory=list)
    breaks: str = ""
    """`early`, `late` or `silent`: before the first piece, after it, or without a trailer."""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    endless: bool = False
    token: str = ""
    """Of the next page."""
    pause: float = 0
    """Seconds before the second piece."""
    held_back: sharing_pb2.HeldBack | None = None

    async def ReadRows(self, request: Any, context: Any) -> AsyncIterator[sharing_pb2.ReadRowsResponse]:
        self.requests.append(request)
        kinds = {
            2: "text/csv; charset=utf-8",
            3: "application/x-ndjson",
            4: "application/vnd.apache.parquet",
            5: "application/vnd.apache.arrow.stream",
        }
        header = sharing_pb2.RowsHeader(
            content_type=kinds.get(request.format, "application/json"),
            version=7,
            agreement="agreements/01980000-0000-7000-8000-000000000000",
            file_name="空气-v7.csv",
            held_back=self.held_back,
        )
        yield sharing_pb2.ReadRowsResponse(header=header)
        if self.breaks == "early":
            await refuse(Unavailable("the lake does not answer"), context)
        pieces = [b"time,pm2_5\n", b"1,2\n"]
        if request.format not in kinds:
            pieces = [
                b'{"version":7,"columns":["a"],',
                f'"rows":[["1"]],"nextPageToken":"{self.token}"}}'.encode(),
            ]
        yield sharing_pb2.ReadRowsResponse(chunk=pieces[0])
        if self.breaks == "late":
            await refuse(Unavailable("the lake went away"), context)
        if self.breaks == "silent":
            return
        await asyncio.sleep(self.pause)
        try:
            while self.endless:
                yield sharing_pb2.ReadRowsResponse(chunk=b"x" * 65_536)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.set()
            raise
        yield sharing_pb2.ReadRowsResponse(chunk=pieces[1])
        yield sharing_pb2.ReadRowsResponse(trailer=sharing_pb2.RowsTrailer(rows=1, content_sha256="ab" * 32))


def release(number: int = 2, state: int = opendata_pb2.RELEASE_STATE_PUBLISHED) -> opendata_pb2.Release:
    name = f"air-r{number}.csv"
    return opendata_pb2.Release(
        name=f"{DATASET}/releases/{number}",
        release=number,
        version=number + 5,
        state=state,
        rows=40,
        content_sha256="cd" * 32,
        files=[file_of(name)],
        score=96.44,
        light=1,
        ledger_index=4711,
        publish_time=TIME,
        licence="CC-BY-4.0",
        withdraw_reason="站点编码有误" if state == opendata_pb2.RELEASE_STATE_WITHDRAWN else "",
    )


def file_of(name: str, content: bytes = CONTENT) -> opendata_pb2.ReleaseFile:
    return opendata_pb2.ReleaseFile(
        file_name=name,
        content_type="text/csv; charset=utf-8",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def open_dataset(*, alive: bool = True) -> opendata_pb2.OpenDataset:
    field_ = contract_pb2.Field
    found = opendata_pb2.OpenDataset(
        name=f"{DATASET}/openDataset",
        display_name="空气质量小时值",
        display_name_en="Air quality, hourly",
        description="每小时的观测值。",
        department="departments/ecology",
        department_display_name="生态环境局",
        department_display_name_en="Ecology Bureau",
        category="生态环境",
        code="302/04/017-0003",
        update_cycle="UPDATE_CYCLE_HOURLY",
        sharing_class=1,
        keywords=["空气"],
        contract=contract_pb2.Contract(
            fields=[field_(name="station", type=1, title="站点"), field_(name="pm2_5", type=3, unit="μg/m³")],
            key=["station"],
        ),
        releases=[release(2), release(1, opendata_pb2.RELEASE_STATE_WITHDRAWN)],
        preview=[
            opendata_pb2.PreviewRow(
                cells=[opendata_pb2.PreviewCell(text="东四"), opendata_pb2.PreviewCell(is_null=True)]
            )
        ],
        rules=[
            opendata_pb2.RuleSummary(
                title="PM2.5 有值",
                dimension=2,
                passed=38,
                failed=2,
                pass_rate=95,
                threshold_percent=90,
                met=True,
            )
        ],
        dimensions=[opendata_pb2.DimensionSummary(dimension=2, score=95)],
    )
    if alive:
        found.latest_release.CopyFrom(release(2))
    else:
        del found.releases[0]
    return found


FORMS = {
    2: "text/csv; charset=utf-8",
    3: "application/jsonl",
    4: "application/vnd.apache.parquet",
    5: "application/vnd.apache.arrow.stream",
}


def release_rows(
    asked: opendata_pb2.StreamReleaseRowsRequest,
) -> list[opendata_pb2.StreamReleaseRowsResponse]:
    """What open-data answers: a page, or the same bytes as a table."""
    body = b'{"version":7,"columns":["a"],"rows":[["1"]],"nextPageToken":""}'
    header = opendata_pb2.ReleaseRowsHeader(
        content_type=FORMS.get(asked.format, "application/json"), version=7, release=2, file_name="air-r2.csv"
    )
    trailer = opendata_pb2.ReleaseRowsTrailer(rows=1, body_sha256=hashlib.sha256(body).hexdigest())
    piece = opendata_pb2.StreamReleaseRowsResponse
    return [piece(header=header), piece(chunk=body), piece(trailer=trailer)]


@dataclass
class Portal(opendata_pb2_grpc.PortalServiceServicer):
    found: int = 1
    """How many datasets a search finds."""
    alive: bool = True
    content: bytes = CONTENT
    short: int = 0
    """Bytes that are missing at the end of a file."""
    reads: list[opendata_pb2.ReadReleaseFileRequest] = field(default_factory=list)
    searches: list[opendata_pb2.SearchOpenDatasetsRequest] = field(default_factory=list)
    rows: list[opendata_pb2.ReadReleaseRowsRequest] = field(default_factory=list)
    streamed: list[opendata_pb2.StreamReleaseRowsRequest] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    async def GetPortalSummary(self, request: Any, context: Any) -> opendata_pb2.PortalSummary:
        self.metadata = dict(context.invocation_metadata())
        count = opendata_pb2.DepartmentCount(
            department="departments/ecology", display_name="生态环境局", display_name_en="Ecology", count=1
        )
        return opendata_pb2.PortalSummary(dataset_count=1, departments=[count], latest=[open_dataset()])

    async def SearchOpenDatasets(self, request: Any, context: Any) -> opendata_pb2.SearchOpenDatasetsResponse:
        self.searches.append(request)
        start = int(request.page_token or 0)
        stop = min(start + (request.page_size or 20), self.found)
        found = []
        for index in range(start, stop):
            found.append(open_dataset())
            found[-1].name = f"departments/ecology/datasets/air-{index}/openDataset"
        answer = opendata_pb2.SearchOpenDatasetsResponse(
            datasets=found, next_page_token=str(stop) if stop < self.found else "", total_size=self.found
        )
        value = opendata_pb2.OpenFacetValue(
            value="departments/ecology", display_name="生态环境局", display_name_en="Ecology", count=1
        )
        answer.facets.add(facet=opendata_pb2.OPEN_FACET_DEPARTMENT, values=[value], value_count=1)
        cycle = opendata_pb2.OpenFacetValue(value="UPDATE_CYCLE_HOURLY", count=1)
        answer.facets.add(facet=opendata_pb2.OPEN_FACET_UPDATE_CYCLE, values=[cycle], value_count=1)
        return answer

    async def SuggestOpenDatasets(
        self, request: Any, context: Any
    ) -> opendata_pb2.SuggestOpenDatasetsResponse:
        found = opendata_pb2.OpenSuggestion(
            display_name="空气质量小时值", display_name_en="Air quality, hourly"
        )
        return opendata_pb2.SuggestOpenDatasetsResponse(suggestions=[found])

    async def ReadReleaseRows(self, request: Any, context: Any) -> opendata_pb2.ReadReleaseRowsResponse:
        self.rows.append(request)
        if request.filter == "?":
            await refuse(InvalidArgument("filter, character 1: this sign means nothing"), context)
        fields = open_dataset().contract.fields
        shown = [each for each in fields if not request.columns or each.name in request.columns]
        cells = [opendata_pb2.PreviewCell(text=f"{each.name}!") for each in shown]
        return opendata_pb2.ReadReleaseRowsResponse(
            rows=[opendata_pb2.PreviewRow(cells=cells)], fields=shown, all_fields=fields, total_size=41
        )

    async def StreamReleaseRows(
        self, request: Any, context: Any
    ) -> AsyncIterator[opendata_pb2.StreamReleaseRowsResponse]:
        self.streamed.append(request)
        if request.filter == "?":
            await refuse(InvalidArgument("filter, character 1: this sign means nothing"), context)
        for part in release_rows(request):
            yield part

    async def GetDataPackage(self, request: Any, context: Any) -> httpbody_pb2.HttpBody:
        return httpbody_pb2.HttpBody(content_type="application/json", data=b'{"resources":[]}')

    async def GetOpenDataset(self, request: Any, context: Any) -> opendata_pb2.OpenDataset:
        if request.name != f"{DATASET}/openDataset":
            await refuse(NotFound(request.name), context)
        return open_dataset(alive=self.alive)

    async def ReadReleaseFile(
        self, request: Any, context: Any
    ) -> AsyncIterator[opendata_pb2.ReadReleaseFileResponse]:
        self.reads.append(request)
        if request.file_name != FILE:
            await refuse(
                NotFound(f"{request.release}/files/{request.file_name}", remedy="Look again."), context
            )
        yield opendata_pb2.ReadReleaseFileResponse(file=file_of(FILE, self.content))
        stop = request.offset + request.limit if request.limit else len(self.content)
        wanted = self.content[request.offset : stop]
        wanted = wanted[: len(wanted) - self.short]
        for start in range(0, len(wanted), 100):
            yield opendata_pb2.ReadReleaseFileResponse(chunk=wanted[start : start + 100])


@dataclass
class City:
    """The fakes and the gateway before them."""

    http: httpx.AsyncClient
    app: FastAPI
    ingestion: Ingestion
    rows: Rows
    portal: Portal
    address: str = ""
    """Of the server that all the services share."""


def settings(address: str, faces: tuple[str, ...] = ("public", "internal"), **more: Any) -> GatewaySettings:
    names = {name: f"{name.replace('-', '_')}_address" for name in BEHIND}
    public = ("catalogue", "open-data", "security")
    given = {names[each]: address for each in (BEHIND if "internal" in faces else public)}
    return GatewaySettings(issuer="http://issuer.test", faces=faces, **given, **more)


@asynccontextmanager
async def city(faces: tuple[str, ...] = ("public", "internal"), **more: Any) -> AsyncIterator[City]:
    """A running city."""
    with tempfile.TemporaryDirectory() as folder:
        server = grpc.aio.server()
        ingestion, rows, portal = Ingestion(), Rows(), Portal()
        ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(ingestion, server)
        sharing_pb2_grpc.add_RowsServiceServicer_to_server(rows, server)
        opendata_pb2_grpc.add_PortalServiceServicer_to_server(portal, server)
        healthy = health.aio.HealthServicer()
        await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
        address = f"unix:{folder}/city.sock"
        server.add_insecure_port(address)
        await server.start()
        chosen = settings(address, faces, **more)
        app = create_app(chosen, peers_of(chosen))
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://plaza.test") as http,
        ):
            yield City(http, app, ingestion, rows, portal, address)
        await server.stop(grace=None)
