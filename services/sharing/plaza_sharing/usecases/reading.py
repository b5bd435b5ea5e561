"""Reading rows: whose they are, under what, and the answer piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from plaza_kit.db import Scope
from plaza_kit.errors import Aborted, DataLoss, InvalidArgument
from plaza_kit.names import DatasetName
from plaza_kit.policy import Resource
from plaza_kit.rpc import context
from plaza_lake import columnar, formats
from plaza_lake.hashing import ContentHash
from plaza_lake.schema import TableSchema
from plaza_lake.verdicts import mentions_verdicts

from plaza_sharing.domain.gates import HeldBack, admitted
from plaza_sharing.domain.page_tokens import Mark, bad_token, binding, seal, unseal
from plaza_sharing.domain.queries import DEFAULT_PAGE, Format, Query
from plaza_sharing.domain.sharing import check_shared, reading_department
from plaza_sharing.storage import scans
from plaza_sharing.storage.page_key import page_key
from plaza_sharing.usecases.agreeing import agreement_by_rule
from plaza_sharing.usecases.handover import Ground, Handover
from plaza_sharing.usecases.leases import Lease
from plaza_sharing.usecases.ports import ReadRight, World

MEDIA_TYPES: Final = {**formats.MEDIA_TYPES, **columnar.MEDIA_TYPES}
CHUNK_BYTES: Final = 256 * 1024
_NOTE_SECONDS: Final = 2.0
"""So often a stream's progress is noted: what a killed process had sent is known to within that."""


class PageOfStream(InvalidArgument):
    """A page token, with a form that sends everything at once."""


class AssessedSince(Aborted):
    """The verdicts that the first pages were chosen by are not those of today."""


class PagesDisagree(DataLoss):
    """The pages of a query did not hold each of its rows once: the table's key is not unique."""


@dataclass(frozen=True, slots=True)
class RowsRequest:
    """What a caller asks for."""

    dataset: DatasetName
    version: int = 0
    columns: tuple[str, ...] = ()
    filter: str = ""
    order_by: str = ""
    page_size: int = 0
    page_token: str = ""
    form: Format = Format.JSON
    purpose: str = ""
    reader: str = ""


@dataclass(frozen=True, slots=True)
class Header:
    """What is known before the first row."""

    content_type: str
    version: int
    agreement: str
    delivery: str
    file_name: str
    held_back: HeldBack | None = None
    """A newer version that the dataset's gate stops."""


@dataclass(frozen=True, slots=True)
class Trailer:
    """What is known after the last row."""

    rows: int
    content_sha256: str
    body_sha256: str


Part = Header | bytes | Trailer


