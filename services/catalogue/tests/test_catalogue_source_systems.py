"""Source systems and the datasets that name them, against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import orjson
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from plaza.catalogue.v1 import catalogue_pb2
from plaza.catalogue.v1 import source_systems_pb2 as pb
from plaza_catalogue.domain.source_systems import SourceSystemRetired, WrongSourceSystem
from plaza_catalogue.domain.updates import NotUpdatable
from plaza_catalogue.usecases.directory_files import DirectoryRefused
from plaza_catalogue.usecases.ports import EtagMismatch, UnknownDepartment
from plaza_catalogue.usecases.source_systems import SourceSystemExists, UnknownSourceSystem
from plaza_kit.db import Scope
from plaza_kit.policy import NotPermitted
from plaza_kit.rpc.guard import InvalidRequest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Catalogue = Any
New = Callable[..., catalogue_pb2.Dataset]


def system(title: str = "智慧水务平台", **fields: Any) -> pb.SourceSystem:
    made = pb.SourceSystem(display_name=title, owner="信息中心", vendor="某公司", **fields)
    setattr(made, "class", pb.SOURCE_SYSTEM_CLASS_GOVERNMENT)
    return made


async def create(
    catalogue: Catalogue, department: str, given: pb.SourceSystem, system_id: str = "water", **more: Any
) -> pb.SourceSystem:
    request = pb.CreateSourceSystemRequest(
        parent=f"departments/{department}", source_system_id=system_id, source_system=given, **more
    )
    return cast(pb.SourceSystem, await catalogue.systems.CreateSourceSystem(request, RPC))


async def change(catalogue: Catalogue, name: str, etag: str = "", **fields: Any) -> pb.SourceSystem:
    request = pb.UpdateSourceSystemRequest(
        source_system=pb.SourceSystem(name=name, etag=etag, **fields),
        update_mask=FieldMask(paths=list(fields)),
    )
    return cast(pb.SourceSystem, await catalogue.systems.UpdateSourceSystem(request, RPC))


async def retire(catalogue: Catalogue, name: str, etag: str = "") -> pb.SourceSystem:
    request = pb.RetireSourceSystemRequest(name=name, etag=etag)
    return cast(pb.SourceSystem, await catalogue.systems.RetireSourceSystem(request, RPC))


async def register(
    catalogue: Catalogue, department: str, dataset: catalogue_pb2.Dataset, dataset_id: str = "air"
) -> catalogue_pb2.Dataset:
    request = catalogue_pb2.CreateDatasetRequest(
        parent=f"departments/{department}", dataset_id=dataset_id, dataset=dataset
    )
    return cast(catalogue_pb2.Dataset, await catalogue.api.CreateDataset(request, RPC))


async def found_by(catalogue: Catalogue, query: str) -> list[str]:
    request = catalogue_pb2.SearchDatasetsRequest(query=query, page_size=200)
    return [each.name for each in (await catalogue.api.SearchDatasets(request, RPC)).datasets]


async def test_a_life_with_its_history(catalogue: Catalogue, department: str) -> None:
    made = await create(catalogue, department, system())
    assert made.name == f"departments/{department}/sourceSystems/water"
    assert (made.state, made.metadata_version) == (pb.SOURCE_SYSTEM_STATE_ACTIVE, 1)
    updated = await change(catalogue, made.name, made.etag, owner="数据中心", vendor="")
    assert (updated.owner, updated.vendor, updated.metadata_version) == ("数据中心", "", 2)
    assert await change(catalogue, made.name, owner="数据中心") == updated
    with pytest.raises(EtagMismatch):
        await change(catalogue, made.name, made.etag, owner="x")
    with pytest.raises(EtagMismatch):
        await retire(catalogue, made.name, made.etag)
    gone = await retire(catalogue, made.name, updated.etag)
    assert gone.state == pb.SOURCE_SYSTEM_STATE_RETIRED
    assert await retire(catalogue, made.name) == gone
    with pytest.raises(SourceSystemRetired) as raised:
        await change(catalogue, made.name, owner="x")
    assert raised.value.facts["state"] == "retired"
    catalogue.be("analyst", "elsewhere")
    got = await catalogue.systems.GetSourceSystem(pb.GetSourceSystemRequest(name=made.name), RPC)
    assert got == gone
    request = pb.ListSourceSystemVersionsRequest(parent=made.name, page_size=2)
    first = await catalogue.systems.ListSourceSystemVersions(request, RPC)
    request.page_token = first.next_page_token
    second = await catalogue.systems.ListSourceSystemVersions(request, RPC)
    versions = [*first.metadata_versions, *second.metadata_versions]
    assert [(v.version, v.author, list(v.changed_fields)) for v in versions] == [
        (3, "王数据", ["state"]),
        (2, "王数据", ["owner", "vendor"]),
        (1, "王数据", ["display_name", "class", "owner", "vendor"]),
    ]
    told = [[(d.field, d.old_value, d.new_value) for d in v.differences] for v in versions]
    assert told[:2] == [
        [("state", "SOURCE_SYSTEM_STATE_ACTIVE", "SOURCE_SYSTEM_STATE_RETIRED")],
        [("owner", "信息中心", "数据中心"), ("vendor", "某公司", "")],
    ]
    assert ("display_name", "", "智慧水务平台") in told[2]
    async with catalogue.world.database.transaction(Scope.everything()) as connection:
        events = await connection.execute(
            text("SELECT type, data FROM outbox WHERE subject = :name ORDER BY seq"), {"name": made.name}
        )
        kinds = [(row.type.split(".")[-2], orjson.loads(row.data)) for row in events]
    assert [kind for kind, _ in kinds] == ["created", "updated", "retired"]
    assert kinds[1][1] == {
        "department": f"departments/{department}",
        "source_system": made.name,
        "metadata_version": 2,
        "changed_fields": "owner,vendor",
    }


async def test_what_is_refused(catalogue: Catalogue, department: str) -> None:
    request_id = str(uuid.uuid4())
    made = await create(catalogue, department, system(), request_id=request_id)
    assert await create(catalogue, department, system(), request_id=request_id) == made
    with pytest.raises(SourceSystemExists):
        await create(catalogue, department, system("另一个"))
    with pytest.raises(NotUpdatable):
        await catalogue.systems.UpdateSourceSystem(
            pb.UpdateSourceSystemRequest(source_system=made, update_mask=FieldMask(paths=["nonsense"])), RPC
        )
    with pytest.raises(InvalidRequest, match="display_name"):
        await change(catalogue, made.name, display_name="")
    with pytest.raises(UnknownSourceSystem):
        await change(catalogue, made.name + "x", owner="x")
    missing = pb.ListSourceSystemVersionsRequest(parent=made.name + "x")
    with pytest.raises(UnknownSourceSystem):
        await catalogue.systems.ListSourceSystemVersions(missing, RPC)
    catalogue.be("data-officer", "elsewhere")
    for refused in (create(catalogue, department, system(), "b"), retire(catalogue, made.name)):
        with pytest.raises(NotPermitted):
            await refused
    with pytest.raises(UnknownDepartment):
        await create(catalogue, "elsewhere", system())
    catalogue.be("steward", department)
    assert (await retire(catalogue, made.name)).state == pb.SOURCE_SYSTEM_STATE_RETIRED


async def test_pages_of_one_department_and_of_all(catalogue: Catalogue, department: str) -> None:
    for number in range(3):
        await create(catalogue, department, system(), f"s{number}")
    parent = f"departments/{department}"
    request = pb.ListSourceSystemsRequest(parent=parent, page_size=2)
    first = await catalogue.systems.ListSourceSystems(request, RPC)
    request.page_token = first.next_page_token
    second = await catalogue.systems.ListSourceSystems(request, RPC)
    names = [each.name for each in (*first.source_systems, *second.source_systems)]
    assert names == [f"{parent}/sourceSystems/s{n}" for n in range(3)]
    everything = await catalogue.systems.ListSourceSystems(
        pb.ListSourceSystemsRequest(parent="departments/-", page_size=1000), RPC
    )
    assert {each.name for each in everything.source_systems} >= set(names)
    with pytest.raises(UnknownDepartment):
        await catalogue.systems.ListSourceSystems(
            pb.ListSourceSystemsRequest(parent="departments/nowhere"), RPC
        )


async def test_a_department_cannot_write_anothers_rows(catalogue: Catalogue, department: str) -> None:
    await create(catalogue, department, system())
    async with catalogue.world.database.transaction(Scope.department("other")) as connection:
        for table in ("source_systems", "source_system_versions"):
            changed = await connection.execute(
                text(f"UPDATE {table} SET department = department WHERE department = :d"), {"d": department}
            )
            assert changed.rowcount == 0
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with catalogue.world.database.transaction(Scope.department("other")) as connection:
            await connection.execute(
                text(
                    "INSERT INTO source_systems (department, source_system, metadata, metadata_version, etag,"
                    " create_time, update_time) VALUES (:d, 'x', '{}', 1, '', now(), now())"
                ),
                {"d": department},
            )


async def test_of_colleagues_at_once_one_writes(catalogue: Catalogue, department: str) -> None:
    made = await create(catalogue, department, system())
    answers = await asyncio.gather(
        *(change(catalogue, made.name, made.etag, owner=f"o{n}") for n in range(6)), return_exceptions=True
    )
    assert sum(isinstance(each, pb.SourceSystem) for each in answers) == 1
    assert sum(isinstance(each, EtagMismatch) for each in answers) == 5


async def test_a_dataset_names_its_system(catalogue: Catalogue, department: str, new_dataset: New) -> None:
    made = await create(catalogue, department, system("水务平台" + department))
    created = await register(catalogue, department, new_dataset(source_system=made.name))
    assert (created.source_system, created.source_system_title) == (made.name, made.display_name)
    assert created.name in await found_by(catalogue, department + "水务")
    # Its new name is found at once, its old one no more.
    await change(catalogue, made.name, display_name="珍珠门" + department)
    assert created.name in await found_by(catalogue, "珍珠门" + department)
    assert created.name not in await found_by(catalogue, "水务平台" + department)
    nowhere = f"departments/{department}/sourceSystems/nowhere"
    for wrong in (nowhere, made.name.replace(department, "elsewhere")):
        with pytest.raises(WrongSourceSystem, match="no source system") as raised:
            await register(catalogue, department, new_dataset(source_system=wrong), "other")
        assert made.name in raised.value.remedy
    update = catalogue_pb2.UpdateDatasetRequest(
        dataset=catalogue_pb2.Dataset(name=created.name, source_system=nowhere),
        update_mask=FieldMask(paths=["source_system"]),
    )
    with pytest.raises(WrongSourceSystem):
        await catalogue.api.UpdateDataset(update, RPC)
    update.dataset.source_system = ""
    cleared = await catalogue.api.UpdateDataset(update, RPC)
    assert (cleared.source_system, cleared.source_system_title) == ("", "")
    diff = await catalogue.api.DiffMetadataVersions(
        catalogue_pb2.DiffMetadataVersionsRequest(name=created.name), RPC
    )
    assert [(d.field, d.old_value, d.new_value) for d in diff.differences] == [
        ("source_system", made.name, "")
    ]
    restore = catalogue_pb2.RestoreMetadataVersionRequest(name=f"{created.name}/metadataVersions/1")
    assert (await catalogue.api.RestoreMetadataVersion(restore, RPC)).source_system == made.name
    await retire(catalogue, made.name)
    # Those that name it stay as they are and may change otherwise; no other can name it.
    update.dataset.source_system = made.name
    update.dataset.description, update.update_mask.paths[:] = "新", ["description", "source_system"]
    assert (await catalogue.api.UpdateDataset(update, RPC)).source_system == made.name
    with pytest.raises(SourceSystemRetired):
        await register(catalogue, department, new_dataset(source_system=made.name), "third")


async def test_a_spreadsheet_names_systems(catalogue: Catalogue, department: str) -> None:
    made = await create(catalogue, department, system("智慧水务平台"))
    await create(catalogue, department, system("旧系统"), "old")
    await retire(catalogue, f"departments/{department}/sourceSystems/old")

    async def send(*cells: str) -> catalogue_pb2.ImportDirectoryResponse:
        heads = "信息资源名称,共享类型,信息项名称,字段名,数据类型,源系统"
        lines = [f"水位{n},无条件共享,日期,day,日期型,{cell}" for n, cell in enumerate(cells)]
        data = "\n".join([heads, *lines]).encode()

        async def messages() -> AsyncIterator[catalogue_pb2.ImportDirectoryRequest]:
            header = catalogue_pb2.ImportDirectoryHeader(parent=f"departments/{department}")
            yield catalogue_pb2.ImportDirectoryRequest(header=header)
            yield catalogue_pb2.ImportDirectoryRequest(chunk=data)
            end = catalogue_pb2.ImportDirectoryEnd(size_bytes=len(data))
            yield catalogue_pb2.ImportDirectoryRequest(end=end)

        answer = await catalogue.api.ImportDirectory(messages(), RPC)
        return cast(catalogue_pb2.ImportDirectoryResponse, answer)

    for wrong in ("不知道", "old"):
        with pytest.raises(DirectoryRefused, match="F2") as raised:
            await send(wrong)
        assert "is no source system in use" in raised.value.message
    assert (await send("water", "智慧水务平台", "")).created_count == 3
    listed = await catalogue.api.ListDatasets(
        catalogue_pb2.ListDatasetsRequest(parent=f"departments/{department}"), RPC
    )
    by_title = {each.display_name: each.source_system for each in listed.datasets}
    assert by_title == {"水位0": made.name, "水位1": made.name, "水位2": ""}
    assert len(await found_by(catalogue, "智慧水务平台")) >= 2
    assert (await send("water", "water", "")).unchanged_count == 3
    await retire(catalogue, made.name)
    assert (await send("water", "智慧水务平台", "")).unchanged_count == 3
    with pytest.raises(DirectoryRefused, match="F4"):
        await send("water", "water", "water")
