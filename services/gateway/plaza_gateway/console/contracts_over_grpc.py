"""Contracts at the catalogue itself."""

from __future__ import annotations

from google.api.httpbody_pb2 import HttpBody
from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza.catalogue.v1.catalogue_pb2_grpc import CatalogueServiceStub
from plaza.common.v1 import contract_pb2
from plaza_kit.rpc.client import Peers

from plaza_gateway.console.calling import answer, carried


class ContractsOverGrpc:
    """A `ContractDesk` at the catalogue itself."""

    def __init__(self, peers: Peers, token: str) -> None:
        self._token = token
        self._catalogue = CatalogueServiceStub(peers.channel("catalogue"))

    async def contract(self, name: str) -> cat.ContractVersion:
        """One contract of a dataset, whole."""
        request = cat.GetContractRequest(name=name)
        return await answer(self._catalogue.GetContract(request, **carried(self._token)))

    async def document(self, dataset: str) -> bytes:
        """The contract in force as an ODCS document in YAML."""
        request = cat.ExportContractRequest(name=dataset)
        body: HttpBody = await answer(self._catalogue.ExportContract(request, **carried(self._token)))
        return body.data

    async def parsed(self, document: str) -> contract_pb2.Contract:
        """What an ODCS document says."""
        request = cat.ParseContractRequest(document=document)
        found: cat.ParseContractResponse = await answer(
            self._catalogue.ParseContract(request, **carried(self._token))
        )
        return found.contract

    async def adopt(
        self,
        dataset: str,
        contract: contract_pb2.Contract,
        etag: str,
        request_id: str = "",
        *,
        look_only: bool = False,
    ) -> cat.AdoptContractResponse:
        """Puts the contract in force, or only tells what would come of it."""
        request = cat.AdoptContractRequest(
            dataset=dataset, contract=contract, etag=etag, request_id=request_id, validate_only=look_only
        )
        return await answer(self._catalogue.AdoptContract(request, **carried(self._token)))
