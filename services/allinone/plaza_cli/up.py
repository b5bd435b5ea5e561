"""`plaza up`: the whole suite on one machine, every service a process of its own, the same code as in a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from plaza_kit.errors import PlazaError

from plaza_cli import demo, postgres
from plaza_cli.home import SERVICES, Home, socket_folder, write_status
from plaza_cli.processes import Child

READY_SECONDS = 90.0


class NotReady(Exception):
    """The suite did not become ready in time; the logs say why."""


def run() -> None:
    """Run until Ctrl-C. Exits with 2 when the home is taken, with 1 when the suite does not become ready."""
    home = Home.from_environment()
    try:
        holder = home.hold()
    except PlazaError as error:
        sys.exit(f"plaza: {error.message}\n       {error.remedy}")
    started = time.monotonic()
    secrets = home.prepare()
    server = postgres.start(home.root / "postgres")
    sockets = socket_folder(home)
    try:
        children = _children(home, secrets, server.get_uri(), sockets)
        asyncio.run(_supervise(home, children, started))
    except (NotReady, demo.DemoFailed) as error:
        sys.exit(f"plaza: {error}")
    finally:
        home.status_file.unlink(missing_ok=True)
        if not sockets.is_relative_to(home.root):
            shutil.rmtree(sockets, ignore_errors=True)
        server.cleanup()
        holder.release()


def ports() -> tuple[int, int]:
    """HTTP port of the gateway (`PLAZA_PORT`, 8080) and of the issuer (`PLAZA_ISSUER_PORT`, 8081)."""
    return int(os.environ.get("PLAZA_PORT") or 8080), int(os.environ.get("PLAZA_ISSUER_PORT") or 8081)


def _children(home: Home, secrets: Mapping[str, str], admin_url: str, sockets: Path) -> list[Child]:
    port, issuer_port = ports()
    issuer = f"http://127.0.0.1:{issuer_port}/realms/plaza"
    # Nothing of the caller's PLAZA_… settings reaches a child by accident; everything it needs is said here.
    base = {name: value for name, value in os.environ.items() if not name.startswith("PLAZA_")}
    addresses = {f"PLAZA_{name.upper()}_ADDRESS": f"unix:{sockets / name}.sock" for name in SERVICES}
    common = base | addresses | {"PLAZA_ISSUER": issuer, "PLAZA_TRUST_FILE": str(home.trust_file)}
    if level := os.environ.get("PLAZA_LOG_LEVEL"):
        common["PLAZA_LOG_LEVEL"] = level
    if endpoint := os.environ.get("PLAZA_OTLP_ENDPOINT"):
        common["PLAZA_OTLP_ENDPOINT"] = endpoint
    realm_secrets = {name: value for name, value in secrets.items() if name.startswith("PLAZA_SECRET_")}
    issuer_environment = (
        base
        | realm_secrets
        | {
            "PLAZA_HOME": str(home.root),
            "PLAZA_ISSUER_PORT": str(issuer_port),
        }
    )
    children = [Child("issuer", "plaza_issuer", issuer_environment, home.log_file("issuer"))]
    for name, schema in SERVICES.items():
        password = secrets[f"PLAZA_DATABASE_PASSWORD_{name.upper()}"]
        environment = common | {
            "PLAZA_LISTEN": addresses[f"PLAZA_{name.upper()}_ADDRESS"],
            "PLAZA_DATABASE_URL": postgres.provision(admin_url, schema, password),
            "PLAZA_CLIENT_ID": f"plaza-{name}",
            "PLAZA_CLIENT_SECRET": secrets[f"PLAZA_SECRET_PLAZA_{name.upper()}"],
        }
        if name == "security":
            environment |= {
                "PLAZA_SIGNING_KEY_FILE": str(home.security_key),
                "PLAZA_LEDGER_KEY_FILE": str(home.ledger_key),
            }
        children.append(Child(name, f"plaza_{name}", environment, home.log_file(name)))
    gateway = common | {"PLAZA_PORT": str(port)}
    children.append(Child("gateway", "plaza_gateway", gateway, home.log_file("gateway")))
    return children


async def _supervise(home: Home, children: list[Child], started: float) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    tasks = [asyncio.create_task(child.run()) for child in children]
    tasks.append(asyncio.create_task(_report(home, children)))
    ready = asyncio.create_task(_announce(home, started))
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


async def _report(home: Home, children: list[Child]) -> None:
    port, issuer_port = ports()
    before = ""
    while True:
        status: dict[str, Any] = {
            "pid": os.getpid(),
            "url": f"http://127.0.0.1:{port}",
            "issuer": f"http://127.0.0.1:{issuer_port}/realms/plaza",
            "processes": [
                {
                    "name": child.name,
                    "pid": child.pid,
                    "state": child.state,
                    "restarts": child.restarts,
                    "since": child.since,
                }
                for child in children
            ],
        }
        if (now := json.dumps(status)) != before:
            write_status(home, status)
            before = now
        await asyncio.sleep(0.5)


async def _announce(home: Home, started: float) -> None:
    port, issuer_port = ports()
    url = f"http://127.0.0.1:{port}"
    issuer = f"http://127.0.0.1:{issuer_port}/realms/plaza"
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        await _until_ready(http, home, url, issuer)
        made = await demo.ensure(http, url, issuer)
    seconds = time.monotonic() - started
    print(
        f"Plaza is ready after {seconds:.1f} s{f', with {made} demo datasets made' if made else ''}.\n"
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
            if known.status_code == 200 and ready.status_code == 200:
                return
        await asyncio.sleep(0.1)
    raise NotReady(f"not ready after {READY_SECONDS:.0f} s; the logs in {home.root / 'logs'} say why")
