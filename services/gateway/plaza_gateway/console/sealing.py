"""Sealed texts: what the gateway gives a browser to keep, and nobody else can read or change.

AES-256-GCM (NIST SP 800-38D) with a random nonce for each text; its purpose is authenticated with it, so that
what was sealed for one use is worth nothing in another.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from plaza_kit.errors import FailedPrecondition

KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
_VERSION = b"\x01"


class BadConsoleKey(FailedPrecondition):
    """The key file is not there, or holds no key."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"The console's key file {path} {why}.",
            remedy=f"Write {KEY_BYTES} random bytes in base64 into it, readable by the gateway alone: "
            f"`openssl rand -base64 {KEY_BYTES}`.",
            facts={"path": str(path)},
        )


class Seal:
    """Seals and opens texts with one key."""

    def __init__(self, key: bytes) -> None:
        """`key`: 32 bytes."""
        self._cipher = AESGCM(key)

    @classmethod
    def of_file(cls, path: Path) -> Seal:
        """With the key in a file. Raises BadConsoleKey."""
        try:
            key = base64.b64decode(path.read_text(encoding="ascii").strip(), validate=True)
        except OSError as error:
            raise BadConsoleKey(path, f"cannot be read ({error.strerror})") from error
        except (UnicodeDecodeError, binascii.Error) as error:
            raise BadConsoleKey(path, "is not base64") from error
        if len(key) != KEY_BYTES:
            raise BadConsoleKey(path, f"holds {len(key)} bytes, not {KEY_BYTES}")
        return cls(key)

    def seal(self, purpose: str, value: Mapping[str, Any], until: float) -> str:
        """`value` (of JSON) as a text of URL-safe letters, good until a moment in seconds since the epoch."""
        plain = json.dumps({"until": until, "value": dict(value)}, separators=(",", ":")).encode()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = _VERSION + nonce + self._cipher.encrypt(nonce, plain, purpose.encode())
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def unseal(self, purpose: str, text: str, now: float) -> dict[str, Any] | None:
        """The value; None when it was changed, sealed by another key or for another purpose, or has ended."""
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if len(sealed) <= 1 + _NONCE_BYTES + _TAG_BYTES or not sealed.startswith(_VERSION):
            return None
        nonce = sealed[1 : 1 + _NONCE_BYTES]
        try:
            plain = self._cipher.decrypt(nonce, sealed[1 + _NONCE_BYTES :], purpose.encode())
        except InvalidTag:
            return None
        kept = json.loads(plain)
        return dict(kept["value"]) if now < kept["until"] else None
