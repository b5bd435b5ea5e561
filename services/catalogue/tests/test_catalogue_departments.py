"""A department's life in the directory, against a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import orjson
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.catalogue.v1 import source_systems_pb2
from plaza_catalogue.domain.departments import DepartmentArchived
from plaza_catalogue.domain.updates import NotUpdatable
from plaza_catalogue.usecases.ports import EtagMismatch, UnknownDepartment
from plaza_kit.db import Scope
from plaza_kit.errors import PlazaError
from plaza_kit.policy import NotPermitted
from plaza_kit.rpc.guard import InvalidRequest
from sqlalchemy import text

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Catalogue = Any
New = Callable[..., pb.Dataset]


async def change(catalogue: Catalogue, department: str, etag: str = "", **fields: Any) -> pb.Department:
    request = pb.UpdateDepartmentRequest(
        department=pb.Department(name=f"departments/{department}", etag=etag, **fields),
        update_mask=FieldMask(paths=list(fields)),
    )
    return cast(pb.Department, await catalogue.api.UpdateDepartment(request, RPC))


async def archive(catalogue: Catalogue, department: str, etag: str = "") -> pb.Department:
    request = pb.ArchiveDepartmentRequest(name=f"departments/{department}", etag=etag)
    return cast(pb.Department, await catalogue.api.ArchiveDepartment(request, RPC))


async def activate(catalogue: Catalogue, department: str, etag: str = "") -> pb.Department:
    request = pb.ActivateDepartmentRequest(name=f"departments/{department}", etag=etag)
    return cast(pb.Department, await catalogue.api.ActivateDepartment(request, RPC))


async def get(catalogue: Catalogue, department: str) -> pb.Department:
    request = pb.GetDepartmentRequest(name=f"departments/{department}")
    return cast(pb.Department, await catalogue.api.GetDepartment(request, RPC))


async def register(catalogue: Catalogue, department: str, dataset: pb.Dataset, dataset_id: str) -> pb.Dataset:
    request = pb.CreateDatasetRequest(
        parent=f"departments/{department}", dataset_id=dataset_id, dataset=dataset
    )
    return cast(pb.Dataset, await catalogue.api.CreateDataset(request, RPC))


async def listed(catalogue: Catalogue, **asked: Any) -> set[str]:
    answer = await catalogue.api.ListDepartments(pb.ListDepartmentsRequest(page_size=1000, **asked), RPC)
    return {one.name for one in answer.departments}


async def versions(catalogue: Catalogue, department: str) -> list[pb.DepartmentVersion]:
    request = pb.ListDepartmentVersionsRequest(parent=f"departments/{department}", page_size=2)
    found = []
    while True:
        page = await catalogue.api.ListDepartmentVersions(request, RPC)
        found += page.metadata_versions
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def test_a_life_with_its_history(catalogue: Catalogue, department: str) -> None:
    catalogue.be("city-administrator", department)
    made = await get(catalogue, department)
    assert (made.state, made.metadata_version) == (pb.DEPARTMENT_STATE_ACTIVE, 1)
    updated = await change(catalogue, department, made.etag, display_name="生态环境委员会", provider_code="")
    assert (updated.display_name, updated.provider_code, updated.metadata_version) == (
        "生态环境委员会",
        "",
        2,
    )
    assert updated.update_time.ToDatetime() > updated.create_time.ToDatetime()
    assert await change(catalogue, department, display_name="生态环境委员会") == updated
    with pytest.raises(EtagMismatch):
        await change(catalogue, department, made.etag, display_name="x")
    with pytest.raises(EtagMismatch):
        await archive(catalogue, department, made.etag)
    gone = await archive(catalogue, department, updated.etag)
    assert gone.state == pb.DEPARTMENT_STATE_ARCHIVED
    assert await archive(catalogue, department) == gone
    with pytest.raises(DepartmentArchived) as raised:
        await change(catalogue, department, display_name="x")
    assert raised.value.facts == {"state": "archived"}
    back = await activate(catalogue, department, gone.etag)
    assert (back.state, back.metadata_version) == (pb.DEPARTMENT_STATE_ACTIVE, 4)
    assert await activate(catalogue, department) == back
    catalogue.be("analyst", "elsewhere")
    assert await get(catalogue, department) == back
    found = await versions(catalogue, department)
    assert [(v.version, v.author, list(v.changed_fields)) for v in found] == [
        (4, "王数据", ["state"]),
        (3, "王数据", ["state"]),
        (2, "王数据", ["display_name", "provider_code"]),
        (1, "王数据", ["display_name", "provider_code"]),
    ]
    assert [(d.field, d.old_value, d.new_value) for d in found[2].differences] == [
        ("display_name", "生态环境局", "生态环境委员会"),
        ("provider_code", "EP01", ""),
    ]
    async with catalogue.world.database.transaction(Scope.everything()) as connection:
        events = await connection.execute(
            text("SELECT type, data FROM outbox WHERE subject = :name ORDER BY seq"), {"name": made.name}
        )
        kinds = [(row.type.split(".")[-2], orjson.loads(row.data)) for row in events]
    assert [kind for kind, _ in kinds] == ["created", "updated", "archived", "activated"]
    assert kinds[1][1] == {
        "department": made.name,
        "metadata_version": 2,
        "changed_fields": "display_name,provider_code",
    }


async def test_who_may_and_what_is_refused(catalogue: Catalogue, department: str) -> None:
    for role in ("data-officer", "steward", "analyst"):
        catalogue.be(role, department)
        for refused in (
            change(catalogue, department, display_name="x"),
            archive(catalogue, department),
            activate(catalogue, department),
        ):
            with pytest.raises(NotPermitted):
                await refused
    catalogue.be("city-administrator", department, "nowhere")
    with pytest.raises(InvalidRequest, match="display_name"):
        await change(catalogue, department, display_name="")
    with pytest.raises(NotUpdatable):
        await catalogue.api.UpdateDepartment(
            pb.UpdateDepartmentRequest(
                department=pb.Department(name=f"departments/{department}"),
                update_mask=FieldMask(paths=["nonsense"]),
            ),
            RPC,
        )
    for unknown in (
        change(catalogue, "nowhere", display_name="x"),
        archive(catalogue, "nowhere"),
        activate(catalogue, "nowhere"),
        versions(catalogue, "nowhere"),
    ):
        with pytest.raises(UnknownDepartment):
            await unknown


async def test_an_archived_department_keeps_what_it_has_and_registers_nothing(
    catalogue: Catalogue, department: str, new_dataset: New
) -> None:
    kept = await register(catalogue, department, new_dataset(), "air")
    catalogue.be("city-administrator", department)
    await archive(catalogue, department)
    catalogue.be("data-officer", department)
    with pytest.raises(DepartmentArchived):
        await register(catalogue, department, new_dataset(), "water")
    system = source_systems_pb2.SourceSystem(display_name="平台")
    setattr(system, "class", source_systems_pb2.SOURCE_SYSTEM_CLASS_IOT)
    request = source_systems_pb2.CreateSourceSystemRequest(
        parent=f"departments/{department}", source_system_id="new", source_system=system
    )
    with pytest.raises(DepartmentArchived):
        await catalogue.systems.CreateSourceSystem(request, RPC)
    assert await catalogue.api.GetDataset(pb.GetDatasetRequest(name=kept.name), RPC) == kept
    assert f"departments/{department}" in await listed(catalogue, show_archived=True)
    assert f"departments/{department}" not in await listed(catalogue)
    catalogue.be("city-administrator", department)
    await activate(catalogue, department)
    catalogue.be("data-officer", department)
    assert (await register(catalogue, department, new_dataset(), "water")).name.endswith("/water")


async def test_its_datasets_are_found_by_its_new_name(
    catalogue: Catalogue, department: str, new_dataset: New
) -> None:
    made = await register(catalogue, department, new_dataset(), "air")
    catalogue.be("city-administrator", department)
    title = f"改名局{department}"
    await change(catalogue, department, display_name=title)
    found = await catalogue.api.SearchDatasets(pb.SearchDatasetsRequest(query=title), RPC)
    assert [(each.name, each.provider) for each in found.datasets] == [(made.name, title)]


async def test_a_department_of_before_versions_were_kept(catalogue: Catalogue, department: str) -> None:
    """As the code before migration 0006 writes it, also after a rollback."""
    old = "o" + department
    async with catalogue.world.database.transaction(Scope.everything()) as connection:
        await connection.execute(
            text(
                "INSERT INTO departments (department, display_name, display_name_en, provider_code, etag, create_time)"
                " VALUES (:old, '旧局', '', 'X', 'old', now())"
            ),
            {"old": old},
        )
    catalogue.be("city-administrator", old)
    found = await get(catalogue, old)
    assert (found.state, found.metadata_version) == (pb.DEPARTMENT_STATE_ACTIVE, 1)
    assert found.update_time == found.create_time
    assert await versions(catalogue, old) == []
    await change(catalogue, old, "old", display_name="新局")
    new, first = await versions(catalogue, old)
    assert [(d.field, d.old_value, d.new_value) for d in new.differences] == [
        ("display_name", "旧局", "新局")
    ]
    assert (first.version, first.author) == (1, "")


async def test_nothing_slips_into_a_department_that_is_just_archived(
    catalogue: Catalogue, department: str, new_dataset: New
) -> None:
    async def registers(number: int) -> bool:
        catalogue.be("data-officer", department)
        try:
            await register(catalogue, department, new_dataset(), f"d{number}")
        except DepartmentArchived:
            return False
        return True

    async def archives() -> int:
        catalogue.be("city-administrator", department)
        return (await archive(catalogue, department)).dataset_count

    outcomes = await asyncio.gather(
        registers(0), registers(1), archives(), registers(2), registers(3), return_exceptions=True
    )
    assert not [one for one in outcomes if isinstance(one, PlazaError)], outcomes
    made = [one for one in outcomes if one is True]
    assert outcomes[2] == len(made) == (await get(catalogue, department)).dataset_count
