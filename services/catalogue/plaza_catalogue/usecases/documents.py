"""Contracts as ODCS documents: export of what is in force, drafts in and out."""

from __future__ import annotations

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit.names import DatasetName
from plaza_kit.policy import Resource
from plaza_kit.rpc.guard import validate

from plaza_catalogue.domain import odcs, odcs_parse
from plaza_catalogue.domain.contract_checks import check_contract
from plaza_catalogue.domain.odcs import ContractDocument
from plaza_catalogue.usecases.directory import Directory
from plaza_catalogue.usecases.ports import World


class Documents:
    """Use cases around documents."""

    def __init__(self, world: World, directory: Directory) -> None:
        self._world = world
        self._directory = directory

    async def export(self, request: pb.ExportContractRequest) -> str:
        """The contract in force in YAML. Raises UnknownDataset."""
        dataset = await self._directory.dataset(DatasetName.parse(request.name))
        return odcs.render(
            ContractDocument(
                contract=dataset.contract,
                title=dataset.display_name,
                description=dataset.description,
                id=dataset.name,
                version=f"{dataset.contract_version}.0.0",
                status="active",
            )
        )

    def parse(self, request: pb.ParseContractRequest) -> pb.ParseContractResponse:
        """Raises BadDocument, InvalidRequest (a value breaks a rule of the contract's proto), BadContract."""
        self._world.policy.authorize("contract.draft", Resource.system())
        document = odcs_parse.parse(request.document)
        validate(document.contract)
        check_contract(document.contract)
        return pb.ParseContractResponse(
            contract=document.contract, title=document.title, description=document.description
        )

    def render(self, request: pb.RenderContractRequest) -> str:
        """Raises BadContract."""
        self._world.policy.authorize("contract.draft", Resource.system())
        check_contract(request.contract)
        return odcs.render(ContractDocument(request.contract, request.title, request.description))
