"""What a signed-in person does with contracts of datasets."""

from __future__ import annotations

from typing import Protocol

from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza.common.v1 import contract_pb2


class ContractDesk(Protocol):
    """The catalogue's contracts. Names are full resource names. What the service refuses is raised as a Problem."""

    async def contract(self, name: str) -> cat.ContractVersion: ...
    async def document(self, dataset: str) -> bytes: ...
    async def parsed(self, document: str) -> contract_pb2.Contract: ...
    async def adopt(
        self,
        dataset: str,
        contract: contract_pb2.Contract,
        etag: str,
        request_id: str = "",
        *,
        look_only: bool = False,
    ) -> cat.AdoptContractResponse: ...
