"""The issuer on a real port, spoken with through the verifier and the token source that services use."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from plaza_issuer.app import create_app
from plaza_issuer.realm import load_realm, required_variables, secret_variable
from plaza_issuer.settings import IssuerSettings
from plaza_kit.identity import BadToken, ClientRefused, PrincipalKind, ServiceTokens, TokenVerifier

pytestmark = pytest.mark.integration

SECRETS = {name: f"secret of {name}" for name in required_variables()}
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class Running:
    """One issuer on a port of its own, and the requests that a script would make."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}/realms/plaza"
        self.http = httpx.AsyncClient(trust_env=False)

    async def post(self, endpoint: str, **form: str) -> dict[str, Any]:
        answer = await self.http.post(f"{self.issuer}/protocol/openid-connect/{endpoint}", data=form)
        return answer.json()

    async def log_in(self, username: str = "ecology-officer") -> dict[str, Any]:
        person = {"username": username, "password": "plaza-demo", "scope": "openid organization:*"}
        return await self.post("token", grant_type="password", client_id="plaza-cli", **person)

    async def refresh(self, token: str) -> dict[str, Any]:
        return await self.post(
            "token", grant_type="refresh_token", client_id="plaza-cli", refresh_token=token
        )


def bound_socket(port: int = 0) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    return listening


