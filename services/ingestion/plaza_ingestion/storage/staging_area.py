"""Where files wait, as the use cases see it: folders of this machine (`staging`) or S3 (`staging_s3`)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from io import BufferedReader
from pathlib import Path
from typing import Protocol

from plaza_lake.files import S3, Files
from plaza_lake.write import StagedFile

from plaza_ingestion.storage.staging import LookedAt, Received, Staging
from plaza_ingestion.storage.staging_s3 import S3Staging


class Incoming(Protocol):
    """An upload on its way in: invisible until `keep`."""

    size: int

    def write(self, chunk: bytes) -> None:
        """The next bytes."""
        ...

    def keep(self, relative: str) -> Received:
        """Durable under its own name before this returns."""
        ...

    def drop(self) -> None:
        """Leaves nothing behind; harmless after `keep`."""
        ...


class StagingArea(Protocol):
    """What `Staging` promises, wherever files wait. Blocking."""

    def incoming(self, department: str) -> Incoming: ...

    def own(self, department: str, run: str) -> Path: ...

    def keep(self, department: str, run: str, file: StagedFile) -> StagedFile: ...

    def opened(self, department: str, relative: str) -> AbstractContextManager[BufferedReader]: ...

    def size(self, department: str, relative: str) -> int: ...

    def copy(self, department: str, relative: str, expected: StagedFile) -> None: ...

    def look(self, department: str, relative: str, kept: str) -> LookedAt: ...

    def adopt(self, department: str, relative: str, kept: str, looked: LookedAt) -> str: ...

    def remove_upload(self, department: str, relative: str) -> None: ...

    def forget(self, department: str, run: str) -> None: ...


def staging_at(address: str, lake: Files, warehouse: str) -> StagingArea:
    """By the setting `PLAZA_STAGING`; `lake`: the warehouse's files. Raises UnreachableFile."""
    return S3Staging(address, lake, warehouse) if address.startswith(S3) else Staging(address)
