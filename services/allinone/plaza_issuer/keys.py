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
_NAME = "signing-key"
_PUBLISHED = 2


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
    """Signs tokens and checks its own signatures (RFC 7515, RS256).

    The newest key of the directory signs. The one before stays published, so that tokens that are out keep their word.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read_at = -1
        self._newest_first: list[RSAKey] = []

    @classmethod
    def kept_in(cls, directory: Path) -> SigningKey:
        """The key in `directory`, made there at first use. Raises BadSigningKey."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _files(directory):
            _write_once(directory / f"{_NAME}.json", _new_key())
        kept = cls(directory)
        kept._keys()
        return kept

    def rotate(self) -> None:
        """From now on another key signs, also in a process that runs already."""
        newest = _files(self._directory)[-1]
        _write_once(self._directory / f"{_NAME}-{_number(newest) + 1}.json", _new_key())
        for old in _files(self._directory)[:-_PUBLISHED]:
            old.unlink()

    def published(self) -> KeySetSerialization:
        """The JSON Web Key Set (RFC 7517): the public halves only."""
        return {"keys": [key.as_dict(private=False, use="sig", alg=ALGORITHM) for key in self._keys()]}

    def sign(self, claims: Mapping[str, object]) -> str:
        """A signed JWT."""
        key = self._keys()[0]
        assert key.kid is not None
        header = {"alg": ALGORITHM, "typ": "JWT", "kid": key.kid}
        return jwt.encode(header, dict(claims), key, algorithms=[ALGORITHM])

    def read(self, token: str) -> dict[str, object]:
        """The claims of a token of ours; their time is not looked at. Raises ForeignToken."""
        for key in self._keys():
            try:
                payload = jws.deserialize_compact(token, key, algorithms=[ALGORITHM]).payload
                claims = json.loads(payload or b"")
            except (JoseError, ValueError, TypeError):
                continue
            if isinstance(claims, dict):
                return claims
        raise ForeignToken("The token was not issued here.", remedy="Log in again.")

    def _keys(self) -> list[RSAKey]:
        changed_at = self._directory.stat().st_mtime_ns
        if changed_at != self._read_at:
            self._newest_first = [_read(path) for path in reversed(_files(self._directory))]
            self._read_at = changed_at
        return self._newest_first


def _files(directory: Path) -> list[Path]:
    return sorted((path for path in directory.glob(f"{_NAME}*.json")), key=_number)


def _number(path: Path) -> int:
    return int(path.stem.removeprefix(_NAME).removeprefix("-") or 0)


def _new_key() -> Mapping[str, object]:
    return RSAKey.generate_key(_BITS).as_dict(private=True)


def _read(path: Path) -> RSAKey:
    try:
        key = RSAKey.import_key(json.loads(path.read_text(encoding="utf-8")))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise BadSigningKey(path) from error
    key.ensure_kid()
    return key


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
