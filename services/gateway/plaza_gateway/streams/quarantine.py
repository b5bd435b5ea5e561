"""Refused records out, byte for byte: `GET …/quarantine:export` → `IngestionService.ExportQuarantine`."""

from __future__ import annotations

from collections.abc import Mapping

from plaza_gateway.streams.content import attachment
from plaza_gateway.transcode.endpoints import HandWritten, Tools
from plaza_gateway.transcode.exchange import Exchange
from plaza_gateway.transcode.places import Places
from plaza_gateway.transcode.responses import ResponseWriter
from plaza_gateway.transcode.routes import Route


class QuarantineExport:
    """Passes the bytes on as they come."""

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
        call = self._call(wire, timeout=self._timeout, metadata=exchange.metadata())
        name = f"{variables['parent'].rpartition('/')[2]}-quarantine.csv"
        async with exchange.watching(call):
            headers = {"Content-Disposition": attachment(name), "Cache-Control": "no-store"}
            await self._writer.stream(exchange, call, headers)


ROUTE = HandWritten(
    rpc="plaza.ingestion.v1.IngestionService.ExportQuarantine",
    verb="GET",
    template="/api/v1/{parent=departments/*/datasets/*}/quarantine:export",
    face="internal",
    endpoint=QuarantineExport,
    carries="rows",
)
