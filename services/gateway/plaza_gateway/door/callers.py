"""Whose bucket a request is paid from.

The gateway cannot tell a good token from a forged one, and takes no token's word before a service has: until then
its request is paid by the address that it comes from. A token counts as proven when a route that demands a caller
was answered with it; only then its claims are read, and only to name the bucket, which is so the same for all
tokens of a person or machine. So nobody can spend the quota of somebody else, and a stranger who makes up tokens
gets no bucket more than his address has.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from plaza_gateway.door.buckets import Clock

PROVEN_SECONDS = 600.0
"""How long a proof is believed: past it the token must have been renewed anyhow."""
MOST_PROVEN = 20_000


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays for a request."""

    key: str
    known: bool
    """By a proven token; else by address."""


class Callers:
    """Remembers which tokens services have accepted, by hash: no token is kept."""

    def __init__(self, clock: Clock, wall: Clock = time.time) -> None:
        self._clock = clock
        self._wall = wall
        self._proven: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def payer(self, headers: Mapping[str, str], address: str) -> Payer:
        """Who pays. `address`: of the peer, as far as the proxies that we trust tell."""
        if token := _token(headers):
            found = self._proven.get(_digest(token))
            if found is not None and found[1] > self._clock():
                return Payer(found[0], known=True)
        return Payer(address_key(address), known=False)

    def proven(self, headers: Mapping[str, str]) -> None:
        """A service has answered this request for the caller that its token names."""
        token = _token(headers)
        known = self._proven.get(_digest(token)) if token else None
        if known is not None and known[1] > self._clock():
            return
        claims = _claims(token) if token else {}
        subject, expiry = claims.get("sub"), claims.get("exp")
        if not isinstance(subject, str) or not isinstance(expiry, int | float):
            return
        digest = _digest(token)
        # A token that has run out is nobody's word any more.
        lasts = min(PROVEN_SECONDS, expiry - self._wall())
        self._proven[digest] = (_named(claims.get("iss"), subject), self._clock() + lasts)
        self._proven.move_to_end(digest)
        if len(self._proven) > MOST_PROVEN:
            self._proven.popitem(last=False)


@lru_cache(maxsize=4096)
def address_key(address: str) -> str:
    """The bucket of an address. A home or an office has a whole /64 of IPv6 (RFC 6177): it is one caller."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return f"address {address[:64]}"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return f"address {parsed.ipv4_mapped}"
        network = ipaddress.IPv6Network((parsed, 64), strict=False)
        return f"address {network.network_address}"
    return f"address {parsed}"


def _token(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _claims(token: str) -> dict[str, Any]:
    """What a token says that a service has verified; empty when it is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims: Any = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _named(issuer: object, subject: str) -> str:
    named = f"{issuer} {subject}".encode("utf-8", "surrogatepass")
    return f"subject {hashlib.sha256(named).hexdigest()}"
