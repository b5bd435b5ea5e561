"""The files of a version: one pass over its rows makes CSV and Parquet, their hashes, content hash and preview.
Blocking."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import pyarrow as pa
from cryptography.hazmat.primitives import hashes
from plaza_kit.grants import GrantVerifier
from plaza_lake import columnar, formats
from plaza_lake.hashing import ContentHasher
from plaza_lake.read import RowQuery, RowStream, read_rows
from plaza_lake.schema import TableSchema
from plaza_lake.tables import Lake

from plaza_opendata.storage.batches import Rows, even
from plaza_opendata.storage.cells import cells_of
from plaza_opendata.storage.files import ReleaseStore
from plaza_opendata.storage.rows import FileRecord, PreviewCells

PREVIEW_ROWS: Final = 10


@dataclass(frozen=True, slots=True)
class BuiltFiles:
    """What the pass found out."""

    files: tuple[FileRecord, ...]
    """CSV, Parquet."""
    rows: int
    content_sha256: str
    preview: PreviewCells


class FileBuild:
    """One build. `run` is read in a thread of its own; `renew` may be called meanwhile from another."""

    def __init__(
        self, lake: Lake, verifier: GrantVerifier, store: ReleaseStore, csv: Path, parquet: Path
    ) -> None:
        self._lake = lake
        self._verifier = verifier
        self._store = store
        self._csv = csv
        self._parquet = parquet
        self._stream: RowStream | None = None
        self.result: BuiltFiles | None = None
        """There when `run` came to its end: then the files have their names."""

    def renew(self, grant: str) -> None:
        """Goes on under a newer grant of the same scope. Raises `GrantRefused`."""
        if self._stream is not None:
            self._stream.renew(grant)

    def run(self, grant: str) -> Iterator[int]:
        """Writes the files; yields the bytes written so far. The bytes depend on the version alone (Parquet's on
        the release of Arrow too). No more is held than one row group. Raises as `read_rows`, and `OSError`."""
        with read_rows(self._lake, self._verifier, grant, RowQuery(canonical=True)) as stream:
            self._stream = stream
            hasher = ContentHasher(stream.schema)
            first: list[pa.RecordBatch] = []
            rows = _watched(even(stream.batches), hasher, first)
            with self._new(self._csv) as csv, self._new(self._parquet) as parquet:
                both = _csv_beside(rows, stream.schema, csv.write)
                for piece in columnar.parquet(Rows(stream.schema, both)):
                    parquet.write(piece)
                    yield csv.size + parquet.size
            content = hasher.result()
            self.result = BuiltFiles(
                (
                    csv.record(self._csv.name, formats.MEDIA_TYPES["csv"]),
                    parquet.record(self._parquet.name, columnar.MEDIA_TYPES["parquet"]),
                ),
                content.rows,
                content.sha256,
                cells_of(stream.schema, first),
            )

    @contextmanager
    def _new(self, path: Path) -> Iterator[_Hashed]:
        self._store.remove_parts(path)
        with self._store.new(path) as file:
            yield _Hashed(file)


class _Hashed:
    """A file that is hashed as it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._sm3 = hashes.Hash(hashes.SM3())
        self.size = 0

    def write(self, piece: bytes) -> None:
        self._file.write(piece)
        self._sha256.update(piece)
        self._sm3.update(piece)
        self.size += len(piece)

    def record(self, name: str, content_type: str) -> FileRecord:
        """Ask once."""
        return FileRecord(name, content_type, self.size, self._sha256.hexdigest(), self._sm3.finalize().hex())


def _csv_beside(
    batches: Iterator[pa.RecordBatch], schema: TableSchema, write: Callable[[bytes], None]
) -> Iterator[pa.RecordBatch]:
    """The same batches, each written as CSV on its way."""
    passing: list[pa.RecordBatch] = []

    def passed() -> Iterator[pa.RecordBatch]:
        while True:
            yield passing.pop()

    pieces = formats.csv(Rows(schema, passed()))
    write(next(pieces))  # the heading
    for batch in batches:
        passing.append(batch)
        write(next(pieces))
        yield batch


def _watched(
    batches: Iterator[pa.RecordBatch], hasher: ContentHasher, first: list[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """The same batches; hashed on the way, the first rows kept."""
    missing = PREVIEW_ROWS
    for batch in batches:
        hasher.update(batch)
        if missing and batch.num_rows:
            first.append(batch.slice(0, missing))
            missing -= first[-1].num_rows
        yield batch
