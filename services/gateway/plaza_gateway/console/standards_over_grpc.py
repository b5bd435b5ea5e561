"""The desk's standards at the service itself."""

from __future__ import annotations

from plaza.catalogue.v1 import code_lists_pb2 as cl
from plaza.catalogue.v1 import source_systems_pb2 as sy
from plaza.catalogue.v1.code_lists_pb2_grpc import CodeListServiceStub
from plaza.catalogue.v1.source_systems_pb2_grpc import SourceSystemServiceStub
from plaza_kit.rpc.client import Peers

from plaza_gateway.console.calling import answer, carried, every

_LARGEST = 1000
_HISTORY = 50
"""Versions of a source system that its page looks back over."""


class StandardsOverGrpc:
    """A `StandardDesk` at the catalogue."""

    def __init__(self, peers: Peers, token: str) -> None:
        self._token = token
        self._systems = SourceSystemServiceStub(peers.channel("catalogue"))
        self._lists = CodeListServiceStub(peers.channel("catalogue"))

    async def systems(self, department: str) -> list[sy.SourceSystem]:
        """By id, retired ones too."""
        request = sy.ListSourceSystemsRequest(parent=department, page_size=_LARGEST)
        return await every(
            self._systems.ListSourceSystems, request, lambda page: page.source_systems, carried(self._token)
        )

    async def system(self, name: str) -> sy.SourceSystem:
        """As it is now."""
        request = sy.GetSourceSystemRequest(name=name)
        return await answer(self._systems.GetSourceSystem(request, **carried(self._token)))

    async def system_history(self, name: str) -> list[sy.SourceSystemVersion]:
        """The newest versions, newest first."""
        request = sy.ListSourceSystemVersionsRequest(parent=name, page_size=_HISTORY)
        page: sy.ListSourceSystemVersionsResponse = await answer(
            self._systems.ListSourceSystemVersions(request, **carried(self._token))
        )
        return list(page.metadata_versions)

    async def register_system(
        self, department: str, system_id: str, system: sy.SourceSystem, request_id: str
    ) -> sy.SourceSystem:
        """Datasets and sources can name it then."""
        request = sy.CreateSourceSystemRequest(
            parent=department, source_system_id=system_id, source_system=system, request_id=request_id
        )
        return await answer(self._systems.CreateSourceSystem(request, **carried(self._token)))

    async def update_system(self, system: sy.SourceSystem, fields: tuple[str, ...]) -> sy.SourceSystem:
        """Changes these fields, if the system still has the etag that is given."""
        request = sy.UpdateSourceSystemRequest(source_system=system)
        request.update_mask.paths.extend(fields)
        return await answer(self._systems.UpdateSourceSystem(request, **carried(self._token)))

    async def retire_system(self, name: str, etag: str) -> sy.SourceSystem:
        """For good, if the system still has the etag that is given."""
        request = sy.RetireSourceSystemRequest(name=name, etag=etag)
        return await answer(self._systems.RetireSourceSystem(request, **carried(self._token)))

    async def lists(self) -> list[cl.CodeList]:
        """By id, each with its newest version."""
        request = cl.ListCodeListsRequest(page_size=_LARGEST)
        return await every(
            self._lists.ListCodeLists, request, lambda page: page.code_lists, carried(self._token)
        )

    async def list_versions(self, name: str) -> list[cl.CodeListVersion]:
        """Newest first."""
        request = cl.ListCodeListVersionsRequest(parent=name, page_size=_LARGEST)
        return await every(
            self._lists.ListCodeListVersions, request, lambda page: page.versions, carried(self._token)
        )

    async def codes(self, parent: str, words: str, size: int, token: str) -> cl.ListCodesResponse:
        """A page, in the order of the list."""
        request = cl.ListCodesRequest(parent=parent, query=words, page_size=size, page_token=token)
        return await answer(self._lists.ListCodes(request, **carried(self._token)))

    async def add_version(
        self, name: str, version_id: str, facts: cl.CodeListVersion, document: str, request_id: str
    ) -> cl.CodeListVersion:
        """It never changes afterwards."""
        request = cl.CreateCodeListVersionRequest(
            parent=name, version_id=version_id, version=facts, document=document, request_id=request_id
        )
        return await answer(self._lists.CreateCodeListVersion(request, **carried(self._token)))
