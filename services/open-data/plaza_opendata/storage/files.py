"""The files of releases: `<store>/departments/<d>/<x>/<n>/<file>`, written once, read in pieces. Blocking."""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from plaza_kit.errors import DataLoss
from plaza_kit.objects.folder import sync
from plaza_kit.tlog.proof import SUFFIX, sha256_of_file

from plaza_opendata.domain.releases import ReleaseName

CHUNK_BYTES: Final = 256 * 1024
_PART: Final = ".part"


class FileDamaged(DataLoss):
    """A file of a release is not as it was recorded."""


class ReleaseStore:
    """One folder, shared by all processes of the service. A file's name is one that the database knows."""

    def __init__(self, root: str) -> None:
        self._root = Path(root)

    def path(self, release: ReleaseName, file_name: str) -> Path:
        """Where a file of a release is. Raises ValueError for a name that leads elsewhere."""
        if file_name != Path(file_name).name or file_name in ("", ".", ".."):
            raise ValueError(f"{file_name!r} is not a file's name")
        name = release.dataset
        return self._root / "departments" / name.department / name.dataset / str(release.number) / file_name

    @contextmanager
    def new(self, path: Path, *, keep: bool = False) -> Iterator[IO[bytes]]:
        """A file that takes its name, complete and on disk, when the block ends well; else nothing is left.

        `keep`: when the name is taken by then, the file that has it stays.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex}{_PART}")
        try:
            with part.open("xb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            if keep:
                with contextlib.suppress(FileExistsError):
                    path.hardlink_to(part)
            else:
                part.rename(path)
            sync(path.parent)
        finally:
            part.unlink(missing_ok=True)

    def remove_parts(self, path: Path) -> None:
        """Clears away what killed writers of this file left. A writer that is alive is told by its rename."""
        for left in path.parent.glob(f".{path.name}.*{_PART}"):
            left.unlink(missing_ok=True)

    def holds(self, path: Path, size_bytes: int, sha256: str) -> bool:
        """Whether the file is there with these bytes."""
        try:
            return path.stat().st_size == size_bytes and sha256_of_file(path) == sha256
        except FileNotFoundError:
            return False

    def keep_proof(self, file: Path, text: str) -> tuple[int, str]:
        """Puts a proof beside a file unless there is one; answers size and SHA-256 of the one that is there."""
        path = file.with_name(file.name + SUFFIX)
        with self.new(path, keep=True) as stream:
            stream.write(text.encode())
        kept = path.read_bytes()
        return len(kept), hashlib.sha256(kept).hexdigest()

    @contextmanager
    def opened(self, path: Path, sha256: str) -> Iterator[Path]:
        """Where a file of these bytes may be read meanwhile. Raises FileDamaged."""
        yield path

    def close(self) -> None:
        """Removes what is kept here for this process alone."""

    def pieces(self, path: Path, size_bytes: int, offset: int, limit: int) -> Iterator[bytes]:
        """Bytes from `offset` on, `limit` at most (0: all), in pieces of at most 256 KiB; nothing behind the end.

        Raises FileDamaged before the first piece when the size is not the recorded one.
        """
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            raise damaged(path, "is missing") from None
        with stream:
            found = os.fstat(stream.fileno()).st_size
            if found != size_bytes:
                raise damaged(path, f"has {found} bytes, {size_bytes} were recorded")
            left = max(size_bytes - offset, 0)
            left = min(left, limit) if limit else left
            stream.seek(min(offset, size_bytes))
            while left:
                piece = stream.read(min(left, CHUNK_BYTES))
                if not piece:
                    raise damaged(path, "ended early")
                left -= len(piece)
                yield piece


def damaged(path: Path, what: str) -> FileDamaged:
    """What is said of a file."""
    return FileDamaged(
        f"the file {path.name} {what}",
        remedy="restore the release store from its backup; the recorded hash tells whether it is right",
        facts={"file": path.name},
    )
