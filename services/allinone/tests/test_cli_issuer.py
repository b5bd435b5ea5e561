"""The command and the development issuer understand each other: tokens, renewal, end of session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from plaza_cli.main import app
from plaza_cli.session import SessionStore
from plaza_cli.surroundings import Surroundings
from plaza_issuer.app import create_app
from plaza_issuer.realm import load_realm, required_variables
from plaza_issuer.settings import IssuerSettings
from typer.testing import CliRunner, Result

URL = "http://127.0.0.1:8080"
ISSUER = "http://127.0.0.1:8081/realms/plaza"

Run = Callable[..., Result]


class Clock:
    now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Run:
    monkeypatch.setenv("PLAZA_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.delenv("PLAZA_URL", raising=False)
    realm = load_realm(environ=dict.fromkeys(required_variables(), "secret"))
    issuer = create_app(IssuerSettings(home=tmp_path), realm, clock=clock)

    async def ask_issuer(request: httpx.Request) -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(issuer, client=("127.0.0.1", 50000))
        ) as http:
            answer = await http.request(
                request.method, request.url, headers=request.headers, content=request.content
            )
        return httpx.Response(answer.status_code, content=answer.content)

    def answer(request: httpx.Request) -> httpx.Response:
        if str(request.url).startswith(ISSUER):
            return asyncio.run(ask_issuer(request))
        if request.url.path == "/api/v1/identity":
            return httpx.Response(200, json={"issuer": ISSUER, "clientId": "plaza-cli"})
        return httpx.Response(200, json={"username": "ecology-officer", "keys": []})

    def invoke(*words: str, stdin: str | None = None) -> Result:
        around = Surroundings(
            connect=lambda url: httpx.Client(transport=httpx.MockTransport(answer)), now=clock
        )
        return CliRunner().invoke(app, list(words), input=stdin, obj=around)

    return invoke


def test_log_in_renew_and_log_out(run: Run, clock: Clock, tmp_path: Path) -> None:
    sessions = SessionStore(tmp_path / "config")
    assert run("login", "--user", "ecology-officer", "--password-stdin", stdin="plaza-demo\n").exit_code == 0
    first = sessions.load(URL)
    assert first is not None
    clock.now = first.expires_at + 1
    result = run("whoami")
    assert result.exit_code == 0, result.output
    second = sessions.load(URL)
    assert second is not None
    assert second.access_token != first.access_token
    assert second.refresh_token
    assert run("logout").stderr == ""
    sessions.save(second)  # as if somebody had kept a copy
    clock.now = second.expires_at + 1
    assert run("whoami").exit_code == 3


def test_wrong_password(run: Run) -> None:
    result = run("login", "--user", "ecology-officer", "--password-stdin", stdin="wrong\n")
    assert result.exit_code == 1
    assert "Check user name and password" in result.stderr
