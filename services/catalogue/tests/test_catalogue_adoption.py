"""Putting a new contract in force, against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC
from typing import Any, cast

import orjson
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.common.v1 import contract_pb2
from plaza_catalogue.domain.contract_checks import BadContract
from plaza_catalogue.domain.datasets import contract_sha256
from plaza_catalogue.domain.evolution import ContractConflict
from plaza_catalogue.storage import versions
from plaza_catalogue.usecases.ports import EtagMismatch, UnknownDataset
from plaza_kit.db import Scope
from plaza_kit.db.requests import RequestIdReused
from plaza_kit.names import DatasetName
from plaza_kit.policy import NotPermitted
from sqlalchemy import text

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Catalogue = Any
New = Callable[..., pb.Dataset]


@pytest.fixture
async def created(catalogue: Catalogue, department: str, new_dataset: New) -> pb.Dataset:
    request = pb.CreateDatasetRequest(
        parent=f"departments/{department}", dataset_id="air", dataset=new_dataset()
    )
    return cast(pb.Dataset, await catalogue.api.CreateDataset(request, RPC))


def with_field(contract: contract_pb2.Contract, name: str, title: str = "") -> contract_pb2.Contract:
    wanted = contract_pb2.Contract()
    wanted.CopyFrom(contract)
    wanted.fields.add(name=name, title=title, type=contract_pb2.FIELD_TYPE_STRING)
    return wanted


async def adopt(
    catalogue: Catalogue, name: str, contract: contract_pb2.Contract, **more: Any
) -> pb.AdoptContractResponse:
    request = pb.AdoptContractRequest(dataset=name, contract=contract, **more)
    return cast(pb.AdoptContractResponse, await catalogue.api.AdoptContract(request, RPC))


async def load(catalogue: Catalogue, name: str, version: int, contract_version: int) -> None:
    """As ingestion's event tells it."""
    now = Timestamp()
    now.GetCurrentTime()
    commit = versions.Commit(version, 1, 1, 0, "b", contract_version, now.ToDatetime(tzinfo=UTC))
    async with catalogue.world.database.transaction(Scope.everything()) as connection:
        await versions.commit(connection, DatasetName.parse(name), commit)


async def events(catalogue: Catalogue, name: str) -> list[tuple[str, dict[str, Any]]]:
    async with catalogue.world.database.transaction(Scope.everything()) as connection:
        found = await connection.execute(
            text("SELECT type, data FROM outbox WHERE subject = :name ORDER BY seq"), {"name": name}
        )
        return [(row.type, orjson.loads(row.data)) for row in found]


async def now(catalogue: Catalogue, name: str) -> pb.Dataset:
    return cast(pb.Dataset, await catalogue.api.GetDataset(pb.GetDatasetRequest(name=name), RPC))


async def test_a_new_field_is_a_new_contract(
    catalogue: Catalogue, department: str, created: pb.Dataset
) -> None:
    await load(catalogue, created.name, 1, 1)
    wanted = with_field(created.contract, "wind", "珠穆朗玛")
    look = await adopt(catalogue, created.name, wanted, validate_only=True)
    told = {d.field: (d.old_value, d.new_value) for d in look.differences}
    assert told == {
        "contract.fields": (
            "year, month, day, pm2_5, observed_at",
            "year, month, day, pm2_5, observed_at, wind",
        ),
        "contract.fields.wind.title": ("", "珠穆朗玛"),
        "contract.fields.wind.type": ("", "FIELD_TYPE_STRING"),
    }
    assert (look.validate_only, look.contract_version, look.dataset.contract_version) == (True, 2, 1)
    assert (await now(catalogue, created.name)).etag == created.etag
    answer = await adopt(catalogue, created.name, wanted, etag=created.etag)
    assert list(answer.differences) == list(look.differences)
    assert (answer.contract_version, answer.dataset.contract_version) == (2, 2)
    assert answer.dataset.contract == wanted
    assert answer.dataset.metadata_version == 2
    assert answer.dataset.etag != created.etag
    [last] = [each for each in await events(catalogue, created.name) if "adopted" in each[0]]
    assert last == (
        "city.plaza.catalogue.contract.adopted.v1",
        {
            "department": f"departments/{department}",
            "dataset": created.name,
            "contract_version": 2,
            "contract_sha256": contract_sha256(wanted),
            "fields": 6,
        },
    )
    listed = await catalogue.api.ListContracts(pb.ListContractsRequest(parent=created.name), RPC)
    states = pb.ContractVersion.State
    assert [(c.version, c.state) for c in listed.contracts] == [
        (2, states.STATE_IN_FORCE),
        (1, states.STATE_SUPERSEDED),
    ]
    history = await catalogue.api.ListMetadataVersions(
        pb.ListMetadataVersionsRequest(parent=created.name), RPC
    )
    newest = history.metadata_versions[0]
    assert (newest.author, list(newest.changed_fields), newest.contract_version) == (
        "王数据",
        ["contract"],
        2,
    )
    diff = await catalogue.api.DiffMetadataVersions(pb.DiffMetadataVersionsRequest(name=created.name), RPC)
    assert list(diff.differences) == list(look.differences)
    search = await catalogue.api.SearchDatasets(pb.SearchDatasetsRequest(query="珠穆朗玛"), RPC)
    assert created.name in [each.name for each in search.datasets]


