"""Ed25519 keys and their text forms.

One key has one name and one id, whichever format carries its signature: a JWS (grants, policy bundles, deny
lists) or a C2SP signed note (checkpoints of the ledger). The two cannot be taken for each other: what a JWS
signs never contains a newline, and a note always ends in one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NewType, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from plaza_kit.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound

KeyId = NewType("KeyId", str)
"""`name+hash` of a key, e.g. `plaza.example/ledger+1a2b3c4d`: what a token's `kid` and a note's line say."""

ED25519_NOTE_TYPE: Final = b"\x01"
"""Signature type of plain Ed25519 in a signed note (C2SP signed-note, "Signature types")."""

_KEY_HEADLINE: Final = "plaza-key: "


class BadKey(InvalidArgument):
    """A key's text, file or name is not what it must be."""


class KeyFileMissing(NotFound):
    """There is no key file at the path."""


class KeyFileExists(AlreadyExists):
    """A key file is never overwritten: what it signed would become unverifiable."""


class UnsafeKeyFile(FailedPrecondition):
    """Others than its owner may read the private key."""


def decode_base64(text: str) -> bytes:
    """Standard base64 (RFC 4648 §4) in its one canonical spelling. Raises `ValueError` for any other."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError(f"not base64: {text!r}") from error
    if encode_base64(data) != text:
        raise ValueError(f"not canonical base64: {text!r}")
    return data


def encode_base64(data: bytes) -> str:
    """Standard base64 with padding (RFC 4648 §4)."""
    return base64.b64encode(data).decode("ascii")


def check_key_name(name: str) -> str:
    """The name, if a signed note may carry it: not empty, no spaces, no plus, nothing unprintable.
    Raises `BadKey`."""
    if not name or "+" in name or not name.isprintable() or any(c.isspace() for c in name):
        raise BadKey(
            f"key name {name!r} must not be empty nor contain spaces, '+' or control characters",
            remedy="Name the key like an address without scheme, e.g. plaza.example/ledger.",
        )
    return name


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A named Ed25519 public key. Its text, the *vkey* (`name+hash+base64`), is what a user pins."""

    name: str
    public_bytes: bytes
    """32 bytes (RFC 8032)."""

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.public_bytes) != 32:
            raise BadKey(
                f"public key of {self.name!r} has {len(self.public_bytes)} bytes, an Ed25519 key has 32",
                remedy="Copy the whole key.",
            )

    @property
    def hash(self) -> bytes:
        """First 4 bytes of SHA-256(name ‖ newline ‖ 0x01 ‖ key) (C2SP signed-note, "Ed25519 signatures")."""
        identity = self.name.encode() + b"\n" + ED25519_NOTE_TYPE + self.public_bytes
        return hashlib.sha256(identity).digest()[:4]

    @property
    def key_id(self) -> KeyId:
        return key_id_of(self.name, self.hash)

    @property
    def vkey(self) -> str:
        """`name+hash+base64(0x01 ‖ key)`, as `golang.org/x/mod/sumdb/note` writes it."""
        return f"{self.key_id}+{encode_base64(ED25519_NOTE_TYPE + self.public_bytes)}"

    @classmethod
    def from_vkey(cls, text: str) -> VerifyingKey:
        """Parse a vkey. Raises `BadKey` when its form, its algorithm or its hash is wrong."""
        parts = text.split("+", 2)
        remedy = "Copy the whole key text, name+hash+base64, without line breaks."
        if len(parts) != 3:
            raise BadKey(f"verifying key {text!r} is not of the form name+hash+base64", remedy=remedy)
        name, key_hash, encoded = parts
        try:
            data = decode_base64(encoded)
        except ValueError as error:
            raise BadKey(f"verifying key {text!r}: {error}", remedy=remedy) from error
        if data[:1] != ED25519_NOTE_TYPE:
            raise BadKey(f"verifying key {text!r} is not an Ed25519 key (type byte 0x01)", remedy=remedy)
        key = cls(name, data[1:])
        if key_hash != key.hash.hex():
            raise BadKey(
                f"verifying key {text!r}: hash {key_hash!r} does not belong to name and key", remedy=remedy
            )
        return key

    def to_pem(self) -> str:
        """SubjectPublicKeyInfo PEM below a line with the name (explanatory text, RFC 7468 §5.2)."""
        pem = self._public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return f"{_KEY_HEADLINE}{self.name}\n{pem.decode('ascii')}"

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over exactly `message` (RFC 8032)."""
        try:
            self._public_key().verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def _public_key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.public_bytes)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A named Ed25519 private key. It does not show itself in `repr`."""

    verifying_key: VerifyingKey
    _private: Ed25519PrivateKey

    @classmethod
    def generate(cls, name: str) -> SigningKey:
        return cls._of(name, Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, name: str, seed: bytes) -> SigningKey:
        """The key with this 32-byte RFC 8032 seed: for test vectors and keys made elsewhere."""
        if len(seed) != 32:
            raise BadKey(f"seed of key {name!r} has {len(seed)} bytes, an Ed25519 seed has 32")
        return cls._of(name, Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def _of(cls, name: str, private: Ed25519PrivateKey) -> SigningKey:
        return cls(VerifyingKey(name, private.public_key().public_bytes_raw()), private)

    @property
    def name(self) -> str:
        return self.verifying_key.name

    @property
    def key_id(self) -> KeyId:
        return self.verifying_key.key_id

    def sign(self, message: bytes) -> bytes:
        """64 bytes (RFC 8032)."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id})"

    def to_text(self) -> bytes:
        """A line with the name, and the unencrypted private key (PKCS#8 PEM): what `save` writes."""
        pem = self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return f"{_KEY_HEADLINE}{self.name}\n".encode() + pem

    def save(self, path: Path) -> None:
        """Create the file with mode 0600: whole or not at all, never over an existing one.

        Raises `KeyFileExists`, or `KeyFileMissing` when there is no such folder.
        """
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileNotFoundError as error:
            raise KeyFileMissing(f"no folder {path.parent} for a key file", remedy="Create it.") from error
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(self.to_text())
                file.flush()
                os.fsync(file.fileno())
            # A hard link is the one call that publishes complete content and fails when the name is taken.
            path.hardlink_to(temporary)
        except FileExistsError as error:
            raise KeyFileExists(
                f"key file {path} exists and is not overwritten", remedy="Load it, or choose another path."
            ) from error
        finally:
            temporary.unlink()

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read what `save` wrote. Raises `KeyFileMissing`, `UnsafeKeyFile` or `BadKey`, naming the path."""
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                text = file.read()
        except FileNotFoundError as error:
            raise KeyFileMissing(
                f"no key file at {path}", remedy="Create the key or correct the path."
            ) from error
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077 and not _mounted_for_us(status):
            raise UnsafeKeyFile(
                f"private key file {path} has mode {mode:04o}: others than its owner may use it",
                remedy=f"Run `chmod 600 {path}`; if strangers could read it, make a new key.",
            )
        return cls.from_text(text, path)

    @classmethod
    def from_text(cls, text: bytes, path: Path) -> SigningKey:
        """Read what `to_text` writes; `path` is the place that a `BadKey` names."""
        remedy = (
            f"The file must have a line `{_KEY_HEADLINE}NAME` and an unencrypted Ed25519 PKCS#8 PEM block."
        )
        try:
            headline, pem = text.decode("utf-8").split("\n", 1)
            private = load_pem_private_key(pem.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise BadKey(f"key file {path} holds no readable private key", remedy=remedy) from error
        if not headline.startswith(_KEY_HEADLINE) or not isinstance(private, Ed25519PrivateKey):
            raise BadKey(f"key file {path} holds no named Ed25519 private key", remedy=remedy)
        return cls._of(headline.removeprefix(_KEY_HEADLINE), private)

    @classmethod
    def load_or_create(cls, path: Path, name: str) -> SigningKey:
        """The key at `path`, made on first use; of several processes starting at once all get the same one.
        Raises `BadKey` when the file holds a key of another name."""
        try:
            key = cls.load(path)
        except KeyFileMissing:
            with suppress(KeyFileExists):  # somebody else was faster: theirs is the key
                cls.generate(name).save(path)
            key = cls.load(path)
        if key.name != name:
            raise BadKey(
                f"key file {path} holds the key {key.name!r}, not {name!r}", remedy="Correct the path."
            )
        return key


class KeyFinder(Protocol):
    """Where a verifier looks keys up: a `KeyRing`, or something that replaces its ring when keys rotate."""

    def find(self, key_id: KeyId) -> VerifyingKey | None: ...


class KeyRing:
    """The verifying keys that somebody trusts, by id. Immutable."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[VerifyingKey] = ()) -> None:
        """Raises `BadKey` when two different keys share an id (the hash in it has only 32 bits)."""
        self._keys: dict[KeyId, VerifyingKey] = {}
        for key in keys:
            if self._keys.setdefault(key.key_id, key) != key:
                raise BadKey(f"two different keys share the id {key.key_id}", remedy="Make one of them anew.")

    @classmethod
    def from_vkeys(cls, vkeys: Iterable[str]) -> KeyRing:
        return cls(VerifyingKey.from_vkey(text) for text in vkeys)

    @classmethod
    def load(cls, path: Path) -> KeyRing:
        """Read `{"keys": ["<vkey>", …]}`, or named PEM blocks as `VerifyingKey.to_pem` writes them.
        Raises `KeyFileMissing` or `BadKey`, naming the path."""
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise KeyFileMissing(f"no key file at {path}", remedy="Correct the path.") from error
        except UnicodeDecodeError as error:
            raise BadKey(f"key file {path} is not UTF-8 text", remedy="Give a JSON or PEM file.") from error
        try:
            keys = _keys_of_json(text) if text.lstrip().startswith("{") else _keys_of_pem(text)
            if not keys:
                raise ValueError("no key in it")
            return cls(keys)
        except (BadKey, ValueError, UnsupportedAlgorithm) as error:
            raise BadKey(
                f"key file {path}: {error}",
                remedy=f'Give {{"keys": ["name+hash+base64"]}}, or PEM blocks after `{_KEY_HEADLINE}NAME`.',
            ) from error

    def to_json(self) -> str:
        return json.dumps({"keys": [key.vkey for key in self]}, ensure_ascii=False, indent=2) + "\n"

    def find(self, key_id: KeyId) -> VerifyingKey | None:
        return self._keys.get(key_id)

    def __iter__(self) -> Iterator[VerifyingKey]:
        return iter(self._keys.values())

    def __len__(self) -> int:
        return len(self._keys)


def _mounted_for_us(status: os.stat_result) -> bool:
    """Whether a file is as Kubernetes mounts a Secret for a pod with an `fsGroup`: root's, and readable by that
    group, which is this process's alone. The pod's user never owns such a file, so mode 0600 cannot be had."""
    ours = status.st_gid in (os.getegid(), *os.getgroups())
    return status.st_uid == 0 != os.geteuid() and ours and stat.S_IMODE(status.st_mode) & 0o037 == 0


def key_id_of(name: str, key_hash: bytes) -> KeyId:
    """The id of the key with this name and 4-byte hash."""
    return KeyId(f"{name}+{key_hash.hex()}")


def _keys_of_json(text: str) -> list[VerifyingKey]:
    document = json.loads(text)
    vkeys = document.get("keys")
    if set(document) != {"keys"} or not isinstance(vkeys, list) or not all(isinstance(v, str) for v in vkeys):
        raise ValueError("expected one member, `keys`, a list of texts")
    return [VerifyingKey.from_vkey(vkey) for vkey in vkeys]


_PEM_BLOCK = re.compile(
    rf"{_KEY_HEADLINE}(?P<name>[^\n]+)\n(?P<pem>-----BEGIN PUBLIC KEY-----\n[^-]+-----END PUBLIC KEY-----)\n*"
)


def _keys_of_pem(text: str) -> list[VerifyingKey]:
    keys, position = [], 0
    while position < len(text):
        block = _PEM_BLOCK.match(text, position)
        if block is None:
            raise ValueError(f"no named public key block at character {position}")
        public = load_pem_public_key(block["pem"].encode("ascii"))
        if not isinstance(public, Ed25519PublicKey):
            raise ValueError(f"key {block['name']!r} is not an Ed25519 key")
        keys.append(VerifyingKey(block["name"], public.public_bytes_raw()))
        position = block.end()
    return keys
