"""The use cases against a real PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, cast

import orjson
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.common.v1 import events_pb2, grades_pb2
from plaza_catalogue.domain.datasets import IncompleteDataset, contract_sha256
from plaza_catalogue.domain.updates import NotUpdatable
from plaza_catalogue.usecases.departments import DepartmentExists
from plaza_catalogue.usecases.ports import (
    EtagMismatch,
    UnknownDataset,
    UnknownDepartment,
)
from plaza_catalogue.usecases.projections import HANDLERS
from plaza_catalogue.usecases.registration import CodeTaken, DatasetExists
from plaza_kit.db import Scope
from plaza_kit.db.inbox import EventSink
from plaza_kit.db.requests import RequestIdReused
from plaza_kit.paging import BadPageToken
from plaza_kit.policy import NotPermitted
from plaza_kit.rpc.guard import InvalidRequest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Catalogue = Any
"""The fixture's class lives in conftest, which tests do not import."""
New = Callable[..., pb.Dataset]


async def register(
    catalogue: Catalogue, department: str, dataset: pb.Dataset, dataset_id: str = "air"
) -> pb.Dataset:
    return await catalogue.api.CreateDataset(
        pb.CreateDatasetRequest(parent=f"departments/{department}", dataset_id=dataset_id, dataset=dataset),
        RPC,
    )


async def test_register_and_read(catalogue: Catalogue, department: str, new_dataset: New) -> None:
    created = await register(catalogue, department, new_dataset())
    assert created.name == f"departments/{department}/datasets/air"
    assert created.provider == "生态环境局"
    assert created.code.startswith("300000EP01/")
    assert (created.contract_version, created.metadata_version) == (1, 1)
    assert created.contract == new_dataset().contract
    assert not created.HasField("latest_version")
    catalogue.be("analyst", "elsewhere")
    assert await catalogue.api.GetDataset(pb.GetDatasetRequest(name=created.name), RPC) == created
    shown = await catalogue.api.GetDepartment(pb.GetDepartmentRequest(name=f"departments/{department}"), RPC)
    assert shown.dataset_count == 1
    async with catalogue.world.database.transaction(Scope.everything()) as connection:
        row = (
            await connection.execute(
                text(
                    "SELECT o.data FROM outbox o JOIN outbox_pending p ON p.event_id = o.id WHERE subject = :s"
                ),
                {"s": created.name},
            )
        ).one()
    assert orjson.loads(row.data) == {
        "department": f"departments/{department}",
        "dataset": created.name,
        "city_level": "public",
        "sharing_class": "unconditional",
        "contract_version": 1,
        "contract_sha256": contract_sha256(created.contract),
        "fields": 5,
    }


async def test_registration_needs_what_the_officer_confirms(
    catalogue: Catalogue, department: str, new_dataset: New
) -> None:
    with pytest.raises(IncompleteDataset) as raised:
        await register(catalogue, department, pb.Dataset(display_name="x"))
    assert [v.field for v in raised.value.violations] == [
        "dataset.contract",
        "dataset.city_level",
        "dataset.sharing.class",
    ]
    catalogue.be("data-officer", "unknown-department")
    with pytest.raises(UnknownDepartment):
        await register(catalogue, "unknown-department", new_dataset())
    catalogue.be("analyst", department)
    with pytest.raises(NotPermitted):
        await register(catalogue, department, new_dataset())


async def test_names_and_codes_are_taken_once(
    catalogue: Catalogue, department: str, new_dataset: New
) -> None:
    first = await register(catalogue, department, new_dataset())
    with pytest.raises(DatasetExists):
        await register(catalogue, department, new_dataset())
    with pytest.raises(CodeTaken):
        await register(catalogue, department, new_dataset(code=first.code), "other")
    catalogue.be("city-administrator")
    again = pb.CreateDepartmentRequest(department_id=department, department=pb.Department(display_name="x"))
    with pytest.raises(DepartmentExists):
        await catalogue.api.CreateDepartment(again, RPC)


async def test_a_repeated_request_is_harmless(
    catalogue: Catalogue, department: str, new_dataset: New
) -> None:
    request = pb.CreateDatasetRequest(
        parent=f"departments/{department}",
        dataset_id="air",
        dataset=new_dataset(),
        request_id=str(uuid.uuid4()),
    )
    first = await catalogue.api.CreateDataset(request, RPC)
    assert await catalogue.api.CreateDataset(request, RPC) == first
    request.dataset_id = "other"
    with pytest.raises(RequestIdReused):
        await catalogue.api.CreateDataset(request, RPC)


