"""Rows of a release for everybody, filtered and sorted: numbered pages for reading, and everything for programs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from plaza.common.v1 import contract_pb2
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.errors import InvalidArgument, ResourceExhausted
from plaza_kit.paging import Page
from plaza_kit.recent import Recent
from plaza_kit.streams import in_thread

from plaza_opendata.domain.releases import ReleaseName, csv_name, parquet_name
from plaza_opendata.domain.row_forms import FORMS, Form
from plaza_opendata.domain.row_query import MAX_SKIPPED, RowQuery, fields_of
from plaza_opendata.storage import portal, release_rows, releases, row_bodies, rows
from plaza_opendata.storage.cells import cells_of
from plaza_opendata.storage.release_rows import RowFile
from plaza_opendata.storage.rows import FileRecord
from plaza_opendata.usecases.portal import Portal
from plaza_opendata.usecases.ports import World

_AT_ONCE: Final = 2
"""Pages that are made beside each other: each may read a file from its beginning to its end."""
_WAITING: Final = 16
"""Pages that wait for their turn; more are sent away."""
_TABLES: Final = 4
"""Whole tables under way; a reader may be slow, so nobody waits for one."""
_REMEMBERED: Final = 256
_PAGE_ROWS: Final = 100
CHUNK_BYTES: Final = 256 * 1024

T = TypeVar("T")


class TooManyQueries(ResourceExhausted):
    """Others are asking so much that this query would wait too long."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A release that is given out, as far as its rows are concerned."""

    name: ReleaseName
    version: int
    row_count: int
    file: FileRecord
    """Which the rows are read from."""
    ready: dict[Form, FileRecord]
    """The whole release in forms that were made when it was published."""
    contract: contract_pb2.Contract

    def header(self, form: Form) -> pb.StreamReleaseRowsResponse:
        return pb.StreamReleaseRowsResponse(
            header=pb.ReleaseRowsHeader(
                content_type=row_bodies.MEDIA_TYPES[form],
                version=self.version,
                release=self.name.number,
                file_name=f"{self.name.dataset.dataset}-r{self.name.number}.{form}",
            )
        )


