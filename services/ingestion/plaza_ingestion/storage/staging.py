"""The folder where files wait: uploads and staged files of departments, and ingestion's own part.

    <staging>/departments/<d>/uploads/<upload>/<file>    written here, read by the department's worker
    <staging>/departments/<d>/runs/<run>/<lease>/…       written by the worker
    <staging>/commits/<d>/<run>/<try>/…                  ingestion's own; no worker reaches it

A worker owns its department's folder, so nothing below it is trusted: paths are walked without following a
link, and what is to be committed is copied first, hashed on the way.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Final

from plaza_kit.errors import FailedPrecondition, InvalidArgument, NotFound
from plaza_kit.objects.folder import sync
from plaza_lake.write import StagedFile

_CHUNK: Final = 1 << 20
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_INCOMING: Final = ".incoming"
_FORGOTTEN_SECONDS: Final = 24 * 3600
"""An unfinished upload this old has no sender any more."""


class StagedFileMissing(NotFound):
    """A file of the department's folder is not there."""


class NotAPlainFile(InvalidArgument):
    """A path leads over a link, or to something that is no regular file."""


class StagedFileChanged(FailedPrecondition):
    """A file is not what was said about it."""


@dataclass(frozen=True, slots=True)
class Received:
    """What an upload turned out to be."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LookedAt:
    """A worker's file as it was hashed; a file that takes its name later is another one."""

    received: Received
    device: int
    inode: int


