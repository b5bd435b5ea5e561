"""How every service starts and stops: settings, database, identity, policy, server, background work."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import uvloop

from plaza_kit import telemetry
from plaza_kit.db import Database
from plaza_kit.db.jobs import Jobs
from plaza_kit.db.migrate import migrate
from plaza_kit.db.outbox import Outbox
from plaza_kit.grants import GrantVerifier
from plaza_kit.identity import ServiceTokens, TokenVerifier
from plaza_kit.policy import PolicyFollower
from plaza_kit.rpc.client import Peers
from plaza_kit.rpc.server import Registration, Server, run_until_stopped
from plaza_kit.settings import BadSettings, ServiceSettings, load
from plaza_kit.signing import KeyRing

_log = telemetry.log("service")


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """What makes one service different from another."""

    name: str
    """For example `catalogue`, `open-data`."""
    schema: str
    """Its PostgreSQL schema, for example `catalogue`, `open_data`."""
    package: str
    """Python package that holds `storage/migrations/versions`."""
    routes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Event types each other service takes from this one (`*` for all)."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a service's own code gets to work with."""

    database: Database
    peers: Peers
    tokens: ServiceTokens
    policy: PolicyFollower
    outbox: Outbox
    jobs: Jobs
    grants: GrantVerifier
    keys: KeyRing


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service hands back: its servicers and its endless background tasks."""

    registrations: Sequence[Registration]
    service_names: Sequence[str]
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    at_end: Sequence[Callable[[], object]] = ()
    """Called one after the other, each in a thread, when the server and the background tasks have ended."""


S = TypeVar("S", bound=ServiceSettings)
Build = Callable[[S, Runtime], Awaitable[Parts]]


def main(spec: ServiceSpec, settings_class: type[S], build: Build[S]) -> None:
    """Run a service until SIGTERM. Exits with 2 and every missing name when the environment is incomplete."""
    try:
        settings = load(settings_class)
    except BadSettings as error:
        sys.exit(f"plaza-{spec.name}: {error}")
    telemetry.configure(
        spec.name,
        log_level=settings.log_level,
        otlp_endpoint=settings.otlp_endpoint,
        metrics=settings.metrics_address,
    )
    migrate(settings.database_url, spec.schema, spec.package)
    uvloop.run(_run(spec, settings, build))


async def _run(spec: ServiceSpec, settings: S, build: Build[S]) -> None:
    runtime, verifier = _runtime(spec, settings)
    parts = await build(settings, runtime)
    server = Server(settings.listen, verifier, parts.registrations, parts.service_names)
    await server.start()
    work = [
        runtime.policy.run,
        runtime.outbox.run,
        runtime.jobs.run,
        *parts.background,
    ]
    tasks = [asyncio.create_task(_endless(spec.name, step)) for step in work]
    stopped = asyncio.create_task(run_until_stopped())
    # A background task never ends by itself: if one does, the process ends and is started again.
    done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    await server.stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for close in parts.at_end:
        await asyncio.to_thread(close)
    await runtime.peers.close()
    await runtime.database.close()
    if stopped not in done:
        sys.exit(f"plaza-{spec.name}: a background task ended; see the log above")


def _runtime(spec: ServiceSpec, settings: ServiceSettings) -> tuple[Runtime, TokenVerifier]:
    addresses = {
        name.removesuffix("_address").replace("_", "-"): value
        for name, value in settings.model_dump().items()
        if name.endswith("_address") and name != "metrics_address"
    }
    database = Database(settings.database_url, spec.schema)
    peers = Peers(addresses)
    tokens = ServiceTokens(settings.issuer, settings.client_id, settings.client_secret)
    keys = KeyRing.load(settings.trust_file)
    runtime = Runtime(
        database=database,
        peers=peers,
        tokens=tokens,
        policy=PolicyFollower(peers, tokens, keys),
        outbox=Outbox(database, spec.name, spec.routes, peers, tokens),
        jobs=Jobs(settings.database_url, spec.schema, takeover_seconds=settings.job_takeover_seconds),
        grants=GrantVerifier(keys, spec.name),
        keys=keys,
    )
    return runtime, TokenVerifier(settings.issuer, settings.audience)


async def _endless(service: str, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        await step()
    except Exception as error:
        _log.error("background task failed", service=service, exc_info=error)
        raise
