"""The only HTTP door. It translates; it decides nothing: every service behind it verifies the caller itself."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import plaza_protos
from fastapi import FastAPI
from plaza_design.assets import PREFIX
from plaza_design.i18n import LocalText
from plaza_kit import telemetry
from plaza_kit.rpc.client import Peers
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plaza_gateway.console import Console
from plaza_gateway.console.issuer import Issuer
from plaza_gateway.door import Door
from plaza_gateway.door.bodies import BodyLimits
from plaza_gateway.door.quotas import Budgets, Quotas
from plaza_gateway.door.visits import Find, Known
from plaza_gateway.health import Readiness, healthz, metrics
from plaza_gateway.interface import API, DOCS, OWN, described, identity, served
from plaza_gateway.portal.over_grpc import OverGrpc
from plaza_gateway.portal.routes import portal_router, preferences, static
from plaza_gateway.portal.views import Site
from plaza_gateway.reference import reference_router
from plaza_gateway.refusals import Refusals
from plaza_gateway.settings import GatewaySettings
from plaza_gateway.streams import STREAMS
from plaza_gateway.transcode import Problem, Transcoder
from plaza_gateway.transcode.descriptors import Face
from plaza_gateway.transcode.exchange import BODY_LIMIT

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
ESSENTIAL: Mapping[Face, str] = {"public": "open-data", "internal": "catalogue"}
"""What nearly every request of a face needs."""


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
        },
        settings.tls(),
    )


def create_app(settings: GatewaySettings, peers: Peers) -> FastAPI:
    """The ASGI application; its lifespan opens and closes the channels."""
    faces = frozenset(settings.faces)
    site = site_of(settings)
    console = None
    if "internal" in faces and settings.console_key_file is not None:
        console = Console(
            site,
            settings.console_url,
            lambda: Issuer(settings.issuer, connect_to=settings.issuer_connect),
            settings.console_key_file,
            peers,
        )
    app = FastAPI(
        openapi_url=None, docs_url=None, redoc_url=None, lifespan=_lifespan(settings, peers, faces, console)
    )
    app.add_api_route("/healthz", healthz, methods=["GET"])
    readiness = Readiness(app, peers, services_behind(faces), {ESSENTIAL[face] for face in faces})
    app.add_api_route("/readyz", readiness.answer, methods=["GET"])
    if not settings.metrics_address:
        app.add_api_route("/metrics", metrics, methods=["GET"])
    app.add_api_route(f"{API}/identity", identity(settings), methods=["GET"])
    document = described(faces)
    app.add_api_route(f"{API}/openapi.json", served(document), methods=["GET"])
    app.include_router(
        reference_router(document, site, DOCS, f"{API}/openapi.json", portal="public" in faces)
    )
    if console is None and "public" not in faces:
        # No other pages in this process, that would offer these.
        app.add_route(f"{PREFIX}/{{digest}}/{{name}}", static, methods=["GET"])
        app.add_route("/preferences", preferences, methods=["POST"])
    if "public" in faces:
        source = OverGrpc(lambda: peers.channel("open-data"))
        app.include_router(portal_router(source, site))
    if console is not None:
        app.include_router(console.router(alone="public" not in faces))
    refusals = Refusals(site if "public" in faces else None)
    app.add_exception_handler(StarletteHTTPException, refusals.of_http)
    app.add_exception_handler(Problem, refusals.of_problem_inside)
    app.add_exception_handler(Exception, refusals.of_fault)
    app.state.draining = False
    # The last one added is the first one asked.
    app.add_middleware(_Interface, app=app)
    app.add_middleware(
        Door,
        api=API,
        own=OWN,
        pages=DOCS,
        find=_known(app),
        limits=BodyLimits(
            BODY_LIMIT, settings.upload_limit_bytes, settings.body_idle_seconds, settings.body_seconds
        ),
        quotas=_quotas(settings) if settings.rate_limits else None,
        draining=lambda: bool(app.state.draining),
        refuse=refusals.of_problem,
    )
    app.add_middleware(_Measured)
    return app


def _lifespan(
    settings: GatewaySettings, peers: Peers, faces: frozenset[Face], console: Console | None
) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Made here and not in create_app: a channel belongs to the loop that it was made in.
        channels = {BEHIND[name]: peers.channel(name) for name in services_behind(faces)}
        app.state.transcoder = Transcoder(
            plaza_protos.descriptor_set(),
            channels,
            face=faces,
            by_hand=STREAMS,
            deadline_seconds=settings.call_seconds,
            stream_seconds=settings.stream_seconds,
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
        api_description=DOCS,
    )


def _known(app: FastAPI) -> Find:
    def known(scope: Scope) -> Known | None:
        found = app.state.transcoder.known(scope)
        if found is None:
            return None
        route, carries, reads = found
        return Known(carries or "call", route.face, reads, demands_caller=not route.anonymous)

    return known


def _quotas(settings: GatewaySettings) -> Quotas:
    budgets = Budgets.of(
        anonymous_per_minute=settings.anonymous_per_minute,
        signed_in_per_minute=settings.signed_in_per_minute,
        uploads_per_minute=settings.uploads_per_minute,
        open_rows_per_day=settings.open_rows_per_day,
        pages_per_minute=settings.pages_per_minute,
    )
    return Quotas(budgets, time.monotonic)


class _Interface:
    """Everything below `/api/v1` is the transcoder's, but for what this process answers itself."""

    def __init__(self, inner: ASGIApp, *, app: FastAPI) -> None:
        self._inner = inner
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        ours = path in OWN or path == DOCS or path.startswith(f"{DOCS}/")
        if scope["type"] == "http" and path.startswith(f"{API}/") and not ours:
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
