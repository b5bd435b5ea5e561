"""The only HTTP door. It translates; it decides nothing: every service behind it verifies the caller itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import grpc
import orjson
import plaza_protos
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from grpc_health.v1 import health_pb2, health_pb2_grpc
from plaza_design.i18n import LocalText
from plaza_kit import telemetry
from plaza_kit.rpc.client import Peers
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plaza_gateway.console import Console
from plaza_gateway.openapi import merge_paths, openapi
from plaza_gateway.portal.over_grpc import OverGrpc
from plaza_gateway.portal.routes import portal_router
from plaza_gateway.portal.views import Site
from plaza_gateway.refusals import Refusals
from plaza_gateway.settings import GatewaySettings
from plaza_gateway.streams import STREAMS, stream_paths
from plaza_gateway.transcode import Transcoder
from plaza_gateway.transcode.descriptors import Face

API = "/api/v1"
CLI_CLIENT = "plaza-cli"
READY_SECONDS = 2.0
BEHIND: Mapping[str, str] = {
    "catalogue": "plaza.catalogue.v1",
    "ingestion": "plaza.ingestion.v1",
    "open-data": "plaza.opendata.v1",
    "quality": "plaza.quality.v1",
    "security": "plaza.security.v1",
    "sharing": "plaza.sharing.v1",
}
"""Services behind the gateway, with the proto package that each owns."""
BEHIND_THE_PUBLIC_FACE = ("catalogue", "open-data", "security")
"""All that the public face can reach."""


def services_behind(faces: frozenset[Face]) -> tuple[str, ...]:
    """The services that a process with these faces calls. The internal face serves public routes too."""
    return tuple(BEHIND) if "internal" in faces else BEHIND_THE_PUBLIC_FACE


def peers_of(settings: GatewaySettings) -> Peers:
    """Channels to the services behind the gateway: to no other than its faces call."""
    addresses = settings.model_dump()
    return Peers(
        {
            name: addresses[f"{name.replace('-', '_')}_address"]
            for name in services_behind(frozenset(settings.faces))
        }
    )


def create_app(settings: GatewaySettings, peers: Peers) -> FastAPI:
    """The ASGI application; its lifespan opens and closes the channels."""
    faces = frozenset(settings.faces)
    site = site_of(settings)
    console = None
    if "internal" in faces and settings.console_key_file is not None:
        console = Console(site, settings.console_url, settings.issuer, settings.console_key_file, peers)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=_lifespan(peers, faces, console))
    app.add_api_route("/healthz", healthz, methods=["GET"])
    app.add_api_route("/readyz", _readyz(peers, services_behind(faces)), methods=["GET"])
    app.add_api_route("/metrics", metrics, methods=["GET"])
    app.add_api_route(f"{API}/identity", _identity(settings), methods=["GET"])
    app.add_api_route(f"{API}/openapi.json", _document(faces), methods=["GET"])
    if "public" in faces:
        source = OverGrpc(lambda: peers.channel("open-data"))
        app.include_router(portal_router(source, site))
    if console is not None:
        app.include_router(console.router(alone="public" not in faces))
    refusals = Refusals(site if "public" in faces else None)
    app.add_exception_handler(StarletteHTTPException, refusals.of_http)
    app.add_exception_handler(Exception, refusals.of_fault)
    # The last one added is the first one asked.
    app.add_middleware(_Interface, app=app)
    app.add_middleware(_Measured)
    return app


def _lifespan(peers: Peers, faces: frozenset[Face], console: Console | None) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Made here and not in create_app: a channel belongs to the loop that it was made in.
        channels = {BEHIND[name]: peers.channel(name) for name in services_behind(faces)}
        app.state.transcoder = Transcoder(
            plaza_protos.descriptor_set(), channels, face=faces, by_hand=STREAMS
        )
        yield
        if console is not None:
            await console.aclose()
        await peers.close()

    return lifespan


def site_of(settings: GatewaySettings) -> Site:
    """What the city says about itself on every page."""
    return Site(
        city=LocalText(settings.city, settings.city_en),
        owner=LocalText(settings.portal_owner, settings.portal_owner_en),
        base_url=settings.public_url,
        api_description=f"{API}/openapi.json",
    )


async def healthz() -> dict[str, str]:
    """The process is alive."""
    return {"status": "ok"}


async def metrics() -> Response:
    """Prometheus' text form."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _readyz(peers: Peers, names: tuple[str, ...]) -> Any:
    async def readyz() -> JSONResponse:
        """Whether every service that this process calls serves."""
        states = dict(zip(names, await asyncio.gather(*(_serving(peers, n) for n in names)), strict=True))
        ready = all(states.values())
        body = {"ready": ready, "services": {n: "serving" if s else "not serving" for n, s in states.items()}}
        return JSONResponse(body, 200 if ready else 503)

    return readyz


async def _serving(peers: Peers, service: str) -> bool:
    stub = health_pb2_grpc.HealthStub(peers.channel(service))  # type: ignore[no-untyped-call]
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=READY_SECONDS)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _identity(settings: GatewaySettings) -> Any:
    async def identity() -> dict[str, str]:
        """Where to log in, and as which client: what the command line needs before it has a token."""
        return {"issuer": settings.issuer, "clientId": CLI_CLIENT}

    return identity


_IDENTITY_PATH: dict[str, Any] = {
    f"{API}/identity": {
        "get": {
            "operationId": "GetIdentity",
            "summary": "Where to log in, and as which client.",
            "tags": ["Gateway"],
            "security": [],
            "responses": {
                "200": {
                    "description": "The issuer.",
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["issuer", "clientId"],
                                "properties": {
                                    "issuer": {"type": "string", "format": "uri"},
                                    "clientId": {"type": "string"},
                                },
                                "additionalProperties": False,
                            }
                        }
                    },
                }
            },
        }
    }
}


def _document(faces: frozenset[Face]) -> Any:
    contract = plaza_protos.descriptor_set()
    document = openapi(contract, faces=faces, title="Plaza", version=version("plaza-gateway"))
    document = merge_paths(document, stream_paths(contract, faces))
    text = orjson.dumps(merge_paths(document, _IDENTITY_PATH))

    async def served() -> Response:
        """This interface, as OpenAPI 3.1."""
        return Response(text, media_type="application/json")

    return served


class _Interface:
    """Everything below `/api/v1` is the transcoder's, but for what this process answers itself."""

    _OWN = frozenset({f"{API}/identity", f"{API}/openapi.json"})

    def __init__(self, inner: ASGIApp, *, app: FastAPI) -> None:
        self._inner = inner
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and path.startswith(f"{API}/") and path not in self._OWN:
            await self._app.state.transcoder(scope, receive, send)
        else:
            await self._inner(scope, receive, send)


class _Measured:
    """Counts and times every request by its route, never by its path: paths have no bound."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def record(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, record)
        finally:
            route = scope.get("plaza.route") or getattr(scope.get("route"), "path", "other")
            telemetry.HTTP_SECONDS.labels(route, scope["method"], str(status)).observe(
                time.perf_counter() - started
            )
