"""Log-in and log-out against the real development issuer, in this process."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from plaza.security.v1 import security_pb2 as sec
from plaza_design.i18n import LocalText
from plaza_gateway.app import create_app, peers_of
from plaza_gateway.console.issuer import Issuer
from plaza_gateway.console.routes import console_router
from plaza_gateway.console.sealing import BadConsoleKey, Seal
from plaza_gateway.console.sessions import SESSION, Sessions
from plaza_gateway.portal.views import Site
from plaza_gateway.settings import GatewaySettings
from plaza_issuer.app import create_app as create_issuer
from plaza_issuer.realm import load_realm, required_variables
from plaza_issuer.settings import IssuerSettings

pytestmark = pytest.mark.integration

ISSUER = "http://127.0.0.1:8081/realms/plaza"
BASE = "http://127.0.0.1:18080"


class Nobody:
    """A `Desk` of somebody who is in no department: enough to see whose token arrives."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    def __call__(self, token: str) -> Nobody:
        self.tokens.append(token)
        return self

    async def caller(self) -> sec.Caller:
        return sec.Caller(display_name="林清源")


@pytest.fixture
def desk() -> Nobody:
    return Nobody()


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    realm = load_realm(environ=dict.fromkeys(required_variables(), "secret"))
    app = create_issuer(IssuerSettings(home=tmp_path), realm)
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8081") as client:
        yield client


@pytest.fixture
async def http(issuer: httpx.AsyncClient, desk: Nobody) -> AsyncIterator[httpx.AsyncClient]:
    asked = Issuer(ISSUER, http=issuer)
    sessions = Sessions(Seal(bytes(32)), asked)
    app = FastAPI()
    app.include_router(
        console_router(Site(LocalText("云汀市")), lambda: sessions, lambda: asked, desk)  # type: ignore[arg-type]  # all that is asked of it
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=BASE, headers={"origin": BASE}
    ) as client:
        yield client
    await asked.aclose()


async def log_in(http: httpx.AsyncClient, issuer: httpx.AsyncClient) -> httpx.Response:
    first = await http.get("/console/login", params={"next": "/console/datasets"})
    assert first.status_code == 302
    there = first.headers["location"]
    asked = dict(parse_qsl(urlsplit(there).query))
    assert (asked["code_challenge_method"], asked["redirect_uri"]) == ("S256", f"{BASE}/console/callback")
    form = await issuer.get(there)
    assert form.status_code == 200
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form.text))
    (action,) = re.findall(r'method="post" action="([^"]+)"', form.text)
    person = {"username": "ecology-officer", "password": "plaza-demo"}
    return await issuer.post(action.replace("&amp;", "&"), data=hidden | person)


async def test_log_in_use_and_log_out(
    http: httpx.AsyncClient, issuer: httpx.AsyncClient, desk: Nobody, caplog: pytest.LogCaptureFixture
) -> None:
    back = await log_in(http, issuer)
    arrived = await http.get(back.headers["location"])
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/console/datasets")
    assert arrived.headers["cache-control"] == "no-store"
    page = await http.get("/console/")
    assert (page.status_code, len(desk.tokens)) == (403, 1)
    token = desk.tokens[0]
    claims = base64.urlsafe_b64decode(token.split(".")[1] + "==")
    assert b'"organization":["ecology"]' in claims.replace(b" ", b"")
    assert all(token not in value for value in http.cookies.values())
    assert token not in page.text + caplog.text
    (csrf,) = set(re.findall(r'name="csrf" value="([^"]+)"', page.text))

    kept = dict(http.cookies)
    out = await http.post("/console/logout", data={"csrf": csrf})
    assert (out.status_code, out.headers["location"]) == (303, "/console/signed-out")
    assert SESSION not in http.cookies
    assert (await http.get("/console/signed-out")).status_code == 200
    assert (await http.get("/console/")).status_code == 302
    # Whoever kept the cookie cannot renew it.
    opened = Seal(bytes(32)).unseal(
        "plaza_session", "".join(v for k, v in sorted(kept.items()) if SESSION in k), 0
    )
    assert opened is not None
    form = {"grant_type": "refresh_token", "client_id": "plaza-console"}
    refresh = {"refresh_token": opened["tokens"]["refresh"]}
    answer = await issuer.post("/realms/plaza/protocol/openid-connect/token", data=form | refresh)
    assert answer.status_code == 400


