"""The document tells the truth about the hand-written routes."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import plaza_protos
import pytest
import schemathesis
from google.api import httpbody_pb2
from hypothesis import HealthCheck, Phase, given, settings
from plaza.catalogue.v1 import catalogue_pb2
from plaza.ingestion.v1 import ingestion_pb2
from plaza.opendata.v1 import opendata_pb2
from plaza.quality.v1 import reconciliations_pb2, reports_pb2
from plaza.sharing.v1 import sharing_pb2
from plaza_gateway.openapi import merge_paths, openapi
from plaza_gateway.streams import STREAMS, directory, stream_paths
from plaza_gateway.transcode import Transcoder
from plaza_kit.errors import InvalidArgument
from schemathesis.specs.openapi.checks import positive_data_acceptance

sys.path.insert(0, str(Path(__file__).parent / "protos"))
from gateway_city import CONTENT, FILE, FORMS, file_of, release_rows
from gateway_library import INTERNAL, Call, refusal

CONTRACT = plaza_protos.descriptor_set()
PATHS = stream_paths(CONTRACT, INTERNAL)
PACKAGES = {each.rpc.rsplit(".", 2)[0] for each in STREAMS}


class Upload:
    """A call that takes every file but an empty one."""

    def __init__(self, rpc: str) -> None:
        self.rpc = rpc
        self.size = 0
        self.whole = asyncio.Event()

    async def wait_for_connection(self) -> None:
        pass

    def done(self) -> bool:
        return False

    @property
    def _cython_call(self) -> Any:
        return self

    async def send_serialized_message(self, wire: bytes) -> None:
        # Both kinds of messages have their chunks in the same place.
        self.size += len(ingestion_pb2.UploadFileRequest.FromString(wire).chunk)

    async def done_writing(self) -> None:
        self.whole.set()

    def cancel(self) -> bool:
        return True

    def __await__(self) -> Any:
        return self._answer().__await__()

    async def _answer(self) -> bytes:
        await self.whole.wait()
        if not self.size:
            raise refusal(InvalidArgument("the file is empty"))
        if self.rpc == "ImportDirectory":
            return catalogue_pb2.ImportDirectoryResponse(created_count=1).SerializeToString()
        return ingestion_pb2.Upload(file_name="a").SerializeToString()


def answers(rpc: str, wire: bytes) -> list[Any]:
    """What a service would say, from the request."""
    if rpc == "ExportQuarantine":
        return [httpbody_pb2.HttpBody(content_type="text/csv", data=b"x")]
    if rpc == "ExportDirectory":
        form = catalogue_pb2.ExportDirectoryRequest.FromString(wire).format
        return [
            httpbody_pb2.HttpBody(content_type="text/csv" if form == "csv" else directory.XLSX, data=b"x")
        ]
    if rpc == "ExportDifferences":
        wanted = reconciliations_pb2.ExportDifferencesRequest.FromString(wire).format
        kind = directory.XLSX if wanted == "xlsx" else "text/csv"
        return [httpbody_pb2.HttpBody(content_type=kind, data=b"x")]
    if rpc == "DownloadHealthReport":
        form = reports_pb2.DownloadHealthReportRequest.FromString(wire).format
        kind = "text/html" if form == "html" else "application/pdf"
        return [httpbody_pb2.HttpBody(content_type=kind, data=b"x")]
    if rpc == "ReadReleaseFile":
        asked = opendata_pb2.ReadReleaseFileRequest.FromString(wire)
        stop = asked.offset + asked.limit if asked.limit else None
        piece = opendata_pb2.ReadReleaseFileResponse
        return [piece(file=file_of(FILE)), piece(chunk=CONTENT[asked.offset : stop])]
    if rpc == "StreamReleaseRows":
        return release_rows(opendata_pb2.StreamReleaseRowsRequest.FromString(wire))
    form = sharing_pb2.ReadRowsRequest.FromString(wire).format
    kind = FORMS.get(form, "application/json")
    body = b'{"version":1,"columns":["a"],"rows":[["1"]],"nextPageToken":""}'
    piece = sharing_pb2.ReadRowsResponse
    header = sharing_pb2.RowsHeader(content_type=kind, version=1, file_name="a")
    trailer = sharing_pb2.RowsTrailer(rows=1, content_sha256="ab" * 32)
    return [piece(header=header), piece(chunk=body), piece(trailer=trailer)]


class Services:
    """A channel to services that say yes to everybody."""

    def stream_unary(self, path: str) -> Any:
        return lambda **_: Upload(path.rpartition("/")[2])

    def unary_stream(self, path: str) -> Any:
        return lambda wire, **_: Call(answers(path.rpartition("/")[2], wire))

    def unary_unary(self, path: str) -> Any:
        return None


def operations() -> dict[str, Any]:
    document = merge_paths(openapi(CONTRACT, faces=INTERNAL, title="t", version="1"), PATHS)
    open_to_all = {k: v for k, v in document.items() if k != "security"} | {"paths": PATHS}
    schema = schemathesis.openapi.from_dict(open_to_all)
    packages = {each.method.package for each in all_routes()} | PACKAGES
    channels: Any = {package: Services() for package in packages}
    schema.app = Transcoder(CONTRACT, channels, face=INTERNAL, by_hand=STREAMS)
    return {each.ok().label: each.ok() for each in schema.get_all_operations()}


def all_routes() -> Any:
    from plaza_gateway.transcode import Contract
    from plaza_gateway.transcode.routes import routes_of

    return routes_of(Contract(CONTRACT).methods, INTERNAL)


OPERATIONS = operations()


@pytest.mark.parametrize("mode", schemathesis.GenerationMode)
@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_schemathesis_finds_no_lie(label: str, mode: schemathesis.GenerationMode) -> None:
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    @settings(
        max_examples=40,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(case: Any) -> None:
        # Valid columns may still name one field twice.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    run()


def test_every_stream_is_described_once() -> None:
    assert len(PATHS) == len(STREAMS)
    assert {next(iter(item.values()))["x-plaza-rpc"] for item in PATHS.values()} == {s.rpc for s in STREAMS}
    for path, item in PATHS.items():
        for operation in item.values():
            named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert all(f"{{{name}}}" in path for name in named)
            assert not any(each["name"] in ("offset", "limit") for each in operation["parameters"])


def test_the_public_face_describes_files_and_rows_of_releases_only() -> None:
    described = stream_paths(CONTRACT, frozenset({"public"}))
    assert {path.rpartition("/")[2] for path in described} == {"{fileName}", "rows"}
    assert all("/releases/" in path for path in described)
