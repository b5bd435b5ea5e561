"""What stands behind a route: a transcoded RPC, or a door written by hand, and what both are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import grpc
from protovalidate import Validator

from plaza_gateway.transcode.codec import Codec
from plaza_gateway.transcode.descriptors import Contract, Face, HttpBinding
from plaza_gateway.transcode.exchange import Exchange
from plaza_gateway.transcode.places import Places
from plaza_gateway.transcode.plans import RequestPlan
from plaza_gateway.transcode.requests import RequestReader
from plaza_gateway.transcode.routes import Route, parse_template
from plaza_gateway.transcode.shapes import Shapes

Carries = Literal["upload", "rows"]
"""What a hand-written route moves: a file in, rows or a file out."""


class Endpoint(Protocol):
    """Answers the requests of one route."""

    @property
    def places(self) -> Places:
        """Where the fields that a service complains about stand in the HTTP request."""
        ...

    async def answer(self, exchange: Exchange, variables: Mapping[str, str]) -> None:
        """Answer one request. Raises Problem, AioRpcError (before the answer began), CallerLeft,
        StreamBroken."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What endpoints are made of, once a process."""

    shapes: Shapes
    codec: Codec
    validator: Validator
    channels: Mapping[str, grpc.aio.Channel]
    """By proto package."""
    deadline_seconds: float
    """Of calls that answer at once."""
    stream_seconds: float
    """Of streams, in either direction."""

    def reader(self, route: Route) -> RequestReader:
        """Path, query and body of a route → the wire bytes of its request message."""
        return RequestReader(RequestPlan(route, self.shapes), self.codec, self.validator)

    def channel(self, route: Route) -> grpc.aio.Channel:
        """The channel to the service of a route."""
        return self.channels[route.method.package]

    def server_stream(self, route: Route) -> Any:
        """The multi-callable of a server-streaming RPC; takes and gives raw wire bytes."""
        return self.channel(route).unary_stream(route.method.rpc_path)


@dataclass(frozen=True, slots=True)
class HandWritten:
    """A route that the protos cannot declare: it carries bytes."""

    rpc: str
    """Full name of the RPC behind it."""
    verb: str
    template: str
    """As in `google.api.http`."""
    face: Face
    endpoint: Callable[[Route, Tools], Endpoint]
    carries: Carries
    anonymous: bool = False
    without: frozenset[str] = field(default_factory=frozenset)
    """Request fields that no caller can set."""
    request: str = ""
    """The message that path and query fill, where it is not the RPC's own."""

    def route(self, contract: Contract) -> Route:
        """The route. Raises ContractError when the contract does not fit."""
        binding = HttpBinding(self.verb, self.template, "", self.without)
        method = contract.by_hand(
            self.rpc, binding, face=self.face, anonymous=self.anonymous, request=self.request
        )
        return Route(method, binding, parse_template(self.template))
