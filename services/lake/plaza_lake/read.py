"""The one read path. Every row that leaves goes through here, and nothing is read without a signed grant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final

import pyarrow as pa
from plaza_kit.errors import InvalidArgument
from plaza_kit.grants import GrantVerifier
from sqlglot import exp

from plaza_lake import engine
from plaza_lake.access import Access, check_renewal, open_grant
from plaza_lake.ir import Aggregate, Expr, Scalar, TypeMismatch, columns_of, fits
from plaza_lake.keyset import after_position
from plaza_lake.order_text import Order
from plaza_lake.pages import page
from plaza_lake.render import column, columns_of_file, ordered, read_parquet, render, render_aggregate
from plaza_lake.schema import TableSchema, arrow_schema
from plaza_lake.tables import Lake
from plaza_lake.verdict_join import Joined, joined
from plaza_lake.verdicts import check_outcomes, is_verdict

MAX_LIMIT: Final = 2**31 - 1
PAGE_ROWS: Final = 20_000
"""A query for so many rows at most is a page: it is answered at once, not as a stream."""


class InvalidQuery(InvalidArgument):
    """Parts of a query that do not go together."""


@dataclass(frozen=True, slots=True)
class RowQuery:
    """What a reader asks for, within what the grant permits; dataset, table and version stand there."""

    columns: tuple[str, ...] | None = None
    """In this order; None: all that are granted, in the contract's order. Verdicts (`verdicts.COLUMNS`) beside them."""
    filter: Expr | None = None
    order_by: Order = ()
    limit: int | None = None
    after: tuple[Scalar | None, ...] | None = None
    """The position of the last row of the page before: its values of the columns of `RowStream.order`."""
    canonical: bool = False
    """The order in which a content hash is taken (`canonical_order`), instead of `order_by`."""