class IncomingFile:
    """An upload on its way in: invisible until `keep`."""

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        folder = prefix / "uploads" / _INCOMING
        folder.mkdir(parents=True, exist_ok=True)
        _remove_forgotten(folder)
        self._path = folder / uuid.uuid4().hex
        self._file: BinaryIO = self._path.open("xb")
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)

    def keep(self, relative: str) -> Received:
        """Durable under its own name before this returns."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        target = self._prefix / relative
        target.parent.mkdir(parents=True)
        self._path.replace(target)
        for folder in (target.parent, target.parent.parent):
            sync(folder)
        return Received(self.size, self._hash.hexdigest())

    def drop(self) -> None:
        """Leaves nothing behind; harmless after `keep`."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class Staging:
    """The folders below one root."""

    def __init__(self, root: str) -> None:
        self._root = Path(root).absolute()

    def prefix(self, department: str) -> Path:
        """A department's own folder, made if it is not there."""
        folder = self._root / "departments" / department
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def incoming(self, department: str) -> IncomingFile:
        """An upload of a department that begins."""
        return IncomingFile(self.prefix(department))

    def own(self, department: str, run: str) -> Path:
        """A new folder of ingestion's own for one try to commit a run. What was written there is never written again,
        so that the lake may take it by a link: another try, even one beside it, has another folder."""
        folder = self._root / "commits" / department / run / uuid.uuid4().hex
        folder.mkdir(parents=True)
        return folder

    @contextmanager
    def opened(self, department: str, relative: str) -> Iterator[BufferedReader]:
        """A regular file below the department's folder. Raises StagedFileMissing, NotAPlainFile."""
        *folders, name = relative.split("/")
        with self._folder(department, folders) as folder:
            try:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                descriptor = os.open(name, flags, dir_fd=folder)
            except OSError as error:
                raise _cannot_open(relative, error) from error
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise NotAPlainFile(f"{relative} is not a regular file", remedy="stage a plain file")
            yield file

    def size(self, department: str, relative: str) -> int:
        """Bytes of a regular file. Raises as `opened`."""
        with self.opened(department, relative) as file:
            return os.fstat(file.fileno()).st_size

    def copy(self, department: str, relative: str, expected: StagedFile) -> None:
        """To `expected.uri`; what is copied is what is hashed. Raises StagedFileChanged, and as `opened`."""
        target = Path(expected.uri.removeprefix("file://"))
        digest = hashlib.sha256()
        size = 0
        with self.opened(department, relative) as source, target.open("wb") as writer:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                writer.write(chunk)
        if (size, digest.hexdigest()) != (expected.bytes, expected.sha256):
            raise StagedFileChanged(
                f"staged file {relative}: expected {expected.bytes} bytes with SHA-256 {expected.sha256},"
                f" found {size} with {digest.hexdigest()}",
                remedy="load the file again",
            )

    def keep(self, department: str, run: str, file: StagedFile) -> StagedFile:
        """A file of `own` that is to be committed: it is where it stays."""
        return file

    def look(self, department: str, relative: str, kept: str) -> LookedAt:
        """Hashes a worker's file and makes it durable; when it was adopted before, as `kept`. Raises as `opened`."""
        try:
            return self._look(department, relative)
        except StagedFileMissing:
            with suppress(StagedFileMissing):
                return self._look(department, kept)
            raise

    def _look(self, department: str, relative: str) -> LookedAt:
        with self.opened(department, relative) as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            known = os.fstat(file.fileno())
            return LookedAt(Received(known.st_size, digest), known.st_dev, known.st_ino)

    def adopt(self, department: str, relative: str, kept: str, looked: LookedAt) -> str:
        """Moves a worker's file to a place among the uploads, in place of what an earlier try left there; when it
        is there already nothing happens. Durable before this returns; answers where it is. Raises StagedFileChanged
        unless it is the file that was looked at, and as `opened`."""
        *to_folders, to_name = kept.split("/")
        (self.prefix(department) / "/".join(to_folders)).mkdir(parents=True, exist_ok=True)
        *from_folders, from_name = relative.split("/")
        with (
            self._folder(department, from_folders) as source,
            self._folder(department, to_folders) as target,
            suppress(FileNotFoundError),
        ):
            os.rename(from_name, to_name, src_dir_fd=source, dst_dir_fd=target)
            os.fsync(target)
        sync(self.prefix(department) / to_folders[0])
        with self.opened(department, kept) as file:
            found = os.fstat(file.fileno())
        if (found.st_dev, found.st_ino) != (looked.device, looked.inode):
            raise StagedFileChanged(f"{relative} was changed while it was taken", remedy="pull it again")
        return kept

    def remove_upload(self, department: str, relative: str) -> None:
        """Removes an upload with its folder; harmless when it is gone. Raises OSError when that fails."""
        *folders, upload, _ = relative.split("/")
        try:
            with self._folder(department, folders) as opened:
                shutil.rmtree(upload, dir_fd=opened)
                os.fsync(opened)
        except (StagedFileMissing, FileNotFoundError):
            pass

    def forget(self, department: str, run: str) -> None:
        """Removes what was staged for a run, best effort; uploads stay."""
        shutil.rmtree(self._root / "commits" / department / run, ignore_errors=True)
        with suppress(StagedFileMissing, NotAPlainFile, OSError), self._folder(department, ["runs"]) as runs:
            shutil.rmtree(run, dir_fd=runs)

    @contextmanager
    def _folder(self, department: str, parts: list[str]) -> Iterator[int]:
        """A descriptor of a folder below the department's; no link is followed on the way."""
        descriptor = os.open(self.prefix(department), _DIRECTORY)
        try:
            for part in parts:
                try:
                    inner = os.open(part, _DIRECTORY, dir_fd=descriptor)
                except OSError as error:
                    raise _cannot_open("/".join(parts), error) from error
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)


def _cannot_open(relative: str, error: OSError) -> StagedFileMissing | NotAPlainFile:
    if isinstance(error, FileNotFoundError):
        return StagedFileMissing(f"{relative} is not there", remedy="stage it again, or load the file again")
    return NotAPlainFile(f"{relative} leads over a link or cannot be read", remedy="stage a plain file")


def _remove_forgotten(folder: Path) -> None:
    oldest = time.time() - _FORGOTTEN_SECONDS
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()
