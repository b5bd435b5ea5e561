"""What a query does in the lake: blocking work, for `plaza_kit.streams.in_thread`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

import pyarrow as pa
from plaza_lake import columnar, formats, verdict_files
from plaza_lake.hashing import ContentHash, ContentHasher
from plaza_lake.ir import Scalar
from plaza_lake.read import RowQuery, RowStream
from plaza_lake.schema import TableSchema, arrow_schema
from plaza_lake.tables import Lake, table_schema
from plaza_lake.verdicts import JudgedSchema
from plaza_lake.versions import find_version

from plaza_sharing.domain.queries import Format, Query

Open = Callable[[RowQuery], RowStream]
"""Opens a stream under a grant that is kept alive as long as the stream is read."""

_WRITERS: Final[dict[Format, Callable[[formats.Rows], Iterator[bytes]]]] = {
    Format.CSV: formats.csv,
    Format.JSONL: formats.jsonl,
    Format.PARQUET: columnar.parquet,
    Format.ARROW: columnar.arrow,
}


def resolve(lake: Lake, dataset: str, version: int, *, judged: bool = False) -> tuple[int, TableSchema]:
    """The number and the columns of a version, 0 for the newest; `judged`: with its verdicts, if it has some. Metadata
    only: needs no grant.

    Raises `TableNotFound`, `VersionNotFound`, `VersionExpired`.
    """
    table = lake.load(dataset, "rows")
    found = find_version(table, dataset, version or None)
    snapshot = table.snapshot_by_id(found.snapshot_id)
    assert snapshot is not None, "the version was read from this snapshot"
    schema = table_schema(table, snapshot.schema_id)
    if judged:
        verdicts = verdict_files.find(lake, dataset, found.version)
        schema = JudgedSchema.of(schema, dataset, found.version, verdicts)
    return found.version, schema


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass
class Sent:
    """What went through; written by the thread that reads, to be looked at between pieces."""

    rows: int = 0
    body: _Hash = field(default_factory=hashlib.sha256)
    content: ContentHash | None = None
    """Known at the end of a scan in canonical order."""


def stream(open_rows: Open, query: Query, form: Format, sent: Sent) -> Iterator[bytes]:
    """The body of a whole query. The first piece is empty: it says that the query was opened without error."""
    asked = RowQuery(
        columns=query.columns,
        filter=query.filter,
        order_by=() if query.is_canonical else query.order,
        canonical=query.is_canonical,
    )
    with open_rows(asked) as opened:
        yield b""
        hasher = ContentHasher(opened.schema.select(query.fields)) if query.is_canonical else None
        rows = _Counted(opened.schema, _counting(opened.batches, sent, hasher, query.fields))
        for piece in _WRITERS[form](rows):
            sent.body.update(piece)
            yield piece
        if hasher is not None:
            sent.content = hasher.result()


@dataclass
class _Counted:
    schema: TableSchema
    batches: Iterator[pa.RecordBatch]


def _counting(
    batches: Iterator[pa.RecordBatch], sent: Sent, hasher: ContentHasher | None, fields: tuple[str, ...]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        sent.rows += batch.num_rows
        if hasher is not None:
            hasher.update(batch.select(list(fields)))
        yield batch


@dataclass(frozen=True, slots=True)
class PageRows:
    """Rows of a page in memory, and whether more follow."""

    table: pa.Table
    more: bool
    text: bytes
    """The page's body but for its end, which holds the token of the next."""
    hash: _Hash
    """SHA-256 of that much."""

    @classmethod
    def of(cls, batches: Iterable[pa.RecordBatch], query: Query, size: int) -> PageRows:
        """Of `size + 1` rows that were read."""
        schema = query.schema.select(query.page_columns)
        table = pa.Table.from_batches(batches, schema=arrow_schema(schema))
        shown = table.slice(0, size)
        rows = _Counted(schema.select(query.columns), iter(shown.select(list(query.columns)).to_batches()))
        text = b"".join(formats.json_page(rows, query.version))
        return cls(shown, table.num_rows > size, text, hashlib.sha256(text))

    def position(self, query: Query) -> tuple[Scalar | None, ...]:
        """Where the next page goes on: the last row's values of the columns of the query's order."""
        last = self.table.num_rows - 1
        return tuple(self.table.column(name)[last].as_py() for name, _ in query.sort)

    def body(self, token: str) -> tuple[bytes, str]:
        """`{"version", "columns", "rows", "nextPageToken"}`, and its SHA-256. Ask once."""
        end = formats.json_page_end(token)
        self.hash.update(end)
        return self.text + end, self.hash.hexdigest()

    def content(self, query: Query) -> ContentHash:
        """The hash of these rows, which are in canonical order."""
        hasher = ContentHasher(query.schema.select(query.fields))
        for batch in self.table.select(list(query.fields)).to_batches():
            hasher.update(batch)
        return hasher.result()


def page(open_rows: Open, query: Query, after: tuple[Scalar | None, ...] | None, size: int) -> PageRows:
    """At most `size` rows behind a position, with the columns of `Query.page_columns`."""
    canonical = query.is_canonical and after is None
    asked = RowQuery(
        columns=query.page_columns,
        filter=query.filter,
        order_by=() if canonical else query.order,
        canonical=canonical,
        limit=size + 1,
        after=after,
    )
    with open_rows(asked) as opened:
        return PageRows.of(opened.batches, query, size)


def hashing(open_rows: Open, query: Query, sent: Sent, limit: int | None = None) -> Iterator[int]:
    """A second scan, in canonical order, for the content hash; says how far it is after each batch."""
    asked = RowQuery(columns=query.fields, filter=query.filter, canonical=True, limit=limit)
    with open_rows(asked) as opened:
        hasher = ContentHasher(opened.schema)
        for batch in opened.batches:
            hasher.update(batch)
            yield hasher.result().rows
        sent.content = hasher.result()
