"""An access token becomes a principal, or a refusal that says why (RFC 7519, RFC 8725, RFC 9068 in spirit).

Keycloak marks its access tokens by the claim `typ` = Bearer, not by the header of RFC 9068; so do we.
"""

from __future__ import annotations

import json
import math
import time
from base64 import urlsafe_b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping

import httpx
from joserfc import jws
from joserfc.errors import BadSignatureError, JoseError, UnsupportedAlgorithmError
from joserfc.jws import JWSRegistry

from .errors import BadToken, TokenExpired
from .issuer_keys import IssuerMetadata, SigningKeys, issuer_client
from .principal import Principal, principal_from_claims

ALGORITHMS = frozenset({"RS256", "ES256", "EdDSA"})
"""Signatures that are accepted; asymmetric only, so that a public key can never serve as a shared secret."""
LEEWAY_SECONDS = 30
"""How far the issuer's clock and ours may differ."""
_MAX_TOKEN_BYTES = 16 * 1024


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
    """Verifies access tokens of one issuer for one audience. One per process; safe for concurrent use."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        http: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`issuer` exactly as in the tokens' `iss`; `clock` in seconds since the epoch, UTC."""
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._own_http = http is None
        self._http = http if http is not None else issuer_client()
        self._keys = SigningKeys(IssuerMetadata(issuer, self._http), self._http, ALGORITHMS, monotonic)

    async def verify(self, token: str) -> Principal:
        """The caller behind this access token.

        Raises `TokenExpired`, `BadToken` (its `why` is one word), or `IssuerUnavailable` when the signing
        keys cannot be had and none are known from before.
        """
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
        self._check(claims)
        return principal_from_claims(claims, token)

    async def aclose(self) -> None:
        """Ends the connections to the issuer, unless the client was given from outside."""
        await self._keys.aclose()
        if self._own_http:
            await self._http.aclose()

    def _check(self, claims: Mapping[str, object]) -> None:
        if claims.get("iss") != self._issuer:
            raise BadToken("issuer", "The access token comes from another issuer.")
        audience = claims.get("aud")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise BadToken("audience", f"The access token is not meant for {self._audience}.")
        if claims.get("typ") != "Bearer":
            raise BadToken("type", "This is not an access token (its 'typ' is not Bearer).")
        now = self._clock()
        expires_at = _moment(claims, "exp")
        if now >= expires_at + LEEWAY_SECONDS:
            raise TokenExpired(int(now - expires_at))
        if "nbf" in claims and now < _moment(claims, "nbf") - LEEWAY_SECONDS:
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