class Server(uvicorn.Server):
    """Says when it is up, and leaves the signals to the test process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def running(home: Path, port: int = 0) -> AsyncIterator[Running]:
    """The real app under uvicorn, in this process."""
    listening = bound_socket(port)
    port = listening.getsockname()[1]
    app = create_app(IssuerSettings(home=home, issuer_port=port), load_realm(environ=SECRETS))
    server = Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await asyncio.wait_for(server.up.wait(), 10)
    issuer = Running(port)
    try:
        yield issuer
    finally:
        await issuer.http.aclose()
        server.should_exit = True
        await serving
        listening.close()


@asynccontextmanager
async def verifier_of(issuer: Running) -> AsyncIterator[TokenVerifier]:
    verifier = TokenVerifier(issuer.issuer, "plaza")
    try:
        yield verifier
    finally:
        await verifier.aclose()


async def test_an_officer_logs_in_through_the_page(tmp_path: Path) -> None:
    async with running(tmp_path) as issuer, verifier_of(issuer) as verifier:
        device = await issuer.post("auth/device", client_id="plaza-cli", scope="openid organization:*")
        polling = {"grant_type": DEVICE_GRANT, "client_id": "plaza-cli", "device_code": device["device_code"]}
        assert (await issuer.post("token", **polling))["error"] == "authorization_pending"
        assert (await issuer.post("token", **polling))["error"] == "slow_down"
        async with httpx.AsyncClient(trust_env=False, follow_redirects=True) as browser:
            page = await browser.get(device["verification_uri_complete"])
            for step in (
                {"user_code": device["user_code"]},
                {"user_code": device["user_code"], "username": "ecology-officer", "password": "plaza-demo"},
                {"user_code": device["user_code"], "decision": "allow"},
            ):
                token = re.search(r'name="form_token" value="(\w+)"', page.text)
                assert token is not None
                page = await browser.post(page.url, data={"form_token": token[1], **step})
            assert page.url.path.endswith("/done")
        tokens = await issuer.post("token", **polling)
        officer = await verifier.verify(tokens["access_token"])
        assert officer.kind is PrincipalKind.PERSON
        assert (officer.username, officer.display_name) == ("ecology-officer", "林清源")
        assert (officer.departments, officer.roles) == ({"ecology"}, {"data-officer"})
        with pytest.raises(BadToken):
            await verifier.verify(tokens["id_token"])


async def test_every_service_and_every_machine_gets_in_as_itself(tmp_path: Path) -> None:
    async with running(tmp_path) as issuer, verifier_of(issuer) as verifier:
        for client_id in load_realm(environ=SECRETS).service_accounts:
            source = ServiceTokens(issuer.issuer, client_id, SECRETS[secret_variable(client_id)])
            principal = await verifier.verify(await source.token())
            await source.aclose()
            if client_id.startswith("plaza-"):
                assert principal.name == f"services/{client_id}"
            else:
                assert principal.name == f"machines/{client_id}"
                assert {f"{d}-worker" for d in principal.departments} == {client_id}
        wrong = ServiceTokens(issuer.issuer, "plaza-gateway", "wrong")
        with pytest.raises(ClientRefused):
            await wrong.token()
        await wrong.aclose()


async def test_a_secret_in_the_header_serves_too(tmp_path: Path) -> None:
    async with running(tmp_path) as issuer:
        answer = await issuer.http.post(
            f"{issuer.issuer}/protocol/openid-connect/token",
            data={"grant_type": "client_credentials"},
            auth=("plaza-gateway", SECRETS["PLAZA_SECRET_PLAZA_GATEWAY"]),
        )
        assert "refresh_token" not in answer.json()
        assert answer.status_code == 200


async def test_refresh_tokens_rotate_and_a_stolen_one_ends_the_session(tmp_path: Path) -> None:
    async with running(tmp_path) as issuer, verifier_of(issuer) as verifier:
        first = await issuer.log_in()
        second = await issuer.refresh(first["refresh_token"])
        assert second["refresh_token"] != first["refresh_token"]
        before, after = [await verifier.verify(t["access_token"]) for t in (first, second)]
        assert (before.name, before.departments) == (after.name, after.departments)
        other = await issuer.log_in("health-officer")
        assert (await issuer.refresh(first["refresh_token"]))["error"] == "invalid_grant"
        assert (await issuer.refresh(second["refresh_token"]))["error"] == "invalid_grant"
        assert "access_token" in await issuer.refresh(other["refresh_token"]), "others stay logged in"


async def test_a_restart_logs_nobody_out(tmp_path: Path) -> None:
    async with running(tmp_path) as issuer:
        port = int(issuer.issuer.split(":")[2].split("/")[0])
        tokens = await issuer.log_in()
        device = await issuer.post("auth/device", client_id="plaza-cli")
    async with running(tmp_path, port) as issuer, verifier_of(issuer) as verifier:
        await verifier.verify(tokens["access_token"])
        renewed = await issuer.refresh(tokens["refresh_token"])
        assert (await verifier.verify(renewed["access_token"])).username == "ecology-officer"
        polling = {"grant_type": DEVICE_GRANT, "client_id": "plaza-cli", "device_code": device["device_code"]}
        assert (await issuer.post("token", **polling))["error"] == "authorization_pending"


def start(home: Path, **environment: str) -> subprocess.Popen[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PLAZA_")}
    return subprocess.Popen(
        [sys.executable, "-m", "plaza_issuer"],
        env=inherited | {"PLAZA_HOME": str(home)} | environment,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_the_process_starts_serves_and_stops_on_sigterm(tmp_path: Path) -> None:
    with bound_socket() as probe:
        port = probe.getsockname()[1]
    process = start(tmp_path, PLAZA_ISSUER_PORT=str(port), **SECRETS)
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            for _ in range(200):
                try:
                    answer = await http.get(
                        f"http://127.0.0.1:{port}/realms/plaza/.well-known/openid-configuration"
                    )
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)
        assert answer.json()["issuer"] == f"http://127.0.0.1:{port}/realms/plaza"
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 10) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PLAZA_ISSUER_HOST": "0.0.0.0"} | SECRETS, ["0.0.0.0", "PLAZA_ISSUER_HOST"]),
        ({}, list(required_variables())),
        ({"PLAZA_ISSUER_PORT": "http"} | SECRETS, ["PLAZA_ISSUER_PORT"]),
    ],
)
def test_what_it_cannot_start_with_is_said_on_stderr(
    tmp_path: Path, environment: dict[str, str], said: list[str]
) -> None:
    process = start(tmp_path, **environment)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "Traceback" not in errors
    for words in said:
        assert words in errors
