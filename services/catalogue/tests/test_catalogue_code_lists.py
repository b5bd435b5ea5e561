"""Code lists against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, cast

import orjson
import pytest
from plaza.catalogue.v1 import catalogue_pb2
from plaza.catalogue.v1 import code_lists_pb2 as pb
from plaza_catalogue.domain.code_lists import BadCodeList, UnknownCodeList
from plaza_catalogue.domain.shipped_lists import shipped
from plaza_catalogue.usecases.code_lists import CodeLists, CodeListVersionExists, UnknownList
from plaza_kit.db import Scope
from plaza_kit.paging import BadPageToken
from plaza_kit.policy import NotPermitted
from sqlalchemy import text

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Catalogue = Any
New = Callable[..., catalogue_pb2.Dataset]
FACTS = pb.CodeListVersion(display_name="河流", source="水务局", sha256="mine", shipped=True, author="me")
DOCUMENT = (
    "code,name,name_en,parent,valid_from,valid_to\n"
    "1,永定河,Yongding,,,\n11,上游,Upper reach,1,,\n12,旧河道,Old bed,1,1950,2009\n2,潮白河,Chaobai,,2010,\n"
)


@pytest.fixture
def rivers(catalogue: Catalogue) -> str:
    """A list of its own for every test; the caller is the city's administrator."""
    catalogue.be("city-administrator")
    return f"codeLists/r{uuid.uuid4().hex[:10]}"


async def create(
    catalogue: Catalogue, parent: str, version: str, document: str = DOCUMENT, **more: Any
) -> pb.CodeListVersion:
    request = pb.CreateCodeListVersionRequest(
        parent=parent, version_id=version, version=FACTS, document=document, **more
    )
    return cast(pb.CodeListVersion, await catalogue.codes.CreateCodeListVersion(request, RPC))


async def codes(catalogue: Catalogue, parent: str, **wanted: Any) -> list[str]:
    found = await catalogue.codes.ListCodes(pb.ListCodesRequest(parent=parent, **wanted), RPC)
    return [each.code for each in found.codes]


async def test_a_city_makes_its_own(catalogue: Catalogue, rivers: str) -> None:
    made = await create(catalogue, rivers, "2024", request_id=(request_id := str(uuid.uuid4())))
    assert (made.name, made.code_count, made.shipped, made.author) == (
        f"{rivers}/versions/2024",
        4,
        False,
        "王数据",
    )
    assert len(made.sha256) == 64
    assert await create(catalogue, rivers, "2024", request_id=request_id) == made
    with pytest.raises(CodeListVersionExists):
        await create(catalogue, rivers, "2024", "code,name\n1,x\n")
    second = await create(catalogue, rivers, "2025", "code,name\n1,x\n")
    with pytest.raises(BadCodeList, match="line 2"):
        await create(catalogue, rivers, "2026", "code,name\n1,\n")
    catalogue.be("analyst", "elsewhere")
    whole = await catalogue.codes.GetCodeList(pb.GetCodeListRequest(name=rivers), RPC)
    assert (whole.latest_version, whole.version_count) == (second, 2)
    got = await catalogue.codes.GetCodeListVersion(pb.GetCodeListVersionRequest(name=made.name), RPC)
    assert got == made
    request = pb.ListCodeListVersionsRequest(parent=rivers, page_size=1)
    first = await catalogue.codes.ListCodeListVersions(request, RPC)
    request.page_token = first.next_page_token
    rest = await catalogue.codes.ListCodeListVersions(request, RPC)
    assert [*first.versions, *rest.versions] == [second, made]
    assert not rest.next_page_token
    with pytest.raises(NotPermitted):
        await create(catalogue, rivers, "2027")
    async with catalogue.world.database.transaction(Scope.everything()) as connection:
        found = await connection.execute(
            text("SELECT type, data FROM outbox WHERE subject = :name"), {"name": made.name}
        )
        [event] = [(row.type, orjson.loads(row.data)) for row in found]
    assert event == (
        "city.plaza.catalogue.code_list.published.v1",
        {"code_list": rivers, "version": "2024", "codes": 4, "sha256": made.sha256},
    )


async def test_codes_are_filtered(catalogue: Catalogue, rivers: str) -> None:
    await create(catalogue, rivers, "1", "code,name\n9,x\n")
    await create(catalogue, rivers, "2")
    for parent in (rivers, f"{rivers}/versions/2"):
        assert await codes(catalogue, parent) == ["1", "11", "12", "2"]
    assert await codes(catalogue, f"{rivers}/versions/1") == ["9"]
    assert await codes(catalogue, rivers, code_prefix="1") == ["1", "11", "12"]
    assert await codes(catalogue, rivers, parent_code="1") == ["11", "12"]
    assert await codes(catalogue, rivers, query="河") == ["1", "12", "2"]
    assert await codes(catalogue, rivers, query="YONG 永定") == ["1"]
    assert await codes(catalogue, rivers, query="100%") == []
    assert await codes(catalogue, rivers, current_only=True) == ["1", "11", "2"]
    request = pb.ListCodesRequest(parent=rivers, page_size=3)
    first = await catalogue.codes.ListCodes(request, RPC)
    assert first.version == f"{rivers}/versions/2"
    request.page_token = first.next_page_token
    second = await catalogue.codes.ListCodes(request, RPC)
    assert [each.code for each in (*first.codes, *second.codes)] == ["1", "11", "12", "2"]
    assert (second.codes[0].name, second.codes[0].name_en, second.codes[0].valid_from) == (
        "潮白河",
        "Chaobai",
        "2010",
    )
    await create(catalogue, rivers, "3")
    with pytest.raises(BadPageToken):
        await catalogue.codes.ListCodes(request, RPC)


