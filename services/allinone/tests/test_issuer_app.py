"""The issuer without a socket: what it publishes, whom it refuses, and the log-in page step by step."""

from __future__ import annotations

import json
import re
import shutil
import stat
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from plaza_design.i18n import Language
from plaza_issuer.app import create_app
from plaza_issuer.keys import BadSigningKey, SigningKey
from plaza_issuer.loopback import NotLoopback, require_loopback
from plaza_issuer.pages import CONTENT_SECURITY_POLICY, normalised
from plaza_issuer.realm import load_realm, required_variables
from plaza_issuer.settings import IssuerSettings
from plaza_issuer.store import Store, StoreTooNew

REALM = load_realm(environ=dict.fromkeys(required_variables(), "secret"))
BASE = "http://127.0.0.1:8081"
PAGES = "/realms/plaza/device"
PROTOCOL = "/realms/plaza/protocol/openid-connect"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class Clock:
    now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One key for all tests here: making one takes longer than most of them."""
    directory = tmp_path_factory.mktemp("key")
    SigningKey.kept_in(directory)
    return directory / "signing-key.json"


@pytest.fixture
def app(tmp_path: Path, key_file: Path, clock: Clock) -> Any:
    (tmp_path / "issuer").mkdir()
    shutil.copy(key_file, tmp_path / "issuer")
    return create_app(IssuerSettings(home=tmp_path), REALM, clock=clock)


@pytest.fixture
async def http(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 50000))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


async def post(http: httpx.AsyncClient, endpoint: str, **form: str) -> httpx.Response:
    return await http.post(f"{PROTOCOL}/{endpoint}", data=form)


async def password_login(http: httpx.AsyncClient, **more: str) -> dict[str, Any]:
    person = {"grant_type": "password", "client_id": "plaza-cli", "username": "ecology-officer"}
    answer = await post(http, "token", **(person | {"password": "plaza-demo"} | more))
    assert answer.status_code == 200, answer.text
    return answer.json()


# What is published


async def test_discovery_names_only_what_answers(http: httpx.AsyncClient) -> None:
    document = (await http.get("/realms/plaza/.well-known/openid-configuration")).json()
    assert document["issuer"] == f"{BASE}/realms/plaza"
    endpoints = {k: v for k, v in document.items() if k.endswith(("_endpoint", "_uri"))}
    assert set(endpoints) == {
        "authorization_endpoint",
        "end_session_endpoint",
        "token_endpoint",
        "device_authorization_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
        "revocation_endpoint",
    }
    for address in endpoints.values():
        assert address.startswith(f"{BASE}{PROTOCOL}/")
        assert (await http.request("POST", address)).status_code in (400, 401, 405)
    assert (await http.get("/openapi.json")).status_code == 404


async def test_the_key_set_holds_the_public_half_only(http: httpx.AsyncClient, tmp_path: Path) -> None:
    (key,) = (await http.get(f"{PROTOCOL}/certs")).json()["keys"]
    assert set(key) == {"kty", "n", "e", "kid", "use", "alg"}
    path = tmp_path / "issuer" / "signing-key.json"
    assert json.loads(path.read_text())["n"] == key["n"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "issuer" / "sessions.sqlite3").stat().st_mode) == 0o600


# Whom it refuses


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "plaza.city.example", "", "127.0.0.1.evil"])
def test_no_address_but_loopback(host: str, tmp_path: Path) -> None:
    with pytest.raises(NotLoopback, match="does not listen"):
        create_app(IssuerSettings(home=tmp_path, issuer_host=host), REALM)
    assert not (tmp_path / "issuer").exists()


def test_loopback_addresses() -> None:
    assert [require_loopback(h) for h in ("localhost", "127.0.0.1", "127.8.8.8", "::1")] == [
        "127.0.0.1",
        "127.0.0.1",
        "127.8.8.8",
        "::1",
    ]


async def test_a_caller_from_elsewhere_gets_nothing_even_when_the_app_is_served_openly(app: Any) -> None:
    for client, base in ((("192.168.1.9", 1), BASE), (("127.0.0.1", 1), "http://192.168.1.5:8081")):
        transport = httpx.ASGITransport(app, client=client)
        async with httpx.AsyncClient(transport=transport, base_url=base) as http:
            assert (await http.get(f"{PROTOCOL}/certs")).status_code == 403


async def test_a_strangers_name_for_this_machine_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"{PROTOCOL}/certs", headers={"host": "rebound.example:8081"})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_id": "plaza-cli"}, 400, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "client_id": "plaza-cli"}, 400, "unauthorized_client"),
        ({"grant_type": "password", "client_id": "plaza-cli"}, 400, "invalid_request"),
        ({"grant_type": "password", "client_id": "plaza-console"}, 400, "unauthorized_client"),
        ({"grant_type": "client_credentials", "client_id": "plaza-cli"}, 401, "invalid_client"),
        (
            {"grant_type": "client_credentials", "client_id": "nobody", "client_secret": "x"},
            400,
            "invalid_client",
        ),
        (
            {"grant_type": "client_credentials", "client_id": "plaza-gateway", "client_secret": "x"},
            401,
            "invalid_client",
        ),
        ({"grant_type": DEVICE_GRANT, "client_id": "plaza-cli", "device_code": "x"}, 400, "invalid_grant"),
        (
            {"grant_type": "refresh_token", "client_id": "plaza-cli", "refresh_token": "x"},
            400,
            "invalid_grant",
        ),
    ],
)
async def test_token_refusals(http: httpx.AsyncClient, form: dict[str, str], status: int, error: str) -> None:
    answer = await post(http, "token", **form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["cache-control"] == "no-store"


async def test_a_password_for_a_service_client_is_not_taken(http: httpx.AsyncClient) -> None:
    form = {"grant_type": "password", "username": "ecology-officer", "password": "plaza-demo"}
    answer = await post(http, "token", **form, client_id="plaza-gateway", client_secret="secret")
    assert answer.json()["error"] in ("invalid_client", "unauthorized_client")


async def test_repeated_parameters_and_other_bodies_are_refused(http: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    for body in (b"grant_type=password&grant_type=refresh_token", b"a=%ff", b"x=" + b"y" * 70_000):
        answer = await http.post(f"{PROTOCOL}/token", content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    answer = await http.post(f"{PROTOCOL}/token", json={"grant_type": "password"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_unknown_scopes_are_refused(http: httpx.AsyncClient) -> None:
    answer = await post(http, "auth/device", client_id="plaza-cli", scope='openid admin"\\')
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    answer = await post(http, "auth/device", client_id="plaza-console")
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")


async def test_the_lock_after_ten_wrong_passwords_says_how_long(
    http: httpx.AsyncClient, clock: Clock
) -> None:
    form = {"grant_type": "password", "client_id": "plaza-cli", "username": "ecology-officer"}
    for _ in range(10):
        answer = await post(http, "token", **form, password="guess")
        assert (answer.status_code, answer.json()["error_description"]) == (401, "Invalid user credentials")
    answer = await post(http, "token", **form, password="plaza-demo")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_grant")
    assert "60 s" in answer.json()["error_description"]
    clock.now += 60
    await password_login(http)


# Sessions


async def test_userinfo_for_a_living_session_only(http: httpx.AsyncClient, clock: Clock) -> None:
    tokens = await password_login(http, scope="openid organization:*")
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    answer = await http.get(f"{PROTOCOL}/userinfo", headers=bearer)
    assert answer.json() == {
        "sub": REALM.by_username["ecology-officer"].id,
        "preferred_username": "ecology-officer",
        "name": "林清源",
        "organization": ["ecology"],
    }
    assert (await http.get(f"{PROTOCOL}/userinfo")).headers["www-authenticate"] == "Bearer"
    identity = {"authorization": f"Bearer {tokens['id_token']}"}
    assert (await http.get(f"{PROTOCOL}/userinfo", headers=identity)).status_code == 401
    without = await password_login(http)
    bare = {"authorization": f"Bearer {without['access_token']}"}
    assert (await http.get(f"{PROTOCOL}/userinfo", headers=bare)).status_code == 403
    await post(http, "revoke", client_id="plaza-cli", token=tokens["refresh_token"])
    assert (await http.get(f"{PROTOCOL}/userinfo", headers=bearer)).status_code == 401
    clock.now += 301
    assert (await http.get(f"{PROTOCOL}/userinfo", headers=bare)).status_code == 401


async def refresh(http: httpx.AsyncClient, token: str, **more: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "client_id": "plaza-cli", "refresh_token": token}
    return await post(http, "token", **(form | more))


async def test_a_session_ends_when_idle_and_at_its_end(http: httpx.AsyncClient, clock: Clock) -> None:
    idle = (await password_login(http))["refresh_token"]
    clock.now += REALM.lifetimes.session_idle
    assert (await refresh(http, idle)).json()["error"] == "invalid_grant"
    token, began = (await password_login(http))["refresh_token"], clock.now
    while clock.now + 40_000 < began + REALM.lifetimes.session_max:
        clock.now += 40_000
        token = (await refresh(http, token)).json()["refresh_token"]
    clock.now = began + REALM.lifetimes.session_max
    assert (await refresh(http, token)).json()["error"] == "invalid_grant"


async def test_a_refresh_cannot_widen_the_scope_nor_change_the_client(http: httpx.AsyncClient) -> None:
    token = (await password_login(http))["refresh_token"]
    assert (await refresh(http, token, scope="openid")).json()["error"] == "invalid_scope"
    assert (await refresh(http, token, client_id="plaza-console")).status_code == 400
    answer = await refresh(http, token, scope="profile")
    assert answer.status_code == 200, "the refused attempts did not spend it"


async def test_revocation(http: httpx.AsyncClient) -> None:
    token = (await password_login(http))["refresh_token"]
    assert (await post(http, "revoke", client_id="plaza-cli")).json()["error"] == "invalid_request"
    hint = await post(http, "revoke", client_id="plaza-cli", token=token, token_type_hint="access_token")
    assert hint.json()["error"] == "unsupported_token_type"
    other = await post(http, "revoke", client_id="plaza-console", token=token)
    assert other.json()["error"] == "invalid_grant"
    assert (await post(http, "revoke", client_id="plaza-cli", token="unknown")).status_code == 200
    assert (await post(http, "revoke", client_id="plaza-cli", token=token)).status_code == 200
    assert (await refresh(http, token)).json()["error"] == "invalid_grant"


async def test_tokens_are_not_kept_in_the_clear(http: httpx.AsyncClient, tmp_path: Path) -> None:
    tokens = await password_login(http)
    device = (await post(http, "auth/device", client_id="plaza-cli")).json()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "issuer").glob("sessions*"))
    assert tokens["session_state"].encode() in kept
    for secret in (tokens["refresh_token"], tokens["access_token"], device["device_code"]):
        assert secret.encode() not in kept


# Polling


async def poll(http: httpx.AsyncClient, code: str) -> str:
    form = {"grant_type": DEVICE_GRANT, "client_id": "plaza-cli", "device_code": code}
    answer = await post(http, "token", **form)
    return "granted" if answer.status_code == 200 else answer.json()["error"]


async def test_polling_too_fast_slows_down_and_adds_five_seconds(
    http: httpx.AsyncClient, clock: Clock
) -> None:
    device = (await post(http, "auth/device", client_id="plaza-cli")).json()
    assert (device["interval"], device["expires_in"]) == (5, 600)
    code = device["device_code"]
    assert await poll(http, code) == "authorization_pending"
    clock.now += 4
    assert await poll(http, code) == "slow_down"
    clock.now += 9
    assert await poll(http, code) == "slow_down"
    clock.now += 15
    assert await poll(http, code) == "authorization_pending"
    clock.now += 600
    assert await poll(http, code) == "expired_token"


# The page


class Page(HTMLParser):
    """What a reader and a browser find: ids, fields, links, and whether labels have their inputs."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def field(self, name: str) -> dict[str, str | None]:
        return next(f for f in self.all("input") if f.get("name") == name)

    @property
    def hidden(self) -> dict[str, str]:
        return {str(f["name"]): str(f["value"]) for f in self.all("input") if f.get("type") == "hidden"}

    @property
    def action(self) -> str:
        return str(self.all("form")[0]["action"])


