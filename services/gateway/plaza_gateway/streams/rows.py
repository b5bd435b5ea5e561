"""Rows out, a page of JSON or a whole table in another form: `GET …/rows` → `RowsService.ReadRows` for departments,
`GET …/releases/{release}/rows` → `PortalService.StreamReleaseRows` for everybody.

A version has an address of its own: `GET …/versions/{version}/rows`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import grpc
import orjson
from google.protobuf.message import Message
from plaza.opendata.v1 import opendata_pb2
from plaza.sharing.v1 import sharing_pb2

from plaza_gateway.streams.content import CACHING, attachment, told
from plaza_gateway.transcode import conditions
from plaza_gateway.transcode.endpoints import HandWritten, Tools
from plaza_gateway.transcode.exchange import Exchange
from plaza_gateway.transcode.links import next_page
from plaza_gateway.transcode.places import Places
from plaza_gateway.transcode.problems import Complaint, Problem
from plaza_gateway.transcode.queries import pairs
from plaza_gateway.transcode.responses import StreamBroken, media_type
from plaza_gateway.transcode.routes import Route

FORMATS = ("json", "csv", "jsonl", "parquet", "arrow")
"""As callers write them; in the contract they are an enum."""
ACCEPTED = {
    "application/json": "json",
    "text/csv": "csv",
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
    "application/vnd.apache.parquet": "parquet",
    "application/vnd.apache.arrow.stream": "arrow",
}
"""Media types in `Accept`, where no `format` is given."""
_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
PAGE_LIMIT = 64 * 1024 * 1024
"""Bytes of a JSON page. A page is held whole, so that its hash can stand in the head."""


@dataclass(frozen=True, slots=True)
class RowsKind:
    """Whose rows: which messages carry them, and which headers tell of them."""

    response: type[Message]
    """Of the server stream, with the parts `header`, `chunk` and `trailer`."""
    formats: str
    """What the names of its formats begin with."""
    caching: Mapping[str, str]
    """Who may keep a copy."""
    said: Callable[[Any], dict[str, str]]
    """From the header of the stream."""
    counted: Callable[[Any], dict[str, str]]
    """From its trailer; only of a page."""

    def endpoint(self, route: Route, tools: Tools) -> Rows:
        """For `HandWritten`."""
        return Rows(self, route, tools)


class Rows:
    """Passes rows on as they come; a page of JSON is read whole first."""

    def __init__(self, kind: RowsKind, route: Route, tools: Tools) -> None:
        self._kind = kind
        self._reader = tools.reader(route)
        self._call = tools.server_stream(route)
        self._timeout = tools.stream_seconds

    @property
    def places(self) -> Places:
        """See Endpoint."""
        return self._reader.places

    async def answer(self, exchange: Exchange, variables: Mapping[str, str]) -> None:
        """See Endpoint. Raises StreamBroken when a table ends early or without its trailer."""
        query, paged = _as_fields(exchange.query, exchange.headers.get("accept", ""), self._kind.formats)
        wire = self._reader.read(variables, query, None, await exchange.body())
        if "version" in variables and not sharing_pb2.ReadRowsRequest.FromString(wire).version:
            raise Problem.of_complaints((Complaint("path", "version", "must be at least 1"),))
        call = self._call(wire, timeout=self._timeout, metadata=exchange.metadata())
        async with exchange.watching(call):
            header = (await self._part(call)).header
            if paged:
                await self._page(exchange, call, header)
            else:
                await self._table(exchange, call, header)

    async def _page(self, exchange: Exchange, call: Any, header: Any) -> None:
        body = bytearray()
        while (part := await self._part(call)).WhichOneof("part") == "chunk":
            body += part.chunk
            if len(body) > PAGE_LIMIT:
                raise Problem(
                    400,
                    "PAGE_TOO_LARGE",
                    f"the page is larger than {PAGE_LIMIT} bytes",
                    remedy="Ask for fewer rows by pageSize or for fewer columns, or take format=jsonl.",
                    facts={"limit_bytes": str(PAGE_LIMIT)},
                )
        counted = {"Plaza-Rows": str(part.trailer.rows), **self._kind.counted(part.trailer)}
        headers = self._headers(header) | told(counted)
        headers |= next_page(exchange.query, _token(body))
        known = exchange.headers.get("if-none-match", "")
        if conditions.fresh(known, headers.get("ETag", "")):
            await exchange.answer(304, b"", headers)
        else:
            await exchange.answer(200, bytes(body), headers)

    async def _table(self, exchange: Exchange, call: Any, header: Any) -> None:
        # The first piece is waited for, so that an error before it keeps its status.
        part = await self._part(call)
        name = attachment(header.file_name or "rows")
        await exchange.start(200, self._headers(header) | {"Content-Disposition": name})
        try:
            while part.WhichOneof("part") == "chunk" and not exchange.head:
                await exchange.part(part.chunk, more=True)
                part = await self._part(call)
        except (grpc.aio.AioRpcError, Problem) as error:
            raise StreamBroken(f"rows of version {header.version} broke off: {error}") from error
        await exchange.part(b"", more=False)

    async def _part(self, call: Any) -> Any:
        wire = await call.read()
        if wire is grpc.aio.EOF:
            raise Problem(503, "ROWS_INCOMPLETE", "the rows ended before they were complete; ask again")
        return self._kind.response.FromString(wire)

    def _headers(self, header: Any) -> dict[str, str]:
        return {
            "Content-Type": media_type(header.content_type),
            "X-Content-Type-Options": "nosniff",
            **self._kind.caching,
            **told({"Plaza-Version": str(header.version), **self._kind.said(header)}),
        }


def _token(page: bytearray) -> str:
    """The token at the end of a page: the rows before it are not read for that."""
    try:
        token = orjson.loads(page.rpartition(b'"nextPageToken":')[2].rstrip().removesuffix(b"}"))
    except ValueError:
        return ""
    return token if isinstance(token, str) else ""


def preferred(accept: str) -> str:
    """The form that an `Accept` header asks for: the known media type with the highest weight, JSON where none
    is named. Whoever takes none of ours still gets JSON (RFC 9110, section 12.5.1, allows that)."""
    best, form = 0.0, "json"
    for part in accept.split(","):
        kind, _, parameters = part.partition(";")
        found = ACCEPTED.get(kind.strip().lower())
        weight = _weight(parameters)
        if found is not None and weight > best:
            best, form = weight, found
    return form


def _weight(parameters: str) -> float:
    for each in parameters.split(";"):
        name, _, value = each.partition("=")
        if name.strip().lower() == "q":
            return float(value) if _WEIGHT.fullmatch(value.strip()) else 0.0
    return 1.0


def _as_fields(query: bytes, accept: str, prefix: str) -> tuple[bytes, bool]:
    """The query in the words of the contract, and whether a page of JSON is asked for. Raises Problem."""
    given = list(pairs(query))
    if not any(name == "format" for name, _ in given):
        given.append(("format", preferred(accept)))
    written: list[tuple[str, str]] = []
    complaints: list[Complaint] = []
    paged = True
    for name, text in given:
        if name == "columns":
            written += [(name, column) for column in text.split(",")]
            if not all(text.split(",")):
                complaints.append(Complaint("query", name, "must be names of fields, separated by commas"))
        elif name == "format":
            paged = text == "json"
            written.append((name, f"{prefix}{text.upper()}"))
            if text not in FORMATS:
                complaints.append(Complaint("query", name, f"must be one of {', '.join(FORMATS)}"))
        else:
            written.append((name, text))
    if complaints:
        raise Problem.of_complaints(tuple(complaints))
    return "&".join(f"{quote(n, safe='')}={quote(t, safe='')}" for n, t in written).encode(), paged


def _held_back(held: sharing_pb2.HeldBack) -> str:
    """`7; checking`, `7; rules=phone-present,once`; empty: nothing is held back."""
    if not held.version:
        return ""
    return f"{held.version}; " + ("checking" if held.checking else f"rules={','.join(held.rules)}")


OF_DEPARTMENTS = RowsKind(
    response=sharing_pb2.ReadRowsResponse,
    formats="ROW_FORMAT_",
    # Each reading is a decision and may be a delivery of its own: nothing between keeps a copy.
    caching={"Cache-Control": "no-store", "Vary": "Accept, Authorization"},
    said=lambda header: {
        "Plaza-Agreement": header.agreement,
        "Plaza-Delivery": header.delivery,
        "Plaza-Held-Back": _held_back(header.held_back),
    },
    counted=lambda trailer: {"Plaza-Content-Sha256": trailer.content_sha256},
)
OF_RELEASES = RowsKind(
    response=opendata_pb2.StreamReleaseRowsResponse,
    formats="RELEASE_ROW_FORMAT_",
    caching={"Cache-Control": CACHING, "Vary": "Accept"},
    said=lambda header: {"Plaza-Release": str(header.release)},
    counted=lambda trailer: {"ETag": conditions.header_of(trailer.body_sha256)},
)

ROUTE = HandWritten(
    rpc="plaza.sharing.v1.RowsService.ReadRows",
    verb="GET",
    template="/api/v1/{dataset=departments/*/datasets/*}/rows",
    face="internal",
    endpoint=OF_DEPARTMENTS.endpoint,
    carries="rows",
)
OF_VERSION = HandWritten(
    rpc="plaza.sharing.v1.RowsService.ReadRows",
    verb="GET",
    template="/api/v1/{dataset=departments/*/datasets/*}/versions/{version}/rows",
    face="internal",
    endpoint=OF_DEPARTMENTS.endpoint,
    carries="rows",
)
OF_RELEASE = HandWritten(
    rpc="plaza.opendata.v1.PortalService.StreamReleaseRows",
    verb="GET",
    template="/api/v1/{release=departments/*/datasets/*/releases/*}/rows",
    face="public",
    endpoint=OF_RELEASES.endpoint,
    carries="rows",
    anonymous=True,
)
