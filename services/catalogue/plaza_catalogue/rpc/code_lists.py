"""`plaza.catalogue.v1.CodeListService`: messages in, use cases, messages out."""

from __future__ import annotations

from plaza.catalogue.v1 import code_lists_pb2 as pb
from plaza.catalogue.v1 import code_lists_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_catalogue.usecases.code_lists import CodeLists


class CodeListServicer(code_lists_pb2_grpc.CodeListServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, lists: CodeLists) -> None:
        self._lists = lists

    async def ListCodeLists(
        self, request: pb.ListCodeListsRequest, rpc: ServicerContext
    ) -> pb.ListCodeListsResponse:
        return await self._lists.page(request)

    async def GetCodeList(self, request: pb.GetCodeListRequest, rpc: ServicerContext) -> pb.CodeList:
        return await self._lists.get(request)

    async def ListCodeListVersions(
        self, request: pb.ListCodeListVersionsRequest, rpc: ServicerContext
    ) -> pb.ListCodeListVersionsResponse:
        return await self._lists.versions(request)

    async def GetCodeListVersion(
        self, request: pb.GetCodeListVersionRequest, rpc: ServicerContext
    ) -> pb.CodeListVersion:
        return await self._lists.version(request)

    async def ListCodes(self, request: pb.ListCodesRequest, rpc: ServicerContext) -> pb.ListCodesResponse:
        return await self._lists.codes(request)

    async def CreateCodeListVersion(
        self, request: pb.CreateCodeListVersionRequest, rpc: ServicerContext
    ) -> pb.CodeListVersion:
        return await self._lists.create(request)
