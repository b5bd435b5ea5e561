"""Released files out, for everybody: `GET …/files/{file}` → `PortalService.ReadReleaseFile`, with ranges."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import grpc
from plaza.opendata.v1 import opendata_pb2

from plaza_gateway.openapi.constraints import Schema
from plaza_gateway.openapi.problems import problem
from plaza_gateway.openapi.schemas import Schemas
from plaza_gateway.streams.content import CACHING, attachment
from plaza_gateway.streams.ranges import Span, Unsatisfiable, span_of
from plaza_gateway.transcode import conditions
from plaza_gateway.transcode.endpoints import HandWritten, Tools
from plaza_gateway.transcode.exchange import Exchange
from plaza_gateway.transcode.places import Places
from plaza_gateway.transcode.problems import Problem
from plaza_gateway.transcode.responses import StreamBroken, media_type
from plaza_gateway.transcode.routes import Route

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class ReleaseFiles:
    """Passes a file on as it comes."""

    def __init__(self, route: Route, tools: Tools) -> None:
        self._reader = tools.reader(route)
        self._call = tools.server_stream(route)
        self._timeout = tools.stream_seconds
        self._look_timeout = tools.deadline_seconds

    @property
    def places(self) -> Places:
        """See Endpoint."""
        return self._reader.places

    async def answer(self, exchange: Exchange, variables: Mapping[str, str]) -> None:
        """See Endpoint. Raises StreamBroken when fewer or more bytes come than were promised."""
        wire = self._reader.read(variables, exchange.query, None, await exchange.body())
        request = opendata_pb2.ReadReleaseFileRequest.FromString(wire)
        # What cannot be decided before the file's size and hash are known costs one byte to ask.
        conditional = "range" in exchange.headers or "if-none-match" in exchange.headers
        if not (exchange.head or conditional):
            await self._send(exchange, request, None, None)
            return
        file = await self._look(exchange, request)
        etag = _etag(file)
        known = exchange.headers.get("if-none-match")
        if known is not None and conditions.fresh(known, etag):
            await exchange.answer(304, b"", _lasting(etag))
        elif exchange.head:
            await exchange.start(200, _headers(file) | {"Content-Length": str(file.size_bytes)})
            await exchange.part(b"", more=False)
        else:
            await self._send(exchange, request, _span(exchange, file, etag), file)

    async def _look(
        self, exchange: Exchange, request: opendata_pb2.ReadReleaseFileRequest
    ) -> opendata_pb2.ReleaseFile:
        asked = opendata_pb2.ReadReleaseFileRequest(
            release=request.release, file_name=request.file_name, limit=1
        )
        call = self._call(asked.SerializeToString(), timeout=self._look_timeout, metadata=exchange.metadata())
        try:
            return await _file(call)
        finally:
            call.cancel()

    async def _send(
        self,
        exchange: Exchange,
        request: opendata_pb2.ReadReleaseFileRequest,
        span: Span | None,
        known: opendata_pb2.ReleaseFile | None,
    ) -> None:
        if span is not None:
            request.offset, request.limit = span.offset, span.length
        call = self._call(request.SerializeToString(), timeout=self._timeout, metadata=exchange.metadata())
        async with exchange.watching(call):
            file = await _file(call)
            if known is not None and (file.sha256, file.size_bytes) != (known.sha256, known.size_bytes):
                raise Problem(503, "FILE_CHANGED", "the file changed while it was looked up; ask again")
            # The first piece is waited for, so that an error before it keeps its status.
            first = await _chunk(call)
            whole = Span(0, file.size_bytes)
            headers = _headers(file) | {"Content-Length": str((span or whole).length)}
            if span is not None:
                headers["Content-Range"] = span.content_range(file.size_bytes)
            await exchange.start(206 if span else 200, headers)
            await _pass_on(exchange, call, first, (span or whole).length)


async def _pass_on(exchange: Exchange, call: Any, first: bytes | None, length: int) -> None:
    sent, chunk = 0, first
    try:
        while chunk is not None:
            sent += len(chunk)
            if sent > length:
                raise StreamBroken(f"more than the {length} bytes that were promised")
            await exchange.part(chunk, more=True)
            chunk = await _chunk(call)
    except grpc.aio.AioRpcError as error:
        raise StreamBroken(f"{error.code().name} after {sent} of {length} bytes") from error
    if sent != length:
        raise StreamBroken(f"{sent} bytes instead of the {length} that were promised")
    await exchange.part(b"", more=False)


async def _file(call: Any) -> opendata_pb2.ReleaseFile:
    wire = await call.read()
    part = opendata_pb2.ReadReleaseFileResponse.FromString(b"" if wire is grpc.aio.EOF else wire)
    if part.WhichOneof("part") != "file":
        raise Problem(503, "FILE_INCOMPLETE", "the file cannot be read just now; ask again")
    return part.file


async def _chunk(call: Any) -> bytes | None:
    wire = await call.read()
    return None if wire is grpc.aio.EOF else opendata_pb2.ReadReleaseFileResponse.FromString(wire).chunk


def _span(exchange: Exchange, file: opendata_pb2.ReleaseFile, etag: str) -> Span | None:
    wanted = exchange.headers.get("range", "")
    # If-Range compares strongly; there are no dates to compare (RFC 9110, section 13.1.5).
    if exchange.headers.get("if-range", etag) != etag:
        return None
    try:
        return span_of(wanted, file.size_bytes)
    except Unsatisfiable as error:
        raise Problem(
            416,
            "RANGE_NOT_SATISFIABLE",
            f"the file has {file.size_bytes} bytes; none lies in the range {wanted}",
            facts={"size_bytes": str(file.size_bytes)},
            headers={"Content-Range": f"bytes */{file.size_bytes}", "Accept-Ranges": "bytes"},
        ) from error


def _etag(file: opendata_pb2.ReleaseFile) -> str:
    return f'"{file.sha256}"' if _SHA256.fullmatch(file.sha256) else ""


def _lasting(etag: str) -> dict[str, str]:
    return {"Cache-Control": CACHING, **({"ETag": etag} if etag else {})}


def _headers(file: opendata_pb2.ReleaseFile) -> dict[str, str]:
    return {
        "Content-Type": media_type(file.content_type),
        "Content-Disposition": attachment(file.file_name),
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        **_lasting(_etag(file)),
    }


def describe(operation: Schema, _schemas: Schemas) -> Schema:
    """Makes the generated operation true."""
    bytes_: Schema = {"*/*": {"schema": {}}}
    etag = {"description": "SHA-256 of the file.", "schema": {"type": "string"}}
    asked = {
        "Range": "One range of bytes; several are answered with the whole file.",
        "If-Range": "The entity tag for which `Range` holds.",
        "If-None-Match": "The entity tag of a copy; 304 when it is still good.",
    }
    return operation | {
        "parameters": [
            *operation["parameters"],
            *(
                {
                    "name": name,
                    "in": "header",
                    "required": False,
                    "description": text,
                    "schema": {"type": "string"},
                }
                for name, text in asked.items()
            ),
        ],
        "responses": operation["responses"]
        | {
            "200": {"description": "The file", "headers": {"ETag": etag}, "content": bytes_},
            "206": {
                "description": "The bytes that were asked for",
                "headers": {"ETag": etag},
                "content": bytes_,
            },
            "304": {"description": "The caller's copy is still good"},
            "416": problem("No byte of the file lies in the range"),
        },
    }


ROUTE = HandWritten(
    rpc="plaza.opendata.v1.PortalService.ReadReleaseFile",
    verb="GET",
    template="/api/v1/{release=departments/*/datasets/*/releases/*}/files/{file_name}",
    face="public",
    endpoint=ReleaseFiles,
    carries="rows",
    anonymous=True,
    without=frozenset({"offset", "limit"}),
)
