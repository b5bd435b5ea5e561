"""The only HTTP door. It translates; it decides nothing: every service behind it verifies the caller itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import grpc
import plaza_protos
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from grpc_health.v1 import health_pb2, health_pb2_grpc
from plaza_kit import telemetry
from plaza_kit.rpc.client import Peers
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plaza_gateway.openapi import merge_paths, openapi
from plaza_gateway.settings import GatewaySettings
from plaza_gateway.transcode import Problem, Transcoder
from plaza_gateway.transcode.descriptors import Face

API = "/api/v1"
CLI_CLIENT = "plaza-cli"
READY_SECONDS = 2.0
BEHIND = ("catalogue", "security")
"""Services behind the gateway; each owns the proto package `plaza.<name>.v1`."""


def peers_of(settings: GatewaySettings) -> Peers:
    """Channels to the services behind the gateway."""
    return Peers({"catalogue": settings.catalogue_address, "security": settings.security_address})


def create_app(settings: GatewaySettings, peers: Peers) -> FastAPI:
    """The ASGI application. Channels open when the first request needs them."""
    faces = frozenset(settings.faces)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=_lifespan(settings, peers, faces))
    app.add_api_route("/healthz", healthz, methods=["GET"])
    app.add_api_route("/readyz", _readyz(peers), methods=["GET"])
    app.add_api_route("/metrics", metrics, methods=["GET"])
    app.add_api_route(f"{API}/identity", _identity(settings), methods=["GET"])
    document = openapi(
        plaza_protos.descriptor_set(), faces=faces, title="Plaza", version=version("plaza-gateway")
    )
    merge_paths(document, _IDENTITY_PATH)
    app.add_api_route(f"{API}/openapi.json", _document(document), methods=["GET"])
    app.add_exception_handler(404, _not_found)
    app.add_middleware(_Measured)
    return app


def _lifespan(settings: GatewaySettings, peers: Peers, faces: frozenset[Face]) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Mounted here and not in create_app: a channel belongs to the loop that it was made in.
        channels = {f"plaza.{name}.v1": peers.channel(name) for name in BEHIND}
        transcoder = Transcoder(plaza_protos.descriptor_set(), channels, face=faces)
        app.router.default = transcoder_or_404(transcoder)
        yield
        await peers.close()

    return lifespan


def transcoder_or_404(transcoder: Transcoder) -> ASGIApp:
    """Everything below `/api/v1` is the transcoder's; the rest is not here."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(f"{API}/"):
            await transcoder(scope, receive, send)
        elif scope["type"] == "http":
            await (await _not_found(Request(scope), None))(scope, receive, send)

    return answer


async def healthz() -> dict[str, str]:
    """The process is alive."""
    return {"status": "ok"}


async def metrics() -> Response:
    """Prometheus' text form."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _readyz(peers: Peers) -> Any:
    async def readyz() -> JSONResponse:
        """Whether every service behind the gateway serves."""
        states = dict(zip(BEHIND, await asyncio.gather(*(_serving(peers, n) for n in BEHIND)), strict=True))
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


def _document(document: dict[str, Any]) -> Any:
    async def served() -> JSONResponse:
        """This interface, as OpenAPI 3.1."""
        return JSONResponse(document)

    return served


async def _not_found(request: Request, _error: Exception | None) -> Response:
    problem = Problem(
        404,
        "NO_SUCH_ADDRESS",
        f"there is nothing at {request.url.path}",
        remedy=f"the interface begins at {API}; {API}/openapi.json describes it",
    )
    body = problem.body(telemetry.current_trace_id())
    return Response(body, 404, media_type="application/problem+json")


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
