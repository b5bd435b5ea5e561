"""Keycloak's admin API through python-keycloak's connection: one token, few requests at a time, our own errors."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import httpx
from keycloak import KeycloakOpenIDConnection
from keycloak.exceptions import KeycloakConnectionError, KeycloakError

from plaza_operator import faults, metrics
from plaza_operator.domain.errors import KeycloakRefused, KeycloakUnavailable

_SYSTEM = "keycloak"
TIMEOUT_SECONDS = 5
Json = Any


class Missing(KeycloakRefused):
    """404."""


class Exists(KeycloakRefused):
    """409."""


class Keycloak:
    """The admin API of one realm. Every method raises KeycloakUnavailable, KeycloakRefused, Missing or Exists."""

    def __init__(
        self,
        url: str,
        realm: str,
        *,
        admin_realm: str,
        client_id: str,
        client_secret: str = "",
        username: str = "",
        password: str = "",
        ca_file: str = "",
        at_once: int = 4,
    ) -> None:
        """As a client of its own (`client_secret`), or as a person (`username`, `password`) on a first look."""
        self.realm = realm
        self._connection = KeycloakOpenIDConnection(
            server_url=url.rstrip("/") + "/",
            realm_name=admin_realm,
            user_realm_name=admin_realm,
            client_id=client_id,
            client_secret_key=client_secret or None,
            username=username or None,
            password=password or None,
            verify=ca_file or True,
            timeout=TIMEOUT_SECONDS,
        )
        self._slots = asyncio.Semaphore(at_once)
        self._one_token = asyncio.Lock()

    async def get(self, path: str, **query: str) -> Json:
        """`path` below the realm, e.g. `clients`; empty: the realm itself."""
        return await self._send("get", self._path(path), **query)

    async def post(self, path: str, body: Json) -> str:
        """Answers the id of what was made, where Keycloak tells it."""
        return str(await self._send("post", self._path(path), body) or "")

    async def put(self, path: str, body: Json) -> None:
        """Replaces, or switches on."""
        await self._send("put", self._path(path), body)

    async def delete(self, path: str, body: Json = None) -> None:
        """Takes away."""
        await self._send("delete", self._path(path), body)

    async def create_realm(self, body: Json) -> None:
        """A new realm."""
        await self._send("post", "admin/realms", body)

    async def close(self) -> None:
        """Ends all connections."""
        await self._connection.aclose()
        # python-keycloak asks for tokens over connections of their own.
        await self._connection.keycloak_openid.connection.aclose()

    def _path(self, path: str) -> str:
        whole = f"admin/realms/{quote(self.realm)}"
        return f"{whole}/{path}" if path else whole

    async def _send(self, verb: str, path: str, body: Json = None, **query: str) -> Json:
        metrics.REQUESTS.labels(_SYSTEM, verb).inc()
        if verb != "get":
            metrics.WRITES.labels(_SYSTEM).inc()
        async with self._slots:
            try:
                # A limit of our own over all: a server that takes requests and never answers must not hold a slot.
                async with asyncio.timeout(2 * TIMEOUT_SECONDS):
                    await self._token()
                    response = await self._call(verb, path, body, query)
            except (KeycloakConnectionError, httpx.HTTPError, TimeoutError) as error:
                raise KeycloakUnavailable(f"Keycloak does not answer ({type(error).__name__})") from error
            except KeycloakError as error:
                code = error.response_code or 0
                if code in (400, 401, 403):
                    raise KeycloakRefused(f"Keycloak refuses the operator's own login ({code})") from error
                raise KeycloakUnavailable(f"Keycloak gives no token ({code or 'no answer'})") from error
        faults.called()
        return _answer(verb, path, response)

    async def _token(self) -> None:
        # python-keycloak renews once for each concurrent call.
        async with self._one_token:
            await self._connection.a__refresh_if_required()

    async def _call(self, verb: str, path: str, body: Json, query: dict[str, str]) -> httpx.Response:
        data = None if body is None else json.dumps(body, ensure_ascii=False)
        match verb:
            case "get":
                return await self._connection.a_raw_get(path, **query)
            case "post":
                return await self._connection.a_raw_post(path, data=data)
            case "put":
                return await self._connection.a_raw_put(path, data=data)
            case _:
                return await self._connection.a_raw_delete(path, data=data)


def _answer(verb: str, path: str, response: httpx.Response) -> Json:
    code = response.status_code
    if code < 300:
        if verb == "post":
            return response.headers.get("location", "").rsplit("/", 1)[-1]
        return response.json() if response.content else None
    text = f"{verb} {path.split('/', 3)[-1]}: {code} {response.text[:300]}"
    if code == 404:
        raise Missing(text)
    if code == 409:
        raise Exists(text)
    if code == 429 or code >= 500:
        raise KeycloakUnavailable(text)
    raise KeycloakRefused(text)
