"""Bytes of data files: taking a staged one over into a table's folder, checked and in one step."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from plaza_kit.errors import FailedPrecondition, NotFound

_CHUNK: Final = 1 << 20


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


def take_over(source_uri: str, target_uri: str, sha256: str, size: int) -> None:
    """Copies a staged file to its place, durable before it returns, all or nothing.

    The bytes that are copied are the bytes that are hashed: whoever may still write to the staging folder
    cannot change them afterwards, which a move or a link would allow. A target that exists is complete,
    because its name holds the hash and it only ever appears whole.

    Raises `StagedFileMissing`, `StagedFileMismatch`.
    """
    source, target = local_path(source_uri), local_path(target_uri)
    if target.exists() and target.stat().st_size == size:
        os.utime(target)  # young again, for the sweep
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        found = _copy(source, part)
        if found != (sha256, size):
            raise StagedFileMismatch(
                source_uri, f"expected {size} bytes with SHA-256 {sha256}, found {found[1]} with {found[0]}"
            )
        part.replace(target)
        sync_directory(target.parent)
    finally:
        part.unlink(missing_ok=True)


def _copy(source: Path, part: Path) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = 0
    with os.fdopen(_open_regular(source), "rb") as reader, part.open("xb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest(), size


def _open_regular(path: Path) -> int:
    """A worker owns its staging folder: a link planted there could point to another department's file, and a
    pipe would hang us."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise StagedFileMissing(
            f"staged file {path.name} is not there",
            remedy="Stage the batch again.",
            facts={"file": path.name},
        ) from error
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


def sync_directory(directory: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_others(folder_uri: str, keep: set[str]) -> None:
    """Removes every file of a folder whose URI is not in `keep`."""
    folder = local_path(folder_uri)
    kept = {local_path(uri) for uri in keep}
    if folder.is_dir():
        for path in folder.iterdir():
            if path not in kept:
                path.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    with path.open("rb") as reader:
        return hashlib.file_digest(reader, "sha256").hexdigest()