async def test_what_is_not_there(catalogue: Catalogue, rivers: str) -> None:
    await create(catalogue, rivers, "1")
    nowhere = f"{rivers}x"
    for call in (
        catalogue.codes.GetCodeList(pb.GetCodeListRequest(name=nowhere), RPC),
        catalogue.codes.GetCodeListVersion(pb.GetCodeListVersionRequest(name=f"{rivers}/versions/9"), RPC),
        catalogue.codes.ListCodes(pb.ListCodesRequest(parent=f"{rivers}/versions/9"), RPC),
        catalogue.codes.ListCodeListVersions(pb.ListCodeListVersionsRequest(parent=nowhere), RPC),
    ):
        with pytest.raises(UnknownList):
            await call


async def test_lists_that_are_shipped(catalogue: Catalogue) -> None:
    catalogue.be("city-administrator")
    lists = CodeLists(catalogue.world)
    await asyncio.gather(lists.ship(), lists.ship())
    await lists.ship()
    found: dict[str, pb.CodeList] = {}
    request = pb.ListCodeListsRequest(page_size=2)
    while True:
        page = await catalogue.codes.ListCodeLists(request, RPC)
        found |= {each.name: each for each in page.code_lists}
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    for each in shipped():
        shown = found[f"codeLists/{each.name.code_list}"]
        assert shown.latest_version.name == str(each.name)
        assert shown.version_count == 1
        assert (shown.latest_version.shipped, shown.latest_version.author) == (True, "")
        assert shown.latest_version.licence == each.facts.licence
    assert await codes(catalogue, "codeLists/gb-t-2261-1") == ["0", "1", "2", "9"]
    assert await codes(catalogue, "codeLists/gb-t-2260", query="海淀") == ["110108"]
    assert "110108" in await codes(catalogue, "codeLists/gb-t-2260", parent_code="110100", current_only=True)


async def test_a_citys_own_version_stays_the_newest(catalogue: Catalogue, rivers: str) -> None:
    await create(catalogue, rivers, "own")
    async with catalogue.world.database.transaction(Scope.everything()) as connection:
        await connection.execute(
            text(
                "INSERT INTO code_list_versions SELECT code_list, 'upgrade', 2, facts, sha256, 0, true, '', '', now()"
                " FROM code_list_versions WHERE code_list = :name"
            ),
            {"name": rivers.rpartition("/")[2]},
        )
    whole = await catalogue.codes.GetCodeList(pb.GetCodeListRequest(name=rivers), RPC)
    assert whole.latest_version.name == f"{rivers}/versions/own"
    request = pb.ListCodeListVersionsRequest(parent=rivers, page_size=1)
    first = await catalogue.codes.ListCodeListVersions(request, RPC)
    request.page_token = first.next_page_token
    second = await catalogue.codes.ListCodeListVersions(request, RPC)
    names = [each.name.rpartition("/")[2] for each in (*first.versions, *second.versions)]
    assert (names, second.next_page_token) == (["own", "upgrade"], "")


async def test_a_field_names_a_list_that_is_there(
    catalogue: Catalogue, department: str, rivers: str, new_dataset: New
) -> None:
    await create(catalogue, rivers, "1")
    catalogue.be("data-officer", department)
    parent = f"departments/{department}"

    async def register(code_list: str, dataset_id: str) -> catalogue_pb2.Dataset:
        dataset = new_dataset()
        dataset.contract.fields[1].code_list = code_list
        request = catalogue_pb2.CreateDatasetRequest(parent=parent, dataset_id=dataset_id, dataset=dataset)
        return cast(catalogue_pb2.Dataset, await catalogue.api.CreateDataset(request, RPC))

    for unknown in (f"{rivers}x", f"{rivers}/versions/2"):
        with pytest.raises(UnknownCodeList) as raised:
            await register(unknown, "air")
        [violation] = raised.value.violations
        assert (violation.field, violation.description) == (
            "dataset.contract.fields[1].code_list",
            f"there is no {unknown}",
        )
        assert rivers in raised.value.remedy
    created = await register(rivers, "air")
    assert (await register(f"{rivers}/versions/1", "other")).contract.fields[1].code_list.endswith("/1")
    wanted = created.contract
    wanted.fields[0].code_list = wanted.fields[2].code_list = f"{rivers}x"
    with pytest.raises(UnknownCodeList) as raised:
        await catalogue.api.AdoptContract(
            catalogue_pb2.AdoptContractRequest(dataset=created.name, contract=wanted), RPC
        )
    assert [v.field for v in raised.value.violations] == [
        "contract.fields[0].code_list",
        "contract.fields[2].code_list",
    ]
