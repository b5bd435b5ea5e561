"""The console's pages of source systems and code lists."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from plaza.catalogue.v1 import code_lists_pb2 as cl
from plaza.catalogue.v1 import source_systems_pb2 as sy
from plaza.security.v1 import security_pb2 as sec
from plaza_gateway.console import standards
from plaza_gateway.console.standards_view import COMPARED, differences
from plaza_gateway.transcode.problems import Complaint, Problem
from plaza_testing.console import (
    DEPARTMENT,
    HOSTILE,
    SESSION_OF_TESTS,
    City,
    assert_page,
    browser,
    page,
    sent,
)

CSRF = {"csrf": SESSION_OF_TESTS.csrf}
LIST = "/console/codes/sex"
OLD = [cl.Code(code="1", name="男"), cl.Code(code="2", name="女"), cl.Code(code="3", name="别")]
NEW = [
    cl.Code(code="1", name="男", name_en="male"),
    cl.Code(code="2", name="女"),
    cl.Code(code="9", name=HOSTILE),
]
FACTS = {**CSRF, "version": "2027", "display_name": "性别"}


def list_version(version: str, count: int) -> cl.CodeListVersion:
    made = cl.CodeListVersion(
        name=f"codeLists/sex/versions/{version}",
        display_name="性别代码",
        display_name_en="Sexes",
        standard="GB/T 2261.1",
        edition="2003",
        description=HOSTILE,
        source=HOSTILE,
        sha256="ab" * 32,
        code_count=count,
        shipped=version == "2003",
        author="" if version == "2003" else HOSTILE,
    )
    made.create_time.FromJsonString("2026-11-20T01:00:00Z")
    return made


def mis() -> sy.SourceSystem:
    made = sy.SourceSystem(
        name=f"{DEPARTMENT}/sourceSystems/mis",
        display_name="监测系统",
        display_name_en="Monitoring system",
        owner=HOSTILE,
        description=HOSTILE,
        state=sy.SOURCE_SYSTEM_STATE_RETIRED,
        metadata_version=2,
        etag="e2",
    )
    setattr(made, "class", sy.SOURCE_SYSTEM_CLASS_IOT)
    return made


@dataclass
class Town(City):
    """Services with one source system and one code list of two versions."""

    roles: tuple[str, ...] = ("data-officer", "city-administrator")
    count: int = 3
    done: list[Any] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    now_there: sy.SourceSystem = field(default_factory=lambda: mis())

    @property
    def standards(self) -> Town:
        return self

    async def caller(self) -> sec.Caller:
        return sec.Caller(display_name="林清源", departments=self.departments, roles=self.roles)

    async def systems(self, department: str) -> list[sy.SourceSystem]:
        return [] if self.empty else [mis()]

    async def system(self, name: str) -> sy.SourceSystem:
        return self.now_there

    async def system_history(self, name: str) -> list[sy.SourceSystemVersion]:
        second = sy.SourceSystemVersion(version=2, author="高山")
        second.differences.add(field="owner", old_value="", new_value=HOSTILE)
        second.differences.add(field="a_new_field", old_value="x", new_value="y")
        first = sy.SourceSystemVersion(version=1, author="林清源")
        first.differences.add(
            field="class", old_value="SOURCE_SYSTEM_CLASS_COMPANY", new_value="SOURCE_SYSTEM_CLASS_IOT"
        )
        first.differences.add(field="state", old_value="", new_value="SOURCE_SYSTEM_STATE_RETIRED")
        return [second, first]

    async def register_system(self, department: str, id_: str, made: Any, request_id: str) -> sy.SourceSystem:
        self._refuse()
        self.done.append(MessageToDict(made))
        return sy.SourceSystem(name=f"{department}/sourceSystems/{id_}")

    async def update_system(self, changed: sy.SourceSystem, fields: tuple[str, ...]) -> sy.SourceSystem:
        self._refuse()
        self.done.append((changed, fields))
        return changed

    async def retire_system(self, name: str, etag: str) -> sy.SourceSystem:
        self._refuse()
        self.done.append((name, etag))
        return self.now_there

    async def lists(self) -> list[cl.CodeList]:
        return [
            cl.CodeList(
                name="codeLists/sex", latest_version=list_version("2026", self.count), version_count=2
            )
        ]

    async def list_versions(self, name: str) -> list[cl.CodeListVersion]:
        if name != "codeLists/sex":
            raise Problem(404, "UNKNOWN_LIST", f"there is no {name}")
        return [list_version("2026", self.count), list_version("2003", 3)]

    async def codes(self, parent: str, words: str, size: int, token: str) -> cl.ListCodesResponse:
        self.asked.append((parent, words, token))
        codes = NEW if parent.endswith("2026") else OLD
        # One code on a page, whatever was asked for (AIP-158).
        at = int(token or 0)
        return cl.ListCodesResponse(
            codes=codes[at : at + 1] if words != "nothing" else [],
            next_page_token=str(at + 1) if at + 1 < len(codes) else "",
            version=parent,
        )

    async def add_version(
        self, name: str, version: str, facts: cl.CodeListVersion, document: str, request_id: str
    ) -> cl.CodeListVersion:
        self._refuse()
        self.done.append((name, version, facts.display_name, document))
        return cl.CodeListVersion(name=f"{name}/versions/{version}")


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture
async def here(town: Town) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(town) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "chinese", "english"),
    [
        ("/console/systems", "1 个源系统", "1 source system"),
        ("/console/systems/mis", "已停用", "Retired"),
        ("/console/systems/mis/edit", "修改源系统", "Change the source system"),
        ("/console/register-system", "由谁运行", "Who runs it"),
        ("/console/codes", "1 个代码表", "1 code list"),
        (LIST, "3 个代码", "3 codes"),
        (f"{LIST}/versions/2003", "不是最新版本", "is not the newest"),
        (f"{LIST}/differences?from=2003&to=2026", "3 个代码不同", "3 codes differ"),
        (f"{LIST}/add", "版本不会再变", "A version never changes"),
        ("/console/add-codes", "新增代码表", "Add a code list"),
    ],
)
async def test_pages_of_standards_in_both_languages(
    here: httpx.AsyncClient, path: str, chinese: str, english: str
) -> None:
    assert chinese in await page(here, path, "zh-CN")
    assert english in await page(here, path)


async def test_a_system_has_its_history(here: httpx.AsyncClient) -> None:
    text = await page(here, "/console/systems/mis")
    assert 'rowspan="2">高山' in text
    assert "Who answers for it" in text
    assert "a_new_field" in text
    assert '<del class="was">Company</del>' in text
    assert '<ins class="now">Retired</ins>' in text


async def test_a_system_is_registered_and_errors_stand_at_their_fields(
    here: httpx.AsyncClient, town: Town
) -> None:
    form = {**CSRF, "id": "mis", "display_name": "监测系统", "class": "iot", "owner": "监测科"}
    sent = await here.post("/console/register-system", data=form)
    assert sent.headers["location"] == "/console/systems/mis"
    assert town.done == [{"displayName": "监测系统", "class": "SOURCE_SYSTEM_CLASS_IOT", "owner": "监测科"}]
    answer = await here.post(
        "/console/register-system?lang=zh-CN", data={**form, "class": "", "vendor": HOSTILE}
    )
    assert answer.status_code == 400
    assert_page(answer)
    assert 'id="class-error">请选择来源类别' in answer.text
    town.refusal = Problem.of_complaints((Complaint("body", "source_system.owner", "is a person's name"),))
    answer = await here.post("/console/register-system", data=form)
    assert re.search(r'id="owner-error"><span lang="en">is a person', answer.text)
    town.refusal = Problem(409, "SOURCE_SYSTEM_EXISTS", f"{DEPARTMENT}/sourceSystems/mis exists already")
    answer = await here.post("/console/register-system", data=form)
    assert 'id="id-error"' in answer.text


async def test_a_system_is_changed_and_a_colleague_not_overwritten(
    here: httpx.AsyncClient, town: Town
) -> None:
    town.now_there.state = sy.SOURCE_SYSTEM_STATE_ACTIVE
    assert 'href="/console/systems/mis/edit"' in await page(here, "/console/systems/mis")
    path = "/console/systems/mis/edit"
    form = sent(await page(here, path), path)
    assert (await here.post(path, data=form)).headers["location"] == "/console/systems/mis"
    assert town.done == []
    await here.post(path, data=form | {"vendor": "云汀软件"})
    ((changed, fields),) = town.done
    # The service holds its rules against the whole, so the whole is sent.
    assert (fields, changed.etag, changed.vendor, changed.display_name) == (
        ("vendor",),
        "e2",
        "云汀软件",
        "监测系统",
    )
    town.refusal = Problem(409, "ETAG_MISMATCH", "changed since")
    town.now_there.owner, town.now_there.etag = "监测中心", "e3"
    answer = await here.post(f"{path}?lang=zh-CN", data=form | {"owner": "监测科", "display_name_en": ""})
    assert answer.status_code == 409
    assert_page(answer)
    assert "高山刚刚改过这里" in answer.text
    assert "同事改成： <b>监测中心</b>" in answer.text
    assert '<ins class="now">监测中心</ins>' in answer.text
    both = sent(answer.text, path)
    assert (both["owner"], both["display_name_en"], both["etag"]) == ("监测科", "", "e3")
    wrong = await here.post(f"{path}?lang=zh-CN", data=form | {"display_name": ""})
    assert 'href="#display_name"' in wrong.text


async def test_a_system_is_retired_once(here: httpx.AsyncClient, town: Town) -> None:
    assert "/retire" not in await page(here, "/console/systems/mis")
    town.now_there.state = sy.SOURCE_SYSTEM_STATE_ACTIVE
    path = "/console/systems/mis/retire"
    form = sent(await page(here, "/console/systems/mis"), path)
    assert (await here.post(path, data=form)).headers["location"] == "/console/systems/mis"
    assert town.done == [(f"{DEPARTMENT}/sourceSystems/mis", "e2")]
    town.refusal = Problem(
        409, "ETAG_MISMATCH", f"{DEPARTMENT}/sourceSystems/mis was changed since it was read"
    )
    late = await here.post(f"{path}?lang=zh-CN", data=form)
    assert (late.status_code, "在您打开之后有人改过" in late.text) == (409, True)


async def test_who_may_not_sees_no_button_and_is_told_what_the_service_says(
    here: httpx.AsyncClient, town: Town
) -> None:
    paths = ("/console/systems", "/console/codes", LIST)
    for path in paths:
        assert re.search(
            r'class="btn btn--s" href="/console/(register-system|add-codes|codes/sex/add)"',
            await page(here, path),
        )
    town.roles = ("reader",)
    for path in paths:
        assert not re.search(
            r'href="/console/(register-system|add-codes|codes/sex/add)"', await page(here, path)
        )
    town.refusal = Problem(403, "NOT_PERMITTED", "code-list.manage is not for you")
    answer = await here.post(f"{LIST}/add", data=FACTS, files={"file": ("a.csv", b"code,name\n1,a\n")})
    assert answer.status_code == 403
    assert "code-list.manage is not for you" in answer.text
    form = {**CSRF, "id": "a", "display_name": "b", "class": "iot"}
    assert (await here.post("/console/register-system", data=form)).status_code == 403


async def test_codes_are_searched_and_leafed_through(here: httpx.AsyncClient, town: Town) -> None:
    text = await page(here, f"{LIST}?q=m+n")
    assert "/console/codes/sex/versions/2026?q=m+n&amp;page=1" in text
    text = await page(here, f"{LIST}/versions/2003?q=m+n&page=1")
    assert town.asked == [
        ("codeLists/sex/versions/2026", "m n", ""),
        ("codeLists/sex/versions/2003", "m n", "1"),
    ]
    assert 'href="/console/codes/sex/versions/2003?q=m+n"' in text
    assert "No code has these words" in await page(here, f"{LIST}?q=nothing")
    assert "there is no codeLists/odd" in await page(here, "/console/codes/odd", status=404)
    assert "no version 1999" in await page(here, f"{LIST}/versions/1999", status=404)


async def test_two_versions_side_by_side(here: httpx.AsyncClient, town: Town) -> None:
    text = await page(here, f"{LIST}/differences?from=2003&to=2026")
    assert "1 added, 1 changed, 1 removed" in text
    assert '<ins class="now">male</ins>' in text
    assert "The two versions say the same" in await page(here, f"{LIST}/differences?from=2003&to=2003")
    await page(here, f"{LIST}/differences?from=2003", status=404)
    town.count, town.asked = standards.MOST_COMPARED + 1, []
    assert "Too many codes" in await page(here, f"{LIST}/differences?from=2003&to=2026")
    assert town.asked == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
async def test_a_version_is_added_as_spreadsheets_save_it(
    here: httpx.AsyncClient, town: Town, encoding: str
) -> None:
    document = "代码,名称\r\n1,男\r\n"
    files = {"file": ("代码.csv", document.encode(encoding))}
    sent = await here.post(f"{LIST}/add", data=FACTS, files=files)
    assert (sent.status_code, sent.headers["location"]) == (303, f"{LIST}/versions/2027")
    assert town.done == [("codeLists/sex", "2027", "性别", document)]
    await here.post("/console/add-codes", data={**FACTS, "id": "colours"}, files=files)
    assert town.done[1][:2] == ("codeLists/colours", "2027")


async def test_a_version_that_is_refused_is_not_lost(
    here: httpx.AsyncClient, town: Town, monkeypatch: Any
) -> None:
    async def send(content: bytes, **more: str) -> str:
        data = {**FACTS, "source": HOSTILE, **more}
        answer = await here.post(f"{LIST}/add?lang=zh-CN", data=data, files={"file": ("a.csv", content)})
        assert answer.status_code in (400, 409, 413)
        assert_page(answer)
        assert 'value="性别"' in answer.text
        return answer.text

    assert 'id="file-error">文件既不是 UTF-8 也不是 GB18030' in await send(b"\xff\xff\xff")
    assert 'id="version-error">请填写版本' in await send(b"code,name\n", version="")
    town.refusal = Problem.of_complaints(
        tuple(Complaint("body", "document", f"line {n}: has no name") for n in (2, 3))
    )
    assert 'id="file-error">第 2 行没有名称; 第 3 行没有名称' in await send(b"code,name\n")
    town.refusal = Problem(409, "CODE_LIST_VERSION_EXISTS", "codeLists/sex/versions/2027 exists already")
    assert 'id="version-error">codeLists/sex/versions/2027 已存在' in await send(b"code,name\n")
    monkeypatch.setattr(standards, "LARGEST_DOCUMENT", 2 * 1024 * 1024)
    assert "文件超过 2 MiB" in await send(b"x" * (2 * 1024 * 1024 + 1))
    no_file = await here.post(f"{LIST}/add", data=FACTS, files={"other": ("", b"")})
    assert 'id="file-error"' in no_file.text
    assert town.done == []


texts = st.sampled_from(["", "a", "b"])
codes = st.lists(
    st.builds(
        cl.Code, code=st.sampled_from("123"), name=texts, name_en=texts, parent=texts, valid_from=texts
    ),
    max_size=6,
    unique_by=lambda code: (code.code, code.valid_from),
)


@given(codes, codes)
def test_differences_are_all_there_and_the_other_way_round_the_same(
    old: list[cl.Code], new: list[cl.Code]
) -> None:
    found, back = differences(old, new), differences(new, old)
    assert differences(new, new) == ()
    mirrored = {"added": "removed", "removed": "added", "changed": "changed"}
    assert sorted((one.change, one.code) for one in found) == sorted(
        (mirrored[one.change], one.code) for one in back
    )
    assert bool(found) == ({_row(code) for code in old} != {_row(code) for code in new})
    added = sum(one.change == "added" for one in found) - sum(one.change == "removed" for one in found)
    assert added == len(new) - len(old)


def _row(code: cl.Code) -> tuple[str, ...]:
    return (code.code, *(getattr(code, name) for name in COMPARED))
