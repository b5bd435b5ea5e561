"""`plaza.catalogue.v1.CatalogueService`: messages in, use cases, messages out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from google.api import httpbody_pb2
from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.catalogue.v1 import catalogue_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_catalogue.usecases.adoption import Adoption
from plaza_catalogue.usecases.departments import Departments
from plaza_catalogue.usecases.directory import Directory
from plaza_catalogue.usecases.directory_files import DirectoryFiles
from plaza_catalogue.usecases.documents import Documents
from plaza_catalogue.usecases.history import History
from plaza_catalogue.usecases.ports import World
from plaza_catalogue.usecases.registration import Registration
from plaza_catalogue.usecases.search import Search

YAML = "application/yaml"
"""RFC 9512."""


class CatalogueServicer(catalogue_pb2_grpc.CatalogueServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, world: World) -> None:
        self._departments = Departments(world)
        self._registration = Registration(world)
        self._directory = Directory(world)
        self._documents = Documents(world, self._directory)
        self._files = DirectoryFiles(world)
        self._history = History(world, self._registration)
        self.search = Search(world)
        self._adoption = Adoption(world)

    async def GetDepartment(self, request: pb.GetDepartmentRequest, rpc: ServicerContext) -> pb.Department:
        return await self._departments.get(request)

    async def ListDepartments(
        self, request: pb.ListDepartmentsRequest, rpc: ServicerContext
    ) -> pb.ListDepartmentsResponse:
        return await self._departments.page(request)

    async def CreateDepartment(
        self, request: pb.CreateDepartmentRequest, rpc: ServicerContext
    ) -> pb.Department:
        return await self._departments.create(request)

    async def UpdateDepartment(
        self, request: pb.UpdateDepartmentRequest, rpc: ServicerContext
    ) -> pb.Department:
        return await self._departments.update(request)

    async def ArchiveDepartment(
        self, request: pb.ArchiveDepartmentRequest, rpc: ServicerContext
    ) -> pb.Department:
        return await self._departments.archive(request)

    async def ActivateDepartment(
        self, request: pb.ActivateDepartmentRequest, rpc: ServicerContext
    ) -> pb.Department:
        return await self._departments.activate(request)

    async def ListDepartmentVersions(
        self, request: pb.ListDepartmentVersionsRequest, rpc: ServicerContext
    ) -> pb.ListDepartmentVersionsResponse:
        return await self._departments.versions(request)

    async def CreateDataset(self, request: pb.CreateDatasetRequest, rpc: ServicerContext) -> pb.Dataset:
        return await self._registration.create(request)

    async def GetDataset(self, request: pb.GetDatasetRequest, rpc: ServicerContext) -> pb.Dataset:
        return await self._directory.get(request)

    async def ListDatasets(
        self, request: pb.ListDatasetsRequest, rpc: ServicerContext
    ) -> pb.ListDatasetsResponse:
        return await self._directory.list(request)

    async def UpdateDataset(self, request: pb.UpdateDatasetRequest, rpc: ServicerContext) -> pb.Dataset:
        return await self._registration.update(request)

    async def SearchDatasets(
        self, request: pb.SearchDatasetsRequest, rpc: ServicerContext
    ) -> pb.SearchDatasetsResponse:
        return await self.search.search(request)

    async def SuggestDatasets(
        self, request: pb.SuggestDatasetsRequest, rpc: ServicerContext
    ) -> pb.SuggestDatasetsResponse:
        return await self.search.suggest(request)

    async def ListMetadataVersions(
        self, request: pb.ListMetadataVersionsRequest, rpc: ServicerContext
    ) -> pb.ListMetadataVersionsResponse:
        return await self._directory.metadata_versions(request)

    async def ListVersions(
        self, request: pb.ListVersionsRequest, rpc: ServicerContext
    ) -> pb.ListVersionsResponse:
        return await self._directory.versions(request)

    async def GetVersion(self, request: pb.GetVersionRequest, rpc: ServicerContext) -> pb.Version:
        return await self._directory.version(request)

    async def ExportContract(
        self, request: pb.ExportContractRequest, rpc: ServicerContext
    ) -> httpbody_pb2.HttpBody:
        return _yaml(await self._documents.export(request))

    async def ParseContract(
        self, request: pb.ParseContractRequest, rpc: ServicerContext
    ) -> pb.ParseContractResponse:
        return self._documents.parse(request)

    async def RenderContract(
        self, request: pb.RenderContractRequest, rpc: ServicerContext
    ) -> httpbody_pb2.HttpBody:
        return _yaml(self._documents.render(request))

    async def ImportDirectory(
        self, request_iterator: AsyncIterator[pb.ImportDirectoryRequest], rpc: ServicerContext
    ) -> pb.ImportDirectoryResponse:
        return await self._files.receive(request_iterator)

    async def ExportDirectory(
        self, request: pb.ExportDirectoryRequest, rpc: ServicerContext
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        async with aclosing(self._files.export(request)) as pieces:
            async for content_type, data in pieces:
                yield httpbody_pb2.HttpBody(content_type=content_type, data=data)

    async def GetMetadataVersion(
        self, request: pb.GetMetadataVersionRequest, rpc: ServicerContext
    ) -> pb.MetadataVersion:
        return await self._history.version(request)

    async def DiffMetadataVersions(
        self, request: pb.DiffMetadataVersionsRequest, rpc: ServicerContext
    ) -> pb.DiffMetadataVersionsResponse:
        return await self._history.diff(request)

    async def RestoreMetadataVersion(
        self, request: pb.RestoreMetadataVersionRequest, rpc: ServicerContext
    ) -> pb.Dataset:
        return await self._history.restore(request)

    async def GetContract(self, request: pb.GetContractRequest, rpc: ServicerContext) -> pb.ContractVersion:
        return await self._history.contract(request)

    async def ListContracts(
        self, request: pb.ListContractsRequest, rpc: ServicerContext
    ) -> pb.ListContractsResponse:
        return await self._history.contracts(request)

    async def AdoptContract(
        self, request: pb.AdoptContractRequest, rpc: ServicerContext
    ) -> pb.AdoptContractResponse:
        return await self._adoption.adopt(request)


def _yaml(document: str) -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type=YAML, data=document.encode())