async def waiting_code(http: httpx.AsyncClient) -> dict[str, Any]:
    return (await post(http, "auth/device", client_id="plaza-cli", scope="openid organization:*")).json()


async def send(http: httpx.AsyncClient, page: Page, **fields: str) -> httpx.Response:
    return await http.post(page.action, data=page.hidden | fields)


async def open_login(http: httpx.AsyncClient, device: dict[str, Any]) -> Page:
    code_page = Page((await http.get(device["verification_uri_complete"])).text)
    assert code_page.field("user_code")["value"] == device["user_code"], "prefilled"
    answer = await send(http, code_page, user_code=device["user_code"].lower().replace("-", " "))
    assert answer.status_code == 303
    return Page((await http.get(answer.headers["location"])).text)


async def open_consent(http: httpx.AsyncClient, device: dict[str, Any]) -> Page:
    login = await open_login(http, device)
    answer = await send(http, login, username="ecology-officer", password="plaza-demo")
    assert answer.status_code == 303
    return Page((await http.get(answer.headers["location"])).text)


@pytest.mark.parametrize(("decision", "outcome"), [("allow", "granted"), ("deny", "access_denied")])
async def test_the_whole_way(http: httpx.AsyncClient, decision: str, outcome: str) -> None:
    device = await waiting_code(http)
    consent = await open_consent(http, device)
    answer = await send(http, consent, decision=decision)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{PAGES}/done?decision={decision}")
    assert (await http.get(answer.headers["location"])).status_code == 200
    assert await poll(http, device["device_code"]) == outcome
    assert await poll(http, device["device_code"]) == ("invalid_grant" if decision == "allow" else outcome)