async def test_update_makes_a_metadata_version(
    catalogue: Catalogue, department: str, new_dataset: New
) -> None:
    created = await register(catalogue, department, new_dataset())

    async def update(mask: list[str], **fields: Any) -> pb.Dataset:
        return await catalogue.api.UpdateDataset(
            pb.UpdateDatasetRequest(
                dataset=pb.Dataset(name=created.name, **fields), update_mask=FieldMask(paths=mask)
            ),
            RPC,
        )

    updated = await update(["description", "keywords"], description="新的摘要", keywords=["雾霾"])
    assert (updated.metadata_version, updated.description) == (2, "新的摘要")
    assert updated.display_name == created.display_name
    assert updated.etag != created.etag
    assert await update(["description"], description="新的摘要") == updated
    with pytest.raises(EtagMismatch):
        await update(["description"], description="x", etag=created.etag)
    with pytest.raises(InvalidRequest, match=r"dataset\.display_name"):
        await update(["display_name"])
    for path in ("contract", "city_level", "sharing", "sharing.class", "nonsense"):
        with pytest.raises(NotUpdatable):
            await update([path])
    with pytest.raises(NotUpdatable):
        await update([], city_level=grades_pb2.CITY_LEVEL_CORE)
    history = await catalogue.api.ListMetadataVersions(
        pb.ListMetadataVersionsRequest(parent=created.name), RPC
    )
    assert [(v.version, v.author) for v in history.metadata_versions] == [(2, "王数据"), (1, "王数据")]
    assert history.metadata_versions[0].changed_fields == ["description", "keywords"]
    found = await catalogue.api.SearchDatasets(pb.SearchDatasetsRequest(query="雾霾"), RPC)
    assert created.name in [d.name for d in found.datasets]
    catalogue.be("data-officer", "elsewhere")
    with pytest.raises(NotPermitted):
        await update(["description"], description="x")


async def test_pages(catalogue: Catalogue, department: str, new_dataset: New) -> None:
    for number in range(5):
        await register(catalogue, department, new_dataset(), f"d{number}")
    parent = f"departments/{department}"
    names: list[str] = []
    token = ""
    while True:
        request = pb.ListDatasetsRequest(parent=parent, page_size=2, page_token=token)
        page = await catalogue.api.ListDatasets(request, RPC)
        names += [d.name for d in page.datasets]
        token = page.next_page_token
        if not token:
            break
        other = pb.ListDatasetsRequest(parent="departments/-", page_token=token)
        with pytest.raises(BadPageToken):
            await catalogue.api.ListDatasets(other, RPC)
    assert names == [f"{parent}/datasets/d{n}" for n in range(5)]
    everything: set[str] = set()
    request = pb.ListDatasetsRequest(parent="departments/-", page_size=1000)
    while True:  # other tests fill the same directory, by thousands
        page = await catalogue.api.ListDatasets(request, RPC)
        everything |= {d.name for d in page.datasets}
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert set(names) <= everything
    for bad in ("x", "é", "W10", "W251bGxd"):
        with pytest.raises(BadPageToken):
            await catalogue.api.ListDatasets(pb.ListDatasetsRequest(parent=parent, page_token=bad), RPC)
    first = await catalogue.api.ListDepartments(pb.ListDepartmentsRequest(page_size=1), RPC)
    assert len(first.departments) == 1


async def test_search_finds_two_characters_everywhere(
    catalogue: Catalogue, department: str, new_dataset: New
) -> None:
    title = "河流水位" + department
    await register(catalogue, department, new_dataset(title + "月报"), "a-report")
    exact = new_dataset(title)
    exact.description, exact.category, exact.keywords[:] = "鹦鹉洲", "珊瑚", ["琥珀"]
    await register(catalogue, department, exact, "b-exact")

    async def search(query: str, **page: Any) -> pb.SearchDatasetsResponse:
        return await catalogue.api.SearchDatasets(pb.SearchDatasetsRequest(query=query, **page), RPC)

    best = await search(title)
    assert [d.name.rsplit("/", 1)[1] for d in best.datasets] == ["b-exact", "a-report"]
    ranked = await search("河流水位")
    assert ranked.total_size >= 2
    for word in ("鹦鹉", "珊瑚", "琥珀", "颗粒", "生态", "HOURLY", "ep01"):
        assert f"departments/{department}/datasets/b-exact" in [
            d.name for d in (await search(word, page_size=200)).datasets
        ], word
    assert (await search("鹉珊瑚")).total_size == 0
    assert (await search("！？")).total_size == 0
    pages = [await search("", page_size=1)]
    assert pages[0].total_size >= 2
    second = await search("", page_size=1, page_token=pages[0].next_page_token)
    assert second.datasets[0].name != pages[0].datasets[0].name


async def test_the_index_serves_the_search_under_row_level_security(catalogue: Catalogue) -> None:
    async with catalogue.world.database.transaction(Scope.department("x")) as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await connection.execute(
            text("EXPLAIN SELECT 1 FROM search s WHERE s.tokens @> CAST(:tokens AS text[])"),
            {"tokens": ["空气"]},
        )
        assert any("search_tokens" in row[0] for row in plan)


