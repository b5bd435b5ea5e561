"""What a query does in the lake: blocking work, for `plaza_kit.streams.in_thread`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

import pyarrow as pa
from plaza_lake import columnar, formats
from plaza_lake.hashing import ContentHash, ContentHasher
from plaza_lake.ir import Scalar
from plaza_lake.read import RowQuery, RowStream
from plaza_lake.schema import TableSchema, arrow_schema
from plaza_lake.tables import Lake, table_schema
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


def resolve(lake: Lake, dataset: str, version: int) -> tuple[int, TableSchema]:
    """The number and the columns of a version, 0 for the newest. Metadata only: needs no grant.

    Raises `TableNotFound`, `VersionNotFound`, `VersionExpired`.
    """
    table = lake.load(dataset, "rows")
    found = find_version(table, dataset, version or None)
    snapshot = table.snapshot_by_id(found.snapshot_id)
    assert snapshot is not None, "the version was read from this snapshot"
    return found.version, table_schema(table, snapshot.schema_id)


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
        hasher = ContentHasher(opened.schema) if query.is_canonical else None
        rows = _Counted(opened.schema, _counting(opened.batches, sent, hasher))
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
    batches: Iterator[pa.RecordBatch], sent: Sent, hasher: ContentHasher | None
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        sent.rows += batch.num_rows
        if hasher is not None:
            hasher.update(batch)
        yield batch


def page(
    open_rows: Open, query: Query, after: tuple[Scalar | None, ...] | None, limit: int
) -> Iterator[pa.RecordBatch]:
    """At most `limit` rows behind a position, with the columns of `Query.page_columns`."""
    canonical = query.is_canonical and after is None
    asked = RowQuery(
        columns=query.page_columns,
        filter=query.filter,
        order_by=() if canonical else query.order,
        canonical=canonical,
        limit=limit,
        after=after,
    )
    with open_rows(asked) as opened:
        yield from opened.batches


@dataclass(frozen=True, slots=True)
class PageRows:
    """Rows of a page in memory, and whether more follow."""

    table: pa.Table
    more: bool

    @classmethod
    def of(cls, batches: list[pa.RecordBatch], query: Query, size: int) -> PageRows:
        """Of `size + 1` rows that were read."""
        schema = arrow_schema(query.schema.select(query.page_columns))
        table = pa.Table.from_batches(batches, schema=schema)
        return cls(table.slice(0, size), table.num_rows > size)

    def position(self, query: Query) -> tuple[Scalar | None, ...]:
        """Where the next page goes on: the last row's values of the columns of the query's order."""
        last = self.table.num_rows - 1
        return tuple(self.table.column(name)[last].as_py() for name, _ in query.sort)

    def body(self, query: Query, token: str) -> bytes:
        """`{"version", "columns", "rows", "nextPageToken"}`."""
        schema = query.schema.select(query.columns)
        batches = self.table.select(list(query.columns)).to_batches()
        return b"".join(formats.json_page(_Counted(schema, iter(batches)), query.version, token))

    def content(self, query: Query) -> ContentHash:
        """The hash of these rows, which are in canonical order."""
        hasher = ContentHasher(query.schema.select(query.columns))
        for batch in self.table.select(list(query.columns)).to_batches():
            hasher.update(batch)
        return hasher.result()


def hashing(open_rows: Open, query: Query, sent: Sent) -> Iterator[int]:
    """A second scan, in canonical order, for the content hash; says how far it is after each batch."""
    asked = RowQuery(columns=query.columns, filter=query.filter, canonical=True)
    with open_rows(asked) as opened:
        hasher = ContentHasher(opened.schema)
        for batch in opened.batches:
            hasher.update(batch)
            yield hasher.result().rows
        sent.content = hasher.result()
