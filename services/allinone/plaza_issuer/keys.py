"""The issuer's signing key: made once, kept beside the sessions, so that tokens outlive a restart."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySetSerialization, RSAKey
from plaza_kit.errors import DataLoss, Unauthenticated

ALGORITHM = "RS256"
_BITS = 2048


class BadSigningKey(DataLoss):
    """The key file is there and is no key."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} does not hold the issuer's signing key.",
            remedy="Put the file back, or remove it: a new key is made and everybody logs in again.",
        )


class ForeignToken(Unauthenticated):
    """Not a token that this issuer signed."""


class SigningKey:
    """Signs tokens and checks its own signatures (RFC 7515, RS256)."""

    def __init__(self, key: RSAKey) -> None:
        key.ensure_kid()
        self._key = key

    @classmethod
    def kept_in(cls, directory: Path) -> SigningKey:
        """The key in `directory`, made there at first use. Raises BadSigningKey."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / "signing-key.json"
        if not path.exists():
            _write_once(path, RSAKey.generate_key(_BITS).as_dict(private=True))
        try:
            return cls(RSAKey.import_key(json.loads(path.read_text(encoding="utf-8"))))
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise BadSigningKey(path) from error

    def published(self) -> KeySetSerialization:
        """The JSON Web Key Set (RFC 7517): the public half only."""
        return {"keys": [self._key.as_dict(private=False, use="sig", alg=ALGORITHM)]}

    def sign(self, claims: Mapping[str, object]) -> str:
        """A signed JWT."""
        assert self._key.kid is not None
        header = {"alg": ALGORITHM, "typ": "JWT", "kid": self._key.kid}
        return jwt.encode(header, dict(claims), self._key, algorithms=[ALGORITHM])

    def read(self, token: str) -> dict[str, object]:
        """The claims of a token of ours; their time is not looked at. Raises ForeignToken."""
        try:
            payload = jws.deserialize_compact(token, self._key, algorithms=[ALGORITHM]).payload
            claims = json.loads(payload or b"")
        except (JoseError, ValueError, TypeError) as error:
            raise ForeignToken("The token was not issued here.", remedy="Log in again.") from error
        if not isinstance(claims, dict):
            raise ForeignToken("The token was not issued here.", remedy="Log in again.")
        return claims


def _write_once(path: Path, key: Mapping[str, object]) -> None:
    # Written whole beside, then linked: neither a crash nor a second process leaves half a key or two.
    draft = path.with_suffix(f".{secrets.token_hex(8)}")
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        json.dump(key, file)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
