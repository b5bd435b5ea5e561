"""The file that a pull writes: counted, hashed and limited on its way to the disk."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from plaza.ingestion.v1 import sources_pb2
from plaza_kit.errors import Aborted, DeadlineExceeded, ResourceExhausted

from plaza_ingestion.worker.load import Progress

_BUFFER_BYTES: Final = 1 << 20
_LONGEST_SECONDS: Final = 6 * 3600.0
"""Half of what a run's right lives: the load must end in time too."""


class PullCancelled(Aborted):
    """Somebody asked the pull to stop."""


class SourceTooLarge(ResourceExhausted):
    """The source gives more than may be taken."""


class SourceTooSlow(DeadlineExceeded):
    """The source gives so little at a time that the pull was given up."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a source gave."""

    file_name: str
    """As people know it."""
    cursor: sources_pb2.PullCursor
    size_bytes: int = 0
    sha256: str = ""
    not_modified: bool = False
    warnings: tuple[str, ...] = ()


class PulledFile:
    """Bytes on their way to `path`. Every method may raise `PullCancelled`."""

    def __init__(
        self,
        path: Path,
        limit_bytes: int,
        *,
        progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> None:
        """What is there already is written over."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb", buffering=_BUFFER_BYTES)
        self._limit = limit_bytes
        self._progress = progress
        self._cancelled = cancelled
        self._hash = hashlib.sha256()
        self._until = time.monotonic() + _LONGEST_SECONDS
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def check(self) -> None:
        """Raises PullCancelled, SourceTooSlow."""
        if self._cancelled():
            raise PullCancelled("The pull was cancelled.", remedy="Start it again when you want its rows.")
        if time.monotonic() > self._until:
            raise SourceTooSlow(
                f"The source took more than {_LONGEST_SECONDS / 3600:.0f} hours and was not at its end.",
                remedy="Let it give less at once, for instance by a query or a watermark column.",
            )

    def expect(self, size: int) -> None:
        """That so many bytes will follow. Raises SourceTooLarge."""
        if self.size + size > self._limit:
            raise SourceTooLarge(
                f"The source gives more than {self._limit} bytes.",
                remedy="Let it give less at once, or raise max_bytes of the source.",
                facts={"limit": str(self._limit)},
            )

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Raises SourceTooLarge, SourceTooSlow."""
        self.check()
        self.expect(len(data))
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)
        self._progress(Progress(self.size, 0, 0, 0))

    def restart(self) -> None:
        """From the first byte, as if nothing had been written."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.size = 0

    def finish(self) -> str:
        """Durable; answers the SHA-256, hexadecimal."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._hash.hexdigest()
