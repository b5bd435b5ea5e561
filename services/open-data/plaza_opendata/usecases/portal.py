"""What everybody may see. There is no caller here: only what was published is shown."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import orjson
from google.api import httpbody_pb2
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.errors import NotFound
from plaza_kit.names import parse_department
from plaza_kit.paging import Page
from plaza_kit.search_words import normalise
from plaza_kit.streams import in_thread
from plaza_kit.tlog.proof import SUFFIX
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_opendata.domain import portal_facets as facets
from plaza_opendata.domain.data_package import data_package
from plaza_opendata.domain.releases import READABLE, ReleaseName, State, parse_open_dataset
from plaza_opendata.storage import portal, releases, rows
from plaza_opendata.storage.rows import FileRecord
from plaza_opendata.usecases.ports import World, unknown_release

LATEST = 6
_SUGGESTIONS = 10
_FACET_VALUES = 20
_FACETS = {
    pb.OPEN_FACET_DEPARTMENT: facets.Facet.DEPARTMENT,
    pb.OPEN_FACET_CATEGORY: facets.Facet.CATEGORY,
    pb.OPEN_FACET_FORMAT: facets.Facet.FORMAT,
    pb.OPEN_FACET_UPDATE_CYCLE: facets.Facet.UPDATE_CYCLE,
    pb.OPEN_FACET_LICENCE: facets.Facet.LICENCE,
    pb.OPEN_FACET_KEYWORD: facets.Facet.KEYWORD,
}
PROOF_TYPE = "application/json"


class NotOpen(NotFound):
    """The dataset was never opened to the public."""


class ReleaseWithdrawn(NotFound):
    """The release is no longer given out."""


class UnknownFile(NotFound):
    """The release has no such file."""


class Portal:
    """Use cases of the public."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def summary(self) -> pb.PortalSummary:
        """Counts of what is open now, and the newest releases."""
        async with self._reading() as connection:
            counts = await portal.departments(connection)
            latest = await portal.latest(connection, LATEST)
        return pb.PortalSummary(
            dataset_count=sum(found.count for found in counts), departments=counts, latest=latest
        )

    async def search(self, request: pb.SearchOpenDatasetsRequest) -> pb.SearchOpenDatasetsResponse:
        """Raises BadPageToken, BadName."""
        filters = _filters(request)
        mark = (request.query, *(f"{facet}={value}" for facet in filters for value in filters[facet]))
        page = Page.of("openDatasets", mark, request.page_size, request.page_token, (0,), default=20)
        offset, words = int(page.start[0]), portal.Words.of(request.query)
        limit = request.facet_limit or _FACET_VALUES
        async with self._reading() as connection:
            found = await portal.find(connection, words, filters, offset, page.size)
            groups = await portal.groups(connection, words, filters)
            departments = await portal.departments(connection) if request.facets else []
            keywords = (
                await portal.keywords(connection, words, filters, limit)
                if pb.OPEN_FACET_KEYWORD in request.facets
                else facets.NONE
            )
        end, total = offset + len(found), facets.total(groups, filters)
        token = page.token((end,)) if found and end < total else ""
        answer = pb.SearchOpenDatasetsResponse(datasets=found, next_page_token=token, total_size=total)
        names = {each.department: each for each in departments}
        for wanted in request.facets:
            facet = _FACETS[wanted]
            by_keyword = facet is facets.Facet.KEYWORD
            counted = keywords if by_keyword else facets.counts(groups, filters, facet, limit)
            answer.facets.add(
                facet=wanted,
                values=_values(facet, counted, filters, names),
                value_count=counted.different,
            )
        return answer

    async def suggest(self, request: pb.SuggestOpenDatasetsRequest) -> pb.SuggestOpenDatasetsResponse:
        """Titles that begin so, then titles that hold it."""
        typed = normalise(request.query)
        if not typed:
            return pb.SuggestOpenDatasetsResponse()
        async with self._reading() as connection:
            found = await portal.suggest(connection, typed, request.limit or _SUGGESTIONS)
        return pb.SuggestOpenDatasetsResponse(suggestions=found)

    async def get(self, request: pb.GetOpenDatasetRequest) -> pb.OpenDataset:
        """Raises NotOpen when nothing was ever published. When all was withdrawn the texts are still shown, with
        the tombstones, but nothing that was made from the rows."""
        name = parse_open_dataset(request.name)
        async with self._reading() as connection:
            ever = await portal.ever_published(connection, name)
            if not ever:
                raise NotOpen(f"{name} is not open", remedy="search the portal for what is")
            newest = next((r for r in ever if r.state == pb.RELEASE_STATE_PUBLISHED), None)
            shown_number = (newest or ever[0]).release
            detail = await portal.detail(connection, ReleaseName(name, shown_number))
        shown = rows.open_dataset_of(detail["snapshot"])
        shown.releases.extend(ever)
        if newest is None:
            del shown.rules[:], shown.dimensions[:]
        else:
            shown.latest_release.CopyFrom(newest)
            shown.preview.extend(rows.preview_of(detail["preview"] or []))
        return shown

    async def data_package(self, request: pb.GetDataPackageRequest) -> httpbody_pb2.HttpBody:
        """Raises UnknownRelease, ReleaseWithdrawn."""
        name = ReleaseName.parse(request.release)
        async with self._reading() as connection:
            release = rows.release_of(await self.readable(connection, name))
            detail = await portal.detail(connection, name)
        described = data_package(name, release, rows.open_dataset_of(detail["snapshot"]))
        data = orjson.dumps(described, option=orjson.OPT_INDENT_2)
        return httpbody_pb2.HttpBody(content_type="application/json", data=data)

    async def read(
        self, request: pb.ReadReleaseFileRequest
    ) -> AsyncGenerator[pb.ReadReleaseFileResponse, None]:
        """The file's record, then its bytes. Raises UnknownRelease, ReleaseWithdrawn, UnknownFile, FileDamaged."""
        name = ReleaseName.parse(request.release)
        async with self._reading() as connection:
            file = await self.file(connection, name, request.file_name)
        # Only now is the name one that a path may be made of: the database has it.
        path = self._world.store.path(name, file.file_name)
        pieces = in_thread(lambda: self.pieces(path, file, request.offset, request.limit))
        async with aclosing(pieces):
            first = await anext(pieces, b"")  # before the record, so that a damaged file is not announced
            yield pb.ReadReleaseFileResponse(file=rows.file_of(file))
            if first:
                yield pb.ReadReleaseFileResponse(chunk=first)
            async for piece in pieces:
                yield pb.ReadReleaseFileResponse(chunk=piece)

    def pieces(self, path: Path, file: FileRecord, offset: int, limit: int) -> Iterator[bytes]:
        """Bytes of a file that is given out. Blocking. Raises FileDamaged."""
        with self._world.store.opened(path, file.sha256) as opened:
            yield from self._world.store.pieces(opened, file.size_bytes, offset, limit)

    async def file(self, connection: AsyncConnection, name: ReleaseName, asked: str) -> FileRecord:
        """A file that is given out, or its proof. Raises UnknownRelease, ReleaseWithdrawn, UnknownFile."""
        await self.readable(connection, name)
        file = await releases.file(connection, name, asked.removesuffix(SUFFIX))
        if file is None:
            raise UnknownFile(
                f"{name} has no file {asked!r}",
                remedy=f"take a name from the release's files, or that name with {SUFFIX}",
            )
        return _proof_of(file) if asked.endswith(SUFFIX) else file

    async def readable(self, connection: AsyncConnection, name: ReleaseName) -> rows.Row:
        """A release that is given out. Raises UnknownRelease, ReleaseWithdrawn."""
        row = await releases.find(connection, name)
        if row is None or row["publish_time"] is None:
            raise unknown_release(name)
        if rows.state_of(row) is State.WITHDRAWN:
            raise ReleaseWithdrawn(
                f"{name} was withdrawn: {row['withdraw_reason']}",
                remedy="look at the dataset's page for another release",
                facts={"release": str(name)},
            )
        if rows.state_of(row) not in READABLE:
            raise unknown_release(name)
        return row

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        async with self._world.database.transaction(Scope.everything()) as connection:
            yield connection