class ReleaseRows:
    """Use cases of the public. What was asked lately is remembered: a release never changes."""

    def __init__(self, world: World, portal: Portal) -> None:
        self._world = world
        self._portal = portal
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._tables = 0
        self._recent: Recent[bytes, pb.ReadReleaseRowsResponse] = Recent(_REMEMBERED)

    async def read(self, request: pb.ReadReleaseRowsRequest) -> pb.ReadReleaseRowsResponse:
        """Raises UnknownRelease, ReleaseWithdrawn, UnknownFile, FileDamaged, BadPageToken, FilterSyntax, UnknownField,
        BadOrder, TooManyQueries."""
        if request.page_token and request.skip:
            raise InvalidArgument(
                "skip: does not go with page_token", remedy="give one of them", facts={"field": "skip"}
            )
        release = await self._release(request.release)
        asked = request.SerializeToString(deterministic=True)
        known = self._recent.get(asked)
        if known is None:
            known = await self._in_turn(lambda: self._answer(request, release))
            self._recent.keep(asked, known)
        return known

    async def stream(
        self, request: pb.StreamReleaseRowsRequest
    ) -> AsyncGenerator[pb.StreamReleaseRowsResponse, None]:
        """Header, chunks of the body, trailer; all that can be refused is refused before the header. Raises as
        `read`."""
        form = FORMS[request.format]
        if request.page_token and form is not Form.JSON:
            raise InvalidArgument(
                f"page_token: {form} has no pages, it sends everything",
                remedy="leave page_token empty, or ask for format JSON",
                facts={"field": "page_token"},
            )
        release = await self._release(request.release)
        if form is Form.JSON:
            body, count = await self._in_turn(lambda: self._page(request, release))
            yield release.header(form)
            for chunk in _chunks(body):
                yield chunk
            yield _trailer(count, hashlib.sha256(body).hexdigest())
            return
        everything = not (request.columns or request.filter or request.order_by)
        file = release.ready.get(form) if everything else None
        parts = self._ready(release, form, file) if file else self._table(request, release, form)
        async with aclosing(parts):
            async for part in parts:
                yield part

    async def _release(self, asked: str) -> _Open:
        """Asked each time: a release may have been withdrawn since it was read."""
        name = ReleaseName.parse(asked)
        async with self._world.database.transaction(Scope.everything()) as connection:
            row = await self._portal.readable(connection, name)
            csv = await self._portal.file(connection, name, csv_name(name))
            parquet = await releases.file(connection, name, parquet_name(name))
            snapshot = (await portal.detail(connection, name))["snapshot"]
        ready = {Form.CSV: csv} | ({Form.PARQUET: parquet} if parquet is not None else {})
        contract = rows.open_dataset_of({"contract": snapshot.get("contract", {})}).contract
        return _Open(name, row["version"], row["row_count"], parquet or csv, ready, contract)

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._waiting >= _WAITING:
            raise _too_many()
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1

    def _answer(self, request: pb.ReadReleaseRowsRequest, release: _Open) -> pb.ReadReleaseRowsResponse:
        filters = (request.release, request.filter, ",".join(request.columns), request.order_by)
        page = Page.of("rows", filters, request.page_size, request.page_token, (request.skip,), default=20)
        skip = min(int(page.start[0]), MAX_SKIPPED)
        with self._opened(release) as file:
            query = RowQuery.of(file.schema, request.columns, request.filter, request.order_by)
            total = release_rows.count(self._world.lake, file, query)
            found = release_rows.numbered(self._world.lake, file, query, skip, page.size)
        cells = cells_of(query.shown, found)
        end = skip + len(cells)
        return pb.ReadReleaseRowsResponse(
            rows=rows.preview_of(cells),
            fields=fields_of(query.columns, release.contract),
            next_page_token=page.token((end,)) if cells and end < min(total, MAX_SKIPPED + 1) else "",
            total_size=total,
            all_fields=fields_of(file.schema.names, release.contract),
        )

    def _page(self, request: pb.StreamReleaseRowsRequest, release: _Open) -> tuple[bytes, int]:
        """A page's body, and how many rows are in it."""
        filters = (request.release, request.filter, ",".join(request.columns), request.order_by)
        page = Page.of("table", filters, request.page_size, request.page_token, (0,), default=_PAGE_ROWS)
        with self._opened(release) as file:
            query = RowQuery.of(file.schema, request.columns, request.filter, request.order_by)
            start = int(page.start[0])
            found = row_bodies.PageBody.of(self._world.lake, file, query, release.version, start, page.size)
        return found.ended(page.token((found.following,)) if found.following else ""), found.rows

    async def _table(
        self, request: pb.StreamReleaseRowsRequest, release: _Open, form: Form
    ) -> AsyncGenerator[pb.StreamReleaseRowsResponse, None]:
        if self._tables >= _TABLES:
            raise _too_many()
        self._tables += 1
        try:
            sent = row_bodies.Sent()
            pieces = in_thread(lambda: self._pieces(request, release, form, sent))
            async with aclosing(pieces):
                first = await anext(pieces, b"")  # before the header, so that a refusal is one
                yield release.header(form)
                for chunk in _chunks(first):
                    yield chunk
                async for piece in pieces:
                    for chunk in _chunks(piece):
                        yield chunk
            yield _trailer(sent.rows, sent.body.hexdigest())
        finally:
            self._tables -= 1

    def _pieces(
        self, request: pb.StreamReleaseRowsRequest, release: _Open, form: Form, sent: row_bodies.Sent
    ) -> Iterator[bytes]:
        with self._opened(release) as file:
            query = RowQuery.of(file.schema, request.columns, request.filter, request.order_by)
            yield from row_bodies.table(self._world.lake, file, query, form, sent)

    async def _ready(
        self, release: _Open, form: Form, file: FileRecord
    ) -> AsyncGenerator[pb.StreamReleaseRowsResponse, None]:
        """The published file is all rows in their own order, and its hash is known."""
        path = self._world.store.path(release.name, file.file_name)
        pieces = in_thread(lambda: self._portal.pieces(path, file, 0, 0))
        async with aclosing(pieces):
            first = await anext(pieces, b"")
            yield release.header(form)
            yield pb.StreamReleaseRowsResponse(chunk=first)
            async for piece in pieces:
                yield pb.StreamReleaseRowsResponse(chunk=piece)
        yield _trailer(release.row_count, file.sha256)

    @contextmanager
    def _opened(self, release: _Open) -> Iterator[RowFile]:
        path = self._world.store.path(release.name, release.file.file_name)
        with self._world.store.opened(path, release.file.sha256) as opened:
            yield RowFile.of(opened, release.file.file_name, release.contract)


def _chunks(piece: bytes) -> Iterator[pb.StreamReleaseRowsResponse]:
    for at in range(0, len(piece), CHUNK_BYTES):
        yield pb.StreamReleaseRowsResponse(chunk=piece[at : at + CHUNK_BYTES])


def _trailer(count: int, body_sha256: str) -> pb.StreamReleaseRowsResponse:
    return pb.StreamReleaseRowsResponse(trailer=pb.ReleaseRowsTrailer(rows=count, body_sha256=body_sha256))


def _too_many() -> TooManyQueries:
    return TooManyQueries(
        "too many people ask for rows at once",
        remedy="repeat in a few seconds, or take the whole file",
    )
