"""The console's pages over services that live in this process: words, forms, refusals, strangers."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza.common.v1 import contract_pb2, grades_pb2, runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as ing
from plaza.opendata.v1 import opendata_pb2 as opn
from plaza.security.v1 import security_pb2 as sec
from plaza_design.headers import CONTENT_SECURITY_POLICY
from plaza_design.i18n import Language, LocalText
from plaza_gateway.console import cookies
from plaza_gateway.console.issuer import Tokens
from plaza_gateway.console.routes import console_router
from plaza_gateway.console.sealing import Seal
from plaza_gateway.console.sessions import SESSION, Session, Sessions
from plaza_gateway.portal.views import Site
from plaza_gateway.transcode.problems import Complaint, Problem
from starlette.responses import Response

BASE = "http://console.test"
DEPARTMENT = "departments/ecology"
AIR = f"{DEPARTMENT}/datasets/air"
RUN = "01a1fd4f-75c8-70a8-857c-5ce6273316d6"
UPLOAD = f"{DEPARTMENT}/uploads/01a1fd4f-75c8-70a8-857c-000000000000"
BATCH = "01a1fd4f-75c8-70a8-857c-00000000000b"
ROW, RAGGED = f"{BATCH}-9", f"{BATCH}-12"
HOSTILE = '"><script>alert(1)</script>{{7*7}}'
SESSION_OF_TESTS = Session.new(Tokens("the access token", time.time() + 3000, "r", time.time() + 9000))


def dataset() -> cat.Dataset:
    contract = contract_pb2.Contract(key=["station"])
    contract.fields.add(name="station", type=contract_pb2.FIELD_TYPE_STRING, title="站点", required=True)
    contract.fields.add(
        name="pm2_5", type=contract_pb2.FIELD_TYPE_NUMBER, unit="μg/m³", missing_values=["NA"]
    )
    found = cat.Dataset(
        name=AIR,
        display_name="空气质量",
        display_name_en="Air quality",
        description=HOSTILE,
        contract=contract,
        contract_version=1,
        metadata_version=3,
        etag="e3",
        city_level=grades_pb2.CITY_LEVEL_PUBLIC,
        opening=cat.Opening(allowed=True),
        latest_version=version(2, 1200, 91.5, grades_pb2.LIGHT_YELLOW),
    )
    setattr(found.sharing, "class", grades_pb2.SHARING_CLASS_UNCONDITIONAL)
    return found


def version(number: int, rows: int, score: float, light: Any) -> cat.Version:
    made = cat.Version(
        name=f"{AIR}/versions/{number}", version=number, rows=rows, rows_refused=3, score=score, light=light
    )
    made.commit_time.FromJsonString(f"2026-11-2{number}T01:00:00Z")
    return made


def run(state: Any = runs_pb2.RUN_STATE_SUCCEEDED, kind: Any = ing.RUN_KIND_LOAD) -> ing.Run:
    made = ing.Run(
        name=f"{DEPARTMENT}/runs/{RUN}",
        kind=kind,
        state=state,
        upload=UPLOAD,
        file_name="air-hourly.csv",
        started_by="林清源",
        progress=ing.Progress(
            bytes_done=500, bytes_total=1000, rows_read=1203, rows_accepted=1200, rows_refused=3
        ),
    )
    if kind == ing.RUN_KIND_LOAD:
        made.dataset = AIR
    if state == runs_pb2.RUN_STATE_FAILED:
        made.error.CopyFrom(ing.RunError(reason="BAD", message=HOSTILE, remedy="mend the file"))
    elif state == runs_pb2.RUN_STATE_SUCCEEDED and kind == ing.RUN_KIND_LOAD:
        made.version = 2
        made.refused_by_reason["type"] = 3
    return made


def inference() -> ing.Run:
    made = run(kind=ing.RUN_KIND_INFER)
    contract = made.proposal.contract
    for name, source in (("field_1", "站点"), ("year", "year"), ("month", "month"), ("day", "day")):
        contract.fields.add(
            name=name, source_name=source, type=contract_pb2.FIELD_TYPE_INTEGER, required=True
        )
    contract.fields.add(name="at", type=contract_pb2.FIELD_TYPE_TIMESTAMP)
    contract.key[:] = ["at", "field_1"]
    contract.steps.add().build_timestamp.CopyFrom(
        contract_pb2.BuildTimestamp(target="at", year="year", month="month", day="day", zone="Asia/Shanghai")
    )
    rule = contract.rules.add(id="u", dimension=grades_pb2.DIMENSION_UNIQUENESS)
    rule.unique.fields[:] = ["field_1", "at"]
    contract.format.CopyFrom(contract_pb2.FileFormat(delimiter=";", missing_values=["NA", " "]))
    made.proposal.fields.add(field="field_1", reasons=["every row has a value", "an odd reason"])
    made.proposal.rows = 1203
    return made


@dataclass
class City:
    """A `Desk` at services that hold one dataset."""

    empty: bool = False
    refusal: Problem | None = None
    state: Any = runs_pb2.RUN_STATE_SUCCEEDED
    inferred: bool = False
    departments: tuple[str, ...] = (DEPARTMENT,)
    tokens: list[str] = field(default_factory=list)
    uploaded: dict[str, bytes] = field(default_factory=dict)
    registered: list[tuple[str, cat.Dataset]] = field(default_factory=list)
    ingested: list[str] = field(default_factory=list)
    modes: list[tuple[Any, str, str]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=lambda: {ROW: HOSTILE, RAGGED: "x" * 500})
    sheet: dict[str, str] = field(default_factory=lambda: {ROW: ',"say ""A""",1000x', RAGGED: "B,,"})
    again: set[str] = field(default_factory=set)
    refused: int = 0
    repaired: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    replayed: list[str] = field(default_factory=list)
    discarded: list[tuple[str, str]] = field(default_factory=list)
    updated: list[tuple[cat.Dataset, tuple[str, ...]]] = field(default_factory=list)
    compared: list[tuple[int, int]] = field(default_factory=list)
    restored: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, token: str) -> City:
        self.tokens.append(token)
        return self

    def _refuse(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def caller(self) -> sec.Caller:
        return sec.Caller(
            username="ecology-officer",
            display_name="林清源",
            departments=self.departments,
            roles=["data-officer", "odd-role"],
        )

    async def department(self, name: str) -> cat.Department:
        return cat.Department(name=name, display_name="生态环境局", display_name_en="Ecology Bureau")

    async def datasets(self, department: str) -> list[cat.Dataset]:
        return [] if self.empty else [dataset()]

    async def dataset(self, name: str) -> cat.Dataset:
        if name != AIR:
            raise Problem(404, "NOT_FOUND", f"{name} is not there")
        return dataset()

    async def register(
        self, department: str, dataset_id: str, made: cat.Dataset, request_id: str
    ) -> cat.Dataset:
        self._refuse()
        self.registered.append((dataset_id, made))
        return cat.Dataset(name=f"{department}/datasets/{dataset_id}")

    async def versions(self, name: str) -> list[cat.Version]:
        return [
            version(2, 1200, 91.5, grades_pb2.LIGHT_YELLOW),
            version(1, 1000, 97.0, grades_pb2.LIGHT_GREEN),
        ]

    async def runs(self, department: str, name: str = "") -> list[ing.Run]:
        return [] if self.empty else [run(self.state)]

    async def run(self, name: str) -> ing.Run:
        return inference() if self.inferred else run(self.state)

    async def watch(self, name: str) -> AsyncIterator[ing.Run]:
        yield run(runs_pb2.RUN_STATE_RUNNING)
        ended = run()
        ended.progress.rows_refused = self.refused
        yield ended

    async def upload(self, department: str, file_name: str, pieces: AsyncIterator[bytes]) -> ing.Upload:
        self.uploaded[file_name] = b"".join([piece async for piece in pieces])
        return ing.Upload(name=UPLOAD)

    async def infer(self, upload: str) -> ing.Run:
        return run(runs_pb2.RUN_STATE_QUEUED, ing.RUN_KIND_INFER)

    async def ingest(self, name: str, upload: str, mode: Any, reason: str, request_id: str) -> ing.Run:
        self._refuse()
        self.ingested.append(name)
        self.modes.append((mode, reason, upload))
        return run(runs_pb2.RUN_STATE_QUEUED)

    async def cancel(self, name: str) -> ing.Run:
        self._refuse()
        self.cancelled.append(name)
        return run(runs_pb2.RUN_STATE_CANCELLED)

    async def quarantine(
        self, name: str, of_run: str, state: Any, size: int, token: str
    ) -> ing.ListQuarantinedRowsResponse:
        if self.empty:
            return ing.ListQuarantinedRowsResponse()
        answer = ing.ListQuarantinedRowsResponse(total_size=3, next_page_token="next+page")
        for number, (id_, line) in enumerate(self.held.items()):
            answer.rows.add(
                name=f"{AIR}/quarantine/{id_}",
                line=number + 9,
                field="" if "ragged" in id_ else "pm2_5",
                reason="a-new-reason" if number else "type",
                detail='"1000x" is not a number',
                original_text=line,
                state=state,
                replay_run=f"{DEPARTMENT}/runs/{RUN}" if id_ in self.again else "",
            )
        return answer

    async def export(self, name: str, of_run: str, form: Any) -> AsyncIterator[bytes]:
        if form != ing.EXPORT_FORM_REPAIR:
            yield b"station,pm\r\n"
            yield b"A,\xd4\xbc\r\n"
            return
        text = "\ufeffplaza_row,plaza_reason,plaza_detail,plaza_record,station,pm2_5\r\n"
        text += "".join(f"{id_},type,no,{cells}\r\n" for id_, cells in self.sheet.items())
        data = text.encode()
        for start in range(0, len(data), 7):
            yield data[start : start + 7]

    async def repair(self, row: str, values: dict[str, str], request_id: str) -> ing.Run:
        self._refuse()
        self.repaired.append((row.rpartition("/")[2], values))
        return run(runs_pb2.RUN_STATE_QUEUED)

    async def replay(self, name: str, upload: str, request_id: str) -> ing.Run:
        self._refuse()
        self.replayed.append(upload)
        return run(runs_pb2.RUN_STATE_QUEUED)

    async def discard(self, row: str, reason: str) -> ing.QuarantinedRow:
        self._refuse()
        self.discarded.append((row.rpartition("/")[2], reason))
        return ing.QuarantinedRow()

    async def update(self, changed: cat.Dataset, fields: tuple[str, ...]) -> cat.Dataset:
        self._refuse()
        self.updated.append((changed, fields))
        return changed

    async def history(self, name: str) -> list[cat.MetadataVersion]:
        made = []
        for number, author, fields in ((3, "高山", ["description"]), (2, "林清源", ["licence", "odd"])):
            one = cat.MetadataVersion(version=number, author=author, changed_fields=fields)
            one.create_time.FromJsonString(f"2026-11-2{number}T01:00:00Z")
            made.append(one)
        return made

    async def differences(self, name: str, older: int, newer: int) -> cat.DiffMetadataVersionsResponse:
        self.compared.append((older, newer))
        answer = cat.DiffMetadataVersionsResponse(from_version=older or newer - 1, to_version=newer)
        answer.differences.add(field="description", old_value="", new_value=HOSTILE)
        answer.differences.add(field="contract.fields.pm2_5.unit", old_value="mg", new_value="μg")
        return answer

    async def restore(self, version: str, etag: str) -> cat.Dataset:
        self._refuse()
        self.restored.append((version, etag))
        return dataset()

    async def releases(self, name: str) -> list[opn.Release]:
        return [opn.Release(release=1, version=1, state=opn.RELEASE_STATE_FAILED, error="disk full")]

    async def release(self, name: str, number: int, request_id: str) -> opn.Release:
        self._refuse()
        return opn.Release(release=2)


@pytest.fixture
def city() -> City:
    return City()


@pytest.fixture
async def http(city: City) -> AsyncIterator[httpx.AsyncClient]:
    sessions = Sessions(Seal(bytes(32)), None)  # type: ignore[arg-type]  # no token ends here
    app = FastAPI()
    app.include_router(
        console_router(Site(LocalText("云汀市")), lambda: sessions, lambda: None, city)  # type: ignore[arg-type, return-value]
    )
    response = Response()
    sessions.write(response, SESSION_OF_TESTS, {}, secure=False)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE, headers={"origin": BASE}) as client:
        for line in response.headers.getlist("set-cookie"):
            client.cookies.set(*line.partition(";")[0].split("=", 1))
        yield client


