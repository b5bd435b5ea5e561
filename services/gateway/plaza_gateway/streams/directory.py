"""A department's directory as a spreadsheet: `POST …/directory:import` → the chunks of
`CatalogueService.ImportDirectory`, `GET …/directory:export` → `CatalogueService.ExportDirectory`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc
from plaza.catalogue.v1 import catalogue_pb2

from plaza_gateway.openapi.constraints import Schema
from plaza_gateway.openapi.problems import problem
from plaza_gateway.openapi.schemas import Schemas
from plaza_gateway.streams.content import attachment
from plaza_gateway.streams.sending import AnsweredEarly, send
from plaza_gateway.streams.uploads import CHUNK
from plaza_gateway.transcode.endpoints import HandWritten, Tools
from plaza_gateway.transcode.exchange import Exchange
from plaza_gateway.transcode.places import Places
from plaza_gateway.transcode.problems import Problem, Where
from plaza_gateway.transcode.responses import ResponseWriter
from plaza_gateway.transcode.routes import Route

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA_TYPES = (XLSX, "text/csv", "application/octet-stream")


class DirectoryImport:
    """Passes the body on as it comes; the service keeps nothing of a body that is cut off."""

    def __init__(self, route: Route, tools: Tools) -> None:
        self._reader = tools.reader(route)
        self._writer = ResponseWriter(tools.codec, route.method.response, anonymous=False)
        self._call: Any = tools.channel(route).stream_unary(route.method.rpc_path)
        self._timeout = tools.stream_seconds

    @property
    def places(self) -> Places:
        """See Endpoint."""
        return _HeaderPlaces(self._reader)

    async def answer(self, exchange: Exchange, variables: Mapping[str, str]) -> None:
        """See Endpoint."""
        _require_spreadsheet(exchange)
        wire = self._reader.read(variables, exchange.query, exchange.headers.get("if-match"), b"")
        header = catalogue_pb2.ImportDirectoryHeader.FromString(wire)
        call = self._call(timeout=self._timeout, metadata=exchange.metadata())
        answer = asyncio.ensure_future(_answer_of(call))
        feeding = asyncio.create_task(_feed(call, header, exchange))
        try:
            # A refusal is heard at once, not after the last byte.
            await asyncio.wait({answer, feeding}, return_when=asyncio.FIRST_COMPLETED)
            if feeding.done():
                feeding.result()
            else:
                feeding.cancel()
            if answer.done():
                reply = answer.result()
            else:
                async with exchange.watching(call):
                    reply = await answer
        finally:
            feeding.cancel()
            call.cancel()
            answer.cancel()
        await self._writer.unary(exchange, reply)


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


async def _answer_of(call: Any) -> bytes:
    reply: bytes = await call
    return reply


async def _feed(call: Any, header: catalogue_pb2.ImportDirectoryHeader, exchange: Exchange) -> None:
    """Write everything, say so, close the way in. Raises CallerLeft; a call that ended by itself is no error
    here, its answer tells why."""
    size = 0
    message = catalogue_pb2.ImportDirectoryRequest
    try:
        await send(call, message(header=header).SerializeToString())
        async for piece in exchange.pieces(CHUNK):
            size += len(piece)
            await send(call, message(chunk=piece).SerializeToString())
        end = catalogue_pb2.ImportDirectoryEnd(size_bytes=size)
        await send(call, message(end=end).SerializeToString())
        await call.done_writing()
    except (AnsweredEarly, grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return


class _HeaderPlaces(Places):
    """The service sees the fields of the header one level down; what it says of the chunks is about the body."""

    def __init__(self, reader: Any) -> None:
        super().__init__(reader.plan.route, reader.plan.shape)

    def __call__(self, field: str) -> tuple[Where, str]:
        if field == "chunk":
            return "body", "#"
        return super().__call__(field.removeprefix("header."))


def _require_spreadsheet(exchange: Exchange) -> None:
    media_type = exchange.headers.get("content-type", MEDIA_TYPES[-1]).lower().partition(";")[0].strip()
    encoding = exchange.headers.get("content-encoding", "identity").lower()
    if media_type not in MEDIA_TYPES or encoding != "identity":
        raise Problem(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "the body must be the spreadsheet's own bytes, XLSX or CSV, not compressed for the way",
            remedy=f"Send the header Content-Type with one of {', '.join(MEDIA_TYPES)}.",
            headers={"Accept-Post": ", ".join(MEDIA_TYPES)},
        )


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
    endpoint=DirectoryImport,
    request="plaza.catalogue.v1.ImportDirectoryHeader",
)
EXPORT = HandWritten(
    rpc="plaza.catalogue.v1.CatalogueService.ExportDirectory",
    verb="GET",
    template="/api/v1/{parent=departments/*}/directory:export",
    face="internal",
    endpoint=DirectoryExport,
)
