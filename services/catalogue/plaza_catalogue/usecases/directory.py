"""Reading the directory: datasets, versions of metadata and data."""

from __future__ import annotations

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit.db import Reader, Scope
from plaza_kit.errors import NotFound
from plaza_kit.names import (
    ALL_DEPARTMENTS,
    DatasetName,
    parse_department,
    parse_version,
)
from plaza_kit.paging import Page
from plaza_kit.policy import Resource

from plaza_catalogue.storage import datasets, departments, versions
from plaza_catalogue.usecases.ports import NEWEST, World, unknown_dataset, unknown_department


class UnknownVersion(NotFound):
    """The dataset has no committed version of this number."""


class Directory:
    """Use cases that read."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def get(self, request: pb.GetDatasetRequest) -> pb.Dataset:
        """Raises UnknownDataset."""
        return await self.dataset(DatasetName.parse(request.name))

    async def dataset(self, name: DatasetName) -> pb.Dataset:
        """One dataset, if the caller may read the directory. Raises UnknownDataset."""
        found = await datasets.find(self._reader(), name)
        if found is None:
            raise unknown_dataset(name)
        return found

    async def list(self, request: pb.ListDatasetsRequest) -> pb.ListDatasetsResponse:
        """Raises UnknownDepartment, BadPageToken."""
        department = None if request.parent == ALL_DEPARTMENTS else parse_department(request.parent)
        page = Page.of("datasets", (request.parent,), request.page_size, request.page_token, ("", ""))
        after = (str(page.start[0]), str(page.start[1]))
        reader = self._reader()
        found = await datasets.page(reader, department or "", after, page.size + 1)
        if not found and department and await departments.find(reader, department) is None:
            raise unknown_department(department)
        items, more = page.cut(found)
        token = ""
        if more:
            last = DatasetName.parse(items[-1].name)
            token = page.token((last.department, last.dataset))
        return pb.ListDatasetsResponse(datasets=items, next_page_token=token)

    async def metadata_versions(
        self, request: pb.ListMetadataVersionsRequest
    ) -> pb.ListMetadataVersionsResponse:
        """Raises UnknownDataset, BadPageToken."""
        name = DatasetName.parse(request.parent)
        page = Page.of("metadata", (request.parent,), request.page_size, request.page_token, NEWEST)
        reader = self._reader()
        found = await datasets.metadata_versions(reader, name, int(page.start[0]), page.size + 1)
        if not found and await datasets.find(reader, name) is None:
            raise unknown_dataset(name)
        items, more = page.cut(found)
        token = page.token((items[-1].version,)) if more else ""
        return pb.ListMetadataVersionsResponse(metadata_versions=items, next_page_token=token)

    async def versions(self, request: pb.ListVersionsRequest) -> pb.ListVersionsResponse:
        """Raises UnknownDataset, BadPageToken."""
        name = DatasetName.parse(request.parent)
        page = Page.of("versions", (request.parent,), request.page_size, request.page_token, NEWEST)
        reader = self._reader()
        found = await versions.page(reader, name, int(page.start[0]), page.size + 1)
        if not found and await datasets.find(reader, name) is None:
            raise unknown_dataset(name)
        items, more = page.cut(found)
        token = page.token((items[-1].version,)) if more else ""
        return pb.ListVersionsResponse(versions=items, next_page_token=token)

    async def version(self, request: pb.GetVersionRequest) -> pb.Version:
        """Raises UnknownVersion."""
        name, number = parse_version(request.name)
        found = await versions.find(self._reader(), name, number)
        if found is None:
            raise UnknownVersion(
                f"{request.name} was never committed", remedy="list the versions of the dataset"
            )
        return found

    def _reader(self) -> Reader:
        principal = self._world.policy.authorize("directory.read", Resource.system())
        return self._world.database.reader(Scope.of(principal))