async def page(http: httpx.AsyncClient, path: str, language: str = "en", status: int = 200) -> str:
    answer = await http.get(
        path if "lang=" in path else f"{path}{'&' if '?' in path else '?'}lang={language}"
    )
    assert answer.status_code == status, answer.text[:2000]
    assert_page(answer)
    return answer.text


def assert_page(answer: httpx.Response) -> None:
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["cache-control"] == "no-store"
    text = answer.text
    assert "<script>" not in text
    assert "49" not in re.findall(r"alert\(1\).{0,20}", text)
    assert not re.search(r"\s(?:style|on\w+)=", text)
    assert text.count("<h1") == 1
    assert "the access token" not in text
    for hidden in re.findall(r"<form[^>]*method=\"post\"[^>]*>(.*?)</form>", text, re.S):
        assert 'name="csrf"' in hidden or 'name="theme"' in hidden
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for target in re.findall(r'(?:for|aria-describedby)="([^"]+)"', text):
        assert set(target.split()) - {"hq"} <= set(ids), target


PAGES = {
    "/console/": ("空气质量", "4 things"),
    "/console/datasets": ("1 个数据集", "1 dataset"),
    "/console/datasets/air": ("2 个版本", "2 versions"),
    "/console/datasets/air/load": ("再接入一个文件", "Load a further file"),
    "/console/datasets/air/quarantine": ("3 行在隔离区", "3 rows in quarantine"),
    "/console/datasets/air/quarantine?state=discarded": ("3 行已放弃", "3 rows were given up"),
    f"/console/datasets/air/quarantine?replay={RUN}": ("1,200 行已进入版本 2", "1,200 rows are in version 2"),
    "/console/datasets/air/edit": ("修改目录信息", "Edit the directory entry"),
    "/console/datasets/air/history": ("目录信息共 3 版", "3 versions of the directory entry"),
    "/console/register": ("从文件登记数据集", "Register a dataset from a file"),
    f"/console/runs/{RUN}": ("1,200 行已进入版本 2", "1,200 rows are in version 2"),
}


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_in_both_languages(http: httpx.AsyncClient, path: str) -> None:
    chinese, english = PAGES[path]
    assert chinese in await page(http, path, "zh-CN")
    text = await page(http, path, "en")
    assert re.search(english, text)
    assert '<html lang="en"' in text
    assert "Ecology Bureau" in text