def _proof_of(file: FileRecord) -> FileRecord:
    return replace(
        file,
        file_name=file.file_name + SUFFIX,
        content_type=PROOF_TYPE,
        size_bytes=file.proof_size_bytes,
        sha256=file.proof_sha256,
        sm3="",
    )


def _filters(request: pb.SearchOpenDatasetsRequest) -> facets.Filters:
    departments = [*request.departments, *([request.department] if request.department else [])]
    given: dict[facets.Facet, list[str]] = {
        facets.Facet.DEPARTMENT: [parse_department(name) for name in departments],
        facets.Facet.CATEGORY: list(request.category),
        facets.Facet.FORMAT: list(request.format),
        facets.Facet.UPDATE_CYCLE: list(request.update_cycle),
        facets.Facet.LICENCE: list(request.licence),
        facets.Facet.KEYWORD: list(request.keyword),
    }
    return {facet: values for facet, values in given.items() if values}


def _values(
    facet: facets.Facet,
    counted: facets.Counts,
    filters: facets.Filters,
    names: Mapping[str, pb.DepartmentCount],
) -> list[pb.OpenFacetValue]:
    made = []
    for value, count in counted.values:
        outside = f"departments/{value}" if facet is facets.Facet.DEPARTMENT else value
        named = names.get(outside, pb.DepartmentCount())
        made.append(
            pb.OpenFacetValue(
                value=outside,
                display_name=named.display_name,
                display_name_en=named.display_name_en,
                count=count,
                selected=value in filters.get(facet, ()),
            )
        )
    return made
