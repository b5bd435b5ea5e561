"""A file's bytes in: the body of `POST …/uploads` → the chunks of `IngestionService.UploadFile`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc
from plaza.ingestion.v1 import ingestion_pb2

from plaza_gateway.openapi.constraints import Schema
from plaza_gateway.openapi.problems import problem
from plaza_gateway.openapi.schemas import Schemas
from plaza_gateway.streams.sending import AnsweredEarly, send
from plaza_gateway.transcode.endpoints import HandWritten, Tools
from plaza_gateway.transcode.exchange import Exchange
from plaza_gateway.transcode.places import Places
from plaza_gateway.transcode.problems import Problem, Where
from plaza_gateway.transcode.responses import ResponseWriter
from plaza_gateway.transcode.routes import Route

CHUNK = 1024 * 1024
"""Bytes of one message, the most that the contract allows."""
MEDIA_TYPE = "application/octet-stream"


class Uploads:
    """Passes the body on as it comes: the next chunk is read when the service has room for it."""

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
        """See Endpoint. What the caller cuts off is cancelled without the end that would make it whole."""
        _require_bytes(exchange)
        wire = self._reader.read(variables, exchange.query, exchange.headers.get("if-match"), b"")
        header = ingestion_pb2.UploadHeader.FromString(wire)
        call = self._call(timeout=self._timeout, metadata=exchange.metadata())
        answer = asyncio.ensure_future(_answer_of(call))
        feeding = asyncio.create_task(_feed(call, header, exchange))
        try:
            # A service that refuses early is heard at once, not after the last byte.
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


async def _answer_of(call: Any) -> bytes:
    reply: bytes = await call
    return reply


async def _feed(call: Any, header: ingestion_pb2.UploadHeader, exchange: Exchange) -> None:
    """Write everything, say so, close the way in. Raises CallerLeft; a call that ended by itself is no error
    here, its answer tells why."""
    size = 0
    try:
        await send(call, ingestion_pb2.UploadFileRequest(header=header).SerializeToString())
        async for piece in exchange.pieces(CHUNK):
            size += len(piece)
            await send(call, ingestion_pb2.UploadFileRequest(chunk=piece).SerializeToString())
        end = ingestion_pb2.UploadEnd(size_bytes=size)
        await send(call, ingestion_pb2.UploadFileRequest(end=end).SerializeToString())
        await call.done_writing()
    except (AnsweredEarly, grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return


class _HeaderPlaces(Places):
    """The service sees the fields of the header one level down."""

    def __init__(self, reader: Any) -> None:
        super().__init__(reader.plan.route, reader.plan.shape)

    def __call__(self, field: str) -> tuple[Where, str]:
        if field == "chunk":
            return "body", "#"
        return super().__call__(field.removeprefix("header."))


def _require_bytes(exchange: Exchange) -> None:
    media_type = exchange.headers.get("content-type", MEDIA_TYPE).lower().partition(";")[0].strip()
    encoding = exchange.headers.get("content-encoding", "identity").lower()
    if media_type != MEDIA_TYPE or encoding != "identity":
        raise Problem(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            f"the body must be the file's own bytes as {MEDIA_TYPE}, not compressed for the way",
            remedy=f"Send the header Content-Type: {MEDIA_TYPE} whatever the file is.",
            headers={"Accept-Post": MEDIA_TYPE},
        )


def describe(operation: Schema, schemas: Schemas) -> Schema:
    """Makes the generated operation true."""
    upload = schemas.inline("plaza.ingestion.v1.Upload", "output")
    success = {
        "description": "The file was received whole.",
        "content": {"application/json": {"schema": upload}},
    }
    return operation | {
        "requestBody": {
            "required": True,
            "description": "The bytes of the file, at least one.",
            "content": {MEDIA_TYPE: {"schema": {}}},
        },
        "responses": operation["responses"]
        | {"200": success, "415": problem("The body is not the bytes of a file")},
    }


ROUTE = HandWritten(
    rpc="plaza.ingestion.v1.IngestionService.UploadFile",
    verb="POST",
    template="/api/v1/{parent=departments/*}/uploads",
    face="internal",
    endpoint=Uploads,
    request="plaza.ingestion.v1.UploadHeader",
)
