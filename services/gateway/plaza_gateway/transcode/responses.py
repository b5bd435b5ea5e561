"""Wire bytes of responses → HTTP answers: JSON, ready bytes (`google.api.HttpBody`), NDJSON and SSE."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import grpc
from google.api import httpbody_pb2

from plaza_gateway.transcode import conditions
from plaza_gateway.transcode.codec import Codec
from plaza_gateway.transcode.exchange import Exchange
from plaza_gateway.transcode.links import next_page
from plaza_gateway.transcode.partial import MEDIA_TYPE, Partial
from plaza_gateway.transcode.problems import Problem

HTTP_BODY = "google.api.HttpBody"
NDJSON = "application/x-ndjson"
EVENTS = "text/event-stream"
KEEP_ALIVE_SECONDS = 15.0
"""Proxies close connections on which nothing moves for a minute or less."""

_MEDIA_TYPE = re.compile(
    r"[\w!#$&^.+-]+/[\w!#$&^.+*-]+(?:\s*;\s*[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|\"[ !#-~]*\"))*"
)


class StreamBroken(Exception):
    """A stream of bytes ended early: the connection is cut, so that nobody takes the part for the whole."""


class ResponseWriter:
    """Writes the answers of one route."""

    def __init__(self, codec: Codec, type_name: str, *, anonymous: bool) -> None:
        self._codec = codec
        self._type_name = type_name
        # What a token opened must not be kept for the next one; all may be kept for revalidation.
        self._caching = (
            {"Cache-Control": "no-cache"}
            if anonymous
            else {"Cache-Control": "private, no-cache", "Vary": "Authorization"}
        )

    @property
    def ready_bytes(self) -> bool:
        """The response is `google.api.HttpBody`."""
        return self._type_name == HTTP_BODY

    async def unary(self, exchange: Exchange, wire: bytes, partial: Partial | None = None) -> None:
        """Answer one message, or what of it is wanted. Raises Unreadable when it is none."""
        if self.ready_bytes:
            body = httpbody_pb2.HttpBody.FromString(wire)
            await exchange.answer(200, body.data, self._headers(media_type(body.content_type)))
            return
        encoded = self._codec.encode(self._type_name, wire)
        headers = self._headers("application/json")
        if exchange.verb in ("GET", "HEAD"):
            headers |= next_page(exchange.query, encoded.next_page_token)
        if etag := conditions.header_of(encoded.etag):
            headers["ETag"] = etag
            known = exchange.headers.get("if-none-match")
            if known and exchange.verb in ("GET", "HEAD") and conditions.fresh(known, etag):
                del headers["Content-Type"]
                await exchange.answer(304, b"", headers)
                return
        if partial is not None:
            headers["Content-Type"] = MEDIA_TYPE
        await exchange.answer(200, encoded.json if partial is None else partial.of(encoded.json), headers)

    async def stream(self, exchange: Exchange, call: Any, more: Mapping[str, str] | None = None) -> None:
        """Answer a server stream. The first message is read before anything is sent, so that an early error
        keeps its status; a later one is the last line (`{"error": …}`) or event (`event: problem`).
        `more`: further headers of a stream of bytes.
        Raises AioRpcError before the start, StreamBroken when a stream of bytes ends early."""
        first = await call.read()
        if self.ready_bytes:
            await self._bytes(exchange, call, first, more or {})
            return
        events = EVENTS in exchange.headers.get("accept", "")
        await exchange.start(200, self._headers(EVENTS if events else NDJSON))
        message = first
        try:
            while message is not grpc.aio.EOF and not exchange.head:
                line = self._codec.encode(self._type_name, message).json
                await exchange.part(b"data: " + line + b"\n\n" if events else line + b"\n", more=True)
                message = await self._next(exchange, call, events)
        except grpc.aio.AioRpcError as error:
            problem = Problem.of_rpc(error).body(exchange.trace_id)
            last = (
                b"event: problem\ndata: " + problem + b"\n\n" if events else b'{"error":' + problem + b"}\n"
            )
            await exchange.part(last, more=True)
        await exchange.part(b"", more=False)

    async def _next(self, exchange: Exchange, call: Any, events: bool) -> Any:
        if not events:
            return await call.read()
        reading = asyncio.ensure_future(call.read())
        try:
            while not (await asyncio.wait({reading}, timeout=KEEP_ALIVE_SECONDS))[0]:
                await exchange.part(b": still here\n\n", more=True)
            return await reading
        finally:
            reading.cancel()

    async def _bytes(self, exchange: Exchange, call: Any, first: Any, more: Mapping[str, str]) -> None:
        message = first
        body = httpbody_pb2.HttpBody.FromString(b"" if first is grpc.aio.EOF else first)
        await exchange.start(200, self._headers(media_type(body.content_type)) | dict(more))
        try:
            while message is not grpc.aio.EOF and not exchange.head:
                await exchange.part(httpbody_pb2.HttpBody.FromString(message).data, more=True)
                message = await call.read()
        except grpc.aio.AioRpcError as error:
            raise StreamBroken(f"{error.code().name}: {error.details()}") from error
        await exchange.part(b"", more=False)

    def _headers(self, content_type: str) -> dict[str, str]:
        return {"Content-Type": content_type, "X-Content-Type-Options": "nosniff", **self._caching}


def media_type(text: str) -> str:
    """The text when it is a media type that a header can hold, else the one of bytes."""
    return text if _MEDIA_TYPE.fullmatch(text, 0) and text.isascii() else "application/octet-stream"
