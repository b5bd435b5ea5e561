"""The two that say who somebody is: the development issuer, and a real Keycloak whose realm the operator's reconciler
has made. One face for both, so that the same tests hold them to the same promises.

Keycloak: `PLAZA_TEST_KEYCLOAK` is its address, `PLAZA_TEST_KEYCLOAK_USERNAME` and `_PASSWORD` its administrator; with
`PLAZA_E2E_CLUSTER=1` that of the cluster. The tests make a realm of their own there and delete it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import cluster
import httpx
import pytest
import uvicorn
from keycloak_pages import People
from plaza_issuer.app import create_app
from plaza_issuer.keys import SigningKey
from plaza_issuer.realm import load_realm
from plaza_issuer.settings import IssuerSettings
from plaza_issuer.store import Store
from plaza_kit.identity import TokenVerifier
from plaza_kit.identity.realm_file import REALM_FILE, required_variables, secret_variable
from plaza_operator.domain.errors import KeycloakUnavailable
from plaza_operator.domain.spec import Department, parse
from plaza_operator.external.keycloak import Keycloak, Missing
from plaza_operator.owned import identity
from plaza_operator.realm.definition import RealmDefinition, define
from plaza_operator.realm.keeping import ensure_realm

SECRETS = {name: f"secret-of-{name.lower()}" for name in required_variables()}
CALLBACK = "http://127.0.0.1:8080/console/callback"
ON_KEYCLOAK = pytest.mark.parametrize("server", ["keycloak"], indirect=True)
"""Of tests about what only Keycloak has."""
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SCOPE = "openid organization:*"
OURS = frozenset(
    {
        "city-administrator",
        "auditor",
        "data-officer",
        "steward",
        "reader",
        "department-machine",
        "plaza-service",
    }
)
"""Roles that mean something to Plaza; Keycloak gives some of its own beside."""
_PEOPLE = {
    "ecology-officer": ("林清源", "ecology", "officers"),
    "ecology-reader": ("何雨桐", "ecology", "readers"),
    "health-officer": ("陈怀安", "health", "officers"),
}
_ADMINISTRATOR = "bureau-admin"
_PATIENCE_SECONDS = 240

Tokens = dict[str, Any]


@dataclass
class Server(ABC):
    """A realm that answers, and whoever administers it."""

    issuer: str
    people: People
    http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(trust_env=False, timeout=30))

    async def post(self, endpoint: str, **form: str) -> httpx.Response:
        """A form for one of the protocol's endpoints."""
        return await self.http.post(f"{self.issuer}/protocol/openid-connect/{endpoint}", data=form)

    async def log_in(self, person: str, password: str = "") -> Tokens:
        """As the command does it: device flow, the browser confirms (RFC 8628). Raises keycloak_pages.Stopped."""
        device = (await self.post("auth/device", client_id="plaza-cli", scope=SCOPE)).json()
        await asyncio.to_thread(
            self.people.confirm_device, device["verification_uri_complete"], person, password
        )
        return await self.poll(device)

    async def poll(self, device: dict[str, Any]) -> Tokens:
        """What the device is told now."""
        answer = await self.post(
            "token", grant_type=DEVICE_GRANT, client_id="plaza-cli", device_code=device["device_code"]
        )
        return dict(answer.json())

    async def refresh(self, token: str) -> Tokens:
        """The session goes on, or the reason why not."""
        answer = await self.post(
            "token", grant_type="refresh_token", client_id="plaza-cli", refresh_token=token
        )
        return dict(answer.json())

    def secret(self, client_id: str) -> str:
        """Of a client."""
        return SECRETS[secret_variable(client_id)]

    async def client_token(self, client_id: str) -> httpx.Response:
        """A client for itself (RFC 6749, 4.4)."""
        return await self.post(
            "token",
            grant_type="client_credentials",
            client_id=client_id,
            client_secret=self.secret(client_id),
        )

    @abstractmethod
    async def set_open(self, name: str, is_open: bool) -> None:
        """Closes or opens the account of a person, by log-in name, or a client."""

    @abstractmethod
    async def rotate_key(self) -> None:
        """From now on another key signs; the one before stays published."""

    @property
    @abstractmethod
    def foreign_issuer(self) -> str:
        """Of another realm."""

    @abstractmethod
    async def foreign_token(self) -> str:
        """An access token of that other realm."""