async def test_the_consent_names_who_and_which_code(http: httpx.AsyncClient) -> None:
    device = await waiting_code(http)
    login = await open_login(http, device)
    answer = await send(http, login, username="ecology-officer", password="plaza-demo")
    text = (await http.get(answer.headers["location"])).text
    for fact in ("林清源", "生态环境局", device["user_code"], "允许这台电脑上的 plaza 命令以您的身份工作？"):
        assert fact in text


async def test_a_decision_needs_this_browsers_log_in(http: httpx.AsyncClient, app: Any) -> None:
    device = await waiting_code(http)
    consent = await open_consent(http, device)
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 50001))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as stranger:
        answer = await send(stranger, consent, decision="allow")
        assert answer.headers["location"].startswith(f"{PAGES}/login")
    answer = await http.post(consent.action, data={"user_code": device["user_code"], "decision": "allow"})
    assert answer.status_code == 403, "a form that we did not show"
    assert await poll(http, device["device_code"]) == "authorization_pending"


async def test_the_log_in_is_for_one_code_and_one_decision(http: httpx.AsyncClient) -> None:
    first, second = await waiting_code(http), await waiting_code(http)
    consent = await open_consent(http, first)
    answer = await send(http, consent, user_code=second["user_code"], decision="allow")
    assert answer.headers["location"].startswith(f"{PAGES}/login")
    await send(http, consent, decision="allow")
    assert (await send(http, consent, decision="allow")).headers["location"].startswith(f"{PAGES}/login")
    assert await poll(http, second["device_code"]) == "authorization_pending"


