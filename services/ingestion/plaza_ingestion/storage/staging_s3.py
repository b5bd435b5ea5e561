"""Where files wait on S3: uploads and staged files of departments, and ingestion's own part.

    <a department's place>/uploads/<upload>/<file>         written here, read by the department's worker
    <a department's place>/runs/<run>/<lease>/…            written by the worker, whose keys open nothing else
    <warehouse>/_ingestion/commits/<d>/<run>/<sha256>…     ingestion's own; no worker's keys reach it

A department's place is what `PLAZA_STAGING` says with its id for `{department}`, or `departments/<id>` below it. A
worker may write other bytes under a name at any time. So nothing of it is used where it lies: it is copied here,
hashed on the way, and what goes on is the copy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from shutil import rmtree
from threading import Lock
from typing import BinaryIO, Final

from plaza_kit.objects.store import Digest
from plaza_lake.files import Files
from plaza_lake.write import StagedFile

from plaza_ingestion.storage.staging import (
    LookedAt,
    NotAPlainFile,
    Received,
    StagedFileChanged,
    StagedFileMissing,
)

_DEPARTMENT: Final = "{department}"
_OWN: Final = "_ingestion/commits"
"""Below the warehouse; no department's id begins so."""


class IncomingObject:
    """An upload on its way in: on this machine until `keep`."""

    def __init__(self, files: Files, place: str) -> None:
        self._files = files
        self._place = place
        self._path = files.part(place)
        self._file: BinaryIO = self._path.open("xb")
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)

    def keep(self, relative: str) -> Received:
        self._file.close()
        self._files.keep(self._path, f"{self._place}/{relative}")
        return Received(self.size, self._hash.hexdigest())

    def drop(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


class S3Staging:
    """The `StagingArea` on S3."""

    def __init__(self, address: str, files: Files, warehouse: str) -> None:
        """`warehouse`: where ingestion alone writes. Raises UnreachableFile unless it lies on S3 too."""
        self._address = address.rstrip("/")
        if _DEPARTMENT not in address:
            self._address += f"/departments/{_DEPARTMENT}"
        self._files = files
        self._own = f"{warehouse.rstrip('/')}/{_OWN}"
        files.key(self._address)
        self._guard = Lock()
        self._scratch: Path | None = None

    def incoming(self, department: str) -> IncomingObject:
        """An upload of a department that begins."""
        return IncomingObject(self._files, self._place(department))

    def own(self, department: str, run: str) -> Path:
        """A folder of this machine for the commit of a run, made if it is not there."""
        folder = self._folder(department, run)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def keep(self, department: str, run: str, file: StagedFile) -> StagedFile:
        """A file of `own` that is to be committed, by whichever process: on S3, under a name made of its hash."""
        uri = f"{self._own}/{department}/{run}/{file.sha256}.parquet"
        self._files.keep(Path(file.uri.removeprefix("file://")), uri)
        return StagedFile(uri, file.rows, file.bytes, file.sha256)

    @contextmanager
    def opened(self, department: str, relative: str) -> Iterator[BufferedReader]:
        """A copy of a file of the department. Raises StagedFileMissing, NotAPlainFile."""
        uri = self._uri(department, relative)
        part = self._files.part(uri)
        try:
            self._get(uri, part)
            with part.open("rb") as file:
                yield file
        finally:
            part.unlink(missing_ok=True)

    def size(self, department: str, relative: str) -> int:
        """Bytes of a file. Raises as `opened`."""
        uri = self._uri(department, relative)
        found = self._files.store.find(self._files.key(uri))
        if found is None:
            raise _missing(relative)
        return found.size

    def copy(self, department: str, relative: str, expected: StagedFile) -> None:
        """To `expected.uri`, on this machine; what is copied is what is hashed. Raises StagedFileChanged, and as
        `opened`."""
        found = self._get(self._uri(department, relative), Path(expected.uri.removeprefix("file://")))
        if found != Digest(expected.bytes, expected.sha256):
            raise StagedFileChanged(
                f"staged file {relative}: expected {expected.bytes} bytes with SHA-256 {expected.sha256},"
                f" found {found.size} with {found.sha256}",
                remedy="load the file again",
            )

    def look(self, department: str, relative: str, kept: str) -> LookedAt:
        """Copies and hashes a worker's file. The copy waits among the uploads, under a name with its hash. Raises as
        `opened`."""
        uri = self._uri(department, relative)
        part = self._files.part(uri)
        try:
            found = self._get(uri, part)
            self._files.keep(part, self._uri(department, _with_hash(kept, found.sha256)))
        finally:
            part.unlink(missing_ok=True)
        return LookedAt(Received(found.size, found.sha256), 0, 0)

    def adopt(self, department: str, relative: str, kept: str, looked: LookedAt) -> str:
        """Where the copy is that `look` made. Raises StagedFileChanged when it is not there as it was."""
        path = _with_hash(kept, looked.received.sha256)
        if self.size(department, path) != looked.received.size_bytes:
            raise StagedFileChanged(f"{relative} was changed while it was taken", remedy="pull it again")
        return path

    def remove_upload(self, department: str, relative: str) -> None:
        """Removes an upload with its folder; harmless when it is gone."""
        folder = "/".join(relative.split("/")[:2])
        self._files.store.remove_all(self._files.key(self._uri(department, folder)))

    def forget(self, department: str, run: str) -> None:
        """Removes what was staged for a run, best effort; uploads stay."""
        rmtree(self._folder(department, run), ignore_errors=True)
        for folder in (f"{self._own}/{department}/{run}", f"{self._place(department)}/runs/{run}"):
            with suppress(Exception):
                self._files.store.remove_all(self._files.key(folder))

    def _place(self, department: str) -> str:
        return self._address.replace(_DEPARTMENT, department)

    def _uri(self, department: str, relative: str) -> str:
        if any(part in ("", ".", "..") for part in relative.split("/")):
            raise NotAPlainFile(f"{relative} is no plain path", remedy="stage a plain file")
        return f"{self._place(department)}/{relative}"

    def _get(self, uri: str, target: Path) -> Digest:
        try:
            return self._files.store.get(self._files.key(uri), target)
        except FileNotFoundError as error:
            raise _missing(uri.rpartition("/")[2]) from error

    def _folder(self, department: str, run: str) -> Path:
        with self._guard:
            if self._scratch is None:
                self._scratch = self._files.part(self._own)
            return self._scratch / department / run


def _with_hash(kept: str, sha256: str) -> str:
    folder, _, name = kept.rpartition("/")
    return f"{folder}/{sha256}/{name}"


def _missing(name: str) -> StagedFileMissing:
    return StagedFileMissing(f"{name} is not there", remedy="stage it again, or load the file again")
