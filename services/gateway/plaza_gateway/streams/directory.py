"""A department's directory as a spreadsheet: `POST …/directory:import` → the chunks of
`CatalogueService.ImportDirectory`, `GET …/directory:export` → `CatalogueService.ExportDirectory`."""

from __future__ import annotations

from collections.abc import Mapping

from plaza.catalogue.v1 import catalogue_pb2

from plaza_gateway.openapi.constraints import Schema
from plaza_gateway.openapi.problems import problem
from plaza_gateway.openapi.schemas import Schemas
from plaza_gateway.streams.content import attachment
from plaza_gateway.streams.file_bodies import BodyKind
from plaza_gateway.transcode.endpoints import HandWritten, Tools
from plaza_gateway.transcode.exchange import Exchange
from plaza_gateway.transcode.places import Places
from plaza_gateway.transcode.responses import ResponseWriter
from plaza_gateway.transcode.routes import Route

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA_TYPES = (XLSX, "text/csv", "application/octet-stream")
SPREADSHEET = BodyKind(
    message=catalogue_pb2.ImportDirectoryRequest,
    header=catalogue_pb2.ImportDirectoryHeader,
    media_types=MEDIA_TYPES,
    wanted="the body must be the spreadsheet's own bytes, XLSX or CSV, not compressed for the way",
    remedy=f"Send the header Content-Type with one of {', '.join(MEDIA_TYPES)}.",
)


class DirectoryExport:
    """Passes the bytes on as they come, as a file with a name."""

    def __init__(self, route: Route, tools: Tools) -> None:
        self._reader = tools.reader(route)
        self._writer = ResponseWriter(tools.codec, route.method.response, anonymous=False)
        self._call = tools.server_stream(route)
        self._timeout = tools.stream_seconds

    @property
    def places(self) -> Places:
        """See Endpoint."""
        return self._reader.places

    async def answer(self, exchange: Exchange, variables: Mapping[str, str]) -> None:
        """See Endpoint."""
        wire = self._reader.read(variables, exchange.query, None, await exchange.body())
        request = catalogue_pb2.ExportDirectoryRequest.FromString(wire)
        call = self._call(wire, timeout=self._timeout, metadata=exchange.metadata())
        name = f"{request.parent.rpartition('/')[2]}-directory.{request.format or 'xlsx'}"
        async with exchange.watching(call):
            headers = {"Content-Disposition": attachment(name), "Cache-Control": "no-store"}
            await self._writer.stream(exchange, call, headers)


def describe_import(operation: Schema, schemas: Schemas) -> Schema:
    """Makes the generated operation true."""
    answer = schemas.inline("plaza.catalogue.v1.ImportDirectoryResponse", "output")
    return operation | {
        "requestBody": {
            "required": True,
            "description": "The bytes of the spreadsheet, at least one, at most 20 MiB.",
            "content": {media_type: {"schema": {}} for media_type in MEDIA_TYPES},
        },
        "responses": operation["responses"]
        | {
            "200": {
                "description": "What was imported; with `validateOnly` what would be, and every problem.",
                "content": {"application/json": {"schema": answer}},
            },
            "408": problem("The body stood still"),
            "413": problem("The file is too large"),
            "415": problem("The body is no spreadsheet's bytes"),
        },
    }


def describe_export(operation: Schema, _schemas: Schemas) -> Schema:
    """Makes the generated operation true."""
    success = {
        "description": "The directory as a file",
        "content": {XLSX: {"schema": {}}, "text/csv": {"schema": {}}},
    }
    return operation | {"responses": operation["responses"] | {"200": success}}


IMPORT = HandWritten(
    rpc="plaza.catalogue.v1.CatalogueService.ImportDirectory",
    verb="POST",
    template="/api/v1/{parent=departments/*}/directory:import",
    face="internal",
    endpoint=SPREADSHEET.endpoint,
    carries="upload",
    request="plaza.catalogue.v1.ImportDirectoryHeader",
)
EXPORT = HandWritten(
    rpc="plaza.catalogue.v1.CatalogueService.ExportDirectory",
    verb="GET",
    template="/api/v1/{parent=departments/*}/directory:export",
    face="internal",
    endpoint=DirectoryExport,
    carries="rows",
)