async def test_a_department_cannot_write_anothers_rows(
    catalogue: Catalogue, department: str, new_dataset: New
) -> None:
    created = await register(catalogue, department, new_dataset())
    async with catalogue.world.database.transaction(Scope.department("other")) as connection:
        for table in ("datasets", "contracts", "metadata_versions", "search", "departments"):
            # Readable, but there is nothing that may be changed.
            key = {"d": department}
            seen = await connection.execute(text(f"SELECT 1 FROM {table} WHERE department = :d"), key)
            assert seen.first() is not None
            changed = await connection.execute(
                text(f"UPDATE {table} SET department = department WHERE department = :d"), key
            )
            assert changed.rowcount == 0
    insert = text("INSERT INTO versions (department, dataset, version) VALUES (:d, 'air', 1)")
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with catalogue.world.database.transaction(Scope.department("other")) as connection:
            await connection.execute(insert, {"d": department})
    assert created.name


async def test_events_of_other_services_show_up(
    catalogue: Catalogue, department: str, new_dataset: New
) -> None:
    created = await register(catalogue, department, new_dataset())
    sink = EventSink(catalogue.world.database, HANDLERS)

    def event(sender: str, kind: str, **data: object) -> events_pb2.Event:
        made = events_pb2.Event(
            id=str(uuid.uuid4()),
            source=f"//plaza/{sender}",
            type=f"city.plaza.{sender.replace('-', '')}.{kind}.v1",
            data=orjson.dumps({"dataset": created.name, **data}).decode(),
        )
        made.time.GetCurrentTime()
        return made

    async def deliver(sender: str, *events: events_pb2.Event) -> None:
        catalogue.be_service(sender)
        await sink.Deliver(events_pb2.DeliverRequest(events=events), RPC)

    committed = {"rows": 24, "rows_added": 24, "rows_refused": 1, "batch": "b1", "contract_version": 1}
    assessed = event("quality", "version.assessed", version=1, score="97.84", light="green")
    await deliver("quality", assessed)
    catalogue.be("analyst", "elsewhere")
    assert not (await catalogue.api.ListVersions(pb.ListVersionsRequest(parent=created.name), RPC)).versions
    commits = [event("ingestion", "version.committed", version=n, **committed) for n in (1, 2)]
    await deliver("ingestion", *commits, *commits, event("ingestion", "something.else", version="?"))
    for release in (3, 2):
        await deliver("open-data", event("open-data", "release.published", release=release))
    catalogue.be("analyst", "elsewhere")
    listed = await catalogue.api.ListVersions(pb.ListVersionsRequest(parent=created.name), RPC)
    assert [v.version for v in listed.versions] == [2, 1]
    first = await catalogue.api.GetVersion(pb.GetVersionRequest(name=f"{created.name}/versions/1"), RPC)
    assert (first.score, first.light, first.rows_refused) == (97.84, grades_pb2.LIGHT_GREEN, 1)
    shown = await catalogue.api.GetDataset(pb.GetDatasetRequest(name=created.name), RPC)
    assert shown.latest_version == listed.versions[0]
    assert not shown.latest_version.HasField("score")
    assert shown.latest_release == 3

    gone = event("ingestion", "version.expired", versions=[1], rule="kept are the newest 1")
    await deliver("ingestion", gone)
    await deliver("ingestion", event("ingestion", "version.expired", versions=[1, 3], rule="again"), *commits)
    catalogue.be("analyst", "elsewhere")
    listed = await catalogue.api.ListVersions(pb.ListVersionsRequest(parent=created.name), RPC)
    assert [v.state for v in listed.versions] == [pb.VERSION_STATE_COMMITTED, pb.VERSION_STATE_EXPIRED]
    tombstone = listed.versions[1]
    assert (tombstone.rows, tombstone.score, tombstone.expire_rule) == (24, 97.84, "kept are the newest 1")
    assert tombstone.expire_time == gone.time

    async def after_withdrawal(number: int, latest: int) -> int:
        name = f"{created.name}/releases/{number}"
        gone = event("open-data", "release.withdrawn", release=name, latest_release=latest)
        await deliver("open-data", gone)
        catalogue.be("analyst", "elsewhere")
        read = await catalogue.api.GetDataset(pb.GetDatasetRequest(name=created.name), RPC)
        return read.latest_release

    assert await after_withdrawal(1, 3) == 3
    # Release 3 is announced and not published yet: it stays the newest.
    assert await after_withdrawal(2, 0) == 3
    assert await after_withdrawal(3, 0) == 0


async def test_contract_documents(catalogue: Catalogue, department: str, new_dataset: New) -> None:
    created = await register(catalogue, department, new_dataset())
    body = await catalogue.api.ExportContract(pb.ExportContractRequest(name=created.name), RPC)
    assert body.content_type == "application/yaml"
    parsed = await catalogue.api.ParseContract(pb.ParseContractRequest(document=body.data.decode()), RPC)
    assert parsed.contract == created.contract
    assert (parsed.title, parsed.description) == (created.display_name, created.description)
    rendered = await catalogue.api.RenderContract(
        pb.RenderContractRequest(contract=parsed.contract, title=parsed.title), RPC
    )
    assert b"status: draft" in rendered.data
    with pytest.raises(UnknownDataset):
        await catalogue.api.ExportContract(pb.ExportContractRequest(name=created.name + "x"), RPC)
