"""Rows of a release for everybody, filtered and sorted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from plaza.common.v1 import contract_pb2
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.errors import InvalidArgument, ResourceExhausted
from plaza_kit.paging import Page
from plaza_kit.recent import Recent

from plaza_opendata.domain.releases import ReleaseName, csv_name
from plaza_opendata.domain.row_query import MAX_SKIPPED, RowQuery, fields_of, schema_of
from plaza_opendata.storage import portal, release_rows, rows
from plaza_opendata.usecases.portal import Portal
from plaza_opendata.usecases.ports import World

_AT_ONCE: Final = 2
"""Queries that run beside each other: each reads a file from its beginning to its end."""
_WAITING: Final = 16
"""Queries that wait for their turn; more are sent away."""
_REMEMBERED: Final = 256


class TooManyQueries(ResourceExhausted):
    """Others are asking so much that this query would wait too long."""


class ReleaseRows:
    """Use case of the public. What was asked lately is remembered: a release never changes."""

    def __init__(self, world: World, portal: Portal) -> None:
        self._world = world
        self._portal = portal
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._recent: Recent[bytes, pb.ReadReleaseRowsResponse] = Recent(_REMEMBERED)

    async def read(self, request: pb.ReadReleaseRowsRequest) -> pb.ReadReleaseRowsResponse:
        """Raises UnknownRelease, ReleaseWithdrawn, UnknownFile, FileDamaged, BadPageToken, FilterSyntax, UnknownField,
        BadOrder, TooManyQueries."""
        if request.page_token and request.skip:
            raise InvalidArgument(
                "skip: does not go with page_token", remedy="give one of them", facts={"field": "skip"}
            )
        name = ReleaseName.parse(request.release)
        # Asked each time: a release may have been withdrawn since it was read.
        async with self._world.database.transaction(Scope.everything()) as connection:
            file = await self._portal.file(connection, name, csv_name(name))
            snapshot = (await portal.detail(connection, name))["snapshot"]
        asked = request.SerializeToString(deterministic=True)
        known = self._recent.get(asked)
        if known is None:
            contract = rows.open_dataset_of({"contract": snapshot.get("contract", {})}).contract
            path = self._world.store.path(name, file.file_name)
            known = await self._in_turn(request, contract, path, file.sha256)
            self._recent.keep(asked, known)
        return known

    async def _in_turn(
        self, request: pb.ReadReleaseRowsRequest, contract: contract_pb2.Contract, path: Path, sha256: str
    ) -> pb.ReadReleaseRowsResponse:
        if self._waiting >= _WAITING:
            raise TooManyQueries(
                "too many people ask for rows at once",
                remedy="repeat in a few seconds, or take the whole file",
            )
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(self._opened, request, contract, path, sha256)
        finally:
            self._waiting -= 1

    def _opened(
        self, request: pb.ReadReleaseRowsRequest, contract: contract_pb2.Contract, path: Path, sha256: str
    ) -> pb.ReadReleaseRowsResponse:
        with self._world.store.opened(path, sha256) as opened:
            return self._answer(request, contract, opened)

    def _answer(
        self, request: pb.ReadReleaseRowsRequest, contract: contract_pb2.Contract, path: Path
    ) -> pb.ReadReleaseRowsResponse:
        filters = (request.release, request.filter, ",".join(request.columns), request.order_by)
        page = Page.of("rows", filters, request.page_size, request.page_token, (request.skip,), default=20)
        skip = min(int(page.start[0]), MAX_SKIPPED)
        fields = fields_of(release_rows.header(path), contract)
        schema = schema_of(fields)
        query = RowQuery.of(schema, request.columns, request.filter, request.order_by, skip, page.size)
        cells, total = release_rows.read(self._world.lake, path, query)
        end = skip + len(cells)
        by_name = {field.name: field for field in fields}
        return pb.ReadReleaseRowsResponse(
            rows=rows.preview_of(cells),
            fields=[by_name[column] for column in query.columns],
            next_page_token=page.token((end,)) if cells and end < min(total, MAX_SKIPPED + 1) else "",
            total_size=total,
            all_fields=fields,
        )