@pytest.mark.parametrize(
    "path", ["/console/", "/console/datasets/air", "/console/register", f"/console/runs/{RUN}", "/console/x"]
)
async def test_strangers_see_no_page(http: httpx.AsyncClient, city: City, path: str) -> None:
    http.cookies.clear()
    answer = await http.get(path)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("/console/login?next=%2Fconsole%2F")
    assert city.tokens == []
    http.cookies.set(SESSION, "forged")
    assert (await http.get(path)).status_code == 302
    assert (await http.get(f"/console/runs/{RUN}/events")).status_code == 401


async def test_the_services_are_asked_with_the_persons_own_token(http: httpx.AsyncClient, city: City) -> None:
    await page(http, "/console/datasets")
    assert city.tokens == ["the access token"]


@pytest.mark.parametrize("origin", [None, "https://evil.test", "null", "http://console.test.evil.test"])
async def test_no_form_of_another_place(http: httpx.AsyncClient, city: City, origin: str | None) -> None:
    del http.headers["origin"]
    if origin is not None:
        http.headers["origin"] = origin
    answer = await http.post(
        "/console/datasets/air/release", data={"csrf": SESSION_OF_TESTS.csrf, "request_id": ""}
    )
    assert answer.status_code == 403
    assert city.tokens == []


