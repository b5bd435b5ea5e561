"""`plaza.catalogue.v1.CatalogueService`: messages in, use cases, messages out."""

from __future__ import annotations

from google.api import httpbody_pb2
from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.catalogue.v1 import catalogue_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_catalogue.usecases.departments import Departments
from plaza_catalogue.usecases.directory import Directory
from plaza_catalogue.usecases.documents import Documents
from plaza_catalogue.usecases.ports import World
from plaza_catalogue.usecases.registration import Registration

YAML = "application/yaml"
"""RFC 9512."""


class CatalogueServicer(catalogue_pb2_grpc.CatalogueServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, world: World) -> None:
        self._departments = Departments(world)
        self._registration = Registration(world)
        self._directory = Directory(world)
        self._documents = Documents(world, self._directory)

    async def GetDepartment(self, request: pb.GetDepartmentRequest, rpc: ServicerContext) -> pb.Department:
        return await self._departments.get(request)

    async def ListDepartments(
        self, request: pb.ListDepartmentsRequest, rpc: ServicerContext
    ) -> pb.ListDepartmentsResponse:
        return await self._departments.list(request)

    async def CreateDepartment(
        self, request: pb.CreateDepartmentRequest, rpc: ServicerContext
    ) -> pb.Department:
        return await self._departments.create(request)

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
        return await self._directory.search(request)

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


def _yaml(document: str) -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type=YAML, data=document.encode())
