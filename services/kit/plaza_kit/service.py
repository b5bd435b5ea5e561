"""How every service starts and stops: settings, database, identity, policy, server, background work."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import uvloop

from plaza_kit import telemetry
from plaza_kit.db import Database
from plaza_kit.db.jobs import Jobs
from plaza_kit.db.migrate import migrate, until_schema_serves
from plaza_kit.db.outbox import Outbox
from plaza_kit.errors import PlazaError
from plaza_kit.grants import GrantVerifier
from plaza_kit.identity import ServiceTokens, TokenVerifier
from plaza_kit.policy import PolicyFollower
from plaza_kit.rpc.client import Peers
from plaza_kit.rpc.health import HealthPort
from plaza_kit.rpc.server import Registration, Server, run_until_stopped
from plaza_kit.settings import BadSettings, MigrationSettings, ServiceSettings, load
from plaza_kit.signing import KeyRing

_log = telemetry.log("service")

_STOP_SECONDS: Final = 6.0
"""A job under way has five seconds to end."""
_STOP_WORDS: Final = 2
MIGRATE = "migrate"
"""Argument with which a service's process only brings its schema to its version."""


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
    """Run a service until SIGTERM; with the argument `migrate`, bring its schema to its version and end.

    Exits with 2 and every missing name when the environment is incomplete.
    """
    if sys.argv[1:] not in ([], [MIGRATE]):
        sys.exit(f"plaza-{spec.name}: the only argument there is: {MIGRATE}")
    only_migrate = sys.argv[1:] == [MIGRATE]
    try:
        settings = load(settings_class) if not only_migrate else load(MigrationSettings)
    except BadSettings as error:
        sys.exit(f"plaza-{spec.name}: {error}")
    if isinstance(settings, MigrationSettings):
        telemetry.configure(spec.name, log_level=settings.log_level)
        _migrate(spec, settings.database_url)
        return
    telemetry.configure(
        spec.name,
        log_level=settings.log_level,
        otlp_endpoint=settings.otlp_endpoint,
        metrics=settings.metrics_address,
    )
    if settings.migrate == "start":
        _migrate(spec, settings.database_url)
    uvloop.run(_run(spec, settings, build))


def _migrate(spec: ServiceSpec, database_url: str) -> None:
    try:
        migrate(database_url, spec.schema, spec.package)
    except PlazaError as error:
        sys.exit(f"plaza-{spec.name}: {error.message}. {error.remedy}")


async def _run(spec: ServiceSpec, settings: S, build: Build[S]) -> None:
    # Heard from the first moment: a container's first process is not ended by a signal that it does not handle.
    stopped = asyncio.create_task(run_until_stopped())
    async with HealthPort(settings.health_listen) as health:
        if settings.migrate == "job":
            schema = until_schema_serves(settings.database_url, spec.schema, spec.package)
            if await _unless(stopped, schema) is None:
                return
        runtime, verifier = _runtime(spec, settings)
        parts = await _unless(stopped, build(settings, runtime))
        if parts is not None:
            await _serve(spec, settings, runtime, verifier, parts, health, stopped)


T = TypeVar("T")


async def _unless(stopped: asyncio.Task[None], work: Awaitable[T]) -> T | None:
    """What the work answers; None when the process was told to stop first."""
    doing = asyncio.ensure_future(work)
    await asyncio.wait([doing, stopped], return_when=asyncio.FIRST_COMPLETED)
    if doing.done():
        return doing.result()
    doing.cancel()
    await asyncio.gather(doing, return_exceptions=True)
    return None


async def _serve(
    spec: ServiceSpec,
    settings: ServiceSettings,
    runtime: Runtime,
    verifier: TokenVerifier,
    parts: Parts,
    health: HealthPort,
    stopped: asyncio.Task[None],
) -> None:
    server = Server(
        settings.listen,
        verifier,
        parts.registrations,
        parts.service_names,
        settings.tls(),
        runtime.policy.admit,
    )
    await server.start()
    work = [
        runtime.policy.run,
        runtime.outbox.run,
        runtime.jobs.run,
        *parts.background,
    ]
    tasks = [asyncio.create_task(_endless(spec.name, step)) for step in work]
    await health.serving(True)
    # A background task never ends by itself: if one does, the process ends and is started again.
    done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    await health.serving(False)
    await server.stop()
    await _ended(spec.name, tasks)
    for close in parts.at_end:
        await asyncio.to_thread(close)
    await runtime.peers.close()
    await runtime.database.close()
    if stopped not in done:
        sys.exit(f"plaza-{spec.name}: a background task ended; see the log above")


async def _ended(service: str, tasks: Sequence[asyncio.Task[None]]) -> None:
    """All background tasks have ended. Whoever is just opening connections may miss the first word, so it is said
    again; a service that does not end would be killed in the middle of something else."""
    late = set(tasks)
    for _ in range(_STOP_WORDS):
        for task in late:
            task.cancel()
        _, late = await asyncio.wait(late, timeout=_STOP_SECONDS)
        if not late:
            return
        _log.warning("background tasks end late", service=service, tasks=[str(t.get_coro()) for t in late])


def _runtime(spec: ServiceSpec, settings: ServiceSettings) -> tuple[Runtime, TokenVerifier]:
    addresses = {
        name.removesuffix("_address").replace("_", "-"): value
        for name, value in settings.model_dump().items()
        if name.endswith("_address") and name != "metrics_address"
    }
    database = Database(settings.database_url, spec.schema)
    peers = Peers(addresses, settings.tls())
    tokens = ServiceTokens(
        settings.issuer, settings.client_id, settings.client_secret, connect_to=settings.issuer_connect
    )
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
    return runtime, TokenVerifier(settings.issuer, settings.audience, connect_to=settings.issuer_connect)


async def _endless(service: str, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        await step()
    except Exception as error:
        _log.error("background task failed", service=service, exc_info=error)
        raise
