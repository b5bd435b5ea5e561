"""Who is calling: every service verifies the caller itself, and proves itself with its own client.

`TokenVerifier` turns an access token into a `Principal`; `ServiceTokens` gets the tokens with which one of
our services calls another. Both speak OpenID Connect as Keycloak 26 does, and nothing else.
"""

from __future__ import annotations

from .closed_accounts import ClosedAccounts
from .errors import BadToken, ClientRefused, IssuerUnavailable, TokenExpired
from .principal import Principal, PrincipalKind
from .service_tokens import ServiceTokens
from .verifier import ALGORITHMS, LEEWAY_SECONDS, TokenVerifier

__all__ = [
    "ALGORITHMS",
    "LEEWAY_SECONDS",
    "BadToken",
    "ClientRefused",
    "ClosedAccounts",
    "IssuerUnavailable",
    "Principal",
    "PrincipalKind",
    "ServiceTokens",
    "TokenExpired",
    "TokenVerifier",
]
