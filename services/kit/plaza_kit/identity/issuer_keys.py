"""What the issuer publishes: its endpoints (OpenID Connect Discovery 1.0) and its signing keys (RFC 7517).

Everything is cached. A flood of tokens with unknown key ids costs the issuer one request every few seconds,
and an issuer that is away costs nobody who holds a token signed with a key we know.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from .errors import BadToken, IssuerUnavailable

REFETCH_SECONDS = 5.0
"""An unknown key id, or an issuer that failed, is asked about at most once in this time."""
REFRESH_SECONDS = 600.0
"""Known keys are asked for again after this time, so that a key taken away is forgotten."""
TIMEOUT_SECONDS = 5.0


def issuer_client(issuer: str, connect_to: str = "") -> httpx.AsyncClient:
    """The HTTP client for talking with the issuer.

    No proxy from the environment: the issuer is inside, and tokens and secrets must not pass elsewhere.
    `connect_to`: `host:port` behind the issuer's name, where that name leads elsewhere from here (inside a cluster the
    public address often does). Host, TLS name and every check stay those of the issuer.
    """
    transport = _ConnectTo(issuer, connect_to) if connect_to else httpx.AsyncHTTPTransport()
    return httpx.AsyncClient(transport=transport, timeout=TIMEOUT_SECONDS)


class _ConnectTo(httpx.AsyncHTTPTransport):
    def __init__(self, issuer: str, connect_to: str) -> None:
        super().__init__()
        named, there = httpx.URL(issuer), httpx.URL(f"//{connect_to}")
        self._named = (named.scheme, named.host, named.port)
        self._host = named.host
        self._there = {"host": there.host, "port": there.port}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if (url.scheme, url.host, url.port) == self._named:
            # The header Host is in the request already; the certificate must be of the issuer's own name.
            request.extensions = {**request.extensions, "sni_hostname": self._host}
            request.url = url.copy_with(**self._there)
        return await super().handle_async_request(request)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The part of the discovery document that we use."""

    jwks_uri: str
    token_endpoint: str


class IssuerMetadata:
    """The issuer's discovery document, fetched once."""

    def __init__(self, issuer: str, http: httpx.AsyncClient) -> None:
        self.issuer = issuer
        self._http = http
        self._endpoints: Endpoints | None = None

    async def endpoints(self) -> Endpoints:
        """Raises `IssuerUnavailable` when it cannot be had, or is somebody else's."""
        if self._endpoints is None:
            document = await fetch_json(
                self._http, self.issuer, f"{self.issuer}/.well-known/openid-configuration"
            )
            # Discovery 1.0, section 4.3: the document must name the very issuer that was asked.
            if document.get("issuer") != self.issuer:
                raise IssuerUnavailable(self.issuer, f"it calls itself {document.get('issuer')!r}")
            self._endpoints = Endpoints(
                jwks_uri=_address(document, "jwks_uri", self.issuer),
                token_endpoint=_address(document, "token_endpoint", self.issuer),
            )
        return self._endpoints


class SigningKeys:
    """The issuer's public keys by key id, only those that may sign with an allowed algorithm."""

    def __init__(
        self,
        metadata: IssuerMetadata,
        http: httpx.AsyncClient,
        algorithms: frozenset[str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metadata = metadata
        self._http = http
        self._algorithms = algorithms
        self._monotonic = monotonic
        self._keys: dict[str, Key] = {}
        self._asked_at: float | None = None
        self._answered_at: float | None = None
        self._failure: IssuerUnavailable | None = None
        self._one_at_a_time = asyncio.Lock()
        self._refresh: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> Key:
        """The key with this id.

        Raises `BadToken` (why: unknown_key), or `IssuerUnavailable` while no key is known at all.
        """
        found = self._keys.get(kid)
        if found is not None:
            self._refresh_when_old()
            return found
        await self._fetch_unless_recent()
        if not self._keys and self._failure is not None:
            raise self._failure
        found = self._keys.get(kid)
        if found is None:
            raise BadToken(
                "unknown_key", "The access token is signed with a key that the issuer does not publish."
            )
        return found

    async def aclose(self) -> None:
        """Ends a refresh that is still under way."""
        if self._refresh is not None and not self._refresh.done():
            self._refresh.cancel()
            await asyncio.gather(self._refresh, return_exceptions=True)

    def _refresh_when_old(self) -> None:
        # Beside the request, not in it: a slow issuer must not slow those whose key is known.
        running = self._refresh is not None and not self._refresh.done()
        if not running and self._answered_at is not None and self._age(self._answered_at) > REFRESH_SECONDS:
            self._refresh = asyncio.get_running_loop().create_task(self._fetch_unless_recent())

    async def _fetch_unless_recent(self) -> None:
        async with self._one_at_a_time:
            if self._asked_at is not None and self._age(self._asked_at) < REFETCH_SECONDS:
                return
            self._asked_at = self._monotonic()
            try:
                endpoints = await self._metadata.endpoints()
                document = await fetch_json(self._http, self._metadata.issuer, endpoints.jwks_uri)
            except IssuerUnavailable as failure:
                self._failure = failure
                return
            self._keys = self._usable(document)
            self._failure = (
                None if self._keys else IssuerUnavailable(self._metadata.issuer, "it publishes no key")
            )
            self._answered_at = self._monotonic()

    def _usable(self, document: Mapping[str, object]) -> dict[str, Key]:
        """RFC 7517, section 5: keys that we do not understand are left out, the others stay."""
        keys: dict[str, Key] = {}
        listed = document.get("keys")
        for entry in listed if isinstance(listed, list) else []:
            if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
                continue
            if entry.get("kty") == "oct" or entry.get("use", "sig") != "sig":
                continue
            if entry.get("alg") is not None and entry["alg"] not in self._algorithms:
                continue
            try:
                keys[entry["kid"]] = JWKRegistry.import_key(entry)
            except (JoseError, ValueError, TypeError, KeyError):
                continue
        return keys

    def _age(self, moment: float) -> float:
        return self._monotonic() - moment


async def fetch_json(http: httpx.AsyncClient, issuer: str, url: str) -> dict[str, object]:
    """A JSON object from the issuer. Raises `IssuerUnavailable` for anything else."""
    try:
        response = await http.get(url, headers={"accept": "application/json"})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise IssuerUnavailable(issuer, f"{url} does not answer ({type(error).__name__})") from error
    if response.status_code != httpx.codes.OK:
        raise IssuerUnavailable(issuer, f"{url} answers {response.status_code}")
    try:
        document = response.json()
    except ValueError as error:
        raise IssuerUnavailable(issuer, f"{url} does not answer JSON") from error
    if not isinstance(document, dict):
        raise IssuerUnavailable(issuer, f"{url} does not answer a JSON object")
    return document


def _address(document: Mapping[str, object], name: str, issuer: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value.startswith(("https://", "http://")):
        raise IssuerUnavailable(issuer, f"its discovery document has no {name}")
    if issuer.startswith("https://") and not value.startswith("https://"):
        raise IssuerUnavailable(issuer, f"its {name} is not https")
    return value
