"""`FILE.proof.json`: the path from a file's hash to a signed checkpoint, checked offline (ADR 0003).

file → leaf (an event that names its SHA-256) → tree (inclusion path) → checkpoint (signed by a pinned key).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from plaza_kit.errors import DataLoss, InvalidArgument
from plaza_kit.signing import KeyRing, VerifyingKey, decode_base64, encode_base64
from plaza_kit.tlog.checkpoint import (
    MAX_SIZE,
    Checkpoint,
    VerifiedCheckpoint,
    open_checkpoint,
    parse_checkpoint,
)
from plaza_kit.tlog.leaf import NotCanonical, parse_canonical
from plaza_kit.tlog.merkle import (
    HASH_BYTES,
    InclusionRefused,
    NodeReader,
    inclusion_proof,
    leaf_hash,
    verify_inclusion,
)
from plaza_kit.tlog.note import BadNoteSignature, UnknownNoteKey

FORMAT: Final = "plaza-file-proof"
VERSION: Final = 1
SUFFIX: Final = ".proof.json"
MAX_PROOF_BYTES: Final = 1 << 20
_MEMBERS: Final = ("format", "version", "leaf", "leaf_index", "tree_size", "inclusion_path", "checkpoint")


class MalformedProof(InvalidArgument):
    """A text that is no proof. `member` names the place."""

    def __init__(self, member: str, problem: str, *, remedy: str = "Download the proof again.") -> None:
        super().__init__(f"proof: {member} {problem}", remedy=remedy, facts={"member": member})
        self.member = member


class ProofBroken(DataLoss):
    """A proof that does not prove. The subclass says which link of the chain is broken."""


class FileNotInLeaf(ProofBroken):
    """The file is not the one that the ledger's event is about."""


class LeafNotInTree(ProofBroken):
    """The event is not in the log that the checkpoint describes."""


class CheckpointKeyUnknown(ProofBroken):
    """No trusted key signed the checkpoint."""


class CheckpointSignatureBroken(ProofBroken):
    """The checkpoint names a trusted key that did not sign it."""


@dataclass(frozen=True, slots=True)
class FileProof:
    """What `FILE.proof.json` says. Well-formed, not yet verified."""

    leaf: str
    """The exact text whose UTF-8 bytes were logged: canonical JSON of an event."""
    leaf_index: int
    tree_size: int
    inclusion_path: tuple[bytes, ...]
    """From the leaf's sibling upwards, 32 bytes each (RFC 9162 §2.1.3)."""
    checkpoint: str
    """The signed note, verbatim."""

    def to_json(self) -> str:
        document = {
            "format": FORMAT,
            "version": VERSION,
            "leaf": self.leaf,
            "leaf_index": self.leaf_index,
            "tree_size": self.tree_size,
            "inclusion_path": [encode_base64(element) for element in self.inclusion_path],
            "checkpoint": self.checkpoint,
        }
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> FileProof:
        """Strict: exactly the known members, once each. Raises `MalformedProof`, naming the member."""
        document = _parse_document(text)
        return cls(
            leaf=_text(document, "leaf"),
            leaf_index=_whole_number(document, "leaf_index"),
            tree_size=_whole_number(document, "tree_size"),
            inclusion_path=_path(document["inclusion_path"]),
            checkpoint=_text(document, "checkpoint"),
        )


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """What a proof proved: the log says this about the file, and the key's owner signed it."""

    sha256: str
    file_name: str
    """As the ledger has it; the reader's copy may be called otherwise."""
    event_type: str
    subject: str
    time: datetime
    event: dict[str, Any]
    """The whole event."""
    leaf_index: int
    checkpoint: Checkpoint
    key: VerifyingKey


def proof_path(file: Path) -> Path:
    """`air.csv` → `air.csv.proof.json`, beside it."""
    return file.with_name(file.name + SUFFIX)


