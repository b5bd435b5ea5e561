"""The lake's files, by their addresses: in a folder of this machine or on S3, with the same promises
(`plaza_kit.objects`); and taking a staged file over into a table's folder, checked and in one step."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from plaza_kit.errors import FailedPrecondition, InvalidArgument, NotFound
from plaza_kit.objects.folder import FolderStore
from plaza_kit.objects.s3 import SCHEME, S3Store
from plaza_kit.objects.settings import S3Place
from plaza_kit.objects.store import Digest, Store, copy

FILE: Final = "file://"
S3: Final = SCHEME


class StagedFileMissing(NotFound):
    """The manifest names a file that is not there."""


class StagedFileMismatch(FailedPrecondition):
    """A staged file is not what its manifest says."""

    def __init__(self, uri: str, problem: str) -> None:
        super().__init__(
            f"staged file {Path(uri).name}: {problem}",
            remedy="Stage the batch again; the load may be repeated with the same batch id.",
            facts={"file": Path(uri).name},
        )


def local_path(uri: str) -> Path:
    """The path behind a `file://` URI (or a plain path)."""
    return Path(uri.removeprefix("file://"))


class UnreachableFile(InvalidArgument):
    """An address that leads to another kind of storage than the warehouse's."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is there."""

    uri: str
    size: int
    changed: datetime
    """UTC, by the storage's clock."""


class Files:
    """All files of one kind of storage. An address is `file://` and an absolute path, or `s3://bucket/key`."""

    def __init__(self, scheme: str, store: Store) -> None:
        self._scheme = scheme
        self._root = "/" if scheme == FILE else ""
        self.store = store

    def key(self, uri: str) -> str:
        """The object of an address. Raises `UnreachableFile`."""
        start = self._scheme + self._root
        if uri.startswith(start):
            return uri[len(start) :]
        if self._scheme == FILE and uri.startswith("/"):
            return uri[1:]
        raise UnreachableFile(
            f"{uri} cannot be reached", remedy="Everything of a lake lies in one kind of storage."
        )

    def uri(self, key: str) -> str:
        """The address of an object."""
        return f"{self._scheme}{self._root}{key}"

    def path(self, uri: str) -> str:
        """Where engines read it, while it is `opened`: always the same for an address."""
        return str(self.store.path(self.key(uri)))

    def address(self, path: str) -> str:
        """The inverse: of a file that engines read there. Raises `UnreachableFile`."""
        key = self.store.key(Path(path))
        if key is None:
            raise UnreachableFile(f"{path} is no file of the lake", remedy="Take paths of `path`.")
        return self.uri(key)

    def opened(self, paths: Iterable[str]) -> AbstractContextManager[None]:
        """While these files can be read; other paths than those of `path` are nobody's care here. Raises
        FileNotFoundError, and as `Store.held`."""
        keys = (self.store.key(Path(path)) for path in paths)
        return self.store.held([key for key in keys if key is not None])

    def part(self, uri: str) -> Path:
        """A new name for a file that is to be kept there."""
        return self.store.part(self.key(uri))

    def keep(self, part: Path, uri: str) -> None:
        """The file is there under its address, whole and durable, before this returns."""
        self.store.put(part, self.key(uri))

    def listed(self, folder: str) -> Iterator[StoredFile]:
        """All below a folder."""
        for found in self.store.listed(self.key(folder)):
            yield StoredFile(self.uri(found.key), found.size, found.changed)

    def read(self, uri: str) -> bytes:
        """A small file that may change. Raises FileNotFoundError."""
        part = self.part(uri)
        try:
            self.store.get(self.key(uri), part)
            return part.read_bytes()
        finally:
            part.unlink(missing_ok=True)

    def write(self, uri: str, data: bytes) -> None:
        """In place of what is there."""
        part = self.part(uri)
        part.write_bytes(data)
        self.keep(part, uri)

    def remove(self, uri: str) -> None:
        """Harmless when it is gone."""
        self.store.remove(self.key(uri))

    def remove_empty(self, folder: str) -> None:
        """The folder, if nothing is in it."""
        self.store.remove_empty(self.key(folder))

    def remove_others(self, folder: str, keep: set[str]) -> None:
        """Removes every file of a folder whose address is not in `keep`."""
        for found in list(self.listed(folder)):
            if found.uri not in keep:
                self.remove(found.uri)

    def link(self, source_uri: str, part: Path) -> bool:
        """A second name of a file instead of a copy; False where there is no such thing."""
        if self._scheme != FILE or not source_uri.startswith(FILE):
            return False
        try:
            if not stat.S_ISREG(os.lstat(local_path(source_uri)).st_mode):
                return False
            os.link(local_path(source_uri), part, follow_symlinks=False)
        except OSError:  # on another file system, or on one without links; a copy says what else is wrong
            return False
        return True

    def copy(self, source_uri: str, part: Path) -> Digest:
        """What is copied is what is hashed. Raises `StagedFileMissing`, `StagedFileMismatch`."""
        if source_uri.startswith(S3):
            path = self.path(source_uri)
            try:
                with self.opened([path]), Path(path).open("rb") as reader, part.open("xb") as writer:
                    return copy(reader, writer)
            except FileNotFoundError as error:
                raise _missing(source_uri) from error
        with os.fdopen(_open_regular(local_path(source_uri)), "rb") as reader, part.open("xb") as writer:
            return copy(reader, writer)


