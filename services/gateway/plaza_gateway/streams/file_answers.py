"""A file as the answer of a server stream: what the exports of directory and quarantine have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from plaza_gateway.streams.content import attachment
from plaza_gateway.transcode.endpoints import Tools
from plaza_gateway.transcode.exchange import Exchange
from plaza_gateway.transcode.places import Places
from plaza_gateway.transcode.responses import ResponseWriter
from plaza_gateway.transcode.routes import Route


@dataclass(frozen=True, slots=True)
class AnswerKind:
    """Which file it is."""

    request: type[Message]
    name: Callable[[Any], str]
    """The file's name, by the request."""

    def endpoint(self, route: Route, tools: Tools) -> FileAnswer:
        """For `HandWritten`."""
        return FileAnswer(self, route, tools)


class FileAnswer:
    """Passes the bytes on as they come, as a file with a name."""

    def __init__(self, kind: AnswerKind, route: Route, tools: Tools) -> None:
        self._kind = kind
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
        call = self._call(wire, timeout=self._timeout, metadata=exchange.metadata())
        name = self._kind.name(self._kind.request.FromString(wire))
        async with exchange.watching(call):
            headers = {"Content-Disposition": attachment(name), "Cache-Control": "no-store"}
            await self._writer.stream(exchange, call, headers)