@asynccontextmanager
async def verifying(issuer: str, audience: str = "plaza", **options: Any) -> AsyncIterator[TokenVerifier]:
    """The verifier of every service."""
    verifier = TokenVerifier(issuer, audience, **options)
    try:
        yield verifier
    finally:
        await verifier.aclose()


# The development issuer


class _Uvicorn(uvicorn.Server):
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


@dataclass
class Development(Server):
    """The development issuer, in this process, on a port of its own."""

    home: Path = Path()
    other: Development | None = None

    @classmethod
    @asynccontextmanager
    async def running(cls, home: Path) -> AsyncIterator[Self]:
        """One, and another beside it, which is the other realm."""
        async with cls._one(home / "one") as issuer, cls._one(home / "other") as other:
            issuer.other = other
            yield issuer

    @classmethod
    @asynccontextmanager
    async def _one(cls, home: Path) -> AsyncIterator[Self]:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            port = listening.getsockname()[1]
            app = create_app(IssuerSettings(home=home, issuer_port=port), load_realm(environ=SECRETS))
            server = _Uvicorn(uvicorn.Config(app, log_level="warning", lifespan="on"))
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            await asyncio.wait_for(server.up.wait(), 30)
            issuer = cls(f"http://127.0.0.1:{port}/realms/plaza", People("plaza-demo"), home=home)
            try:
                yield issuer
            finally:
                await issuer.http.aclose()
                server.should_exit = True
                await serving

    async def set_open(self, name: str, is_open: bool) -> None:
        store = Store(self.home / "issuer")
        with store.transaction():
            store.set_closed(name, not is_open, time.time())
        store.close()

    async def rotate_key(self) -> None:
        SigningKey.kept_in(self.home / "issuer").rotate()

    @property
    def foreign_issuer(self) -> str:
        assert self.other is not None
        return self.other.issuer

    async def foreign_token(self) -> str:
        assert self.other is not None
        return str((await self.other.client_token("plaza-gateway")).json()["access_token"])


# Keycloak


@dataclass(frozen=True)
class Administrator:
    """Of a Keycloak, and where it is."""

    url: str
    username: str
    password: str