class Reading:
    """The use case `ReadRows`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._key: bytes | None = None

    async def read(self, request: RowsRequest) -> AsyncGenerator[Part, None]:
        """Header, chunks of the body, trailer. Everything that can be refused is refused before the header.

        Raises the errors of `reading_department` and `check_shared`, NotPermitted, BadPageToken, UnknownField,
        FilterSyntax, BadOrder, PagingImpossible, PageOfStream, AssessedSince, NotAssessed,
        UnknownRule, VerdictNotGranted, VersionStopped, VersionBeingChecked, and those of the lake, of quality and of
        security.
        """
        ground = await self._ground(request)
        query, start, held_back = await self._query(request, ground)
        agreement = ground.agreement
        right = ReadRight(
            dataset=request.dataset,
            version=query.version,
            columns=query.needed,
            purpose="own" if agreement is None else "share",
            agreement="" if agreement is None else agreement.name,
            reader=ground.reader,
        )
        async with Lease(self._world, right) as lease:
            query = query.narrowed(lease.grant.columns)
            answer = _Answer(self._world, ground, query, lease, held_back)
            if request.form is Format.JSON:
                key = await self._page_key()
                parts = answer.page(start, request.page_size or DEFAULT_PAGE, key)
            else:
                parts = answer.stream(request.form)
            async with aclosing(parts):
                async for part in parts:
                    yield part

    async def _ground(self, request: RowsRequest) -> Ground:
        caller = context.caller()
        dataset = await self._world.catalogue.dataset(request.dataset)
        reader = reading_department(request.dataset, caller.departments, request.reader)
        own = reader == request.dataset.department
        if not own:
            check_shared(dataset)
        resource = Resource.of_dataset(
            str(dataset.name), city_level=dataset.city_level, sharing_class=dataset.sharing_class
        )
        # Security decides once more, when it signs. Here first, so that nobody makes an agreement by rule who
        # could not read under it.
        facts = {"purpose": "own" if own else "share", "agreement": not own, "reader": str(reader)}
        self._world.policy.authorize("rows.read", resource, facts)
        agreement = (
            None if own else await agreement_by_rule(self._world, request.dataset, reader, caller.name)
        )
        return Ground(reader, caller.name, agreement, request.purpose, guarded=dataset.guarded and not own)

    async def _query(
        self, request: RowsRequest, ground: Ground
    ) -> tuple[Query, Mark | None, HeldBack | None]:
        """The query on its version, where its page starts, and what is held back."""
        if request.page_token and request.form is not Format.JSON:
            raise PageOfStream(
                f"page_token: {request.form} has no pages, it sends everything",
                remedy="leave page_token empty, or ask for format JSON",
                facts={"field": "page_token"},
            )
        if not request.page_token:
            number, held_back = await self._chosen(request, ground)
            return self._of(request, *await self._resolve(request, number)), None, held_back
        version, schema = await self._resolve(request, request.version)
        query = self._of(request, version, schema)
        # The reader is part of it: under another department's agreement it is another query.
        start = unseal(request.page_token, await self._page_key(), binding(query, ground.reader))
        if request.version not in (0, start.version):
            raise bad_token()
        if start.version != version:
            version, schema = await self._resolve(request, start.version)
            query = self._of(request, version, schema)
        if start.assessment != query.assessment:
            raise AssessedSince(
                f"version {version} was assessed again since the first page",
                remedy="begin with the first page",
            )
        await self._admitted(request, ground, version, named=True)
        return query, start, None

    async def _chosen(self, request: RowsRequest, ground: Ground) -> tuple[int, HeldBack | None]:
        """The version that is read, 0 for the newest, and what is held back."""
        if not ground.guarded:
            return request.version, None
        lake, name = self._world.lake, str(request.dataset)
        version, _ = await asyncio.to_thread(scans.resolve, lake, name, request.version)
        return await self._admitted(request, ground, version, named=bool(request.version))

    async def _admitted(
        self, request: RowsRequest, ground: Ground, version: int, *, named: bool
    ) -> tuple[int, HeldBack | None]:
        """What the dataset's gate lets through to this reader; whoever reads their own data passes."""
        if not ground.guarded:
            return version, None
        gate = await self._world.quality.gate(request.dataset, version)
        return admitted(request.dataset, version, gate, named=named)

    async def _resolve(self, request: RowsRequest, version: int) -> tuple[int, TableSchema]:
        judged = mentions_verdicts(request.filter, request.columns)
        lake, name = self._world.lake, str(request.dataset)
        return await asyncio.to_thread(scans.resolve, lake, name, version, judged=judged)

    @staticmethod
    def _of(request: RowsRequest, version: int, schema: TableSchema) -> Query:
        return Query.of(
            request.dataset,
            version,
            schema,
            columns=request.columns,
            filter=request.filter,
            order_by=request.order_by,
        )

    async def _page_key(self) -> bytes:
        if self._key is None:
            async with self._world.database.transaction(Scope.everything()) as connection:
                self._key = await page_key(connection)
        return self._key