async def test_no_form_of_another_session(http: httpx.AsyncClient, city: City) -> None:
    for form in ({}, {"csrf": ""}, {"csrf": Session.new(SESSION_OF_TESTS.tokens).csrf}):
        for path in ("/console/datasets/air/release", "/console/logout", f"/console/register/{RUN}"):
            assert (await http.post(path, data=form)).status_code == 403
        sent = await http.post(
            "/console/register", data=form or {"x": "y"}, files={"file": ("a.csv", b"a\n1\n")}
        )
        assert sent.status_code == 403
    assert city.uploaded == {}
    assert city.registered == []


async def test_an_empty_department_is_told_what_to_do(http: httpx.AsyncClient, city: City) -> None:
    city.empty = True
    text = await page(http, "/console/")
    assert "No dataset yet" in text
    assert 'href="/console/register"' in text
    city.departments = ()
    assert "You belong to no department yet" in await page(http, "/console/", status=403)


async def test_what_waits_is_sorted_and_leads_somewhere(http: httpx.AsyncClient, city: City) -> None:
    city.state = runs_pb2.RUN_STATE_FAILED
    text = await page(http, "/console/")
    assert "5 things wait for you, 2 first" in text
    links = re.findall(r'class="inbox__title"><a href="([^"]+)"', text)
    air = "/console/datasets/air"
    assert links == [
        f"/console/runs/{RUN}",
        f"{air}#releases",
        f"{air}#versions",
        f"{air}/quarantine",
        f"{air}#releases",
    ]
    assert "&lt;script&gt;" in text


async def test_versions_stand_beside_the_one_before(http: httpx.AsyncClient) -> None:
    text = await page(http, "/console/datasets/air")
    assert "+200" in text
    assert "−5.5" in text


async def test_search_in_the_department(http: httpx.AsyncClient) -> None:
    assert "1 dataset for “QUALITY”" in await page(http, "/console/datasets?q=QUALITY&lang=en")
    assert "Nothing found" in await page(http, "/console/datasets?q=nothing&lang=en")


async def test_gates_that_refuse_are_named(http: httpx.AsyncClient, city: City) -> None:
    city.refusal = Problem(
        400,
        "GATES_NOT_PASSED",
        "no",
        facts={"gates": "licence"},
        errors=(Complaint("body", "licence", "the dataset has no licence"),),
    )
    form = {"csrf": SESSION_OF_TESTS.csrf, "request_id": ""}
    answer = await http.post("/console/datasets/air/release?lang=zh-CN", data=form)
    assert answer.status_code == 400
    assert_page(answer)
    assert "没有开放" in answer.text
    assert "请先填写许可协议" in answer.text
    city.refusal = None
    went = await http.post("/console/datasets/air/release", data=form)
    assert (went.status_code, went.headers["location"]) == (303, "/console/datasets/air#releases")


async def test_a_file_goes_in_as_it_comes(http: httpx.AsyncClient, city: City) -> None:
    content = bytes(range(256)) * 9000
    answer = await http.post(
        "/console/datasets/air/load",
        data={"csrf": SESSION_OF_TESTS.csrf},
        files={"file": ("C:\\数据\\air.csv", content)},
    )
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/runs/{RUN}")
    assert city.uploaded == {"air.csv": content}
    assert city.ingested == [AIR]


async def test_the_same_file_again_is_told_kindly(http: httpx.AsyncClient, city: City) -> None:
    facts = {"run": f"{DEPARTMENT}/runs/{RUN}", "version": "2"}
    city.refusal = Problem(409, "ALREADY_INGESTED", "again", facts=facts)
    answer = await http.post(
        "/console/datasets/air/load?lang=en",
        data={"csrf": SESSION_OF_TESTS.csrf},
        files={"file": ("air.csv", b"x")},
    )
    assert answer.status_code == 409
    assert "This file is in already" in answer.text
    assert f'href="/console/runs/{RUN}"' in answer.text


async def test_a_form_without_a_file_says_so(http: httpx.AsyncClient) -> None:
    boundary = "xx"
    for body in (
        f'--xx\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{SESSION_OF_TESTS.csrf}\r\n--xx--\r\n',
        f'--xx\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{SESSION_OF_TESTS.csrf}\r\n'
        '--xx\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\n\r\n--xx--\r\n',
    ):
        answer = await http.post(
            "/console/register?lang=en",
            content=body.encode(),
            headers={"content-type": f"multipart/form-data; boundary={boundary}"},
        )
        assert answer.status_code == 400
        assert "Choose a file" in answer.text


async def test_a_file_that_is_cut_off_is_not_taken(http: httpx.AsyncClient, city: City) -> None:
    body = (
        f'--xx\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{SESSION_OF_TESTS.csrf}\r\n'
        '--xx\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\na,b\n1,'
    )
    answer = await http.post(
        "/console/register",
        content=body.encode(),
        headers={"content-type": "multipart/form-data; boundary=xx"},
    )
    assert answer.status_code == 400
    assert city.uploaded == {}


# The contract editor


Form = dict[str, str]


