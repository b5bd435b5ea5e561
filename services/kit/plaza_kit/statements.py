"""Statements signed with our keys: compact JWS (RFC 7515) with a type, an audience and an end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from plaza_kit.errors import InvalidArgument, PermissionDenied
from plaza_kit.signing import KeyFinder, KeyId, SigningKey, VerifyingKey

JWS_ALGORITHM: Final = "Ed25519"
"""EdDSA over Ed25519 by its fully specified name (RFC 9864), which replaces the ambiguous `EdDSA`."""

CLOCK_SKEW_SECONDS: Final = 5
"""How far in the future `iat` may lie. `exp` has no such grace: late is late."""

MAX_STATEMENT_BYTES: Final = 1 << 20
"""Longest payload, in its base64url form."""


class UnsignableStatement(InvalidArgument):
    """The claims lack what every statement of ours must say."""


class BadStatement(PermissionDenied):
    """A signed statement does not hold. `failed` says where: format, typ, alg, kid, signature, claims, iat,
    exp or aud (also in `facts`)."""

    def __init__(self, failed: str, message: str, *, remedy: str = "Ask for a new one.") -> None:
        super().__init__(
            f"signed statement refused ({failed}): {message}", remedy=remedy, facts={"failed": failed}
        )
        self.failed = failed


def sign_statement(claims: Mapping[str, Any], *, typ: str, key: SigningKey) -> str:
    """A compact JWS over `claims`; its header says alg, `typ` and the key's id.

    `iat` and `exp` must be there in whole seconds (RFC 7519 §4.1), `exp` after `iat`. Raises
    `UnsignableStatement`.
    """
    _check_lifetime(claims)
    try:
        payload = json.dumps(
            dict(claims), ensure_ascii=False, separators=(",", ":"), allow_nan=False
        ).encode()
    except (TypeError, ValueError) as error:
        raise UnsignableStatement(f"claims are not JSON: {error}") from error
    if len(payload) * 4 > MAX_STATEMENT_BYTES * 3:
        raise UnsignableStatement(
            f"claims take {len(payload)} bytes, a statement carries {MAX_STATEMENT_BYTES * 3 // 4}"
        )
    header = {"alg": JWS_ALGORITHM, "typ": typ, "kid": key.key_id}
    return jws.serialize_compact(header, payload, OKPKey.import_key(key._private), registry=_registry())


def verify_statement(
    token: str, *, typ: str, keys: KeyFinder, audience: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """The claims of a statement that holds at `now` (default: the clock). Raises `BadStatement`.

    A token that names an audience is refused where none, or another, is expected (RFC 7519 §4.1.3).
    """
    moment = datetime.now(UTC) if now is None else now
    if moment.tzinfo is None:
        raise ValueError("`now` needs a time zone")
    obj = _extract(token)
    header = obj.headers()
    if header["alg"] != JWS_ALGORITHM:
        raise BadStatement("alg", f"{header['alg']!r} is not {JWS_ALGORITHM!r}")
    if header["typ"] != typ:
        raise BadStatement("typ", f"{header['typ']!r} is not {typ!r}")
    key = keys.find(KeyId(header["kid"])) if isinstance(header["kid"], str) else None
    if key is None:
        raise BadStatement(
            "kid",
            f"key {header['kid']!r} is not trusted here",
            remedy="Check that both sides have the current key ring.",
        )
    if not _signature_holds(obj, key):
        raise BadStatement("signature", f"not made by {key.key_id} over this text")
    claims = _claims(obj.payload)
    _check_times(claims, moment.timestamp())
    _check_audience(claims.get("aud"), audience)
    return claims


def _registry() -> jws.JWSRegistry:
    registry = jws.JWSRegistry(algorithms=[JWS_ALGORITHM])
    registry.max_payload_length = MAX_STATEMENT_BYTES
    return registry


def _extract(token: str) -> jws.CompactSignature:
    try:
        obj = jws.extract_compact(token.encode("ascii"), registry=_registry())
        members = sorted(obj.headers().keys())
    except (JoseError, ValueError, TypeError, AttributeError, KeyError) as error:
        # The library answers a header that is JSON but no object with the errors of plain Python.
        raise BadStatement("format", "not a compact JWS") from error
    if members != ["alg", "kid", "typ"]:
        raise BadStatement("format", f"header members {members} are not alg, kid and typ")
    return obj


def _signature_holds(obj: jws.CompactSignature, key: VerifyingKey) -> bool:
    try:
        return jws.validate_compact(obj, OKPKey.import_key(key._public_key()), registry=_registry())
    except (JoseError, ValueError):
        return False


def _claims(payload: bytes) -> dict[str, Any]:
    try:
        claims = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise BadStatement("claims", "payload is not JSON") from error
    if not isinstance(claims, dict):
        raise BadStatement("claims", "payload is not a JSON object")
    return claims


def _check_lifetime(claims: Mapping[str, Any]) -> None:
    for name in ("iat", "exp"):
        value = claims.get(name)
        if type(value) is not int or not 0 <= value < 1 << 53:
            raise UnsignableStatement(f"claim {name} must be whole seconds since 1970, not {value!r}")
    if claims["exp"] <= claims["iat"]:
        raise UnsignableStatement(f"claim exp ({claims['exp']}) must be after iat ({claims['iat']})")


def _check_times(claims: Mapping[str, Any], seconds: float) -> None:
    try:
        _check_lifetime(claims)
    except UnsignableStatement as error:
        raise BadStatement("claims", error.message) from error
    if claims["iat"] > seconds + CLOCK_SKEW_SECONDS:
        raise BadStatement(
            "iat",
            f"issued {claims['iat'] - seconds:.0f} s in the future",
            remedy="Synchronise the clocks of both machines.",
        )
    if claims["exp"] <= seconds:
        raise BadStatement("exp", f"expired {seconds - claims['exp']:.0f} s ago")


def _check_audience(claimed: object, expected: str | None) -> None:
    if claimed == expected:
        return
    raise BadStatement("aud", f"made for {claimed!r}, used at {expected!r}")
