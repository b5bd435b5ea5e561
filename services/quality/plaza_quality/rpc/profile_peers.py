"""The catalogue as profiles need it: for the caller, and in the service's own name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from plaza.catalogue.v1 import catalogue_pb2, catalogue_pb2_grpc, code_lists_pb2, code_lists_pb2_grpc
from plaza_kit.identity import ServiceTokens
from plaza_kit.names import DatasetName
from plaza_kit.rpc.client import Peers, as_service, on_behalf

from plaza_quality.usecases.profile_ports import InForce

_TIMEOUT: Final = 10.0


class ContractsPeer:
    """`usecases.profile_ports.Contracts` over gRPC."""

    def __init__(self, peers: Peers, tokens: ServiceTokens) -> None:
        self._peers = peers
        self._tokens = tokens

    async def code_lists(self) -> Sequence[str]:
        stub = code_lists_pb2_grpc.CodeListServiceStub(self._peers.channel("catalogue"))
        names: list[str] = []
        request = code_lists_pb2.ListCodeListsRequest(page_size=1000)
        while True:
            page = await stub.ListCodeLists(
                request, metadata=await as_service(self._tokens), timeout=_TIMEOUT
            )
            names += (each.latest_version.name for each in page.code_lists)
            if not page.next_page_token:
                return names
            request.page_token = page.next_page_token

    async def in_force(self, name: DatasetName) -> InForce:
        request = catalogue_pb2.GetDatasetRequest(name=str(name))
        found = await self._catalogue().GetDataset(request, metadata=on_behalf(), timeout=_TIMEOUT)
        return InForce(found.contract, found.contract_version, found.etag)

    async def adopt(self, name: DatasetName, wanted: InForce, request_id: str, *, validate_only: bool) -> int:
        request = catalogue_pb2.AdoptContractRequest(
            dataset=str(name),
            contract=wanted.contract,
            etag=wanted.etag,
            request_id=request_id,
            validate_only=validate_only,
        )
        answer = await self._catalogue().AdoptContract(request, metadata=on_behalf(), timeout=_TIMEOUT)
        return int(answer.contract_version)

    def _catalogue(self) -> catalogue_pb2_grpc.CatalogueServiceStub:
        return catalogue_pb2_grpc.CatalogueServiceStub(self._peers.channel("catalogue"))