def filled(text: str) -> Form:
    """What a browser would send of the editor as it stands."""
    form: Form = {}
    (editor,) = re.findall(rf'<form method="post" action="/console/register/{RUN}".*?</form>', text, re.S)
    for tag in re.findall(r"<input[^>]*>", editor):
        at = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if at.get("type") != "checkbox" or " checked" in tag:
            form[at["name"]] = unescape(at.get("value", ""))
    for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', editor, re.S):
        form[name] = re.findall(r'<option value="([^"]*)" selected', options)[0]
    return form


async def test_a_proposal_that_is_confirmed_unchanged_is_registered_unchanged(
    http: httpx.AsyncClient, city: City
) -> None:
    city.inferred = True
    form = filled(await page(http, f"/console/register/{RUN}"))
    form |= {"grade": "internal", "sharing": "conditional", "condition": "为了公共安全"}
    answer = await http.post(f"/console/register/{RUN}", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/runs/{RUN}")
    ((dataset_id, made),) = city.registered
    assert (dataset_id, made.display_name, made.format) == ("air-hourly", "air-hourly", "CSV")
    assert made.contract == inference().proposal.contract
    assert made.city_level == grades_pb2.CITY_LEVEL_INTERNAL
    assert getattr(made.sharing, "class") == grades_pb2.SHARING_CLASS_CONDITIONAL
    assert city.ingested == [f"{DEPARTMENT}/datasets/air-hourly"]


async def test_corrections_reach_steps_rules_and_key(http: httpx.AsyncClient, city: City) -> None:
    city.inferred = True
    form = filled(await page(http, f"/console/register/{RUN}"))
    form |= {
        "f0.name": "station",
        "f0.title": "站点",
        "f0.type": "string",
        "f0.missing": "-|无",
        "f3.name": "dag",
        "f2.key": "on",
        "missing": "NA",
        "opened": "on",
    }
    del form["f0.required"]
    await http.post(f"/console/register/{RUN}", data=form)
    ((_, made),) = city.registered
    contract = made.contract
    first = contract.fields[0]
    assert (first.name, first.title, first.source_name) == ("station", "站点", "站点")
    assert (first.type, first.required) == (contract_pb2.FIELD_TYPE_STRING, False)
    assert list(first.missing_values) == ["-", "无"]
    assert list(contract.key) == ["at", "station", "month"]
    assert contract.steps[0].build_timestamp.day == "dag"
    assert list(contract.rules[0].unique.fields) == ["station", "at"]
    assert (contract.format.delimiter, list(contract.format.missing_values)) == (";", ["NA"])
    assert made.opening.allowed
    # What nobody chose stays undeclared: the services refuse it, not the console.
    assert made.city_level == grades_pb2.CITY_LEVEL_UNSPECIFIED


async def test_what_is_refused_is_said_at_the_field(http: httpx.AsyncClient, city: City) -> None:
    city.inferred = True
    form = filled(await page(http, f"/console/register/{RUN}"))
    city.refusal = Problem(
        400,
        "INVALID",
        "no",
        errors=(
            Complaint("body", "dataset.city_level", "is missing"),
            Complaint("body", "dataset.contract.fields[1].name", "occurs <b>twice</b>"),
            Complaint("body", "dataset.contract.rules[0]", "odd"),
        ),
    )
    answer = await http.post(
        f"/console/register/{RUN}?lang=en", data=form | {"f1.name": "Wrong", "grade": ""}
    )
    assert answer.status_code == 400
    assert "Choose a grade" in answer.text
    assert 'href="#f1.name"' in answer.text
    assert "occurs &lt;b&gt;twice" in answer.text
    assert filled(answer.text)["f1.name"] == "Wrong"
    assert re.search(r'id="f1\.name"[^>]*aria-invalid="true"', answer.text)


async def test_reasons_are_said_in_the_readers_language(http: httpx.AsyncClient, city: City) -> None:
    city.inferred = True
    text = await page(http, f"/console/register/{RUN}", "zh-CN")
    assert "每一行都有值" in text
    assert '<span lang="en">an odd reason</span>' in text


# Runs


async def test_a_run_under_way_works_without_script(http: httpx.AsyncClient, city: City) -> None:
    city.state = runs_pb2.RUN_STATE_RUNNING
    text = await page(http, f"/console/runs/{RUN}")
    assert '<noscript><meta http-equiv="refresh"' in text
    assert 'value="500"' in text
    city.state = runs_pb2.RUN_STATE_FAILED
    ended = await page(http, f"/console/runs/{RUN}")
    assert "<noscript>" not in ended
    assert "mend the file" in ended


async def test_progress_comes_as_events(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"/console/runs/{RUN}/events", params={"lang": "zh-CN"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line for line in answer.text.split("\n\n") if line]
    assert len(events) == 2
    assert "正在读取" in events[0]
    assert '"ended":true' in events[1]


async def test_an_inference_that_ended_leads_to_the_editor(http: httpx.AsyncClient, city: City) -> None:
    city.inferred = True
    answer = await http.get(f"/console/runs/{RUN}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/register/{RUN}")


async def test_quarantine_pages_and_its_export(http: httpx.AsyncClient) -> None:
    text = await page(http, f"/console/datasets/air/quarantine?run={RUN}&lang=en")
    assert f"run={RUN}&amp;page=next%2Bpage&amp;from=3" in text
    assert "Rows 1–2 of 3" in text
    assert "a-new-reason" in text
    answer = await http.get("/console/datasets/air/quarantine/export")
    assert answer.content == b"station,pm\r\nA,\xd4\xbc\r\n"
    assert "attachment" in answer.headers["content-disposition"]


@pytest.mark.parametrize("status", [400, 403, 404, 409, 429, 500, 503])
@pytest.mark.parametrize("language", list(Language))
async def test_what_services_refuse_is_a_page(
    http: httpx.AsyncClient, city: City, status: int, language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> cat.Dataset:
        raise Problem(status, "NO", HOSTILE, remedy="ask")

    monkeypatch.setattr(city, "dataset", refuse)
    assert "ask" in await page(http, "/console/datasets/air/load", language, status)


async def test_a_token_that_is_refused_ends_the_session(
    http: httpx.AsyncClient, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse() -> sec.Caller:
        raise Problem(401, "DENIED", "left")

    monkeypatch.setattr(city, "caller", refuse)
    answer = await http.get("/console/")
    assert answer.status_code == 302
    assert f"{cookies.name_of(SESSION, secure=False)}=" in answer.headers["set-cookie"]
    assert "Max-Age=0" in answer.headers["set-cookie"]


# Rows to repair


CELL = f"c.{ROW}."


async def repair_form(http: httpx.AsyncClient, language: str = "en") -> tuple[str, Form]:
    """The page and what a browser would send of its table as it stands."""
    text = await page(http, "/console/datasets/air/quarantine", language)
    (table,) = re.findall(
        r'<form method="post" action="/console/datasets/air/quarantine".*?</form>', text, re.S
    )
    form: Form = {}
    for tag in re.findall(r"<input[^>]*>", table):
        at = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if at.get("type") != "checkbox":
            form[at["name"]] = unescape(at.get("value", ""))
    return text, form


async def save(http: httpx.AsyncClient, form: Form, **changes: str) -> httpx.Response:
    return await http.post("/console/datasets/air/quarantine?lang=en", data=form | {"do": "all"} | changes)


async def test_refused_rows_are_a_table_of_cells(http: httpx.AsyncClient) -> None:
    text, form = await repair_form(http, "zh-CN")
    assert form[f"{CELL}0"] == 'say "A"'
    assert form[f"{CELL}1"] == "1000x"
    # The torn record was split for the officer, and says so.
    assert form[f"c.{RAGGED}.0"] == "B"
    assert "请逐格核对" in text
    assert re.search(rf'name="{re.escape(CELL)}1"[^>]*aria-invalid="true"[^>]*aria-describedby="d-', text)
    assert "不是数" in text


async def test_one_changed_row_is_repaired_by_its_cells(http: httpx.AsyncClient, city: City) -> None:
    _, form = await repair_form(http)
    answer = await save(http, form, **{f"{CELL}1": "100"})
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"/console/datasets/air/quarantine?replay={RUN}",
    )
    assert city.repaired == [(ROW, {"pm2_5": "100"})]
    assert city.replayed == []


async def test_several_changed_rows_are_one_run(http: httpx.AsyncClient, city: City) -> None:
    _, form = await repair_form(http)
    await save(http, form, **{f"{CELL}1": "100", f"c.{RAGGED}.1": "7"})
    assert city.repaired == []
    assert city.replayed == [UPLOAD]
    sent = city.uploaded["repair-2-rows.csv"].decode()
    assert sent == f'plaza_row,station,pm2_5\r\n{ROW},"say ""A""",100\r\n{RAGGED},B,7\r\n'


async def test_a_row_can_be_handed_back_as_it_stands(http: httpx.AsyncClient, city: City) -> None:
    _, form = await repair_form(http)
    await save(http, form, do=f"one:{RAGGED}")
    await save(http, form, do=f"one:{ROW}")
    assert city.repaired == [(RAGGED, {"station": "B"}), (ROW, {"station": 'say "A"'})]


async def test_what_is_refused_again_keeps_what_was_written(http: httpx.AsyncClient, city: City) -> None:
    city.refused, city.again = 1, {ROW}
    _, form = await repair_form(http)
    answer = await save(http, form, **{f"{CELL}1": "12 or so"})
    assert answer.status_code == 200
    assert_page(answer)
    assert "3 rows still do not fit" in answer.text
    assert "Refused again" in answer.text
    assert 'value="12 or so"' in answer.text


async def test_nothing_changed_and_changed_columns_are_told(http: httpx.AsyncClient, city: City) -> None:
    _, form = await repair_form(http)
    answer = await save(http, form)
    assert (answer.status_code, "correct a cell first" in answer.text) == (400, True)
    answer = await save(http, form, mark="0123456789abcdef", **{f"{CELL}1": "100"})
    assert (answer.status_code, "The columns changed" in answer.text) == (409, True)
    assert 'value="100"' in answer.text
    assert city.repaired == []


async def test_a_correction_that_was_tried_before_leads_to_that_run(
    http: httpx.AsyncClient, city: City
) -> None:
    _, form = await repair_form(http)
    facts = {"run": f"{DEPARTMENT}/runs/{RUN}"}
    city.refusal = Problem(409, "ALREADY_INGESTED", "again", facts=facts)
    answer = await save(http, form, **{f"{CELL}1": "100"})
    assert answer.headers["location"] == f"/console/datasets/air/quarantine?replay={RUN}"
    city.refusal = Problem(400, "ROW_NOT_HELD", "it was replayed")
    answer = await save(http, form, **{f"{CELL}1": "100"})
    assert (answer.status_code, "it was replayed" in answer.text) == (400, True)


async def test_rows_are_given_up_with_a_reason(http: httpx.AsyncClient, city: City) -> None:
    _, form = await repair_form(http)
    answer = await save(http, form, do="discard", reason="test rows")
    assert (answer.status_code, "Tick the rows" in answer.text) == (400, True)
    answer = await save(http, form, do="discard", reason=" ", **{f"p.{ROW}": "on"})
    assert (answer.status_code, "Enter the reason" in answer.text) == (400, True)
    assert re.search(rf'name="p\.{ROW}"[^>]* checked', answer.text)
    assert city.discarded == []
    answer = await save(http, form, do="discard", reason="test rows", **{f"p.{ROW}": "on"})
    assert answer.status_code == 303
    assert city.discarded == [(ROW, "test rows")]


async def test_a_repaired_spreadsheet_is_replayed(http: httpx.AsyncClient, city: City) -> None:
    path = "/console/datasets/air/quarantine"
    sheet = await http.get(f"{path}/export?form=repair")
    assert sheet.text.startswith("\ufeffplaza_row,")
    answer = await http.post(
        f"{path}/replay", data={"csrf": SESSION_OF_TESTS.csrf}, files={"file": ("mended.csv", sheet.content)}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?replay={RUN}")
    assert city.uploaded == {"mended.csv": sheet.content}
    assert city.replayed == [UPLOAD]


async def test_a_correction_under_way_is_watched(http: httpx.AsyncClient, city: City) -> None:
    city.state = runs_pb2.RUN_STATE_RUNNING
    text = await page(http, f"/console/datasets/air/quarantine?replay={RUN}")
    assert f'data-run="/console/runs/{RUN}/events"' in text
    assert '<noscript><meta http-equiv="refresh"' in text


# Loads


async def test_how_a_file_is_loaded_is_chosen(http: httpx.AsyncClient, city: City) -> None:
    text = await page(http, "/console/datasets/air/load")
    assert 'value="append" checked' in text
    for mode, wanted in (("replace", ing.LOAD_MODE_REPLACE), ("odd", ing.LOAD_MODE_APPEND)):
        await http.post(
            "/console/datasets/air/load",
            data={"csrf": SESSION_OF_TESTS.csrf, "mode": mode},
            files={"file": ("air.csv", b"x")},
        )
        assert city.modes[-1] == (wanted, "", UPLOAD)


async def test_the_same_file_once_more_needs_a_reason(http: httpx.AsyncClient, city: City) -> None:
    city.refusal = Problem(409, "ALREADY_INGESTED", "again", facts={"version": "2"})
    answer = await http.post(
        "/console/datasets/air/load?lang=en",
        data={"csrf": SESSION_OF_TESTS.csrf, "mode": "upsert"},
        files={"file": ("air.csv", b"x")},
    )
    assert_page(answer)
    (again,) = re.findall(r'<form[^>]*action="/console/datasets/air/load/again".*?</form>', answer.text, re.S)
    form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', again))
    assert (form["upload"], form["mode"]) == (UPLOAD, "upsert")
    city.refusal = None
    answer = await http.post("/console/datasets/air/load/again?lang=en", data=form | {"reason": " "})
    assert (answer.status_code, "Enter the reason" in answer.text) == (400, True)
    answer = await http.post("/console/datasets/air/load/again", data=form | {"reason": "table was emptied"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/runs/{RUN}")
    assert city.modes == [(ing.LOAD_MODE_UPSERT, "table was emptied", UPLOAD)]


async def test_a_run_is_cancelled(http: httpx.AsyncClient, city: City) -> None:
    city.state = runs_pb2.RUN_STATE_RUNNING
    assert f'action="/console/runs/{RUN}/cancel"' in await page(http, f"/console/runs/{RUN}")
    form = {"csrf": SESSION_OF_TESTS.csrf}
    answer = await http.post(f"/console/runs/{RUN}/cancel", data=form)
    assert (answer.status_code, city.cancelled) == (303, [f"{DEPARTMENT}/runs/{RUN}"])
    city.refusal = Problem(400, "ILLEGAL_TRANSITION", "it is being committed")
    assert (await http.post(f"/console/runs/{RUN}/cancel", data=form)).status_code == 303
    city.state = runs_pb2.RUN_STATE_COMMITTING
    assert "/cancel" not in await page(http, f"/console/runs/{RUN}")


# The directory entry


async def edit_form(http: httpx.AsyncClient) -> Form:
    text = await page(http, "/console/datasets/air/edit")
    form = dict(re.findall(r'<input[^>]*name="([\w.]+)" value="([^"]*)"', text))
    form |= dict(re.findall(r'<textarea[^>]*name="(\w+)"[^>]*>\n(.*?)</textarea>', text, re.S))
    form |= dict(re.findall(r'<select[^>]*name="(\w+)".*?value="(\w+)" selected', text))
    return {name: unescape(value) for name, value in form.items() if name not in ("theme", "q", "next")}


async def test_only_what_was_changed_is_changed(http: httpx.AsyncClient, city: City) -> None:
    form = await edit_form(http)
    answer = await http.post("/console/datasets/air/edit", data=form)
    assert (answer.status_code, city.updated) == (303, [])
    await http.post(
        "/console/datasets/air/edit", data=form | {"keywords": "空气\r\n 监测 \r\n空气", "cycle": "daily"}
    )
    ((changed, fields),) = city.updated
    assert sorted(fields) == ["keywords", "update_cycle"]
    assert (changed.name, changed.etag, list(changed.keywords)) == (AIR, "e3", ["空气", "监测"])
    assert changed.update_cycle == cat.UPDATE_CYCLE_DAILY


async def test_a_colleagues_change_is_shown_and_not_overwritten(http: httpx.AsyncClient, city: City) -> None:
    form = await edit_form(http)
    # The colleague wrote another English name and another abstract since this form was opened.
    mine = form | {
        "etag": "e2",
        "seen": "2",
        "was.display_name_en": "Air",
        "display_name_en": "Air in town",
        "was.description": "old",
        "description": "old",
    }
    city.refusal = Problem(409, "ETAG_MISMATCH", "changed since")
    answer = await http.post("/console/datasets/air/edit?lang=en", data=mine)
    assert answer.status_code == 409
    assert_page(answer)
    assert "高山 changed this in the meantime" in answer.text
    assert 'name="display_name_en" value="Air in town"' in answer.text
    assert re.search(r'id="display_name_en-theirs">A colleague wrote: <b>Air quality</b>', answer.text)
    assert 'id="description-theirs"' not in answer.text
    assert 'name="etag" value="e3"' in answer.text
    assert 'name="was.display_name_en" value="Air quality"' in answer.text
    assert "&lt;script&gt;" in answer.text


async def test_what_the_catalogue_refuses_is_said_at_the_field(http: httpx.AsyncClient, city: City) -> None:
    form = await edit_form(http)
    errors = (
        Complaint("body", "dataset.display_name", "too short"),
        Complaint("body", "dataset.keywords[3]", "long"),
    )
    city.refusal = Problem(400, "INVALID_REQUEST", "no", errors=errors)
    answer = await http.post("/console/datasets/air/edit?lang=en", data=form | {"display_name": ""})
    assert answer.status_code == 400
    assert 'href="#display_name"' in answer.text
    assert 'id="keywords-error"' in answer.text


async def test_old_versions_are_compared_and_brought_back(http: httpx.AsyncClient, city: City) -> None:
    text = await page(http, "/console/datasets/air/history?from=1&version=3")
    assert city.compared == [(1, 3)]
    assert "contract.fields.pm2_5.unit" in text
    assert "&lt;script&gt;" in text
    form = {"csrf": SESSION_OF_TESTS.csrf, "etag": "e3"}
    answer = await http.post("/console/datasets/air/history/2/restore", data=form)
    assert answer.status_code == 303
    assert city.restored == [(f"{AIR}/metadataVersions/2", "e3")]
    city.refusal = Problem(409, "ETAG_MISMATCH", "changed since")
    answer = await http.post("/console/datasets/air/history/2/restore?lang=en", data=form)
    assert (answer.status_code, "Not brought back" in answer.text) == (409, True)


# Several departments


async def test_somebody_of_two_departments_chooses(http: httpx.AsyncClient, city: City) -> None:
    city.departments = (DEPARTMENT, "departments/health")
    text = await page(http, "/console/register")
    assert '<option value="ecology" selected>' in text
    form = {"csrf": SESSION_OF_TESTS.csrf, "department": "health"}
    answer = await http.post("/console/department", data=form)
    assert answer.headers["location"] == "/console/"
    assert '<option value="health" selected>' in await page(http, "/console/register")
    answer = await http.post("/console/department", data=form | {"department": "market"})
    assert answer.status_code == 403
    # A cookie gives nobody a department.
    http.cookies.delete("department")
    http.cookies.set("department", "market")
    assert '<option value="ecology" selected>' in await page(http, "/console/register")


async def test_a_field_is_left_out_and_rules_are_made(http: httpx.AsyncClient, city: City) -> None:
    city.inferred = True
    form = filled(await page(http, f"/console/register/{RUN}"))
    form |= {"f1.out": "on", "f4.out": "on", "f2.min": "1", "f2.max": "12", "f0.nulls": "5"}
    await http.post(f"/console/register/{RUN}", data=form)
    ((_, made),) = city.registered
    assert [each.name for each in made.contract.fields] == ["field_1", "month", "day"]
    assert list(made.contract.key) == ["field_1"]
    # The step filled a field that is gone; so did the rule about it.
    assert len(made.contract.steps) == 0
    rules = {rule.id: rule for rule in made.contract.rules}
    assert set(rules) == {"month-range", "field_1-null-share"}
    assert (rules["month-range"].range.minimum, rules["month-range"].range.maximum) == (1, 12)
    assert rules["field_1-null-share"].threshold_percent == 95
    city.refusal = Problem(
        400, "BAD_CONTRACT", "no", errors=(Complaint("body", "dataset.contract.fields[1].name", "odd"),)
    )
    answer = await http.post(f"/console/register/{RUN}?lang=en", data=form | {"f3.min": "low"})
    assert (answer.status_code, 'href="#f3.min"' in answer.text) == (400, True)
    answer = await http.post(f"/console/register/{RUN}?lang=en", data=form)
    # The second field that was sent is the third of the form.
    assert 'href="#f2.name"' in answer.text