async def test_a_renewed_session_reaches_the_browser_with_whatever_page(
    http: httpx.AsyncClient, issuer: httpx.AsyncClient, desk: Nobody, monkeypatch: pytest.MonkeyPatch
) -> None:
    await http.get((await log_in(http, issuer)).headers["location"])
    before = http.cookies[SESSION]
    monkeypatch.setattr("plaza_gateway.console.sessions.RENEW_BEFORE_SECONDS", 1000.0)
    page = await http.get("/console/")
    assert page.status_code == 403
    assert http.cookies[SESSION] != before
    # The old token is spent; the new cookie goes on.
    assert (await http.get("/console/")).status_code == 403
    assert len(set(desk.tokens)) == 2


async def test_an_answer_is_good_once_and_in_its_own_browser(
    http: httpx.AsyncClient, issuer: httpx.AsyncClient
) -> None:
    back = (await log_in(http, issuer)).headers["location"]
    mine = dict(http.cookies)
    http.cookies.clear()
    stranger = await http.get(back)
    assert stranger.status_code == 401
    assert SESSION not in http.cookies
    http.cookies.update(mine)
    assert (await http.get(back)).status_code == 303
    http.cookies.update(mine)
    again = await http.get(back)
    assert again.status_code == 401
    assert "set-cookie" not in again.headers


@pytest.mark.parametrize("change", ["state=x", "iss=http%3A%2F%2Fevil.test", "code=x"])
async def test_a_changed_answer_logs_nobody_in(
    http: httpx.AsyncClient, issuer: httpx.AsyncClient, change: str
) -> None:
    back = (await log_in(http, issuer)).headers["location"]
    name = change.partition("=")[0]
    changed = re.sub(rf"\b{name}=[^&]*", change, back)
    assert changed != back
    assert (await http.get(changed)).status_code == 401
    assert SESSION not in http.cookies


@pytest.mark.parametrize("target", ["https://evil.test/", "//evil.test/", "/zh/", "/console/../x\\y"])
async def test_nobody_is_sent_elsewhere(
    http: httpx.AsyncClient, issuer: httpx.AsyncClient, target: str
) -> None:
    await http.get("/console/login", params={"next": target})
    pending = Seal(bytes(32)).unseal("plaza_login", http.cookies["plaza_login"], 0)
    assert pending is not None
    assert pending["next"] == "/console/"


@pytest.mark.parametrize("faces", [("public",), ("internal",), ("public", "internal")])
async def test_the_console_is_on_the_internal_face_only(tmp_path: Path, faces: tuple[str, ...]) -> None:
    key = tmp_path / "console.key"
    key.write_text(base64.b64encode(bytes(32)).decode())
    names = ("catalogue", "open_data", "security", "ingestion", "quality", "sharing")
    addresses = {f"{name}_address": "unix:/nonexistent/plaza.sock" for name in names}
    settings = GatewaySettings(issuer=ISSUER, faces=faces, console_key_file=key, **addresses)
    app = create_app(settings, peers_of(settings))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as http:
        answer = await http.get("/console/")
        assert answer.status_code == (302 if "internal" in faces else 404)
        out = await http.get("/console/signed-out")
        if "internal" in faces:
            (style,) = re.findall(r'href="(/static/[^"]+plaza\.css)"', out.text)
            assert (await http.get(style)).status_code == 200
    key.write_text("short")
    if "internal" in faces:
        with pytest.raises(BadConsoleKey):
            create_app(settings, peers_of(settings))
