"""What a dataset said before: versions of its metadata, their differences, old contracts."""

from __future__ import annotations

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit.db import Reader, Scope
from plaza_kit.errors import InvalidArgument, NotFound
from plaza_kit.names import DatasetName
from plaza_kit.paging import Page
from plaza_kit.policy import Resource

from plaza_catalogue.domain.datasets import UPDATABLE
from plaza_catalogue.domain.differences import differences
from plaza_catalogue.storage import datasets, history
from plaza_catalogue.usecases.ports import NEWEST, World, unknown_dataset
from plaza_catalogue.usecases.registration import Registration


class UnknownMetadataVersion(NotFound):
    """The dataset's metadata never had this version."""


class UnknownContract(NotFound):
    """The dataset never had a contract of this number."""


class WrongOrder(InvalidArgument):
    """The older version must be the smaller number."""


class History:
    """Use cases around old versions."""

    def __init__(self, world: World, registration: Registration) -> None:
        self._world = world
        self._registration = registration

    async def version(self, request: pb.GetMetadataVersionRequest) -> pb.MetadataVersion:
        """Raises UnknownMetadataVersion."""
        name, number = _numbered(request.name)
        return await _version(self._reader(), name, number)

    async def diff(self, request: pb.DiffMetadataVersionsRequest) -> pb.DiffMetadataVersionsResponse:
        """Raises UnknownDataset, UnknownMetadataVersion, WrongOrder."""
        name = DatasetName.parse(request.name)
        reader = self._reader()
        current = await datasets.find(reader, name)
        if current is None:
            raise unknown_dataset(name)
        newer = request.to_version or current.metadata_version
        older = request.from_version or newer - 1
        if older > newer:
            raise WrongOrder(
                f"from_version {older} is newer than to_version {newer}", remedy="exchange the two numbers"
            )
        after = (await _version(reader, name, newer)).content
        before = (await _version(reader, name, older)).content if older else pb.Dataset()
        return pb.DiffMetadataVersionsResponse(
            from_version=older, to_version=newer, differences=differences(before, after)
        )

    async def restore(self, request: pb.RestoreMetadataVersionRequest) -> pb.Dataset:
        """A new version with the directory fields of an old one. Raises UnknownMetadataVersion, EtagMismatch,
        CodeTaken, NotPermitted."""
        name, number = _numbered(request.name)
        old = (await _version(self._reader(), name, number)).content
        update = pb.UpdateDatasetRequest(dataset=old)
        update.dataset.etag = request.etag
        update.update_mask.paths.extend(UPDATABLE)
        return await self._registration.update(update)

    async def contract(self, request: pb.GetContractRequest) -> pb.ContractVersion:
        """Raises UnknownContract."""
        name, number = _numbered(request.name)
        found = await history.contract(self._reader(), name, number)
        if found is None:
            raise UnknownContract(
                f"{request.name} was never in force", remedy="list the contracts of the dataset"
            )
        return found

    async def contracts(self, request: pb.ListContractsRequest) -> pb.ListContractsResponse:
        """Raises UnknownDataset, BadPageToken."""
        name = DatasetName.parse(request.parent)
        page = Page.of("contracts", (request.parent,), request.page_size, request.page_token, NEWEST)
        reader = self._reader()
        found = await history.contracts(reader, name, int(page.start[0]), page.size + 1)
        if not found and await datasets.find(reader, name) is None:
            raise unknown_dataset(name)
        items, more = page.cut(found)
        token = page.token((items[-1].version,)) if more else ""
        return pb.ListContractsResponse(contracts=items, next_page_token=token)

    def _reader(self) -> Reader:
        principal = self._world.policy.authorize("directory.read", Resource.system())
        return self._world.database.reader(Scope.of(principal))


def _numbered(name: str) -> tuple[DatasetName, int]:
    """`…/metadataVersions/3`, `…/contracts/3` → the dataset and 3; the message's pattern was checked."""
    parent, _, number = name.rpartition("/")
    return DatasetName.parse(parent.rpartition("/")[0]), int(number)


async def _version(reader: Reader, name: DatasetName, number: int) -> pb.MetadataVersion:
    found = await history.metadata_version(reader, name, number)
    if found is None:
        raise UnknownMetadataVersion(
            f"{name} has no version {number} of its metadata", remedy="list the versions of its metadata"
        )
    return found
