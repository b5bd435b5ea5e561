"""The issuer as the console uses it: authorization code with PKCE, refreshing, the end of a session.

OpenID Connect Core 1.0, 3.1; RFC 7636; RFC 9700. The client is public: what it can do is bound to its redirect
address and to the verifier in the browser's own sealed cookie.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
from joserfc import jws
from joserfc.errors import JoseError
from plaza_kit.errors import PlazaError, Unauthenticated
from plaza_kit.identity import ALGORITHMS, LEEWAY_SECONDS, IssuerUnavailable
from plaza_kit.identity.issuer_keys import IssuerMetadata, SigningKeys, fetch_json, issuer_client

CLIENT = "plaza-console"
SCOPE = "openid organization:*"


class LoginRefused(Unauthenticated):
    """The issuer's answer cannot be used: nobody is logged in by it."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The log-in was not accepted: {why}.", remedy="Log in again.", facts={"why": why})


class SessionEnded(Unauthenticated):
    """The issuer takes the refresh token no more."""

    def __init__(self) -> None:
        super().__init__("The session has ended.", remedy="Log in again.")


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the issuer gave. Times in seconds since the epoch."""

    access: str = field(repr=False)
    access_until: float
    refresh: str = field(repr=False)
    refresh_until: float


@dataclass(frozen=True, slots=True)
class Pending:
    """A log-in that has begun in a browser; kept there, sealed."""

    state: str
    nonce: str
    verifier: str = field(repr=False)
    next: str
    """Path to go on at."""

    @classmethod
    def new(cls, target: str) -> Pending:
        """With fresh secrets."""
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), target)

    @property
    def challenge(self) -> str:
        """Method S256."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode()


class Issuer:
    """Talks with the issuer for one public client. Raises IssuerUnavailable when it does not answer."""

    def __init__(
        self,
        issuer: str,
        *,
        connect_to: str = "",
        http: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._own_http = http is None
        self._http = http if http is not None else issuer_client(issuer, connect_to)
        self._clock = clock
        self._known: dict[str, str] = {}
        self._keys = SigningKeys(IssuerMetadata(issuer, self._http), self._http, ALGORITHMS)

    @property
    def name(self) -> str:
        """The `iss` of its answers."""
        return self._issuer

    async def aclose(self) -> None:
        """Ends the connections."""
        await self._keys.aclose()
        if self._own_http:
            await self._http.aclose()

    async def log_in_at(self, pending: Pending, redirect_uri: str, language: str) -> str:
        """Where to send the browser."""
        asked = {
            "client_id": CLIENT,
            "response_type": "code",
            "redirect_uri": redirect_uri,
            "scope": SCOPE,
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": pending.challenge,
            "code_challenge_method": "S256",
            "ui_locales": language,
        }
        return f"{await self._endpoint('authorization_endpoint')}?{urlencode(asked)}"

    async def redeem(self, code: str, pending: Pending, redirect_uri: str) -> Tokens:
        """The tokens for a code. Raises LoginRefused."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": pending.verifier,
        }
        status, answer = await self._post("token_endpoint", form)
        if status != httpx.codes.OK:
            raise LoginRefused(str(answer.get("error", status)))
        await self._check_id_token(str(answer.get("id_token", "")), pending.nonce)
        return self._tokens(answer)

    async def refresh(self, refresh_token: str) -> Tokens:
        """New tokens. Raises SessionEnded."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        status, answer = await self._post("token_endpoint", form)
        if status != httpx.codes.OK:
            raise SessionEnded
        return self._tokens(answer)

    async def end(self, refresh_token: str) -> None:
        """Ends the session at the issuer, and with it whoever else goes by it.

        By the refresh token in a form, which Keycloak's end-session endpoint takes: the hint of a logout
        through the browser would put a token into an address.
        """
        await self._post("end_session_endpoint", {"refresh_token": refresh_token})

    async def _endpoint(self, name: str) -> str:
        if name not in self._known:
            url = f"{self._issuer}/.well-known/openid-configuration"
            document = await fetch_json(self._http, self._issuer, url)
            if document.get("issuer") != self._issuer:
                raise IssuerUnavailable(self._issuer, f"it calls itself {document.get('issuer')!r}")
            self._known = {key: value for key, value in document.items() if isinstance(value, str)}
        if not self._known.get(name, "").startswith(("https://", "http://")):
            raise IssuerUnavailable(self._issuer, f"its discovery document has no {name}")
        return self._known[name]

    async def _post(self, endpoint: str, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        url = await self._endpoint(endpoint)
        try:
            answer = await self._http.post(url, data={"client_id": CLIENT, **form})
        except httpx.HTTPError as error:
            raise IssuerUnavailable(
                self._issuer, f"{url} does not answer ({type(error).__name__})"
            ) from error
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise IssuerUnavailable(self._issuer, f"{url} answers {answer.status_code}")
        try:
            document = answer.json() if answer.content else {}
        except ValueError:
            document = {}
        return answer.status_code, document if isinstance(document, dict) else {}

    def _tokens(self, answer: Mapping[str, Any]) -> Tokens:
        now = self._clock()
        try:
            return Tokens(
                access=str(answer["access_token"]),
                access_until=now + float(answer["expires_in"]),
                refresh=str(answer["refresh_token"]),
                refresh_until=now + float(answer["refresh_expires_in"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise LoginRefused("the answer has no tokens") from error

    async def _check_id_token(self, token: str, nonce: str) -> None:
        """OpenID Connect Core 1.0, 3.1.3.7."""
        try:
            header = jws.extract_compact(token.encode()).headers()
            key = await self._keys.key(str(header.get("kid")))
            payload = jws.deserialize_compact(token, key, algorithms=list(ALGORITHMS)).payload
            claims = json.loads(payload or b"")
            audience = claims["aud"]
            told = (claims["iss"], claims.get("azp", CLIENT), claims.get("nonce"))
            late = self._clock() >= float(claims["exp"]) + LEEWAY_SECONDS
        except IssuerUnavailable:
            raise
        except (JoseError, PlazaError, ValueError, TypeError, KeyError) as error:
            raise LoginRefused("its ID token cannot be checked") from error
        named = audience if isinstance(audience, list) else [audience]
        if told != (self._issuer, CLIENT, nonce) or CLIENT not in named or late:
            raise LoginRefused("its ID token is not for this log-in")