@dataclass
class City(Server):
    """A realm of its own in a real Keycloak, made and kept by the operator's reconciler."""

    keycloak: Keycloak = field(kw_only=True)
    definition: RealmDefinition = field(kw_only=True)
    administrator: Administrator = field(kw_only=True)

    @classmethod
    @asynccontextmanager
    async def made(cls, administrator: Administrator) -> AsyncIterator[Self]:
        """The realm with two departments and a few people; deleted at the end."""
        name = f"plaza-test-{secrets.token_hex(4)}"
        keycloak = Keycloak(
            administrator.url,
            name,
            admin_realm="master",
            client_id="admin-cli",
            username=administrator.username,
            password=administrator.password,
        )
        wanted = define(
            REALM_FILE.read_text(encoding="utf-8"),
            SECRETS,
            name=name,
            console_urls=["http://127.0.0.1:8080/*"],
            second_factor=True,
        )
        city = cls(
            f"{administrator.url}/realms/{name}",
            People("plaza-demo-in-a-cluster"),
            keycloak=keycloak,
            definition=wanted,
            administrator=administrator,
        )
        try:
            await patiently(lambda: ensure_realm(keycloak, wanted))
            for name in ("ecology", "health"):
                department, secret = _department(name), city.secret(f"{name}-worker")
                await identity.ensure(keycloak, department, secret, "plaza.example")
            for person, (title, department, group) in _PEOPLE.items():
                await city._person(person, title, department, group)
            await city._person(_ADMINISTRATOR, "管理员", "", "")
            yield city
        finally:
            with suppress(Missing):
                await patiently(lambda: keycloak.delete(""))
            await keycloak.close()
            await city.http.aclose()

    async def _person(self, name: str, title: str, department: str, group: str) -> None:
        made = await self.keycloak.post(
            "users",
            {
                "username": name,
                "enabled": True,
                "email": f"{name}@{department or 'data-bureau'}.plaza.example",
                "emailVerified": True,
                "attributes": {"displayName": [title]},
                "credentials": [{"type": "password", "value": self.people.password, "temporary": False}],
            },
        )
        if not department:
            role = await self.keycloak.get("roles/city-administrator")
            await self.keycloak.post(f"users/{made}/role-mappings/realm", [role])
            return
        (organization,) = [
            one for one in await self.keycloak.get("organizations") if one["alias"] == department
        ]
        await self.keycloak.post(f"organizations/{organization['id']}/members", made)
        (whole,) = await self.keycloak.get("groups", search=_department(department).group, exact="true")
        children = await self.keycloak.get(f"groups/{whole['id']}/children")
        (mine,) = [one for one in children if one["name"] == group]
        await self.keycloak.put(f"users/{made}/groups/{mine['id']}", {})

    async def user(self, name: str) -> dict[str, Any]:
        """A person as the admin API shows them."""
        (found,) = await self.keycloak.get("users", username=name, exact="true")
        return dict(found)

    async def client(self, client_id: str) -> dict[str, Any]:
        """A client as the admin API shows it."""
        (found,) = await self.keycloak.get("clients", clientId=client_id)
        return dict(found)

    async def set_open(self, name: str, is_open: bool) -> None:
        if found := await self.keycloak.get("clients", clientId=name):
            await self.keycloak.put(f"clients/{found[0]['id']}", {**found[0], "enabled": is_open})
            return
        user = await self.user(name)
        await self.keycloak.put(f"users/{user['id']}", {**user, "enabled": is_open})

    async def rotate_key(self) -> None:
        realm = await self.keycloak.get("")
        config = {"priority": "200", "enabled": "true", "active": "true", "keySize": "2048"}
        key = {
            "name": f"rsa-{secrets.token_hex(2)}",
            "parentId": realm["id"],
            "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "config": {name: [value] for name, value in config.items()},
        }
        await patiently(lambda: self.keycloak.post("components", key))

    @property
    def foreign_issuer(self) -> str:
        return f"{self.issuer.rpartition('/')[0]}/master"

    async def foreign_token(self) -> str:
        answer = await self.http.post(
            f"{self.foreign_issuer}/protocol/openid-connect/token",
            data={
                "grant_type": "password",
                "client_id": "admin-cli",
                "username": self.administrator.username,
                "password": self.administrator.password,
            },
        )
        return str(answer.json()["access_token"])


async def patiently(act: Callable[[], Awaitable[object]]) -> None:
    """Making and deleting a realm may take Keycloak longer than the operator waits: it tries again, and so do we."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            await act()
            return
        except KeycloakUnavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(2)


def _department(name: str) -> Department:
    titles = {"ecology": ("生态环境局", "Ecology and Environment"), "health": ("卫生健康委", "Health")}
    zh, en = titles[name]
    return parse(
        {
            "metadata": {"name": name, "uid": f"uid-{name}", "generation": 1},
            "spec": {"displayName": {"zh": zh, "en": en}},
        }
    )


def _administrator() -> Administrator:
    """Skips loudly where there is none; fails with `PLAZA_REQUIRE_KEYCLOAK=1`."""
    if url := os.environ.get("PLAZA_TEST_KEYCLOAK", ""):
        name, password = (os.environ[f"PLAZA_TEST_KEYCLOAK_{what}"] for what in ("USERNAME", "PASSWORD"))
        return Administrator(url.rstrip("/"), name, password)
    if cluster.wanted():
        installed = cluster.Cluster(Path())
        name, password = (installed.secret("plaza-dev-keycloak", key) for key in ("username", "password"))
        return Administrator(installed.keycloak, name, password)
    reason = "NO KEYCLOAK, NOT RUN: set PLAZA_TEST_KEYCLOAK, PLAZA_TEST_KEYCLOAK_USERNAME and _PASSWORD"
    if os.environ.get("PLAZA_REQUIRE_KEYCLOAK") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@asynccontextmanager
async def keycloak() -> AsyncIterator[City]:
    """That of the environment, or that of the cluster."""
    async with City.made(_administrator()) as city:
        yield city
