"""`plaza up`: the whole suite on one machine, every service a process of its own, the same code as in a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

import httpx
from plaza_kit.errors import PlazaError

from plaza_cli import demo, environments, postgres
from plaza_cli.environments import Suite
from plaza_cli.home import LAKE_OWNER, LAKE_READERS, SERVICES, Home, socket_folder, write_status
from plaza_cli.postgres_watch import PostgresWatch
from plaza_cli.processes import Child
from plaza_cli.workers import Workers, supervise, worker_of

READY_SECONDS = 300.0


class NotReady(Exception):
    """The suite did not become ready in time; the logs say why."""


class PortTaken(Exception):
    """Somebody else listens where the suite must."""


def run(*, modules: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None) -> None:
    """Run until Ctrl-C. Exits with a message when home or port is taken, or the suite does not become ready.

    For tests alone: `modules` names what to start as a process in place of its own module (`ingestion`,
    `worker`, …), `environment` holds variables that every process gets on top.
    """
    home = Home.from_environment()
    port, issuer_port = ports()
    try:
        holder = home.hold()
    except PlazaError as error:
        sys.exit(f"plaza: {error.message}\n       {error.remedy}")
    started = time.monotonic()
    try:
        for number, variable in ((port, "PLAZA_PORT"), (issuer_port, "PLAZA_ISSUER_PORT")):
            require_free(number, variable)
        secrets = home.prepare()
        sockets = socket_folder(home)
        server = postgres.start(home.root / "postgres")
        try:
            suite = Suite(home, sockets, port, issuer_port, secrets, modules or {}, dict(environment or {}))
            children = make_children(suite, provision(server.get_uri(), secrets))
            asyncio.run(_supervise(suite, children, PostgresWatch(server), started))
        finally:
            home.status_file.unlink(missing_ok=True)
            if not sockets.is_relative_to(home.root):
                shutil.rmtree(sockets, ignore_errors=True)
            server.cleanup()
    except (NotReady, PortTaken, demo.DemoFailed) as error:
        sys.exit(f"plaza: {error}")
    finally:
        holder.release()


def ports() -> tuple[int, int]:
    """HTTP port of the gateway (`PLAZA_PORT`, 8080) and of the issuer (`PLAZA_ISSUER_PORT`, 8081)."""
    return int(os.environ.get("PLAZA_PORT") or 8080), int(os.environ.get("PLAZA_ISSUER_PORT") or 8081)


def require_free(port: int, variable: str) -> None:
    """Raises PortTaken, naming the variable by which another port is chosen."""
    with socket.socket() as probe:
        # As servers do: a connection of yesterday that still fades away is no listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTaken(
                f"port {port} cannot be used ({error.strerror})\n"
                f"       stop what listens there, or set {variable} to a free port"
            ) from None


def provision(admin_url: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """Roles, schemas and the lake's catalog; answers the database address of each service by its name."""
    urls = {
        service.name: postgres.provision(admin_url, service.schema, secrets[service.password_variable])
        for service in SERVICES
    }
    postgres.provision_lake(admin_url, LAKE_OWNER, LAKE_READERS)
    return urls


def make_children(suite: Suite, database_urls: Mapping[str, str]) -> list[Child]:
    """Issuer, services and gateway, none of them started."""

    def child(name: str, module: str, environment: Mapping[str, str]) -> Child:
        return Child(name, suite.module(name, module), environment, suite.home.log_file(name))

    return [
        child("issuer", "plaza_issuer", environments.issuer(suite)),
        *(
            child(one.name, one.module, environments.service(suite, one, database_urls[one.name]))
            for one in SERVICES
        ),
        child("gateway", "plaza_gateway", environments.gateway(suite)),
    ]


async def _supervise(suite: Suite, children: list[Child], database: PostgresWatch, started: float) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    workers = Workers(lambda department: worker_of(suite, department))
    tasks = [asyncio.create_task(child.run()) for child in children]
    tasks.append(asyncio.create_task(supervise(workers, suite)))
    tasks.append(asyncio.create_task(database.run()))
    tasks.append(asyncio.create_task(_report(suite, children, workers, database)))
    ready = asyncio.create_task(_announce(suite, started))
    waiting = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait([ready, waiting], return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            ready.result()
            await waiting
        print("\nStopping …", flush=True)
    finally:
        # The gateway goes first and takes no more requests; the others end what they have begun.
        for task in (ready, waiting, *reversed(tasks)):
            task.cancel()
        await asyncio.gather(ready, waiting, *tasks, return_exceptions=True)


async def _report(suite: Suite, children: list[Child], workers: Workers, database: PostgresWatch) -> None:
    before = ""
    while True:
        status: dict[str, Any] = {
            "pid": os.getpid(),
            "url": suite.url,
            "issuer": suite.issuer,
            "processes": [
                database.status(),
                *(child.status() for child in children),
                *workers.status(),
            ],
        }
        if (now := json.dumps(status)) != before:
            write_status(suite.home, status)
            before = now
        await asyncio.sleep(0.5)


async def _announce(suite: Suite, started: float) -> None:
    home, url, issuer = suite.home, suite.url, suite.issuer
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        await _until_ready(http, home, url, issuer)
        made = await demo.ensure(http, url, demo.tokens_by_password(http, issuer), home.demo_mark)
    seconds = time.monotonic() - started
    print(
        f"Plaza is ready after {seconds:.1f} s{f', with {made} demo datasets made' if made else ''}.\n"
        f"  Portal    {url}/   Console   {url}/console/\n"
        f"  API       {url}/api/v1   (described at {url}/api/v1/openapi.json)\n"
        f"  Log-in    {issuer}\n"
        f"  People    ecology-officer, transport-officer, health-officer, market-officer,\n"
        f"            bureau-admin, bureau-auditor … password plaza-demo (development only)\n"
        f"  Data      {home.root}   logs in {home.root / 'logs'}\n"
        f"  Try       .venv/bin/plaza login --user ecology-officer\n"
        f"Ctrl-C stops everything; the data stay.",
        flush=True,
    )


async def _until_ready(http: httpx.AsyncClient, home: Home, url: str, issuer: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            known = await http.get(f"{issuer}/.well-known/openid-configuration")
            ready = await http.get(f"{url}/readyz")
            # The gateway itself is ready before all services are; the demo needs them all.
            services = ready.json().get("services", {}).values() if ready.status_code == 200 else ()
            if known.status_code == 200 and services and set(services) == {"serving"}:
                return
        await asyncio.sleep(0.1)
    raise NotReady(f"not ready after {READY_SECONDS:.0f} s; the logs in {home.root / 'logs'} say why")
