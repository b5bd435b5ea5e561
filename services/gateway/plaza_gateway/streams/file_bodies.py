"""A file as the body of a request: what uploads and directory imports have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from plaza_gateway.streams.sending import answer_to, file_messages
from plaza_gateway.transcode.endpoints import Tools
from plaza_gateway.transcode.exchange import Exchange
from plaza_gateway.transcode.places import Places
from plaza_gateway.transcode.problems import Problem, Where
from plaza_gateway.transcode.responses import ResponseWriter
from plaza_gateway.transcode.routes import Route

CHUNK = 1024 * 1024
"""Bytes of one message, the most that the contract allows."""


@dataclass(frozen=True, slots=True)
class BodyKind:
    """What may come, and as which messages it goes on."""

    message: Callable[..., Message]
    """Of the client stream, with the parts `header`, `chunk` and `end`."""
    header: type[Message]
    """What path and query fill."""
    media_types: tuple[str, ...]
    """The last one is meant where none is said."""
    wanted: str
    """What is said of another media type."""
    remedy: str

    def endpoint(self, route: Route, tools: Tools) -> FileBody:
        """For `HandWritten`."""
        return FileBody(self, route, tools)


class FileBody:
    """Passes the body on as it comes: the next chunk is read when the service has room for it."""

    def __init__(self, kind: BodyKind, route: Route, tools: Tools) -> None:
        self._kind = kind
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
        self._check_media_type(exchange)
        asked = exchange.headers
        wire = self._reader.read(
            variables, exchange.query, asked.get("if-match"), b"", asked.get("idempotency-key")
        )
        header = self._kind.header.FromString(wire)
        call = self._call(timeout=self._timeout, metadata=exchange.metadata())
        messages = file_messages(self._kind.message, header, exchange.pieces(CHUNK))
        reply = await answer_to(call, messages, lambda: exchange.watching(call))
        await self._writer.unary(exchange, reply)

    def _check_media_type(self, exchange: Exchange) -> None:
        known = self._kind.media_types
        media_type = exchange.headers.get("content-type", known[-1]).lower().partition(";")[0].strip()
        encoding = exchange.headers.get("content-encoding", "identity").lower()
        if media_type not in known or encoding != "identity":
            raise Problem(
                415,
                "UNSUPPORTED_MEDIA_TYPE",
                self._kind.wanted,
                remedy=self._kind.remedy,
                headers={"Accept-Post": ", ".join(known)},
            )


class _HeaderPlaces(Places):
    """The service sees the fields of the header one level down; what it says of the chunks is about the body."""

    def __init__(self, reader: Any) -> None:
        super().__init__(reader.plan.route, reader.plan.shape)

    def __call__(self, field: str) -> tuple[Where, str]:
        if field == "chunk":
            return "body", "#"
        return super().__call__(field.removeprefix("header."))