async def test_the_cookie_changes_at_log_in_and_is_kept_from_scripts_and_strangers(
    http: httpx.AsyncClient,
) -> None:
    device = await waiting_code(http)
    login = await open_login(http, device)
    before = http.cookies["plaza_device"]
    answer = await send(http, login, username="ecology-officer", password="plaza-demo")
    assert http.cookies["plaza_device"] != before
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert f"path={PAGES}" in cookie


@pytest.mark.parametrize(
    ("typed", "wrong", "said"),
    [
        ({"username": "", "password": ""}, ["username", "password"], "填写登录名"),
        ({"username": "ecology-officer", "password": ""}, ["password"], "填写密码"),
        ({"username": "ecology-officer", "password": "no"}, ["password"], "核对登录名和密码"),
        ({"username": "nobody", "password": "no"}, ["password"], "核对登录名和密码"),
    ],
)
async def test_errors_stand_at_the_field_and_in_the_summary(
    http: httpx.AsyncClient, typed: dict[str, str], wrong: list[str], said: str
) -> None:
    answer = await send(http, await open_login(http, await waiting_code(http)), **typed)
    page = Page(answer.text)
    assert answer.status_code == 400
    assert said in answer.text
    assert [f["name"] for f in page.all("input") if f.get("aria-invalid")] == wrong
    for name in wrong:
        described = str(page.field(name)["aria-describedby"]).split()
        assert set(described) <= {a.get("id") for _, a in page.tags}
        assert f"#{name}" in [a.get("href") for a in page.all("a")]
    assert page.field("username")["value"] == typed["username"]
    assert not page.field("password")["value"], "a password is never sent back"


