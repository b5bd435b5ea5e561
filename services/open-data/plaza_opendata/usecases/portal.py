"""What everybody may see. There is no caller here: only what was published is shown."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

from plaza.opendata.v1 import opendata_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.errors import NotFound
from plaza_kit.names import parse_department
from plaza_kit.paging import Page
from plaza_kit.streams import in_thread
from plaza_kit.tlog.proof import SUFFIX
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_opendata.domain.releases import READABLE, ReleaseName, State, parse_open_dataset
from plaza_opendata.storage import portal, releases, rows
from plaza_opendata.storage.rows import FileRecord
from plaza_opendata.usecases.ports import World, unknown_release

LATEST = 6
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
        department = parse_department(request.department) if request.department else ""
        filters = (request.query, department)
        page = Page.of("openDatasets", filters, request.page_size, request.page_token, (0,), default=20)
        offset = int(page.start[0])
        async with self._reading() as connection:
            found, total = await portal.find(connection, request.query, department, offset, page.size)
        end = offset + len(found)
        token = page.token((end,)) if found and end < total else ""
        return pb.SearchOpenDatasetsResponse(datasets=found, next_page_token=token, total_size=total)

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

    async def read(
        self, request: pb.ReadReleaseFileRequest
    ) -> AsyncGenerator[pb.ReadReleaseFileResponse, None]:
        """The file's record, then its bytes. Raises UnknownRelease, ReleaseWithdrawn, UnknownFile, FileDamaged."""
        name = ReleaseName.parse(request.release)
        async with self._reading() as connection:
            file = await self._file(connection, name, request.file_name)
        # Only now is the name one that a path may be made of: the database has it.
        path = self._world.store.path(name, file.file_name)
        pieces = in_thread(
            lambda: self._world.store.pieces(path, file.size_bytes, request.offset, request.limit)
        )
        async with aclosing(pieces):
            first = await anext(pieces, b"")  # before the record, so that a damaged file is not announced
            yield pb.ReadReleaseFileResponse(
                file=pb.ReleaseFile(
                    file_name=file.file_name,
                    content_type=file.content_type,
                    size_bytes=file.size_bytes,
                    sha256=file.sha256,
                )
            )
            if first:
                yield pb.ReadReleaseFileResponse(chunk=first)
            async for piece in pieces:
                yield pb.ReadReleaseFileResponse(chunk=piece)

    async def _file(self, connection: AsyncConnection, name: ReleaseName, asked: str) -> FileRecord:
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
        file = await releases.file(connection, name, asked.removesuffix(SUFFIX))
        if file is None:
            raise UnknownFile(
                f"{name} has no file {asked!r}",
                remedy=f"take a name from the release's files, or that name with {SUFFIX}",
            )
        return _proof_of(file) if asked.endswith(SUFFIX) else file

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
    )
