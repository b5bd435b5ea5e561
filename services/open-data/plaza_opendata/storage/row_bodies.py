"""Rows of a release as bytes, by the writers that all rows leave through. Blocking."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

import pyarrow as pa
from plaza_lake import columnar, formats
from plaza_lake.tables import Lake

from plaza_opendata.domain.row_forms import Form
from plaza_opendata.domain.row_query import RowQuery
from plaza_opendata.storage import release_rows
from plaza_opendata.storage.batches import Rows
from plaza_opendata.storage.release_rows import RowFile

MEDIA_TYPES: Final = {**formats.MEDIA_TYPES, **columnar.MEDIA_TYPES}
_WRITERS: Final[dict[Form, Callable[[formats.Rows], Iterator[bytes]]]] = {
    Form.CSV: formats.csv,
    Form.JSONL: formats.jsonl,
    Form.PARQUET: columnar.parquet,
    Form.ARROW: columnar.arrow,
}


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass
class Sent:
    """What went through; written by the thread that reads, to be looked at afterwards."""

    rows: int = 0
    body: _Hash = field(default_factory=hashlib.sha256)


def table(lake: Lake, file: RowFile, query: RowQuery, form: Form, sent: Sent) -> Iterator[bytes]:
    """All rows of a query."""
    rows = Rows(query.shown, _counted(release_rows.batches(lake, file, query), sent))
    for piece in _WRITERS[form](rows):
        sent.body.update(piece)
        yield piece


def _counted(batches: Iterator[pa.RecordBatch], sent: Sent) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        sent.rows += batch.num_rows
        yield batch


@dataclass(frozen=True, slots=True)
class PageBody:
    """One page of a query as JSON, but for its end, which holds the token of the next."""

    start: bytes
    rows: int
    following: int
    """Where the next page starts; 0 for nowhere."""

    @classmethod
    def of(cls, lake: Lake, file: RowFile, query: RowQuery, version: int, start: int, size: int) -> PageBody:
        """Raises BadPageToken for a start that the file does not have."""
        shown, following = release_rows.page(lake, file, query, start, size)
        rows = Rows(query.shown, iter(shown.to_batches()))
        return cls(b"".join(formats.json_page(rows, version)), shown.num_rows, following)

    def ended(self, token: str) -> bytes:
        """The whole body."""
        return self.start + formats.json_page_end(token)
