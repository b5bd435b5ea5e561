"""Registering datasets and changing their directory fields."""

from __future__ import annotations

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit.db import Scope, within
from plaza_kit.db.outbox import NewEvent
from plaza_kit.db.requests import is_first
from plaza_kit.errors import AlreadyExists
from plaza_kit.grade_words import city_level_word, sharing_class_word
from plaza_kit.identity import Principal
from plaza_kit.names import DatasetId, DatasetName, check_id, parse_department
from plaza_kit.policy import Resource
from plaza_kit.rpc.context import caller
from plaza_kit.rpc.guard import validate
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_catalogue.domain import datasets as rules
from plaza_catalogue.domain.updates import merged
from plaza_catalogue.storage import datasets, search
from plaza_catalogue.usecases.changes import change_of
from plaza_catalogue.usecases.code_lists import check_code_lists
from plaza_catalogue.usecases.departments import registering
from plaza_catalogue.usecases.ports import World, check_etag, unknown_dataset
from plaza_catalogue.usecases.source_systems import check_source_system

REGISTERED = "city.plaza.catalogue.dataset.registered.v1"
UPDATED = "city.plaza.catalogue.dataset.updated.v1"


class DatasetExists(AlreadyExists):
    """The id is taken inside the department."""


class CodeTaken(AlreadyExists):
    """Another dataset has this directory code."""


class Registration:
    """Use cases that write datasets."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def create(self, request: pb.CreateDatasetRequest) -> pb.Dataset:
        """Raises IncompleteDataset, BadContract, UnknownCodeList, UnknownDepartment, WrongSourceSystem,
        SourceSystemRetired, DepartmentArchived, DatasetExists, CodeTaken, RequestIdReused."""
        department = parse_department(request.parent)
        name = DatasetName(department, DatasetId(check_id(request.dataset_id, "dataset_id")))
        principal = self._world.policy.authorize("dataset.create", Resource.of_department(department))
        rules.check_new(request.dataset)
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            if await is_first(connection, principal, request.request_id, request, (department, str(name))):
                await self._insert(connection, principal, name, request.dataset)
            created = await found(connection, name)
        self._world.outbox.wake()
        return created

    async def _insert(
        self, connection: AsyncConnection, principal: Principal, name: DatasetName, given: pb.Dataset
    ) -> None:
        owner = await registering(connection, name.department)
        dataset = pb.Dataset()
        dataset.CopyFrom(given)
        await check_source_system(connection, name, pb.Dataset(), dataset)
        await check_code_lists(within(connection), dataset.contract, "dataset.contract")
        if not dataset.code:
            dataset.code = rules.made_code(owner.provider_code, await datasets.next_code(connection))
        changed = rules.changed_fields(pb.Dataset(), dataset)
        change = change_of(principal, name, 1, [*changed, *rules.CONFIRMED], self._world.now())
        published = change.now.astimezone(self._world.zone).date()
        if not await datasets.insert(connection, name, dataset, change, published):
            if await datasets.find(within(connection), name) is None:
                raise _code_taken(dataset.code)
            raise DatasetExists(f"{name} exists already", remedy="choose another dataset_id")
        created = await found(connection, name)
        await search.put(connection, name, created)
        await self._world.outbox.write(connection, registered_event(name, created, principal))

    async def update(self, request: pb.UpdateDatasetRequest) -> pb.Dataset:
        """Raises UnknownDataset, EtagMismatch, NotUpdatable, InvalidRequest, WrongSourceSystem, SourceSystemRetired,
        CodeTaken."""
        name = DatasetName.parse(request.dataset.name)
        # The policy asks for the grade, which the row knows; the scope is the caller's own already.
        async with self._world.database.transaction(Scope.of(caller())) as connection:
            current = await found(connection, name)
            principal = self._world.policy.authorize("dataset.update", resource_of(current))
            locked = await datasets.find_to_change(connection, name)
            if locked is None:
                raise unknown_dataset(name)
            updated = await self._apply(connection, principal, name, locked, request)
        self._world.outbox.wake()
        return updated

    async def _apply(
        self,
        connection: AsyncConnection,
        principal: Principal,
        name: DatasetName,
        current: pb.Dataset,
        request: pb.UpdateDatasetRequest,
    ) -> pb.Dataset:
        check_etag(name, request.dataset.etag, current.etag)
        paths = rules.update_paths(request.update_mask, request.dataset, current)
        dataset = merged(current, request.dataset, paths)
        _check(dataset)
        await check_source_system(connection, name, current, dataset)
        if not dataset.code:
            dataset.code = current.code
        changed = rules.changed_fields(current, dataset)
        if not changed:
            return current
        if "code" in changed and await datasets.code_taken(connection, name, dataset.code):
            raise _code_taken(dataset.code)
        change = change_of(principal, name, current.metadata_version + 1, changed, self._world.now())
        await datasets.update(connection, name, dataset, change)
        updated = await found(connection, name)
        await search.put(connection, name, updated)
        await self._world.outbox.write(connection, updated_event(name, change, principal))
        return updated


def _check(dataset: pb.Dataset) -> None:
    """The rules of the message, on the whole dataset as it would be: what is not changed is right already."""
    checked = pb.UpdateDatasetRequest(dataset=dataset)
    checked.dataset.ClearField("contract")
    validate(checked)


async def found(connection: AsyncConnection, name: DatasetName) -> pb.Dataset:
    """A dataset as this transaction sees it. Raises UnknownDataset."""
    dataset = await datasets.find(within(connection), name)
    if dataset is None:
        raise unknown_dataset(name)
    return dataset


def resource_of(dataset: pb.Dataset) -> Resource:
    """What the policies see of a dataset."""
    return Resource.of_dataset(
        dataset.name,
        city_level=city_level_word(dataset.city_level),
        sharing_class=sharing_class_word(getattr(dataset.sharing, "class")),
    )


def updated_event(name: DatasetName, change: datasets.Change, principal: Principal) -> NewEvent:
    """A new version of the metadata."""
    data: dict[str, object] = {
        "department": f"departments/{name.department}",
        "dataset": str(name),
        "metadata_version": change.version,
        "changed_fields": ",".join(change.changed_fields),
    }
    return NewEvent(UPDATED, str(name), data, principal.name)


def registered_event(name: DatasetName, dataset: pb.Dataset, principal: Principal) -> NewEvent:
    """A dataset, as a caller sees it, is in the directory."""
    resource = resource_of(dataset)
    data: dict[str, object] = {
        "department": f"departments/{name.department}",
        "dataset": str(name),
        "city_level": resource.city_level,
        "sharing_class": resource.sharing_class,
        "contract_version": dataset.contract_version,
        "contract_sha256": rules.contract_sha256(dataset.contract),
        "fields": len(dataset.contract.fields),
    }
    return NewEvent(REGISTERED, str(name), data, principal.name)


def _code_taken(code: str) -> CodeTaken:
    return CodeTaken(
        f"dataset.code: {code!r} belongs to another dataset", remedy="leave code empty to have one made"
    )
