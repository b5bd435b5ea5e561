"""Rows out: `GET …/rows` → `RowsService.ReadRows`, a page of JSON or a whole table in another form.

A version has an address of its own: `GET …/versions/{version}/rows`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import grpc
import orjson
from plaza.sharing.v1 import sharing_pb2

from plaza_gateway.openapi.constraints import Schema
from plaza_gateway.openapi.schemas import Schemas
from plaza_gateway.streams.content import attachment, told
from plaza_gateway.transcode.endpoints import HandWritten, Tools
from plaza_gateway.transcode.exchange import Exchange
from plaza_gateway.transcode.links import next_page
from plaza_gateway.transcode.places import Places
from plaza_gateway.transcode.problems import Complaint, Problem
from plaza_gateway.transcode.queries import pairs
from plaza_gateway.transcode.responses import StreamBroken, media_type
from plaza_gateway.transcode.routes import Route

FORMATS = {
    "json": "ROW_FORMAT_JSON",
    "csv": "ROW_FORMAT_CSV",
    "jsonl": "ROW_FORMAT_JSONL",
    "parquet": "ROW_FORMAT_PARQUET",
    "arrow": "ROW_FORMAT_ARROW",
}
"""As callers write them → as the contract does."""
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


class Rows:
    """Passes rows on as they come; a page of JSON is read whole first."""

    def __init__(self, route: Route, tools: Tools) -> None:
        self._reader = tools.reader(route)
        self._call = tools.server_stream(route)
        self._timeout = tools.stream_seconds

    @property
    def places(self) -> Places:
        """See Endpoint."""
        return self._reader.places

    async def answer(self, exchange: Exchange, variables: Mapping[str, str]) -> None:
        """See Endpoint. Raises StreamBroken when a table ends early or without its trailer."""
        query, paged = _as_fields(exchange.query, exchange.headers.get("accept", ""))
        wire = self._reader.read(variables, query, None, await exchange.body())
        if "version" in variables and not sharing_pb2.ReadRowsRequest.FromString(wire).version:
            raise Problem.of_complaints((Complaint("path", "version", "must be at least 1"),))
        call = self._call(wire, timeout=self._timeout, metadata=exchange.metadata())
        async with exchange.watching(call):
            header = (await _part(call)).header
            if paged:
                await _page(exchange, call, header)
            else:
                await _table(exchange, call, header)


async def _page(exchange: Exchange, call: Any, header: sharing_pb2.RowsHeader) -> None:
    body = bytearray()
    while (part := await _part(call)).WhichOneof("part") == "chunk":
        body += part.chunk
        if len(body) > PAGE_LIMIT:
            raise Problem(
                400,
                "PAGE_TOO_LARGE",
                f"the page is larger than {PAGE_LIMIT} bytes",
                remedy="Ask for fewer rows by pageSize or for fewer columns, or take format=jsonl.",
                facts={"limit_bytes": str(PAGE_LIMIT)},
            )
    counted = told(
        {"Plaza-Rows": str(part.trailer.rows), "Plaza-Content-Sha256": part.trailer.content_sha256}
    )
    counted |= next_page(exchange.query, _token(body))
    await exchange.answer(200, bytes(body), _headers(header) | counted)


def _token(page: bytearray) -> str:
    """The token at the end of a page: the rows before it are not read for that."""
    try:
        token = orjson.loads(page.rpartition(b'"nextPageToken":')[2].rstrip().removesuffix(b"}"))
    except ValueError:
        return ""
    return token if isinstance(token, str) else ""


async def _table(exchange: Exchange, call: Any, header: sharing_pb2.RowsHeader) -> None:
    # The first piece is waited for, so that an error before it keeps its status.
    part = await _part(call)
    name = attachment(header.file_name or "rows")
    await exchange.start(200, _headers(header) | {"Content-Disposition": name})
    try:
        while part.WhichOneof("part") == "chunk" and not exchange.head:
            await exchange.part(part.chunk, more=True)
            part = await _part(call)
    except (grpc.aio.AioRpcError, Problem) as error:
        raise StreamBroken(f"rows of version {header.version} broke off: {error}") from error
    await exchange.part(b"", more=False)


async def _part(call: Any) -> sharing_pb2.ReadRowsResponse:
    wire = await call.read()
    if wire is grpc.aio.EOF:
        raise Problem(503, "ROWS_INCOMPLETE", "the rows ended before they were complete; ask again")
    return sharing_pb2.ReadRowsResponse.FromString(wire)


def _headers(header: sharing_pb2.RowsHeader) -> dict[str, str]:
    return {
        "Content-Type": media_type(header.content_type),
        "X-Content-Type-Options": "nosniff",
        # Each reading is a decision and may be a delivery of its own: nothing between keeps a copy.
        "Cache-Control": "no-store",
        "Vary": "Accept, Authorization",
        **told(
            {
                "Plaza-Version": str(header.version),
                "Plaza-Agreement": header.agreement,
                "Plaza-Delivery": header.delivery,
            }
        ),
    }


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


def _as_fields(query: bytes, accept: str) -> tuple[bytes, bool]:
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
            written.append((name, FORMATS.get(text, "")))
            if text not in FORMATS:
                complaints.append(Complaint("query", name, f"must be one of {', '.join(FORMATS)}"))
        else:
            written.append((name, text))
    if complaints:
        raise Problem.of_complaints(tuple(complaints))
    return "&".join(f"{quote(n, safe='')}={quote(t, safe='')}" for n, t in written).encode(), paged


def describe(operation: Schema, _schemas: Schemas) -> Schema:
    """Makes the generated operation true."""
    parameters = [_parameter(each) for each in operation["parameters"]]
    page = {
        "type": "object",
        "required": ["version", "columns", "rows", "nextPageToken"],
        "properties": {
            "version": {"type": "integer"},
            "columns": {"type": "array", "items": {"type": "string"}},
            "rows": {"type": "array", "items": {"type": "array"}},
            "nextPageToken": {"type": "string", "description": "Empty on the last page."},
        },
    }
    text = {"type": "string"}
    success = {
        "description": "The rows. A table that cannot be completed ends with a broken connection.",
        "headers": {
            "Plaza-Version": _header("The version that was read."),
            "Plaza-Agreement": _header("The agreement it was read under; not there for one's own data."),
            "Plaza-Delivery": _header("The delivery that these rows are part of."),
            "Plaza-Rows": _header("Rows of a JSON page."),
            "Plaza-Content-Sha256": _header("SHA-256 over the canonical rows of a JSON page, hexadecimal."),
            "Link": _header('The next page of JSON, `rel="next"`.'),
            "Content-Disposition": _header("Name of the file; of all forms but JSON."),
        },
        "content": {
            "application/json": {"schema": page},
            "text/csv": {"schema": text},
            "application/jsonl": {"schema": text},
            "application/x-ndjson": {"schema": text},
            "application/vnd.apache.parquet": {"schema": {}},
            "application/vnd.apache.arrow.stream": {"schema": {}},
        },
    }
    return operation | {"parameters": parameters, "responses": operation["responses"] | {"200": success}}


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    if parameter["name"] == "format":
        form = {"type": "string", "enum": list(FORMATS)}
        return {
            "name": "format",
            "in": "query",
            "required": False,
            "description": "`json`: one page. `csv`, `jsonl`, `parquet`, `arrow` (IPC stream): all rows. Without it "
            "what `Accept` asks for, else `json`.",
            "schema": form,
        }
    if parameter["name"] == "version" and parameter["in"] == "path":
        return parameter | {
            "description": "The version; its rows never change.",
            "schema": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
        }
    if parameter["name"] == "columns":
        items = {"type": "string", "pattern": "^[^,]+(,[^,]+)*$"}
        text = f"{parameter['description']} Repeated, or separated by commas."
        return parameter | {"description": text, "schema": parameter["schema"] | {"items": items}}
    return parameter


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "required": False, "schema": {"type": "string"}}


ROUTE = HandWritten(
    rpc="plaza.sharing.v1.RowsService.ReadRows",
    verb="GET",
    template="/api/v1/{dataset=departments/*/datasets/*}/rows",
    face="internal",
    endpoint=Rows,
    carries="rows",
)
OF_VERSION = HandWritten(
    rpc="plaza.sharing.v1.RowsService.ReadRows",
    verb="GET",
    template="/api/v1/{dataset=departments/*/datasets/*}/versions/{version}/rows",
    face="internal",
    endpoint=Rows,
    carries="rows",
)
