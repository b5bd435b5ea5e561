"""The CSV of a version: one pass over its rows makes file, file hash, content hash and preview. Blocking."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
from plaza_kit.grants import GrantVerifier
from plaza_lake.formats import MEDIA_TYPES, csv, jsonl
from plaza_lake.hashing import ContentHasher
from plaza_lake.read import RowQuery, RowStream, read_rows
from plaza_lake.tables import Lake

from plaza_opendata.storage.files import ReleaseStore
from plaza_opendata.storage.rows import FileRecord, PreviewCells

PREVIEW_ROWS: Final = 10


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """What the pass found out."""

    file: FileRecord
    rows: int
    content_sha256: str
    preview: PreviewCells


class CsvBuild:
    """One build. `run` is read in a thread of its own; `renew` may be called meanwhile from another."""

    def __init__(self, lake: Lake, verifier: GrantVerifier, store: ReleaseStore, path: Path) -> None:
        self._lake = lake
        self._verifier = verifier
        self._store = store
        self._path = path
        self._stream: RowStream | None = None
        self.result: BuiltFile | None = None
        """There when `run` came to its end: then the file has its name."""

    def renew(self, grant: str) -> None:
        """Goes on under a newer grant of the same scope. Raises `GrantRefused`."""
        if self._stream is not None:
            self._stream.renew(grant)

    def run(self, grant: str) -> Iterator[int]:
        """Writes the file; yields the bytes written so far, after each batch. The bytes depend on the version
        alone. Raises as `read_rows`, and `OSError`."""
        self._store.remove_parts(self._path)
        with read_rows(self._lake, self._verifier, grant, RowQuery(canonical=True)) as stream:
            self._stream = stream
            hasher = ContentHasher(stream.schema)
            first: list[pa.RecordBatch] = []
            stream.batches = _watched(stream.batches, hasher, first)
            digest, size = hashlib.sha256(), 0
            with self._store.new(self._path) as file:
                for piece in csv(stream):
                    file.write(piece)
                    digest.update(piece)
                    size += len(piece)
                    yield size
            content = hasher.result()
            record = FileRecord(self._path.name, MEDIA_TYPES["csv"], size, digest.hexdigest())
            self.result = BuiltFile(record, content.rows, content.sha256, _preview(stream, first))


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


def _preview(stream: RowStream, first: list[pa.RecordBatch]) -> PreviewCells:
    """Rows as the CSV has them. By way of JSON, which tells an absent value from an empty text."""
    stream.batches = iter(first)
    lines = b"".join(jsonl(stream)).decode().split("\n")[:-1]
    # Numbers are kept as they are written: they must look as in the file.
    objects = [json.loads(line, parse_int=str, parse_float=str) for line in lines]
    return [[_text(value) for value in row.values()] for row in objects]


def _text(value: str | bool | None) -> str | None:
    return json.dumps(value) if isinstance(value, bool) else value
