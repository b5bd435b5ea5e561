"""Signed notes (C2SP signed-note): a text and, below its last blank line, who signed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from plaza_kit.errors import DataLoss, InvalidArgument
from plaza_kit.signing import (
    BadKey,
    KeyId,
    KeyRing,
    SigningKey,
    VerifyingKey,
    check_key_name,
    decode_base64,
    encode_base64,
    key_id_of,
)

MAX_NOTE_BYTES: Final = 1 << 20
MAX_SIGNATURES: Final = 100
_DASH: Final = "— "


class MalformedNote(InvalidArgument):
    """Not a signed note."""


class UnknownNoteKey(DataLoss):
    """Nobody whom we trust signed the note."""


class BadNoteSignature(DataLoss):
    """A key that we trust is named, and did not sign this text."""


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line, not yet verified."""

    name: str
    key_hash: bytes
    """4 bytes."""
    signature: bytes

    @property
    def key_id(self) -> KeyId:
        return key_id_of(self.name, self.key_hash)

    @property
    def line(self) -> str:
        return f"{_DASH}{self.name} {encode_base64(self.key_hash + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A parsed note. Its text must be ignored until `verify_note` has named a key."""

    text: str
    """Ends in a newline, which is part of what is signed."""
    signatures: tuple[NoteSignature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(signature.line for signature in self.signatures)


def sign_note(text: str, keys: Sequence[SigningKey]) -> SignedNote:
    """The note with a line for each key. Raises `MalformedNote` when the text cannot be one."""
    _check_text(text)
    if not keys:
        raise MalformedNote("a note needs at least one signature")
    message = text.encode()
    return SignedNote(
        text, tuple(NoteSignature(key.name, key.verifying_key.hash, key.sign(message)) for key in keys)
    )


def parse_note(note: str) -> SignedNote:
    """Split text and signatures, strictly. Raises `MalformedNote`, naming the line."""
    _check_characters(note)
    text, blank, tail = note.rpartition("\n\n")
    if not blank or not tail.endswith("\n"):
        raise MalformedNote("a note has a text, a blank line and signature lines, each ended by a newline")
    _check_text(text + "\n")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise MalformedNote(f"a note with {len(lines)} signatures, at most {MAX_SIGNATURES} are read")
    return SignedNote(text + "\n", tuple(_parse_signature(line) for line in lines))


def verify_note(note: SignedNote, keys: KeyRing) -> tuple[VerifyingKey, ...]:
    """The trusted keys that signed the note, in the order of its lines.

    Lines of unknown keys are passed over; a wrong signature of a known one refuses the whole note
    (`BadNoteSignature`); no known one at all: `UnknownNoteKey`.
    """
    signers: list[VerifyingKey] = []
    message = note.text.encode()
    for line in note.signatures:
        key = keys.find(line.key_id)
        if key is None:
            continue
        if not key.verify(message, line.signature):
            raise BadNoteSignature(f"the signature by {key.key_id} does not belong to this text")
        if key not in signers:
            signers.append(key)
    if not signers:
        signed_by = ", ".join(line.key_id for line in note.signatures)
        trusted = ", ".join(key.key_id for key in keys) or "none"
        raise UnknownNoteKey(
            f"signed by {signed_by}; trusted: {trusted}", remedy="Check which key you trust."
        )
    return tuple(signers)


def _parse_signature(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise MalformedNote(f"signature line {line!r} is not of the form `— name base64`")
    try:
        check_key_name(name)
        data = decode_base64(encoded)
    except (BadKey, ValueError) as error:
        raise MalformedNote(f"signature line {line!r}: {error}") from error
    if len(data) < 5:
        raise MalformedNote(f"signature line {line!r} holds no signature")
    return NoteSignature(name, data[:4], data[4:])


def _check_text(text: str) -> None:
    _check_characters(text)
    if not text.endswith("\n"):
        raise MalformedNote("the text of a note ends in a newline")


def _check_characters(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise MalformedNote("a note is valid UTF-8") from error
    if size > MAX_NOTE_BYTES:
        raise MalformedNote(f"a note of {size} bytes, at most {MAX_NOTE_BYTES} are read")
    if any(c < " " and c != "\n" for c in text):
        raise MalformedNote("a note has no control characters but newlines")
