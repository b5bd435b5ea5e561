"""Putting a new contract in force."""

from __future__ import annotations

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit.db import Scope, within
from plaza_kit.db.outbox import NewEvent
from plaza_kit.db.requests import is_first, made_by
from plaza_kit.identity import Principal
from plaza_kit.names import DatasetName
from plaza_kit.rpc.context import caller
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_catalogue.domain.contract_checks import check_contract
from plaza_catalogue.domain.datasets import contract_sha256
from plaza_catalogue.domain.differences import differences
from plaza_catalogue.domain.evolution import check_evolution
from plaza_catalogue.storage import datasets, history, search
from plaza_catalogue.usecases.changes import change_of
from plaza_catalogue.usecases.code_lists import check_code_lists
from plaza_catalogue.usecases.ports import World, check_etag, unknown_dataset
from plaza_catalogue.usecases.registration import found, resource_of

ADOPTED = "city.plaza.catalogue.contract.adopted.v1"


class Adoption:
    """Use case: the dataset is held from now on to another contract."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def adopt(self, request: pb.AdoptContractRequest) -> pb.AdoptContractResponse:
        """Raises UnknownDataset, BadContract, UnknownCodeList, ContractConflict, EtagMismatch, RequestIdReused,
        NotPermitted."""
        name = DatasetName.parse(request.dataset)
        # The policy asks for the grade, which the row knows; the scope is the caller's own already.
        async with self._world.database.transaction(Scope.of(caller())) as connection:
            seen = await found(connection, name)
            principal = self._world.policy.authorize("contract.adopt", resource_of(seen))
            check_contract(request.contract)
            await check_code_lists(within(connection), request.contract)
            current = await datasets.find_to_change(connection, name)
            if current is None:
                raise unknown_dataset(name)
            answer = await self._answer(connection, principal, name, current, request)
        self._world.outbox.wake()
        return answer

    async def _answer(
        self,
        connection: AsyncConnection,
        principal: Principal,
        name: DatasetName,
        current: pb.Dataset,
        request: pb.AdoptContractRequest,
    ) -> pb.AdoptContractResponse:
        wanted = pb.Dataset()
        wanted.CopyFrom(current)
        wanted.contract.CopyFrom(request.contract)
        changes = request.contract != current.contract
        if changes:
            wanted.contract_version += 1
        if not request.validate_only:
            # The name says which contract the request made, none when it changed nothing.
            made = f"{name}/contracts/{wanted.contract_version}" if changes else str(name)
            place = (name.department, made)
            if not await is_first(connection, principal, request.request_id, request, place):
                made = await made_by(connection, principal, request.request_id)
                return await _repeated(connection, name, current, made)
        check_etag(name, request.etag, current.etag)
        answer = pb.AdoptContractResponse(
            contract_version=wanted.contract_version,
            differences=differences(current, wanted),
            validate_only=request.validate_only,
        )
        if changes:
            await self._check_data(connection, name, wanted)
            if not request.validate_only:
                await self._put_in_force(connection, principal, name, wanted)
        answer.dataset.CopyFrom(await found(connection, name))
        return answer

    async def _check_data(self, connection: AsyncConnection, name: DatasetName, wanted: pb.Dataset) -> None:
        """Measured by the contract of the newest data, not by the one in force: that is what the table looks like.
        A contract under which nothing was loaded binds nobody, and one that no load can follow can be mended."""
        loaded = await history.contract_of_data(within(connection), name)
        if loaded is not None:
            version, present = loaded
            check_evolution(present, wanted.contract, version)

    async def _put_in_force(
        self, connection: AsyncConnection, principal: Principal, name: DatasetName, wanted: pb.Dataset
    ) -> None:
        version = wanted.metadata_version + 1
        change = change_of(principal, name, version, ["contract"], self._world.now())
        await datasets.adopt(connection, name, wanted, change)
        await search.put(connection, name, wanted)
        await self._world.outbox.write(connection, _event(name, wanted, principal))


async def _repeated(
    connection: AsyncConnection, name: DatasetName, current: pb.Dataset, made: str
) -> pb.AdoptContractResponse:
    """What the request was told the first time; the dataset as it is now."""
    answer = pb.AdoptContractResponse(dataset=current, contract_version=current.contract_version)
    if made != str(name):
        number = int(made.rpartition("/")[2])
        after = await history.contract(within(connection), name, number)
        before = await history.contract(within(connection), name, number - 1)
        # Contracts are never removed.
        assert after is not None
        assert before is not None
        answer.contract_version = number
        answer.differences.extend(
            differences(pb.Dataset(contract=before.contract), pb.Dataset(contract=after.contract))
        )
    return answer


def _event(name: DatasetName, dataset: pb.Dataset, principal: Principal) -> NewEvent:
    """The number, hash and size of the contract that is in force from now on."""
    data: dict[str, object] = {
        "department": f"departments/{name.department}",
        "dataset": str(name),
        "contract_version": dataset.contract_version,
        "contract_sha256": contract_sha256(dataset.contract),
        "fields": len(dataset.contract.fields),
    }
    return NewEvent(ADOPTED, str(name), data, principal.name)
