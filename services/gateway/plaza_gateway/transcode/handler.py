"""The ASGI application for everything under `/api/v1`: what the protos declare, and the doors written by hand."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from protovalidate import Validator

from plaza_gateway.transcode import conditions
from plaza_gateway.transcode.codec import Codec, FastCodec, Unreadable
from plaza_gateway.transcode.descriptors import Contract, ContractError, Face
from plaza_gateway.transcode.endpoints import Carries, Endpoint, HandWritten, Tools
from plaza_gateway.transcode.exchange import CallerLeft, Exchange, Receive, Scope, Send, raw_path
from plaza_gateway.transcode.partial import split
from plaza_gateway.transcode.places import Places
from plaza_gateway.transcode.plans import reads_in_part
from plaza_gateway.transcode.problems import Problem
from plaza_gateway.transcode.responses import ResponseWriter, StreamBroken
from plaza_gateway.transcode.routes import Match, Route, RouteTable, UndecodablePath, on_face, routes_of
from plaza_gateway.transcode.shapes import Shapes

_log = logging.getLogger(__name__)
_MATCH = "plaza.match"


class Transcoder:
    """REST over gRPC, straight from the contract: a new RPC with an HTTP rule is a new route.

    `routes` tells what is served. The application answers problem+json for all that goes wrong, 404 and 405
    included; it never sees rows or tokens but to pass them on.
    """

    def __init__(
        self,
        descriptor_set: bytes,
        channels: Mapping[str, grpc.aio.Channel],
        *,
        face: frozenset[Face],
        by_hand: Sequence[HandWritten] = (),
        deadline_seconds: float = 30,
        stream_seconds: float = 3600,
        codec: Codec | None = None,
    ) -> None:
        """`channels`: by proto package (`plaza.catalogue.v1`). `face`: the faces served; the internal one
        serves public routes too. `by_hand`: routes beside those of the contract.
        `deadline_seconds` bounds unary calls, `stream_seconds` streams.
        Raises ContractError when a served route has no channel or its rule cannot be served."""
        contract = Contract(descriptor_set)
        own = {each.route(contract): each for each in by_hand if on_face(each.face, face)}
        self.routes: tuple[Route, ...] = (*routes_of(contract.methods, face), *own)
        missing = sorted({each.method.package for each in self.routes} - channels.keys())
        if missing:
            raise ContractError(
                f"no channel for {', '.join(missing)}; given are {', '.join(sorted(channels))}"
            )
        self._table = RouteTable(self.routes)
        codec = codec or FastCodec(descriptor_set)
        tools = Tools(Shapes(contract), codec, Validator(), channels, deadline_seconds, stream_seconds)
        self._carries: dict[int, Carries] = {id(route): each.carries for route, each in own.items()}
        # Rows as a page of JSON are rows too.
        self._carries |= {id(route): "rows" for route in self.routes if route.path.endswith("/rows")}
        self._endpoints: dict[int, Endpoint] = {
            id(route): own[route].endpoint(route, tools) if route in own else _Transcoded(route, tools)
            for route in self.routes
        }

    def known(self, scope: Scope) -> tuple[Route, Carries | None, bool] | None:
        """The route of a request's path and method (of another method's, when the method is OPTIONS or
        impossible here), what it carries, and whether there is a GET; None for no route. What was found is kept
        in the scope."""
        try:
            found = self._table.find(raw_path(scope))
        except UndecodablePath:
            return None
        if found is None:
            return None
        scope[_MATCH] = found
        verb: str = "GET" if scope["method"] == "HEAD" else scope["method"]
        route, _ = found.routes.get(verb) or next(iter(found.routes.values()))
        return route, self._carries.get(id(route)), "GET" in found.routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request. `scope["plaza.route"]` is set to the template, for metrics.
        Raises StreamBroken when bytes under way cannot be completed: the server then cuts the connection."""
        exchange = Exchange(scope, receive, send)
        try:
            await self._answer(exchange, scope)
        except CallerLeft:
            return
        except Problem as problem:
            if exchange.started:
                raise StreamBroken(problem.detail) from problem
            await exchange.refuse(problem)
        except StreamBroken:
            raise
        except Exception as error:
            if exchange.started:
                raise
            _log.error("%s %s failed", exchange.verb, exchange.raw_path, exc_info=error)
            await exchange.refuse(Problem(500, "INTERNAL", "an internal error; the logs name it"))

    async def _answer(self, exchange: Exchange, scope: Scope) -> None:
        found: Match = scope.get(_MATCH) or self._find(exchange)
        scope["plaza.route"] = next(iter(found.routes.values()))[0].path
        if exchange.verb == "OPTIONS":
            await exchange.answer(204, b"", {"Allow": found.allow})
            return
        verb = "GET" if exchange.head else exchange.verb
        if verb not in found.routes:
            raise Problem(
                405,
                "METHOD_NOT_ALLOWED",
                f"{exchange.verb} is not possible here; possible are {found.allow}",
                headers={"Allow": found.allow},
            )
        route, variables = found.routes[verb]
        endpoint = self._endpoints[id(route)]
        try:
            await endpoint.answer(exchange, variables)
        except grpc.aio.AioRpcError as error:
            if "if-match" in exchange.headers and error.code() is grpc.StatusCode.ABORTED:
                raise conditions.stale(error.details() or "the resource has changed") from error
            raise Problem.of_rpc(error, endpoint.places) from error
        except Unreadable as error:
            _log.error("the answer of %s cannot be read", route.full_name, exc_info=error)
            raise Problem(500, "INTERNAL", "an internal error; the logs name it") from error

    def _find(self, exchange: Exchange) -> Match:
        try:
            found = self._table.find(exchange.raw_path)
        except UndecodablePath as error:
            raise Problem(400, "MALFORMED_PATH", "the path is not percent-encoded UTF-8") from error
        if found is None:
            raise Problem(
                404,
                "ROUTE_NOT_FOUND",
                f"there is no route {exchange.raw_path}",
                remedy="The routes are listed in /api/v1/openapi.json.",
            )
        return found


