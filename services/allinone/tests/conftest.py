"""A gateway and an issuer that live in this process, for tests of the command line: no socket is opened."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from plaza_cli.main import app
from plaza_cli.session import Session, SessionStore
from plaza_cli.surroundings import Surroundings
from plaza_kit.signing import SigningKey
from typer.testing import CliRunner, Result

URL = "http://plaza.example:8080"
ISSUER = "http://issuer.example/realms/plaza"
KEY = SigningKey.from_seed("plaza.example/ledger", bytes(range(32)))

Handler = Callable[[httpx.Request], httpx.Response]


class City:
    """Answers as gateway and issuer, and remembers what it was asked."""

    def __init__(self, directory: Path) -> None:
        self.requests: list[httpx.Request] = []
        self.routes: dict[str, Handler] = {}
        self.sessions = SessionStore(directory)
        self.time = 1_000_000.0
        self.slept: list[float] = []
        self.valid = {"access-1"}
        self.answer("GET /api/v1/identity", {"issuer": ISSUER, "clientId": "plaza-cli"})
        self.answer("GET /api/v1/ledger:keys", {"keys": [KEY.verifying_key.vkey]})
        self.answer(
            "GET /api/v1/caller",
            {"username": "ecology-officer", "displayName": "王敏", "roles": ["data-officer"]},
        )
        self.answer(
            "GET /realms/plaza/.well-known/openid-configuration",
            {
                "issuer": ISSUER,
                "token_endpoint": f"{ISSUER}/token",
                "device_authorization_endpoint": f"{ISSUER}/device",
                "revocation_endpoint": f"{ISSUER}/revoke",
            },
        )
        self.answer("POST /realms/plaza/token", tokens(1))
        self.answer("POST /realms/plaza/revoke", {})

    def answer(self, route: str, *answers: dict[str, Any], status: int = 200) -> None:
        """The answers in order; the last one again and again."""
        left = list(answers)

        def handler(request: httpx.Request) -> httpx.Response:
            return httpx.Response(status, json=left.pop(0) if len(left) > 1 else left[0])

        self.routes[route] = handler

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        bearer = request.headers.get("authorization")
        if bearer is not None and bearer.removeprefix("Bearer ") not in self.valid:
            return httpx.Response(401, json={"status": 401, "detail": "the token has ended"})
        handler = self.routes.get(f"{request.method} {request.url.path}")
        if handler is None:
            return httpx.Response(404, json={"status": 404, "detail": "nothing there"})
        return handler(request)

    def logged_in(self, expires_in: float = 300.0) -> None:
        session = Session(URL, ISSUER, "plaza-cli", "access-1", "refresh-1", self.time + expires_in)
        self.sessions.save(session)

    def run(self, *words: str, stdin: str | None = None) -> Result:
        def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            self.time += seconds

        around = Surroundings(
            connect=lambda url: httpx.Client(transport=httpx.MockTransport(self)),
            now=lambda: self.time,
            sleep=sleep,
        )
        return CliRunner().invoke(app, ["--url", URL, *words], input=stdin, obj=around)

    def asked(self, path: str) -> list[httpx.Request]:
        return [request for request in self.requests if request.url.path == path]

    def forms(self) -> list[dict[str, str]]:
        posts = self.asked("/realms/plaza/token")
        return [{k: v[0] for k, v in parse_qs(request.content.decode()).items()} for request in posts]

    def sent(self, path: str) -> Any:
        """The JSON body of the last request to `path`."""
        return json.loads(self.asked(path)[-1].content)

    def stream(self, route: str, *answers: list[bytes | Exception], **headers: str) -> None:
        """Bodies in pieces; an exception among them breaks the connection. In order, the last again and again."""
        left = list(answers)

        def handler(request: httpx.Request) -> httpx.Response:
            pieces = left.pop(0) if len(left) > 1 else left[0]
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return httpx.Response(200, stream=Pieces(pieces), headers=named)

        self.routes[route] = handler


class Pieces(httpx.SyncByteStream):
    """A body that comes piece by piece, and may break."""

    def __init__(self, pieces: list[bytes | Exception]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


def tokens(number: int) -> dict[str, Any]:
    return {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}", "expires_in": 300}


@pytest.fixture
def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> City:
    monkeypatch.setenv("PLAZA_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.delenv("PLAZA_URL", raising=False)
    return City(tmp_path / "config")