class _Answer:
    """One answer under one grant."""

    def __init__(
        self, world: World, ground: Ground, query: Query, lease: Lease, held_back: HeldBack | None
    ) -> None:
        self._held_back = held_back
        self._world = world
        self._ground = ground
        self._query = query
        self._lease = lease

    async def stream(self, form: Format) -> AsyncGenerator[Part, None]:
        """The whole query."""
        query, sent = self._query, scans.Sent()
        pieces = self._lease.read(lambda: scans.stream(self._lease.open, query, form, sent))
        async with aclosing(pieces):
            await anext(pieces)  # opened: what could be refused has been
            handover = await Handover.begin(self._world, self._ground, query, None)
            yield self._header(form, handover)
            loop = asyncio.get_running_loop()
            complete, noted = False, loop.time()
            try:
                async for piece in pieces:
                    for chunk in _chunks(piece):
                        yield chunk
                    if loop.time() - noted > _NOTE_SECONDS:
                        await handover.note(sent.rows)
                        noted = loop.time()
                content = sent.content or await self._content()
                _check(content, sent.rows)
                await handover.complete(sent.rows, content.sha256)
                complete = True
            finally:
                if not complete:
                    await handover.note(sent.rows)
        yield Trailer(sent.rows, content.sha256, sent.body.hexdigest())

    async def page(self, start: Mark | None, size: int, key: bytes) -> AsyncGenerator[Part, None]:
        """One page of the query."""
        query = self._query
        after = start.position if start is not None else None
        found = await self._lease.call(lambda: scans.page(self._lease.open, query, after, size))
        rows = found.table.num_rows
        if found.more:
            query.check_pageable()
        handover = await Handover.begin(self._world, self._ground, query, start)
        before = start.before if start is not None else 0
        token = ""
        if found.more:
            next_start = Mark(
                query.version, before + rows, found.position(query), handover.id, query.assessment
            )
            token = seal(next_start, key, binding(query, self._ground.reader))
        body, body_sha256 = found.body(token)
        yield self._header(Format.JSON, handover)
        noted = False
        content_sha256 = ""
        try:
            for chunk in _chunks(body):
                yield chunk
            if not found.more:
                content_sha256 = await self._content_of_last(found, start, handover)
                await handover.complete(rows, content_sha256)
                noted = True
        finally:
            if not noted:
                await handover.note(rows)
        yield Trailer(rows, content_sha256, body_sha256)

    async def _content_of_last(self, found: scans.PageRows, start: Mark | None, handover: Handover) -> str:
        """The content hash of the whole query, whose last page this is."""
        if handover.delivery is not None and handover.delivery.content_sha256:
            return handover.delivery.content_sha256  # the last page was asked for before
        if start is None and self._query.is_canonical:
            return (await asyncio.to_thread(found.content, self._query)).sha256
        rows = (start.before if start is not None else 0) + found.table.num_rows
        content = await self._content(rows + 1)  # one more would show that the pages were not all
        _check(content, rows)
        return content.sha256

    async def _content(self, limit: int | None = None) -> ContentHash:
        """By a scan of its own, in canonical order; few rows are a page, which is quick."""
        sent = scans.Sent()
        batches = self._lease.read(lambda: scans.hashing(self._lease.open, self._query, sent, limit))
        async with aclosing(batches):
            async for _ in batches:
                pass
        assert sent.content is not None, "the scan came to its end"
        return sent.content

    def _header(self, form: Format, handover: Handover) -> Header:
        agreement, delivery, query = self._ground.agreement, handover.delivery, self._query
        return Header(
            content_type=MEDIA_TYPES[form],
            version=query.version,
            agreement=agreement.name if agreement is not None else "",
            delivery=delivery.name if delivery is not None else "",
            file_name=f"{query.dataset.dataset}-v{query.version}.{form}",
            held_back=self._held_back,
        )


def _chunks(piece: bytes) -> list[bytes]:
    return [piece[at : at + CHUNK_BYTES] for at in range(0, len(piece), CHUNK_BYTES)]


def _check(content: ContentHash, sent: int) -> None:
    if content.rows != sent:
        raise PagesDisagree(
            f"{sent} rows were sent of a query that has {'more' if content.rows > sent else content.rows}",
            remedy="read the dataset as CSV or JSONL; tell its owner that its key is not unique",
        )
