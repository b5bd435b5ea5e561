"""The files of releases on S3: `<store>/departments/<d>/<x>/<n>/<sha256>-<file>`. Blocking.

A name is made of the bytes, so that two processes that build the same release cannot spoil each other's files:
which of two proofs counts is what the database has recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from plaza_kit.objects.settings import S3Place
from plaza_kit.objects.store import ObjectDamaged
from plaza_kit.tlog.proof import SUFFIX, sha256_of_file
from plaza_lake.files import S3, files_at

from plaza_opendata.storage.files import ReleaseStore, damaged


class S3ReleaseStore(ReleaseStore):
    """A prefix, shared by all processes of the service. Paths of files are names in it."""

    def __init__(self, address: str, place: S3Place) -> None:
        self._store = files_at(address, place).store
        super().__init__(address.removeprefix(S3))

    @contextmanager
    def new(self, path: Path, *, keep: bool = False) -> Iterator[IO[bytes]]:
        """A file that is there, under the name of its bytes, when the block ends well; else nothing is left."""
        part = self._store.part(str(path))
        try:
            with part.open("xb") as stream:
                yield stream
            self._store.put(part, _key(path, sha256_of_file(part)))
        finally:
            part.unlink(missing_ok=True)

    def remove_parts(self, path: Path) -> None:
        """Nothing: what killed writers left is on their machine, and cleared away there."""

    def holds(self, path: Path, size_bytes: int, sha256: str) -> bool:
        """Whether the file is there with these bytes."""
        try:
            with self._store.held([_key(path, sha256)]):
                return self._store.path(_key(path, sha256)).stat().st_size == size_bytes
        except (FileNotFoundError, ObjectDamaged):
            return False

    def keep_proof(self, file: Path, text: str) -> tuple[int, str]:
        """Puts a proof beside a file; answers its size and SHA-256."""
        data = text.encode()
        with self.new(file.with_name(file.name + SUFFIX)) as stream:
            stream.write(data)
        return len(data), hashlib.sha256(data).hexdigest()

    @contextmanager
    def opened(self, path: Path, sha256: str) -> Iterator[Path]:
        """Where a file of these bytes may be read meanwhile. Raises FileDamaged, ObjectDamaged."""
        key = _key(path, sha256)
        with ExitStack() as stack:
            try:
                stack.enter_context(self._store.held([key]))
            except FileNotFoundError:
                raise damaged(path, "is missing") from None
            yield self._store.path(key)

    def close(self) -> None:
        """Removes what is kept here for this process alone."""
        self._store.close()


def release_store_at(address: str, place: S3Place) -> ReleaseStore:
    """By the setting `PLAZA_RELEASE_STORE`."""
    return S3ReleaseStore(address, place) if address.startswith(S3) else ReleaseStore(address)


def _key(path: Path, sha256: str) -> str:
    return str(path.with_name(f"{sha256}-{path.name}"))