async def test_the_page_says_how_long_the_lock_lasts(http: httpx.AsyncClient) -> None:
    login = await open_login(http, await waiting_code(http))
    for _ in range(10):
        await send(http, login, username="ecology-officer", password="no")
    answer = await send(http, login, username="ecology-officer", password="plaza-demo")
    assert "60 秒后再试" in answer.text


async def test_a_code_that_nobody_waits_with(http: httpx.AsyncClient, clock: Clock) -> None:
    page = Page((await http.get(PAGES)).text)
    for typed in ("", "BCDF-GHJK", "<script>"):
        answer = await send(http, page, user_code=typed)
        assert answer.status_code == 400
        assert Page(answer.text).field("user_code")["aria-invalid"] == "true"
        assert "<script" not in answer.text
    device = await waiting_code(http)
    login = await open_login(http, device)
    clock.now += 600
    answer = await send(http, login, username="ecology-officer", password="plaza-demo")
    assert answer.headers["location"].startswith(f"{PAGES}?user_code=")


@pytest.mark.parametrize("step", ["/login", "/allow"])
async def test_steps_cannot_be_skipped(http: httpx.AsyncClient, step: str) -> None:
    device = await waiting_code(http)
    assert (await http.get(f"{PAGES}{step}?user_code=NONE-NONE")).status_code == 303
    if step == "/allow":
        answer = await http.get(f"{PAGES}/allow?user_code={device['user_code']}")
        assert answer.headers["location"].startswith(f"{PAGES}/login")


@pytest.mark.parametrize(
    ("query", "header", "language", "title"),
    [
        ("", "", "zh-CN", "登录 plaza 命令"),
        ("", "en-GB,en;q=0.9", "en", "Log in to the plaza command"),
        ("?lang=en", "zh-CN", "en", "Log in to the plaza command"),
        ("?lang=zh-CN", "en", "zh-CN", "登录 plaza 命令"),
    ],
)
async def test_two_languages(
    http: httpx.AsyncClient, query: str, header: str, language: str, title: str
) -> None:
    answer = await http.get(f"{PAGES}{query}", headers={"accept-language": header})
    page = Page(answer.text)
    assert page.all("html")[0]["lang"] == language
    assert f"<h1>{title}</h1>" in answer.text
    switch = next(a for a in page.all("a") if a.get("hreflang"))
    assert switch["hreflang"] == switch["lang"] == Language(language).other
    assert f"lang={language}" in page.action, "the language goes on to the next step"


async def test_every_page_is_strict_and_loads_only_what_exists(http: httpx.AsyncClient) -> None:
    device = await waiting_code(http)
    for path in (f"{PAGES}?user_code=x", f"{PAGES}/login?user_code={device['user_code']}", f"{PAGES}/done"):
        answer = await http.get(path)
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert "script" not in CONTENT_SECURITY_POLICY
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        page = Page(answer.text)
        assert not page.all("script")
        assert not [a for _, a in page.tags if "style" in a or any(name.startswith("on") for name in a)]
        assert len(page.all("h1")) == 1
        labelled = {label["for"] for label in page.all("label")}
        assert {f["id"] for f in page.all("input") if f.get("type") != "hidden"} == labelled
        for link in page.all("link"):
            asset = await http.get(str(link["href"]))
            assert asset.status_code == 200
            assert "immutable" in asset.headers["cache-control"]
    assert (await http.get("/static/0000000000000000/plaza.css")).status_code == 404


def test_a_typed_code_is_read_as_it_was_shown() -> None:
    for typed in ("bcdfghjk", "BCDF-GHJK", " bcdf ghjk ", "b-c-d-f-g-h-j-k"):
        assert normalised(typed) == "BCDF-GHJK"
    assert normalised("") == ""
    assert re.fullmatch(r"[A-Z]{4}-[A-Z]{0,12}", normalised("x" * 500))


# What is on disk


def test_a_broken_key_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "signing-key.json").write_text("{}")
    with pytest.raises(BadSigningKey, match=r"signing-key\.json"):
        SigningKey.kept_in(tmp_path)


def test_a_file_of_a_later_release_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store._db.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(StoreTooNew, match="version 99"):
        Store(tmp_path)
