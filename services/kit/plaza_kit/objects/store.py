"""What a store of immutable objects promises.

A key is a path without a leading slash: on S3 `bucket/…`, in a folder the path below its root. An object appears
whole or not at all, and what has a key keeps its bytes: whoever may write other bytes later writes them under
another key. Where a name holds 64 hexadecimal digits, they are the SHA-256 of the object's bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Final, Protocol

from plaza_kit.errors import DataLoss, FailedPrecondition, ResourceExhausted, Unavailable

CHUNK_BYTES: Final = 8 << 20
_NAMED_HASH: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


class StoreUnavailable(Unavailable):
    """The store does not answer; the same request may succeed soon."""


class StoreRefuses(FailedPrecondition):
    """The store does not let these keys do it, or has no such bucket."""


class ObjectDamaged(DataLoss):
    """An object's bytes are not those that its name speaks of."""


class CacheFull(ResourceExhausted):
    """The folder for files from S3 has no room, also without what was kept for the next use."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object that is there."""

    key: str
    size: int
    changed: datetime
    """UTC, by the store's clock."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What the bytes were that passed by."""

    size: int
    sha256: str


class Store(Protocol):
    """Blocking; safe to share between threads. Every method may raise StoreUnavailable, StoreRefuses."""

    def part(self, key: str) -> Path:
        """A new name for a file that is to become the object: near it, so that `put` is quick. The folder is
        there, the file is not; what is not put is the caller's to remove."""
        ...

    def put(self, part: Path, key: str) -> None:
        """Makes the object of a file, which is gone afterwards. Durable before this returns."""
        ...

    def get(self, key: str, target: Path) -> Digest:
        """Copies an object to a file of the caller's, hashed on the way: the bytes that are there are those that
        were hashed. Raises FileNotFoundError."""
        ...

    def path(self, key: str) -> Path:
        """Where the object may be read while it is held: the same in every call of this process."""
        ...

    def key(self, path: Path) -> str | None:
        """The inverse; None for a path that leads to no object."""
        ...

    def held(self, keys: Iterable[str]) -> AbstractContextManager[None]:
        """While these objects lie at their `path`. Raises FileNotFoundError, ObjectDamaged, CacheFull."""
        ...

    def renew(self, key: str, size: int) -> bool:
        """Whether an object of this size is there, young enough for whoever clears away what is old and unused."""
        ...

    def find(self, key: str) -> Found | None:
        """None: it is not there."""
        ...

    def listed(self, prefix: str) -> Iterator[Found]:
        """All below a folder, however deep."""
        ...

    def remove(self, key: str) -> None:
        """Harmless when it is gone."""
        ...

    def remove_all(self, prefix: str) -> None:
        """All below a folder, and the folder."""
        ...

    def remove_empty(self, prefix: str) -> None:
        """What is left of a folder without objects, if it has none."""
        ...

    def close(self) -> None:
        """Removes what is kept here for this process alone."""
        ...


def copy(source: IO[bytes], target: IO[bytes]) -> Digest:
    """Copies what is left of a file; hashes what it copies."""
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
        target.write(chunk)
    return Digest(size, digest.hexdigest())


def check_name(key: str, found: Digest) -> None:
    """Raises ObjectDamaged when the name speaks of other bytes."""
    name = key.rpartition("/")[2]
    named = _NAMED_HASH.search(name)
    if named is not None and named[0] != found.sha256:
        raise ObjectDamaged(
            f"the object {name} has other bytes than its name says",
            remedy="restore it from the storage's backup or an older version of the object",
            facts={"object": name, "found": found.sha256},
        )