def sha256_of_file(file: Path) -> str:
    """SHA-256 of a file's bytes in lower-case hex, streamed. Raises `OSError`."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def make_file_proof(
    leaf: str, leaf_index: int, tree_size: int, reader: NodeReader, checkpoint: str
) -> FileProof:
    """The proof for a logged leaf under a signed checkpoint of `tree_size`. Reads `nodes_for_inclusion`."""
    return FileProof(leaf, leaf_index, tree_size, inclusion_proof(leaf_index, tree_size, reader), checkpoint)


def verify_file_proof(proof: FileProof, file_sha256: str, keys: Iterable[str]) -> VerifiedFile:
    """Follow the chain from the file's hash (lower-case hex) to one of the trusted `keys` (vkey texts).

    Raises the `ProofBroken` of the first broken link, `MalformedProof` when leaf or checkpoint cannot be
    read, `BadKey` when a key's text is wrong.
    """
    ring = KeyRing.from_vkeys(keys)
    event = _event(proof.leaf)
    logged, file_name = event["data"]["sha256"], event["data"]["file_name"]
    if logged != file_sha256:
        raise FileNotInLeaf(
            f"the file's SHA-256 is {file_sha256}, the ledger has {logged} for {file_name!r}",
            remedy="The file was changed, or the proof belongs to another file: download both again.",
        )
    _check_inclusion(proof)
    verified = _check_signature(proof, ring)
    return VerifiedFile(
        sha256=file_sha256,
        file_name=file_name,
        event_type=event["type"],
        subject=event["subject"],
        time=datetime.fromisoformat(event["time"]),
        event=event,
        leaf_index=proof.leaf_index,
        checkpoint=verified.checkpoint,
        key=next(key for key in verified.signers if key.name == verified.checkpoint.origin),
    )


def _check_inclusion(proof: FileProof) -> None:
    try:
        checkpoint = parse_checkpoint(proof.checkpoint)
    except InvalidArgument as error:
        raise MalformedProof("checkpoint", f"cannot be read: {error.message}") from error
    if checkpoint.size != proof.tree_size:
        raise LeafNotInTree(
            f"the path is for a tree of {proof.tree_size}, the checkpoint for one of {checkpoint.size}",
            remedy="Download the proof again.",
        )
    leaf = leaf_hash(proof.leaf.encode())
    try:
        verify_inclusion(proof.leaf_index, proof.tree_size, leaf, proof.inclusion_path, checkpoint.root)
    except InclusionRefused as error:
        raise LeafNotInTree(
            f"the event is not in the log: {error.message}",
            remedy="The proof was changed: download it again; if it stays so, tell the log's auditors.",
        ) from error


def _check_signature(proof: FileProof, ring: KeyRing) -> VerifiedCheckpoint:
    try:
        return open_checkpoint(proof.checkpoint, ring)
    except UnknownNoteKey as error:
        raise CheckpointKeyUnknown(
            f"the checkpoint bears no signature of a trusted key: {error.message}",
            remedy="Log in again to pin the present key, or give the key that its owner published.",
        ) from error
    except BadNoteSignature as error:
        raise CheckpointSignatureBroken(
            f"the checkpoint is not what its key signed: {error.message}",
            remedy="The proof was changed: download it again; if it stays so, tell the log's auditors.",
        ) from error


_EVENT_MEMBERS: Final = ("type", "subject", "time", "data")


def _event(leaf: str) -> dict[str, Any]:
    """The event of a leaf, with the members that a file's proof needs. It may have more."""
    try:
        event = parse_canonical(leaf)
    except NotCanonical as error:
        raise MalformedProof("leaf", f"cannot be read: {error.message}") from error
    for name in _EVENT_MEMBERS:
        if name not in event:
            raise MalformedProof(f"leaf.{name}", "is missing")
    for name in ("type", "subject", "time"):
        if not isinstance(event[name], str) or not event[name]:
            raise MalformedProof(f"leaf.{name}", "must be a text")
    _check_time(event["time"])
    _check_file(event["data"])
    return event


def _check_time(text: str) -> None:
    try:
        aware = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        aware = False
    if not aware:
        raise MalformedProof("leaf.time", f"{text!r} is not a time with its zone (RFC 3339)")


def _check_file(data: object) -> None:
    if not isinstance(data, dict):
        raise MalformedProof("leaf.data", "must be an object")
    sha256, file_name = data.get("sha256"), data.get("file_name")
    if not isinstance(sha256, str) or re.fullmatch(r"[0-9a-f]{64}", sha256) is None:
        raise MalformedProof("leaf.data.sha256", "must be 64 lower-case hex digits")
    if not isinstance(file_name, str) or not _is_file_name(file_name):
        raise MalformedProof("leaf.data.file_name", "must be a file's name without folders")


def _is_file_name(name: str) -> bool:
    return name not in ("", ".", "..") and name.isprintable() and not set(name) & {"/", "\\"}


def _parse_document(text: str) -> dict[str, Any]:
    if len(text) > MAX_PROOF_BYTES:
        raise MalformedProof("document", f"is longer than {MAX_PROOF_BYTES} characters")
    try:
        document = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise MalformedProof("document", f"is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise MalformedProof("document", "must be a JSON object")
    if document.get("format") != FORMAT:
        raise MalformedProof(
            "format", f"is {document.get('format')!r}, not {FORMAT!r}", remedy="Give FILE.proof.json."
        )
    if document.get("version") != VERSION or type(document["version"]) is not int:
        raise MalformedProof(
            "version",
            f"is {document.get('version')!r}, this program reads {VERSION}",
            remedy="Upgrade the program.",
        )
    for name in _MEMBERS:
        if name not in document:
            raise MalformedProof(name, "is missing")
    for name in document:
        if name not in _MEMBERS:
            raise MalformedProof(name, "is unknown")
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise MalformedProof(name, "is there twice")
        members[name] = value
    return members


def _text(document: dict[str, Any], name: str) -> str:
    value = document[name]
    if not isinstance(value, str):
        raise MalformedProof(name, "must be a text")
    return value


def _whole_number(document: dict[str, Any], name: str) -> int:
    value = document[name]
    if type(value) is not int or not 0 <= value <= MAX_SIZE:
        raise MalformedProof(name, f"must be a whole number from 0 to {MAX_SIZE}")
    return value


def _path(value: object) -> tuple[bytes, ...]:
    if not isinstance(value, list):
        raise MalformedProof("inclusion_path", "must be a list")
    return tuple(_hash(element, f"inclusion_path[{i}]") for i, element in enumerate(value))


def _hash(value: object, member: str) -> bytes:
    try:
        data = decode_base64(value) if isinstance(value, str) else b""
    except ValueError:
        data = b""
    if len(data) != HASH_BYTES:
        raise MalformedProof(member, f"must be {HASH_BYTES} bytes in base64")
    return data