class RowStream:
    """Rows of one version, in Arrow batches, while the query runs.

    Use it as a context manager, or read it to its end: an open stream holds a connection. The grant is looked
    at again before every batch; a stream that outlives it must be given a new one by `renew`, else the next
    batch raises `GrantRefused`.
    """

    def __init__(
        self,
        access: Access,
        schema: TableSchema,
        order: Order,
        verifier: GrantVerifier,
        token: str,
        source: Iterator[pa.RecordBatch],
    ) -> None:
        self.version = access.version.version
        self.snapshot_id = access.version.snapshot_id
        self.schema = schema
        self.order = order
        """What the rows are sorted by: the asked order, then the key. Empty: no order is promised."""
        self._grant = access.grant
        self._verifier = verifier
        self._token = token
        self._source = source
        self.batches: Iterator[pa.RecordBatch] = self._checked()

    def _checked(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._source:
                self._verifier.read(self._token)
                yield batch
        finally:
            self._close_source()

    def renew(self, token: str) -> None:
        """Goes on under a newer grant of the same scope. Raises `GrantRefused`."""
        check_renewal(self._verifier, token, self._grant)
        self._token = token

    def close(self) -> None:
        """Ends the query. Harmless when it has ended."""
        self._close_source()

    def _close_source(self) -> None:
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> RowStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class AggregateResult:
    """Values by the names that were asked."""

    version: int
    snapshot_id: int
    values: dict[str, object]


def read_rows(lake: Lake, verifier: GrantVerifier, grant_token: str, query: RowQuery) -> RowStream:
    """Rows that the grant permits and the query asks for.

    Default order: by the key, where the whole key is granted; else none is promised. Raises `GrantRefused`,
    `MasksNotSupported`, `ColumnNotGranted`, `UnknownField`, `TypeMismatch`, `InvalidQuery`, `TableNotFound`,
    `VersionNotFound`; all before the first row.
    """
    access = open_grant(lake, verifier, grant_token)
    asked = [*(query.columns or ()), *(() if query.filter is None else columns_of(query.filter))]
    judged: Joined | None = None
    if any(map(is_verdict, asked)):
        if query.filter is not None:
            check_outcomes(query.filter)
        judged = joined(lake, access, [name for name in asked if is_verdict(name)], query.filter)
        access = judged.access
    names = access.granted.names if query.columns is None else query.columns
    if not names or len(set(names)) < len(names):
        raise InvalidQuery("columns must be named once each, and at least one", remedy="Correct the columns.")
    access.check_names(names)
    schema = access.granted.select(names)
    order = canonical_order(schema) if query.canonical else _order(access, query.order_by)
    where = access.restricted(query.filter, _after(access, order, query.after))
    if query.limit is not None and not 1 <= query.limit <= MAX_LIMIT:
        raise InvalidQuery(f"limit {query.limit} is not a positive number", remedy="Ask for 1 or more.")
    if query.limit is not None and query.limit <= PAGE_ROWS:
        source = _page(lake, access, schema, where, order, query.limit, judged)
    else:
        source = _scan(lake, access, schema, where, order, query.limit, judged)
    return RowStream(access, schema, order, verifier, grant_token, source)


def _scan(
    lake: Lake,
    access: Access,
    schema: TableSchema,
    where: Expr | None,
    order: Order,
    limit: int | None,
    judged: Joined | None = None,
) -> Iterator[pa.RecordBatch]:
    """By the engine, from the files."""
    rows = read_parquet(list(access.paths)) if judged is None else judged.rows()
    select = exp.select(*map(column, schema.names)).from_(rows)
    if where is not None:
        select = select.where(render(where, access.schema))
    if order:
        select = select.order_by(*ordered(order))
    if limit is not None:
        select = select.limit(limit)
    tables = None if judged is None else judged.tables
    return engine.stream(lake, select, access.paths, arrow_schema(schema), kept=True, tables=tables)


def _page(
    lake: Lake,
    access: Access,
    schema: TableSchema,
    where: Expr | None,
    order: Order,
    limit: int,
    judged: Joined | None,
) -> Iterator[pa.RecordBatch]:
    """From columns in memory where they are or fit; else by the engine. So many pages at a time as the engine has
    threads: more of them at once would only be slower each."""
    if judged is not None:
        with lake.scan_turns:
            batches = list(_scan(lake, access, schema, where, order, limit, judged))
        yield from batches
        return
    names = {*schema.names, *(name for name, _ in order), *(() if where is None else columns_of(where))}
    needed = access.schema.select(name for name in access.schema.names if name in names)
    types = {each.name: each.type for each in needed.columns}

    def load(path: str, missing: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        part = needed.select(missing)
        return engine.stream(lake, columns_of_file(path, part), [path], arrow_schema(part))

    files = lake.columns.files(access.paths, types, access.version.total_rows, load)
    if files is None:
        with lake.scan_turns:
            batches = list(_scan(lake, access, schema, where, order, limit))
    else:
        with lake.page_turns:
            batches = page(files, schema, where, order, limit).to_batches(engine.BATCH_ROWS)
    yield from batches


def canonical_order(schema: TableSchema) -> Order:
    """By the key, without one by all columns; then by all others, so that equal keys keep their places. Verdicts are
    no part of it."""
    rest = tuple(name for name in schema.names if name not in schema.key and not is_verdict(name))
    return tuple((name, False) for name in schema.key + rest)


def _order(access: Access, wanted: Order) -> Order:
    access.check_names(tuple(name for name, _ in wanted))
    named = [name for name, _ in wanted]
    if len(set(named)) < len(named):
        raise InvalidQuery("a column is named twice in the order", remedy="Name each once.")
    return wanted + tuple((name, False) for name in access.granted.key if name not in named)


def _after(access: Access, order: Order, position: tuple[Scalar | None, ...] | None) -> Expr | None:
    """The rows behind a position. Only a key makes positions unique: without it, pages would lose rows."""
    if position is None:
        return None
    if not access.granted.key:
        raise InvalidQuery(
            "paging needs the table's whole key among the granted columns",
            remedy="Read without `after`, or ask for a grant that includes the key.",
        )
    if len(position) != len(order):
        raise InvalidQuery(
            f"`after` has {len(position)} values, the order has {len(order)} columns",
            remedy=f"Give the last row's values of: {', '.join(name for name, _ in order)}.",
        )
    for (name, _), value in zip(order, position, strict=True):
        found = access.granted.column(name)
        assert found is not None, "the order was checked"
        if value is not None and not fits(found.type, value):
            raise TypeMismatch(name, found.type, f"{value!r} does not fit")
    return after_position(order, position)


def aggregate(
    lake: Lake,
    verifier: GrantVerifier,
    grant_token: str,
    aggregates: Mapping[str, Aggregate],
    filter: Expr | None = None,
) -> AggregateResult:
    """All aggregates in one scan, over the rows that the grant and the filter leave.

    Raises as `read_rows`.
    """
    access = open_grant(lake, verifier, grant_token)
    if not aggregates:
        raise InvalidQuery("no aggregate was asked for", remedy="Ask for at least one.")
    for node in aggregates.values():
        access.check(node)
    items = [
        exp.alias_(render_aggregate(node, access.granted), f"a{number}")
        for number, node in enumerate(aggregates.values())
    ]
    select = exp.select(*items).from_(read_parquet(list(access.paths)))
    where = access.restricted(filter)
    if where is not None:
        select = select.where(render(where, access.schema))
    found = engine.rows(lake, select, access.paths)[0]
    return AggregateResult(
        access.version.version,
        access.version.snapshot_id,
        {name: found[f"a{number}"] for number, name in enumerate(aggregates)},
    )
