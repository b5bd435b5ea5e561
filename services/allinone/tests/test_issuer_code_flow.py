"""Log-in through the browser: whose addresses are taken, one code for one session, and the end of it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from plaza_issuer.app import create_app
from plaza_issuer.authorize import CODE_SECONDS
from plaza_issuer.keys import SigningKey
from plaza_issuer.realm import load_realm, required_variables
from plaza_issuer.redirects import allows
from plaza_issuer.settings import IssuerSettings

REALM = load_realm(environ=dict.fromkeys(required_variables(), "secret"))
BASE = "http://127.0.0.1:8081"
PROTOCOL = "/realms/plaza/protocol/openid-connect"
CALLBACK = "http://127.0.0.1:18080/console/callback"
VERIFIER = "v" * 64
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ASKED = {
    "client_id": "plaza-console",
    "response_type": "code",
    "redirect_uri": CALLBACK,
    "scope": "openid",
    "state": "st&te",
    "nonce": "n1",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


class Clock:
    now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("key")
    SigningKey.kept_in(directory)
    return directory / "signing-key.json"


@pytest.fixture
async def http(tmp_path: Path, key_file: Path, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    (tmp_path / "issuer").mkdir()
    shutil.copy(key_file, tmp_path / "issuer")
    app = create_app(IssuerSettings(home=tmp_path), REALM, clock=clock)
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 50000))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


async def send(http: httpx.AsyncClient, page: httpx.Response, **form: str) -> httpx.Response:
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    (action,) = re.findall(r'<form class="stack" method="post" action="([^"]+)"', page.text)
    return await http.post(action.replace("&amp;", "&"), data=hidden | form)


async def log_in(http: httpx.AsyncClient, **changed: str) -> dict[str, str]:
    page = await http.get(f"{PROTOCOL}/auth", params=ASKED | changed)
    assert page.status_code == 200, page.text
    sent = await send(http, page, username="ecology-officer", password="plaza-demo")
    assert sent.status_code == 303, sent.text
    assert sent.headers["location"].startswith(f"{CALLBACK}?")
    return dict(parse_qsl(urlsplit(sent.headers["location"]).query))


async def exchange(http: httpx.AsyncClient, code: str, **changed: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "client_id": "plaza-console",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    return await http.post(f"{PROTOCOL}/token", data=form | changed)


def _payload(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    return dict(json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4))))


@pytest.mark.parametrize(
    ("registered", "asked", "allowed"),
    [
        ("http://127.0.0.1/*", "http://127.0.0.1:49152/console/callback", True),
        ("http://127.0.0.1/*", "http://127.0.0.1/callback?x=1", True),
        ("http://127.0.0.1/*", "http://127.0.0.1.evil.test/x", False),
        ("http://127.0.0.1/*", "http://127.0.0.1:80@evil.test/x", False),
        ("http://127.0.0.1/*", "http://127.0.0.1:8080", False),
        ("http://127.0.0.1/*", "http://localhost:8080/x", False),
        ("http://127.0.0.1/*", "https://127.0.0.1:8080/x", False),
        ("http://127.0.0.1/*", "http://127.0.0.1:8080/a/../b", False),
        ("http://127.0.0.1/*", "http://127.0.0.1:8080/a/%2e%2e/b", False),
        ("http://127.0.0.1/*", "http://127.0.0.1:8080/a#f", False),
        ("http://127.0.0.1/*", "http://127.0.0.1:8080/\\evil.test", False),
        ("https://city.test/console/callback", "https://city.test/console/callback", True),
        ("https://city.test/console/callback", "https://city.test/console/callback/", False),
        ("https://city.test/console/callback", "https://city.test/console/callback?a=b", False),
        ("https://city.test/console/callback", "https://city.test:8443/console/callback", False),
        ("https://city.test/console/*", "https://city.test/consoles", False),
        ("http://127.0.0.1/*", "javascript:alert(1)", False),
        ("http://127.0.0.1/*", "http://[::1", False),
        ("http://127.0.0.1/*", "", False),
    ],
)
def test_redirect_addresses(registered: str, asked: str, allowed: bool) -> None:
    assert allows([registered], asked) is allowed


async def test_a_code_becomes_a_session(http: httpx.AsyncClient) -> None:
    back = await log_in(http)
    assert (back["state"], back["iss"]) == ("st&te", f"{BASE}/realms/plaza")
    answer = await exchange(http, back["code"])
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    told = _payload(tokens["id_token"])
    assert (told["nonce"], told["aud"], told["azp"]) == ("n1", "plaza-console", "plaza-console")
    access = _payload(tokens["access_token"])
    assert (access["aud"], access["organization"], access["sub"]) == ("plaza", ["ecology"], told["sub"])
    form = {"grant_type": "refresh_token", "client_id": "plaza-console"}
    again = await http.post(f"{PROTOCOL}/token", data=form | {"refresh_token": tokens["refresh_token"]})
    assert again.status_code == 200


async def test_a_code_is_good_once_and_its_second_use_ends_the_session(http: httpx.AsyncClient) -> None:
    code = (await log_in(http))["code"]
    tokens = (await exchange(http, code)).json()
    second = await exchange(http, code)
    assert (second.status_code, second.json()["error"]) == (400, "invalid_grant")
    form = {"grant_type": "refresh_token", "client_id": "plaza-console"}
    again = await http.post(f"{PROTOCOL}/token", data=form | {"refresh_token": tokens["refresh_token"]})
    assert again.json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code_verifier": "w" * 64}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"redirect_uri": "http://127.0.0.1:18080/other"}, "invalid_grant"),
        ({"client_id": "plaza-cli"}, "unauthorized_client"),
        ({"code": "x"}, "invalid_grant"),
    ],
)
async def test_a_code_belongs_to_its_request(
    http: httpx.AsyncClient, changed: dict[str, str], error: str
) -> None:
    code = (await log_in(http))["code"]
    answer = await exchange(http, **({"code": code} | changed))
    assert (answer.status_code, answer.json()["error"]) == (400, error)


async def test_a_code_expires(http: httpx.AsyncClient, clock: Clock) -> None:
    code = (await log_in(http))["code"]
    clock.now += CODE_SECONDS
    assert (await exchange(http, code)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "nobody"},
        {"client_id": "plaza-cli"},
        {"redirect_uri": "https://evil.test/console/callback"},
        {"redirect_uri": ""},
    ],
)
async def test_whom_it_cannot_trust_it_sends_nowhere(
    http: httpx.AsyncClient, changed: dict[str, str]
) -> None:
    answer = await http.get(f"{PROTOCOL}/auth", params=ASKED | changed)
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert 'href="https://evil.test' not in answer.text


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"scope": "openid everything"}, "invalid_scope"),
    ],
)
async def test_a_wrong_request_is_told_to_the_client(
    http: httpx.AsyncClient, changed: dict[str, str], error: str
) -> None:
    answer = await http.get(f"{PROTOCOL}/auth", params=ASKED | changed)
    told = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    assert (answer.status_code, told["error"], told["state"]) == (303, error, "st&te")


async def test_the_page_takes_no_form_of_strangers_and_no_wrong_password(http: httpx.AsyncClient) -> None:
    page = await http.get(f"{PROTOCOL}/auth", params=ASKED | {"ui_locales": "en"})
    assert "Log in with your department account" in page.text
    policy = page.headers["content-security-policy"]
    assert "form-action 'self' http://127.0.0.1:18080;" in policy
    assert "script-src" not in policy
    wrong = await send(http, page, username="ecology-officer", password="plaza-demO")
    assert wrong.status_code == 400
    assert 'aria-invalid="true"' in wrong.text
    http.cookies.clear()
    stranger = await send(http, page, username="ecology-officer", password="plaza-demo")
    assert stranger.status_code == 403
    assert "location" not in stranger.headers


async def test_log_out_ends_the_session_and_leads_back(http: httpx.AsyncClient) -> None:
    tokens = (await exchange(http, (await log_in(http))["code"])).json()
    after = "http://127.0.0.1:18080/console/"
    asked = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": after, "state": "s"}
    out = await http.get(f"{PROTOCOL}/logout", params=asked)
    assert (out.status_code, out.headers["location"]) == (302, f"{after}?state=s")
    form = {"grant_type": "refresh_token", "client_id": "plaza-console"}
    again = await http.post(f"{PROTOCOL}/token", data=form | {"refresh_token": tokens["refresh_token"]})
    assert again.json()["error"] == "invalid_grant"


async def test_a_program_ends_its_session_with_the_refresh_token(http: httpx.AsyncClient) -> None:
    tokens = (await exchange(http, (await log_in(http))["code"])).json()
    form = {"client_id": "plaza-cli", "refresh_token": tokens["refresh_token"]}
    assert (await http.post(f"{PROTOCOL}/logout", data=form)).status_code == 400
    ended = await http.post(f"{PROTOCOL}/logout", data=form | {"client_id": "plaza-console"})
    assert ended.status_code == 204
    refresh = form | {"client_id": "plaza-console", "grant_type": "refresh_token"}
    assert (await http.post(f"{PROTOCOL}/token", data=refresh)).json()["error"] == "invalid_grant"


async def test_log_out_leads_to_no_strange_place(http: httpx.AsyncClient) -> None:
    asked = {"client_id": "plaza-console", "post_logout_redirect_uri": "https://evil.test/"}
    out = await http.get(f"{PROTOCOL}/logout", params=asked)
    assert out.status_code == 400
    assert "location" not in out.headers
    assert (await http.get(f"{PROTOCOL}/logout")).status_code == 200
