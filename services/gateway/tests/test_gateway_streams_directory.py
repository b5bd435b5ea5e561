"""Directories as spreadsheets: the body arrives in chunks, the file leaves with a name."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import plaza_protos
import pytest
from google.api import httpbody_pb2
from plaza.catalogue.v1 import catalogue_pb2, catalogue_pb2_grpc
from plaza_gateway.streams import directory
from plaza_gateway.transcode import Contract, Transcoder
from plaza_gateway.transcode.descriptors import Face
from plaza_gateway.transcode.routes import routes_of
from plaza_kit.errors import FieldViolation, InvalidArgument, PlazaError
from plaza_kit.rpc.status import DETAILS_KEY, code_of, to_status

pytestmark = pytest.mark.integration
IMPORT = "/api/v1/departments/ecology/directory:import"
EXPORT = "/api/v1/departments/ecology/directory:export"
INTERNAL: frozenset[Face] = frozenset({"internal"})
CSV = {"content-type": "text/csv; charset=utf-8"}


@dataclass
class Catalogue(catalogue_pb2_grpc.CatalogueServiceServicer):
    header: catalogue_pb2.ImportDirectoryHeader | None = None
    received: bytes = b""
    ended: int = -1
    refusal: PlazaError | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    async def ImportDirectory(self, requests: Any, context: Any) -> catalogue_pb2.ImportDirectoryResponse:
        self.metadata = dict(context.invocation_metadata())
        async for request in requests:
            match request.WhichOneof("part"):
                case "header":
                    self.header = request.header
                case "end":
                    self.ended = request.end.size_bytes
                case _:
                    self.received += request.chunk
        if self.refusal is not None:
            status = to_status(self.refusal)
            details = ((DETAILS_KEY, status.SerializeToString()),)
            await context.abort(code_of(status), status.message, trailing_metadata=details)
        remark = catalogue_pb2.CellRemark(
            sheet="目录", row=4, column="C", heading="代码", text="?", remedy="!"
        )
        assert self.header is not None
        return catalogue_pb2.ImportDirectoryResponse(
            validate_only=self.header.validate_only, problem_count=1, problems=[remark]
        )

    async def ExportDirectory(self, request: Any, context: Any) -> AsyncIterator[httpbody_pb2.HttpBody]:
        for piece in (request.parent.encode(), b"|", request.format.encode()):
            yield httpbody_pb2.HttpBody(content_type="text/csv; charset=utf-8", data=piece)


@dataclass
class City:
    http: httpx.AsyncClient
    catalogue: Catalogue


@pytest.fixture
async def plaza() -> AsyncIterator[City]:
    with tempfile.TemporaryDirectory() as folder:
        server = grpc.aio.server()
        catalogue = Catalogue()
        catalogue_pb2_grpc.add_CatalogueServiceServicer_to_server(catalogue, server)
        address = f"unix:{Path(folder) / 'city.sock'}"
        server.add_insecure_port(address)
        await server.start()
        async with grpc.aio.insecure_channel(address) as channel:
            contract = plaza_protos.descriptor_set()
            routes = routes_of(Contract(contract).methods, INTERNAL)
            channels = {route.method.package: channel for route in routes}
            app = Transcoder(contract, channels, face=INTERNAL, by_hand=(directory.IMPORT, directory.EXPORT))
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://plaza.test") as http:
                yield City(http, catalogue)
        await server.stop(grace=None)


async def test_a_spreadsheet_arrives_equal_and_is_answered(plaza: City) -> None:
    content = "名称,代码\n".encode("gb18030") * 200_000
    response = await plaza.http.post(
        IMPORT, params={"validateOnly": "true"}, content=content, headers={**CSV, "authorization": "Bearer t"}
    )
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["validateOnly"], answer["problemCount"]) == (True, 1)
    assert answer["problems"][0]["column"] == "C"
    assert plaza.catalogue.received == content
    assert plaza.catalogue.ended == len(content)
    assert plaza.catalogue.header == catalogue_pb2.ImportDirectoryHeader(
        parent="departments/ecology", validate_only=True
    )
    assert plaza.catalogue.metadata["authorization"] == "Bearer t"


async def test_problems_of_cells_are_problems_of_the_body(plaza: City) -> None:
    bad = (FieldViolation("chunk", "目录!C4 代码: taken"), FieldViolation("header.parent", "is odd"))
    plaza.catalogue.refusal = InvalidArgument("目录!C4", violations=bad)
    response = await plaza.http.post(IMPORT, content=b"x", headers=CSV)
    assert response.status_code == 400
    assert [(e["in"], e["pointer"], e["detail"]) for e in response.json()["errors"]] == [
        ("body", "#", "目录!C4 代码: taken"),
        ("path", "parent", "is odd"),
    ]


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", {"content-type": "application/json"}, 415),
        ("", {**CSV, "content-encoding": "gzip"}, 415),
        ("?validateOnly=perhaps", CSV, 400),
        ("?parent=departments/b", CSV, 400),
        ("?x=1", CSV, 400),
    ],
)
async def test_what_is_wrong_is_told(plaza: City, query: str, headers: dict[str, str], status: int) -> None:
    response = await plaza.http.post(IMPORT + query, content=b"x", headers=headers)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert plaza.catalogue.header is None


async def test_a_directory_leaves_as_a_file(plaza: City) -> None:
    response = await plaza.http.get(EXPORT, params={"format": "csv"})
    assert (response.status_code, response.content) == (200, b"departments/ecology|csv")
    assert response.headers["content-disposition"] == 'attachment; filename="ecology-directory.csv"'
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    whole = await plaza.http.get(EXPORT)
    assert whole.headers["content-disposition"] == 'attachment; filename="ecology-directory.xlsx"'
    assert (await plaza.http.get(EXPORT, params={"format": "pdf"})).status_code == 400
