"""Checkpoints (C2SP tlog-checkpoint): a signed note that says which root the log has at which size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from plaza_kit.errors import InvalidArgument
from plaza_kit.signing import KeyRing, SigningKey, VerifyingKey, decode_base64, encode_base64
from plaza_kit.tlog.merkle import EMPTY_ROOT, HASH_BYTES
from plaza_kit.tlog.note import UnknownNoteKey, parse_note, sign_note, verify_note

MAX_SIZE: Final = (1 << 63) - 1


class MalformedCheckpoint(InvalidArgument):
    """The text of a note that is no checkpoint."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log. `origin` is the log's name and the name of the key that signs it."""

    origin: str
    size: int
    root: bytes
    """32 bytes."""
    extensions: tuple[str, ...] = ()
    """Further lines, opaque; better none (they are not auditable)."""

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_SIZE:
            raise MalformedCheckpoint(f"tree size {self.size} is not between 0 and {MAX_SIZE}")
        if len(self.root) != HASH_BYTES:
            raise MalformedCheckpoint(f"root hash of {len(self.root)} bytes, it has {HASH_BYTES}")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise MalformedCheckpoint("an empty log has the hash of nothing for its root")
        for line in (self.origin, *self.extensions):
            if not line or "\n" in line:
                raise MalformedCheckpoint(f"origin and extensions are lines and not empty, not {line!r}")

    @property
    def text(self) -> str:
        """The note text: what is signed."""
        return "".join(
            f"{line}\n" for line in (self.origin, self.size, encode_base64(self.root), *self.extensions)
        )


@dataclass(frozen=True, slots=True)
class VerifiedCheckpoint:
    """A checkpoint and the trusted keys that signed it; one of them has the origin's name."""

    checkpoint: Checkpoint
    signers: tuple[VerifyingKey, ...]


def parse_checkpoint_text(text: str) -> Checkpoint:
    """The checkpoint in a note's text. Raises `MalformedCheckpoint`, naming what is wrong."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] != "":
        raise MalformedCheckpoint(
            "a checkpoint has the lines origin, tree size and root hash, each ended by a newline"
        )
    origin, size, root, *extensions = lines[:-1]
    if re.fullmatch(r"0|[1-9][0-9]{0,18}", size) is None:
        raise MalformedCheckpoint(f"tree size {size!r} is not a decimal number without leading zeroes")
    try:
        root_hash = decode_base64(root)
    except ValueError as error:
        raise MalformedCheckpoint(f"root hash: {error}") from error
    return Checkpoint(origin, int(size), root_hash, tuple(extensions))


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey, *others: SigningKey) -> str:
    """The signed note, ready to be served. `key` is the log's own and has its name; `others` are further keys
    (rotation, witnesses). Raises `MalformedCheckpoint` when the names differ."""
    if key.name != checkpoint.origin:
        raise MalformedCheckpoint(
            f"the log {checkpoint.origin!r} is signed by a key of that name, not {key.name!r}"
        )
    return str(sign_note(checkpoint.text, [key, *others]))


def parse_checkpoint(note: str) -> Checkpoint:
    """The checkpoint of a signed note **without** looking at signatures. Raises `MalformedNote` or
    `MalformedCheckpoint`."""
    return parse_checkpoint_text(parse_note(note).text)


def open_checkpoint(note: str, keys: KeyRing | Sequence[VerifyingKey]) -> VerifiedCheckpoint:
    """The checkpoint of a note that a trusted key of the origin's name signed.

    A trusted key of another name is not enough: it may speak for another log. Raises `MalformedNote`,
    `MalformedCheckpoint`, `UnknownNoteKey` or `BadNoteSignature`.
    """
    signed = parse_note(note)
    checkpoint = parse_checkpoint_text(signed.text)
    signers = verify_note(signed, keys if isinstance(keys, KeyRing) else KeyRing(keys))
    if all(key.name != checkpoint.origin for key in signers):
        names = ", ".join(key.key_id for key in signers)
        raise UnknownNoteKey(
            f"the log {checkpoint.origin!r} did not sign its checkpoint with a trusted key; {names} did",
            remedy="Trust a key that has the log's name.",
        )
    return VerifiedCheckpoint(checkpoint, signers)