class _Transcoded:
    """A route of the contract."""

    def __init__(self, route: Route, tools: Tools) -> None:
        self._takes_body = bool(route.binding.body)
        self._reader = tools.reader(route)
        self._writer = ResponseWriter(tools.codec, route.method.response, anonymous=route.anonymous)
        self._streaming = route.method.server_streaming
        self._timeout = tools.stream_seconds if self._streaming else tools.deadline_seconds
        # What can be read in part.
        self._answer = tools.shapes[route.method.response] if reads_in_part(route) else None
        path, channel = route.method.rpc_path, tools.channel(route)
        # Both take and give raw wire bytes.
        self._call: Any = tools.server_stream(route) if self._streaming else channel.unary_unary(path)

    @property
    def places(self) -> Places:
        return self._reader.places

    async def answer(self, exchange: Exchange, variables: Mapping[str, str]) -> None:
        body = await exchange.body()
        if body and self._takes_body:
            _require_json(exchange)
        query, partial = exchange.query, None
        if self._answer is not None:
            query, partial = split(query, self._answer)
        headers = exchange.headers
        wire = self._reader.read(
            variables, query, headers.get("if-match"), body, headers.get("idempotency-key")
        )
        call = self._call(wire, timeout=self._timeout, metadata=exchange.metadata())
        async with exchange.watching(call):
            if self._streaming:
                await self._writer.stream(exchange, call)
            else:
                answer = await call
        if not self._streaming:
            await self._writer.unary(exchange, answer, partial)


def _require_json(exchange: Exchange) -> None:
    media_type, _, parameters = exchange.headers.get("content-type", "").lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "") in ("", "charset=utf-8")
    encoding = exchange.headers.get("content-encoding", "identity").lower()
    if media_type.strip() != "application/json" or not charset or encoding != "identity":
        raise Problem(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "the body must be application/json in UTF-8, not compressed",
            headers={"Accept-Post": "application/json"},
        )