async def test_the_contract_in_force_again_changes_nothing(catalogue: Catalogue, created: pb.Dataset) -> None:
    for look in (True, False):
        answer = await adopt(catalogue, created.name, created.contract, validate_only=look)
        assert answer.dataset == created
        assert (answer.contract_version, list(answer.differences)) == (1, [])
    assert len(await events(catalogue, created.name)) == 1


async def test_a_refusal_names_every_difference(catalogue: Catalogue, created: pb.Dataset) -> None:
    await load(catalogue, created.name, 4, 1)
    wanted = contract_pb2.Contract()
    wanted.CopyFrom(created.contract)
    wanted.fields[3].type = contract_pb2.FIELD_TYPE_INTEGER
    del wanted.fields[2]
    wanted.steps[0].build_timestamp.day = "month"
    wanted.fields.add(name="wind", type=contract_pb2.FIELD_TYPE_STRING, required=True)
    for look in (True, False):
        with pytest.raises(ContractConflict) as raised:
            await adopt(catalogue, created.name, wanted, validate_only=look)
        assert [v.description for v in raised.value.violations] == [
            "field day is missing",
            "field pm2_5 is number, the new one would be integer",
            "new field wind is required, but earlier rows lack it",
        ]
        assert raised.value.message.startswith("version 4 of the data cannot follow")
    assert (await now(catalogue, created.name)).contract_version == 1


async def test_before_the_first_load_anything_may_change(catalogue: Catalogue, created: pb.Dataset) -> None:
    other = contract_pb2.Contract(
        fields=[contract_pb2.Field(name="station", type=contract_pb2.FIELD_TYPE_STRING)], key=["station"]
    )
    assert (await adopt(catalogue, created.name, other)).dataset.contract == other


async def test_the_data_decide_not_what_was_adopted_in_between(
    catalogue: Catalogue, created: pb.Dataset
) -> None:
    await load(catalogue, created.name, 1, 1)
    added = with_field(created.contract, "wind")
    await adopt(catalogue, created.name, added)
    # Nothing was loaded under the second contract: its new field may go again.
    assert (await adopt(catalogue, created.name, created.contract)).contract_version == 3
    await adopt(catalogue, created.name, added)
    await load(catalogue, created.name, 2, 4)
    with pytest.raises(ContractConflict, match="field wind is missing"):
        await adopt(catalogue, created.name, created.contract)
    # A load that started under the first contract ended after all: what it brought decides.
    await load(catalogue, created.name, 3, 1)
    assert (await adopt(catalogue, created.name, created.contract)).contract_version == 5


async def test_a_repeated_request_gets_the_same_answer(catalogue: Catalogue, created: pb.Dataset) -> None:
    more = {"request_id": str(uuid.uuid4()), "etag": created.etag}
    first = await adopt(catalogue, created.name, with_field(created.contract, "wind"), **more)
    assert await adopt(catalogue, created.name, with_field(created.contract, "wind"), **more) == first
    with pytest.raises(RequestIdReused):
        await adopt(catalogue, created.name, with_field(created.contract, "rain"), **more)
    nothing = {"request_id": str(uuid.uuid4())}
    same = await adopt(catalogue, created.name, first.dataset.contract, **nothing)
    assert await adopt(catalogue, created.name, first.dataset.contract, **nothing) == same
    assert not same.differences


async def test_who_may_not(catalogue: Catalogue, department: str, created: pb.Dataset) -> None:
    wanted = with_field(created.contract, "wind")
    with pytest.raises(EtagMismatch):
        await adopt(catalogue, created.name, wanted, etag="another")
    with pytest.raises(UnknownDataset):
        await adopt(catalogue, created.name + "x", wanted)
    wanted.key.append("nowhere")
    with pytest.raises(BadContract, match=r"contract\.key\[1\]"):
        await adopt(catalogue, created.name, wanted)
    for role, of in (("steward", department), ("data-officer", "elsewhere")):
        catalogue.be(role, of)
        with pytest.raises(NotPermitted):
            await adopt(catalogue, created.name, created.contract)


async def test_of_colleagues_at_once_one_adopts(catalogue: Catalogue, created: pb.Dataset) -> None:
    answers = await asyncio.gather(
        *(
            adopt(catalogue, created.name, with_field(created.contract, f"f{n}"), etag=created.etag)
            for n in range(6)
        ),
        return_exceptions=True,
    )
    [one] = [each for each in answers if isinstance(each, pb.AdoptContractResponse)]
    assert sum(isinstance(each, EtagMismatch) for each in answers) == 5
    assert (await now(catalogue, created.name)).contract == one.dataset.contract


async def test_restoring_an_old_version_keeps_the_contract(catalogue: Catalogue, created: pb.Dataset) -> None:
    adopted = await adopt(catalogue, created.name, with_field(created.contract, "wind"))
    update = pb.UpdateDatasetRequest(dataset=pb.Dataset(name=created.name, description="新"))
    await catalogue.api.UpdateDataset(update, RPC)
    restore = pb.RestoreMetadataVersionRequest(name=f"{created.name}/metadataVersions/1")
    restored = await catalogue.api.RestoreMetadataVersion(restore, RPC)
    assert (restored.contract, restored.contract_version) == (adopted.dataset.contract, 2)
    assert restored.description == created.description
    version = await catalogue.api.GetMetadataVersion(
        pb.GetMetadataVersionRequest(name=f"{created.name}/metadataVersions/{restored.metadata_version}"), RPC
    )
    assert (version.contract_version, version.content.contract) == (2, adopted.dataset.contract)
