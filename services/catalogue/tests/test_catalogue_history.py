"""Versions of metadata: whole, compared, brought back; contracts by number; nobody overwrites a colleague."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_catalogue.domain.datasets import contract_sha256
from plaza_catalogue.domain.differences import differences
from plaza_catalogue.usecases.history import UnknownContract, UnknownMetadataVersion, WrongOrder
from plaza_catalogue.usecases.ports import EtagMismatch, UnknownDataset
from plaza_kit.policy import NotPermitted

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


async def change(catalogue: Catalogue, name: str, etag: str = "", **fields: Any) -> pb.Dataset:
    request = pb.UpdateDatasetRequest(
        dataset=pb.Dataset(name=name, etag=etag, **fields), update_mask=FieldMask(paths=list(fields))
    )
    return cast(pb.Dataset, await catalogue.api.UpdateDataset(request, RPC))


async def test_an_old_version_is_whole_and_comes_back(catalogue: Catalogue, created: pb.Dataset) -> None:
    updated = await change(catalogue, created.name, description="新的摘要", keywords=["雾霾", "大气"])
    one = await catalogue.api.GetMetadataVersion(
        pb.GetMetadataVersionRequest(name=f"{created.name}/metadataVersions/1"), RPC
    )
    assert (one.name, one.author, one.contract_version) == (f"{created.name}/metadataVersions/1", "王数据", 1)
    assert one.content.description == created.description
    assert (one.content.contract, one.content.sharing) == (created.contract, created.sharing)
    request = pb.DiffMetadataVersionsRequest(name=created.name)
    diff = await catalogue.api.DiffMetadataVersions(request, RPC)
    assert (diff.from_version, diff.to_version) == (1, 2)
    assert {d.field: (d.old_value, d.new_value) for d in diff.differences} == {
        "description": (created.description, "新的摘要"),
        "keywords": ("大气", "雾霾; 大气"),
    }
    restore = pb.RestoreMetadataVersionRequest(name=f"{created.name}/metadataVersions/1", etag=created.etag)
    with pytest.raises(EtagMismatch):
        await catalogue.api.RestoreMetadataVersion(restore, RPC)
    restore.etag = updated.etag
    restored = await catalogue.api.RestoreMetadataVersion(restore, RPC)
    assert (restored.metadata_version, restored.description) == (3, created.description)
    assert list(restored.keywords) == ["大气"]
    back = await catalogue.api.DiffMetadataVersions(
        pb.DiffMetadataVersionsRequest(name=created.name, from_version=1, to_version=3), RPC
    )
    assert not back.differences
    found = await catalogue.api.SearchDatasets(pb.SearchDatasetsRequest(query="雾霾", page_size=200), RPC)
    assert created.name not in [each.name for each in found.datasets]
    # To bring back what is there already is no change.
    same = pb.RestoreMetadataVersionRequest(name=f"{created.name}/metadataVersions/1")
    assert await catalogue.api.RestoreMetadataVersion(same, RPC) == restored


async def test_the_first_version_differs_from_nothing(catalogue: Catalogue, created: pb.Dataset) -> None:
    diff = await catalogue.api.DiffMetadataVersions(pb.DiffMetadataVersionsRequest(name=created.name), RPC)
    told = {d.field: d.new_value for d in diff.differences}
    assert (diff.from_version, diff.to_version) == (0, 1)
    assert told["display_name"] == created.display_name
    assert told["contract.fields"] == "year, month, day, pm2_5, observed_at"
    assert all(not d.old_value for d in diff.differences)


def test_contract_fields_are_compared_by_name(new_dataset: New) -> None:
    before, after = new_dataset(), new_dataset()
    after.contract.fields[3].unit = "mg/m³"
    after.contract.fields.add(name="pm10", type=3)
    del after.contract.fields[0]
    assert {d.field: (d.old_value, d.new_value) for d in differences(before, after)} == {
        "contract.fields": ("year, month, day, pm2_5, observed_at", "month, day, pm2_5, observed_at, pm10"),
        "contract.fields.year.source_name": ("YEAR", ""),
        "contract.fields.year.type": ("FIELD_TYPE_INTEGER", ""),
        "contract.fields.pm2_5.unit": ("μg/m³", "mg/m³"),
        "contract.fields.pm10.type": ("", "FIELD_TYPE_NUMBER"),
    }


async def test_contracts_by_number(catalogue: Catalogue, created: pb.Dataset) -> None:
    listed = await catalogue.api.ListContracts(pb.ListContractsRequest(parent=created.name), RPC)
    [one] = listed.contracts
    assert (one.version, one.state) == (1, pb.ContractVersion.STATE_IN_FORCE)
    assert one.sha256 == contract_sha256(created.contract)
    whole = await catalogue.api.GetContract(pb.GetContractRequest(name=one.name), RPC)
    assert whole.contract == created.contract
    with pytest.raises(UnknownContract):
        await catalogue.api.GetContract(pb.GetContractRequest(name=f"{created.name}/contracts/2"), RPC)
    with pytest.raises(UnknownDataset):
        await catalogue.api.ListContracts(pb.ListContractsRequest(parent=created.name + "x"), RPC)


async def test_what_is_not_there_is_said(catalogue: Catalogue, created: pb.Dataset) -> None:
    with pytest.raises(UnknownMetadataVersion):
        await catalogue.api.GetMetadataVersion(
            pb.GetMetadataVersionRequest(name=f"{created.name}/metadataVersions/7"), RPC
        )
    request = pb.DiffMetadataVersionsRequest(name=created.name, from_version=2, to_version=1)
    with pytest.raises(WrongOrder):
        await catalogue.api.DiffMetadataVersions(request, RPC)
    with pytest.raises(UnknownDataset):
        await catalogue.api.DiffMetadataVersions(pb.DiffMetadataVersionsRequest(name=created.name + "x"), RPC)
    catalogue.be("data-officer", "elsewhere")
    restore = pb.RestoreMetadataVersionRequest(name=f"{created.name}/metadataVersions/1")
    with pytest.raises(NotPermitted):
        await catalogue.api.RestoreMetadataVersion(restore, RPC)


async def test_of_colleagues_at_once_one_writes(catalogue: Catalogue, created: pb.Dataset) -> None:
    answers = await asyncio.gather(
        *(change(catalogue, created.name, created.etag, description=f"摘要{n}") for n in range(8)),
        return_exceptions=True,
    )
    written = [each for each in answers if isinstance(each, pb.Dataset)]
    assert len(written) == 1
    assert all(isinstance(each, EtagMismatch) for each in answers if each is not written[0])
    now = await catalogue.api.GetDataset(pb.GetDatasetRequest(name=created.name), RPC)
    assert (now.metadata_version, now.description) == (2, written[0].description)
