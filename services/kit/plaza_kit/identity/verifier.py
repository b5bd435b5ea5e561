"""An access token becomes a principal, or a refusal that says why (RFC 7519, RFC 8725, RFC 9068 in spirit).

Keycloak marks its access tokens by the claim `typ` = Bearer, not by the header of RFC 9068; so do we.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from base64 import urlsafe_b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx
from joserfc import jws
from joserfc.errors import BadSignatureError, JoseError, UnsupportedAlgorithmError
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry

from plaza_kit.recent import Recent

from .errors import BadToken, TokenExpired
from .issuer_keys import IssuerMetadata, SigningKeys, issuer_client
from .principal import Principal, principal_from_claims

ALGORITHMS = frozenset({"RS256", "ES256", "EdDSA"})
"""Signatures that are accepted; asymmetric only, so that a public key can never serve as a shared secret."""
LEEWAY_SECONDS = 30
"""How far the issuer's clock and ours may differ."""
_MAX_TOKEN_BYTES = 16 * 1024
_VERIFIED_MOST = 2048
"""Tokens remembered as verified; about 2 KiB each, 32 MiB were all as long as may be."""


@dataclass(frozen=True, slots=True)
class _Verified:
    """What was found out about a token, and what it rests on."""

    principal: Principal
    kid: str
    key: Key
    """The key that the issuer published when the signature was checked."""
    expires_at: float
    not_before: float | None


class _Registry(JWSRegistry):
    """Our algorithms, by the names that Keycloak writes.

    joserfc warns at each use of the name EdDSA, which RFC 9864 splits in two; issuers still sign with it.
    """

    def get_alg(self, name: str):  # type: ignore[no-untyped-def]  # joserfc does not export its return type
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError(f"Algorithm of '{name}' is not allowed")
        return self.algorithms[name]


_REGISTRY = _Registry(algorithms=ALGORITHMS)


class TokenVerifier:
    """Verifies access tokens of one issuer for one audience. One per process; safe for concurrent use.

    A caller sends the same token with each request for minutes, so what was verified is remembered, by the SHA-256 of
    the token. The promise stays the same: signature, issuer, audience and claims are functions of the token's bytes, of
    the key and of this object's settings, none of which can change without the answer being forgotten; the two things
    that do change, the clock and the issuer's keys, are asked at each use. Only tokens that hold are remembered.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        connect_to: str = "",
        http: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`issuer` exactly as in the tokens' `iss`; `connect_to`: as in `issuer_client`; `clock` in seconds since the
        epoch, UTC."""
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._own_http = http is None
        self._http = http if http is not None else issuer_client(issuer, connect_to)
        self._keys = SigningKeys(IssuerMetadata(issuer, self._http), self._http, ALGORITHMS, monotonic)
        self._verified: Recent[bytes, _Verified] = Recent(_VERIFIED_MOST)

    async def verify(self, token: str) -> Principal:
        """The caller behind this access token.

        Raises `TokenExpired`, `BadToken` (its `why` is one word), or `IssuerUnavailable` when the signing
        keys cannot be had and none are known from before.
        """
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._verified.get(digest)
        if known is not None:
            # The key first: asking for it is what notices that the issuer has taken it away.
            if await self._keys.key(known.kid) is known.key:
                self._check_time(known.expires_at, known.not_before)
                return known.principal
            self._verified.forget(digest)
        verified = await self._verify(token)
        self._verified.keep(digest, verified)
        return verified.principal

    async def _verify(self, token: str) -> _Verified:
        header = _header(token)
        if header.get("alg") not in ALGORITHMS:
            raise BadToken("algorithm", "The access token is not signed in a way that is accepted here.")
        kid = header.get("kid")
        if not isinstance(kid, str) or not kid:
            raise BadToken("unknown_key", "The access token does not name the key that signed it.")
        key = await self._keys.key(kid)
        try:
            payload = jws.deserialize_compact(token, key, registry=_REGISTRY).payload
        except BadSignatureError as error:
            raise BadToken("signature", "The access token's signature does not match.") from error
        except (JoseError, ValueError, TypeError) as error:
            raise BadToken("signature", "The access token's signature cannot be checked.") from error
        claims = _object(payload)
        expires_at, not_before = self._check(claims)
        return _Verified(principal_from_claims(claims, token), kid, key, expires_at, not_before)

    async def aclose(self) -> None:
        """Ends the connections to the issuer, unless the client was given from outside."""
        await self._keys.aclose()
        if self._own_http:
            await self._http.aclose()

    def _check(self, claims: Mapping[str, object]) -> tuple[float, float | None]:
        """Answers from when to when the token is good."""
        if claims.get("iss") != self._issuer:
            raise BadToken("issuer", "The access token comes from another issuer.")
        audience = claims.get("aud")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise BadToken("audience", f"The access token is not meant for {self._audience}.")
        if claims.get("typ") != "Bearer":
            raise BadToken("type", "This is not an access token (its 'typ' is not Bearer).")
        expires_at = _moment(claims, "exp")
        not_before = _moment(claims, "nbf") if "nbf" in claims else None
        self._check_time(expires_at, not_before)
        return expires_at, not_before

    def _check_time(self, expires_at: float, not_before: float | None) -> None:
        now = self._clock()
        if now >= expires_at + LEEWAY_SECONDS:
            raise TokenExpired(int(now - expires_at))
        if not_before is not None and now < not_before - LEEWAY_SECONDS:
            raise BadToken("not_yet_valid", "The access token is not valid yet; compare the clocks.")


def _header(token: str) -> Mapping[str, object]:
    """The token's header, not trusted yet: it only says which key to look for."""
    if len(token) > _MAX_TOKEN_BYTES or token.count(".") != 2 or not token.isascii():
        raise _malformed()
    encoded = token.partition(".")[0]
    try:
        return _object(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except NotBase64 as error:
        raise _malformed() from error


def _object(text: bytes | None) -> Mapping[str, object]:
    try:
        value = json.loads(text or b"")
    except (ValueError, RecursionError) as error:
        raise _malformed() from error
    if not isinstance(value, dict):
        raise _malformed()
    return value


def _moment(claims: Mapping[str, object], name: str) -> float:
    """A NumericDate; NaN and infinity, which Python's JSON lets through, would never expire."""
    value = claims.get(name)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or abs(value) > 1e11
    ):
        raise BadToken("claims", f"The access token's '{name}' is missing or no time.")
    return float(value)


def _malformed() -> BadToken:
    return BadToken("malformed", "This is not a signed token in compact form.")