def files_at(address: str, place: S3Place | None) -> Files:
    """For all files of the storage that this address is of. Raises `UnreachableFile`."""
    if not address.startswith(S3):
        return Files(FILE, FolderStore(Path("/")))
    if place is None:
        raise UnreachableFile(f"{address}: nothing says how S3 is reached", remedy="Set PLAZA_S3_….")
    return Files(S3, S3Store(place))


def take_over(
    files: Files, source_uri: str, target_uri: str, sha256: str, size: int, *, settled: bool = False
) -> None:
    """Copies a staged file to its place, durable before it returns, all or nothing.

    The bytes that are copied are the bytes that are hashed: whoever may still write to the staging folder
    cannot change them afterwards, which a move or a link would allow. A target that exists is complete,
    because its name holds the hash and it only ever appears whole.

    `settled`: nobody will write to the file again, and its hash is that of what was written. Then it is linked
    where that can be.

    Raises `StagedFileMissing`, `StagedFileMismatch`.
    """
    if files.store.renew(files.key(target_uri), size):
        return
    part = files.part(target_uri)
    try:
        if settled and files.link(source_uri, part):
            found = Digest(part.stat().st_size, sha256)
        else:
            found = files.copy(source_uri, part)
        if found != Digest(size, sha256):
            raise StagedFileMismatch(
                source_uri,
                f"expected {size} bytes with SHA-256 {sha256}, found {found.size} with {found.sha256}",
            )
        files.keep(part, target_uri)
    finally:
        part.unlink(missing_ok=True)


def _missing(uri: str) -> StagedFileMissing:
    name = uri.rpartition("/")[2]
    return StagedFileMissing(
        f"staged file {name} is not there", remedy="Stage the batch again.", facts={"file": name}
    )


def _open_regular(path: Path) -> int:
    """A worker owns its staging folder: a link planted there could point to another department's file, and a
    pipe would hang us."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise _missing(str(path)) from error
    except OSError as error:
        raise StagedFileMismatch(str(path), "not a readable regular file") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StagedFileMismatch(str(path), "not a regular file")
    return descriptor


@contextmanager
def locked(path: Path, *, exclusive: bool) -> Iterator[bool]:
    """Holds a lock file: together with others, or alone. Alone is not waited for: says whether it was had.

    The kernel lets go of it with the process, however that ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    with path.open("rb") as reader:
        return hashlib.file_digest(reader, "sha256").hexdigest()
