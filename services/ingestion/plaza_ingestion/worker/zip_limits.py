"""Opening ZIP containers without trusting them: a small file must not become an endless one."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final

from plaza_ingestion.worker.batches import OversizedFile, UnreadableFile

_RATIO: Final = 250
"""Unpacked to packed bytes of an entry; text and sheets reach 100, an entry of zeros 1000."""
_FREE: Final = 64 << 20
"""Smaller entries may be packed as well as they like."""
_TOTAL: Final = 64 << 30
"""Unpacked bytes of all entries."""
_ENTRIES: Final = 10_000
_ERRORS: Final = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, NotImplementedError, EOFError),
    *(OSError, KeyError, struct.error, UnicodeDecodeError),
)
_BROKEN: Final = "Check that the file was written and sent completely, and send it again."


@contextmanager
def opened(file: IO[bytes], name: str) -> Iterator[zipfile.ZipFile]:
    """The container, its directory checked. Raises `OversizedFile`, `UnreadableFile`, also for errors inside."""
    try:
        with zipfile.ZipFile(file) as archive:
            check(archive)
            yield archive
    except _ERRORS as error:
        raise UnreadableFile(f"{name} is a broken ZIP container: {error}.", remedy=_BROKEN) from error
    except RuntimeError as error:  # what zipfile says of encrypted entries
        if "password" not in str(error):
            raise
        raise UnreadableFile(f"{name} is encrypted.", remedy="Send it without a password.") from error


def check(archive: zipfile.ZipFile) -> None:
    """By what the directory says; `Limited` holds each entry to it. Raises `OversizedFile`."""
    entries = archive.infolist()
    if len(entries) > _ENTRIES:
        raise OversizedFile(
            f"The archive has {len(entries)} entries.", remedy=f"At most {_ENTRIES} are read."
        )
    total = 0
    for entry in entries:
        total += entry.file_size
        if entry.file_size > _FREE and entry.file_size > _RATIO * max(entry.compress_size, 1):
            raise OversizedFile(
                f"The entry {entry.filename!r} would unpack {entry.compress_size} bytes to {entry.file_size}.",
                remedy="No table of data is packed so well; send the file as it is, not packed.",
            )
    if total > _TOTAL:
        raise OversizedFile(
            f"The archive would unpack to {total} bytes.", remedy=f"Send less than {_TOTAL} bytes at once."
        )


class Limited:
    """An entry read as a stream that counts, and ends where the directory said it would.

    `zipfile` itself stops at the declared size and checks the CRC, so an entry cannot be longer than declared.
    """

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self.size: Final = archive.getinfo(name).file_size
        self._file = archive.open(name)
        self.done = 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data = self._file.read(size)
        self.done += len(data)
        return data

    def close(self) -> None:
        """Closes the entry."""
        self._file.close()
