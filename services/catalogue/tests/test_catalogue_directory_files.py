"""A department's directory from and to spreadsheets, against a real PostgreSQL."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import pytest
from openpyxl import Workbook
from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.common.v1 import grades_pb2
from plaza_catalogue.domain.sheets import UnreadableSpreadsheet
from plaza_catalogue.usecases.directory_files import DirectoryRefused
from plaza_kit.db import Scope
from plaza_kit.policy import NotPermitted
from plaza_kit.rpc.file_stream import CutOff, FileTooLarge
from sqlalchemy import text

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Catalogue = Any
New = Callable[..., pb.Dataset]
HEADINGS = [
    *("信息资源分类", "信息资源名称", "信息资源代码", "信息资源摘要", "共享类型", "共享条件", "更新周期"),
    *("信息项名称", "字段名", "数据类型", "主键"),
]
AIR = ["生态环境", "空气质量", "", "各站小时值", "无条件共享", "", "每小时"]
WATER = ["生态环境", "河流水位", "307/0002", "日均水位", "有条件共享", "防汛", "daily"]
ROWS = [
    HEADINGS,
    [*AIR, "站点编码", "station", "字符型C(12)", "是"],
    ["", "", "", "", "", "", "", "PM2.5", "PM2.5", "数值型", ""],
    [*WATER, "日期", "day", "日期型", "1"],
    [*WATER, "水位", "", "number", ""],
]


def csv_of(rows: Sequence[Sequence[str]], encoding: str = "utf-8") -> bytes:
    return "\r\n".join(",".join(row) for row in rows).encode(encoding)


def xlsx_of(rows: Sequence[Sequence[object]], title: str = "目录") -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = title
    for row in rows:
        sheet.append(list(row))
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


async def send(
    catalogue: Catalogue, department: str, data: bytes, *, look: bool = False
) -> pb.ImportDirectoryResponse:
    async def messages() -> AsyncIterator[pb.ImportDirectoryRequest]:
        header = pb.ImportDirectoryHeader(parent=f"departments/{department}", validate_only=look)
        yield pb.ImportDirectoryRequest(header=header)
        for start in range(0, len(data), 1_000_000):
            yield pb.ImportDirectoryRequest(chunk=data[start : start + 1_000_000])
        yield pb.ImportDirectoryRequest(end=pb.ImportDirectoryEnd(size_bytes=len(data)))

    return cast(pb.ImportDirectoryResponse, await catalogue.api.ImportDirectory(messages(), RPC))


async def export(catalogue: Catalogue, department: str, form: str = "xlsx") -> bytes:
    request = pb.ExportDirectoryRequest(parent=f"departments/{department}", format=form)
    return b"".join([piece.data async for piece in catalogue.api.ExportDirectory(request, RPC)])


async def directory(catalogue: Catalogue, department: str) -> list[pb.Dataset]:
    request = pb.ListDatasetsRequest(parent=f"departments/{department}", page_size=1000)
    return list((await catalogue.api.ListDatasets(request, RPC)).datasets)


async def events(catalogue: Catalogue, department: str) -> list[str]:
    async with catalogue.world.database.transaction(Scope.everything()) as connection:
        found = await connection.execute(
            text("SELECT type FROM outbox WHERE subject LIKE :like ORDER BY seq"),
            {"like": f"departments/{department}/datasets/%"},
        )
        return [str(row.type).split(".")[-2] for row in found]


def counts(answer: pb.ImportDirectoryResponse) -> tuple[int, int, int, int]:
    return answer.created_count, answer.changed_count, answer.unchanged_count, answer.problem_count


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-8-sig", "utf-16"])
async def test_a_csv_directory_is_registered_once(
    catalogue: Catalogue, department: str, encoding: str
) -> None:
    rows = [[cell.replace("307/0002", f"307/{department}") for cell in row] for row in ROWS]
    data = csv_of(rows, encoding)
    look = await send(catalogue, department, data, look=True)
    assert counts(look) == (2, 0, 0, 0)
    assert look.encoding == encoding.removesuffix("-sig")
    assert not await directory(catalogue, department)
    assert counts(await send(catalogue, department, data)) == (2, 0, 0, 0)
    found = {each.display_name: each for each in await directory(catalogue, department)}
    air, water = found["空气质量"], found["河流水位"]
    assert [(f.name, f.title, f.source_name, f.type) for f in air.contract.fields] == [
        ("station", "站点编码", "", 1),
        ("pm2_5", "PM2.5", "PM2.5", 3),
    ]
    assert list(air.contract.key) == ["station"]
    assert air.code.startswith("300000EP01/")
    assert air.city_level == grades_pb2.CITY_LEVEL_CORE
    assert (air.update_cycle, air.provider, air.metadata_version) == (pb.UPDATE_CYCLE_HOURLY, "生态环境局", 1)
    assert (water.code, water.sharing.condition) == (f"307/{department}", "防汛")
    assert [(f.name, f.source_name) for f in water.contract.fields] == [("day", ""), ("f2", "水位")]
    grade = [n for n in look.notices if n.heading == "数据级别"]
    assert [(n.row, n.text) for n in grade] == [
        (2, "no grade: 核心 (core), the strictest, is taken"),
        (4, "no grade: 核心 (core), the strictest, is taken"),
    ]
    search = await catalogue.api.SearchDatasets(pb.SearchDatasetsRequest(query="水位", page_size=200), RPC)
    assert water.name in [each.name for each in search.datasets]
    again = await send(catalogue, department, data)
    assert counts(again) == (0, 0, 2, 0)
    assert await events(catalogue, department) == ["registered"] * 2


async def test_a_changed_cell_is_one_metadata_version(catalogue: Catalogue, department: str) -> None:
    rows = [[cell.replace("307/0002", f"307/{department}") for cell in row] for row in ROWS]
    await send(catalogue, department, xlsx_of(rows))
    before = {each.display_name: each for each in await directory(catalogue, department)}
    changed = [[cell.replace("日均水位", "每日八时水位") for cell in row] for row in rows]
    answer = await send(catalogue, department, xlsx_of(changed))
    assert counts(answer) == (0, 1, 1, 0)
    [change] = answer.changes
    assert (change.display_name, change.sheet, change.row) == ("河流水位", "目录", 4)
    assert list(change.changed_fields) == ["description"]
    after = {each.display_name: each for each in await directory(catalogue, department)}
    assert after["空气质量"] == before["空气质量"]
    assert (after["河流水位"].description, after["河流水位"].metadata_version) == ("每日八时水位", 2)
    assert after["河流水位"].etag != before["河流水位"].etag
    assert await events(catalogue, department) == ["registered"] * 2 + ["updated"]


async def test_problems_name_their_cells_and_nothing_is_written(
    catalogue: Catalogue, department: str
) -> None:
    rows: list[list[object]] = [
        ["生态环境局信息资源目录"],
        ["序号", "联系人", *HEADINGS],
        [1, "张三", *AIR, "站点编码", "station", "字符型", "是"],
        ["", "", "", "", "", "各站日均值", "", "", "", "PM2.5", "", "数字符", ""],
        [2, "", "水", "河流水位", "", "", "随便共享", "", "每旬", "水位", "", "", "第一"],
        [3, "", "水", "=A1", "", "", "不予共享", "", "", "水位", "level", "数值", ""],
        [4, "", "水", "水库", "", "", "有条件", "", "", "", "", "", ""],
    ]
    answer = await send(catalogue, department, xlsx_of(rows), look=True)
    found = {(p.column, p.row): (p.heading, p.text) for p in answer.problems}
    assert answer.problem_count == len(answer.problems) == len(found)
    assert found[("F", 4)] == ("信息资源摘要", "differs from row 3, where the dataset begins")
    assert found[("L", 4)][1].startswith("'数字符' is not known")
    assert found[("G", 5)][1].startswith("'随便共享' is not known")
    assert found[("I", 5)][0] == "更新周期"
    assert found[("L", 5)][1] == "the information item has no type"
    assert "neither" in found[("M", 5)][1]
    assert found[("D", 6)] == ("信息资源名称", "holds a formula")
    assert found[("J", 7)][1] == "the dataset has no information item"
    assert {p.sheet for p in answer.problems} == {"目录"}
    assert [n.text for n in answer.notices if n.row == 2] == [
        "the heading '联系人' is not known; the column is not read"
    ]
    with pytest.raises(DirectoryRefused, match=r"目录!F4") as raised:
        await send(catalogue, department, xlsx_of(rows))
    assert raised.value.facts["problems"] == str(answer.problem_count)
    assert not await directory(catalogue, department)
    assert not await events(catalogue, department)


async def test_what_the_officer_confirmed_cannot_be_changed_by_an_import(
    catalogue: Catalogue, department: str, new_dataset: New
) -> None:
    request = pb.CreateDatasetRequest(
        parent=f"departments/{department}", dataset_id="air", dataset=new_dataset()
    )
    created = await catalogue.api.CreateDataset(request, RPC)
    rows = [
        ["数据集标识", "名称", "分级", "共享类型", "字段名", "数据类型", "是否必填"],
        ["air", created.display_name, "内部", "不予共享", "year", "字符型", "是"],
        ["", "", "", "", "nonsense", "", ""],
    ]
    answer = await send(catalogue, department, xlsx_of(rows), look=True)
    assert [(p.column, p.row) for p in answer.problems] == [
        ("C", 2),
        ("D", 2),
        ("E", 2),
        ("F", 2),
        ("G", 2),
        ("E", 3),
    ]
    # One row for each dataset, without information items: directory fields alone.
    rows = [["数据集标识", "名称", "关键词"], ["air", created.display_name, "大气；雾霾"]]
    assert counts(await send(catalogue, department, xlsx_of(rows))) == (0, 1, 0, 0)


@pytest.mark.parametrize("form", ["xlsx", "csv"])
async def test_an_export_comes_back_without_loss(
    catalogue: Catalogue, department: str, new_dataset: New, form: str
) -> None:
    for number, odd in enumerate(["=1+1", " 两端空白 ", "'a；b\r\n\tc", '"引号"，、', "_x0041_\x01"]):
        dataset = new_dataset(title=f"目录{odd}{number}")
        dataset.description, dataset.opening.allowed, dataset.opening.condition = odd, True, odd
        dataset.keywords[:] = [odd, "大气"]
        dataset.related_codes[:] = ["300/1", odd]
        dataset.update_cycle = pb.UPDATE_CYCLE_QUARTERLY
        dataset.sharing.condition = odd
        request = pb.CreateDatasetRequest(
            parent=f"departments/{department}", dataset_id=f"d{number}", dataset=dataset
        )
        await catalogue.api.CreateDataset(request, RPC)
    before = await directory(catalogue, department)
    data = await export(catalogue, department, form)
    answer = await send(catalogue, department, data)
    assert counts(answer) == (0, 0, 5, 0), answer
    assert await directory(catalogue, department) == before


async def test_another_departments_form_registers_the_same(
    catalogue: Catalogue, department: str, new_dataset: New
) -> None:
    """An export without its provider, its codes and its dates is a directory like any other."""
    dataset = new_dataset(licence="CC-BY-4.0", related_codes=["300/1"], format="CSV")
    request = pb.CreateDatasetRequest(parent=f"departments/{department}", dataset_id="air", dataset=dataset)
    created = await catalogue.api.CreateDataset(request, RPC)
    lines = (await export(catalogue, department, "csv")).decode("utf-8-sig").replace(created.code, "")
    other = f"{department}x"
    catalogue.be("city-administrator")
    given = pb.Department(display_name="生态环境局", provider_code="EP01")
    await catalogue.api.CreateDepartment(
        pb.CreateDepartmentRequest(department_id=other, department=given), RPC
    )
    catalogue.be("data-officer", other)
    assert counts(await send(catalogue, other, lines.encode("gb18030"))) == (1, 0, 0, 0)
    [copy] = await directory(catalogue, other)
    assert copy.contract.fields == created.contract.fields
    assert copy.contract.key == created.contract.key
    for name in ("description", "keywords", "sharing", "city_level", "licence", "publication_date", "format"):
        assert getattr(copy, name) == getattr(created, name), name


async def test_only_the_data_officer_imports(catalogue: Catalogue, department: str) -> None:
    catalogue.be("analyst", department)
    with pytest.raises(NotPermitted):
        await send(catalogue, department, csv_of(ROWS), look=True)
    catalogue.be("data-officer", "elsewhere")
    with pytest.raises(NotPermitted):
        await send(catalogue, department, csv_of(ROWS))


async def test_codes_of_others_are_theirs(catalogue: Catalogue, department: str) -> None:
    rows = [[cell.replace("307/0002", f"307/{department}") for cell in row] for row in ROWS]
    await send(catalogue, department, csv_of(rows))
    other = f"{department}y"
    catalogue.be("city-administrator")
    given = pb.Department(display_name="水务局")
    await catalogue.api.CreateDepartment(
        pb.CreateDepartmentRequest(department_id=other, department=given), RPC
    )
    catalogue.be("data-officer", other)
    answer = await send(catalogue, other, csv_of(rows), look=True)
    [problem] = answer.problems
    assert (problem.column, problem.row, problem.text) == ("C", 4, f"the code belongs to {department}")


async def test_a_stream_is_whole_or_nothing(catalogue: Catalogue, department: str) -> None:
    header = pb.ImportDirectoryRequest(header=pb.ImportDirectoryHeader(parent=f"departments/{department}"))
    chunk = pb.ImportDirectoryRequest(chunk=csv_of(ROWS))

    async def stream(*messages: pb.ImportDirectoryRequest) -> AsyncIterator[pb.ImportDirectoryRequest]:
        for message in messages:
            yield message

    big = pb.ImportDirectoryRequest(chunk=b"x" * 1_048_576)
    bad: list[tuple[type[Exception], list[pb.ImportDirectoryRequest]]] = [
        (CutOff, [header, chunk]),
        (FileTooLarge, [header, *[big] * 21]),
        (UnreadableSpreadsheet, [header, big, pb.ImportDirectoryRequest(end={"size_bytes": 1_048_576})]),
    ]
    for error, messages in bad:
        with pytest.raises(error):
            await catalogue.api.ImportDirectory(stream(*messages), RPC)
    assert not await directory(catalogue, department)


async def test_two_thousand_datasets_at_once(catalogue: Catalogue, department: str) -> None:
    rows: list[list[str]] = [HEADINGS]
    for number in range(2_000):
        first = [
            "生态环境",
            f"监测数据集{number}",
            f"{department}/{number}",
            "摘要" * 20,
            "有条件",
            "按需",
            "每日",
        ]
        rows.append([*first, "编号", "id", "字符型", "是"])
        rows += [
            ["", *first[1:3], *[""] * 4, f"指标{item}", f"value_{item}", "数值型", ""] for item in range(9)
        ]
    data = xlsx_of(rows)
    assert counts(await send(catalogue, department, data)) == (2_000, 0, 0, 0)
    assert counts(await send(catalogue, department, data)) == (0, 0, 2_000, 0)
    # Other tests search in the same database.
    async with catalogue.world.database.transaction(Scope.everything()) as connection:
        await connection.execute(text("DELETE FROM search WHERE department = :d"), {"d": department})
