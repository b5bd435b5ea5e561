"""The console over services that live in the test's process: what its tests see, send and look at."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import httpx
from fastapi import FastAPI
from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza.catalogue.v1 import code_lists_pb2 as codes
from plaza.common.v1 import contract_pb2, grades_pb2, runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as ing
from plaza.opendata.v1 import opendata_pb2 as opn
from plaza.security.v1 import security_pb2 as sec
from plaza_design.headers import CONTENT_SECURITY_POLICY
from plaza_design.i18n import LocalText
from plaza_gateway.console.desk import Load, Which
from plaza_gateway.console.issuer import Tokens
from plaza_gateway.console.routes import console_router
from plaza_gateway.console.sealing import Seal
from plaza_gateway.console.sessions import Session, Sessions
from plaza_gateway.portal.views import Site
from plaza_gateway.transcode.problems import Problem
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


def inference(*entries: str) -> ing.Run:
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
    made.proposal.entries[:] = entries
    return made


@dataclass
class City:
    """A `Desk` at services that hold one dataset."""

    empty: bool = False
    refusal: Problem | None = None
    state: Any = runs_pb2.RUN_STATE_SUCCEEDED
    inferred: bool = False
    entry: str | None = None
    """Of the archive that the last run read."""
    entries: tuple[str, ...] = ()
    departments: tuple[str, ...] = (DEPARTMENT,)
    tokens: list[str] = field(default_factory=list)
    uploaded: dict[str, bytes] = field(default_factory=dict)
    registered: list[tuple[str, cat.Dataset]] = field(default_factory=list)
    ingested: list[str] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    read: list[tuple[str, str]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    chosen: list[Which] = field(default_factory=list)
    exported: list[tuple[Which, Any]] = field(default_factory=list)
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
    kept: list[cat.Version] = field(default_factory=list)
    published: bool = False
    now: cat.Dataset = field(default_factory=lambda: dataset())
    documented: contract_pb2.Contract | None = None
    documents: list[str] = field(default_factory=list)
    looked_at: list[tuple[contract_pb2.Contract, str]] = field(default_factory=list)
    adopted: list[tuple[contract_pb2.Contract, str]] = field(default_factory=list)

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
        return self.now

    async def register(
        self, department: str, dataset_id: str, made: cat.Dataset, request_id: str
    ) -> cat.Dataset:
        self._refuse()
        self.registered.append((dataset_id, made))
        return cat.Dataset(name=f"{department}/datasets/{dataset_id}")

    async def versions(self, name: str) -> list[cat.Version]:
        if self.empty:
            return []
        return self.kept or [
            version(2, 1200, 91.5, grades_pb2.LIGHT_YELLOW),
            version(1, 1000, 97.0, grades_pb2.LIGHT_GREEN),
        ]

    async def runs(self, department: str, name: str = "") -> list[ing.Run]:
        return [] if self.empty else [await self.run(department)]

    async def run(self, name: str) -> ing.Run:
        made = inference(*self.entries) if self.inferred else run(self.state)
        if self.entry is not None:
            made.file_name, made.entry = "feed.zip", self.entry
        return made

    async def watch(self, name: str) -> AsyncIterator[ing.Run]:
        yield run(runs_pb2.RUN_STATE_RUNNING)
        ended = run()
        ended.progress.rows_refused = self.refused
        yield ended

    async def upload(self, department: str, file_name: str, pieces: AsyncIterator[bytes]) -> ing.Upload:
        self.uploaded[file_name] = b"".join([piece async for piece in pieces])
        return ing.Upload(name=UPLOAD)

    async def infer(self, upload: str, entry: str = "") -> ing.Run:
        self.read.append((upload, entry))
        return run(runs_pb2.RUN_STATE_QUEUED, ing.RUN_KIND_INFER)

    async def ingest(self, name: str, load: Load, request_id: str = "") -> ing.Run:
        self._refuse()
        self.ingested.append(name)
        self.loads.append(load)
        return run(runs_pb2.RUN_STATE_QUEUED)

    async def cancel(self, name: str) -> ing.Run:
        self._refuse()
        self.cancelled.append(name)
        return run(runs_pb2.RUN_STATE_CANCELLED)

    async def held_rows(self, department: str) -> dict[str, int]:
        return {} if self.empty else {one.name: 3 for one in await self.datasets(department)}

    async def quarantine(
        self, name: str, which: Which, size: int, token: str = ""
    ) -> ing.ListQuarantinedRowsResponse:
        self.chosen.append(which)
        if self.empty:
            return ing.ListQuarantinedRowsResponse()
        answer = ing.ListQuarantinedRowsResponse(total_size=3, next_page_token="next+page")  # noqa: S106  # no password
        for number, (id_, line) in enumerate(self.held.items()):
            answer.rows.add(
                name=f"{AIR}/quarantine/{id_}",
                line=number + 9,
                field="" if "ragged" in id_ else "pm2_5",
                reason="a-new-reason" if number else "type",
                detail='"1000x" is not a number',
                original_text=line,
                state=which.state,
                replay_run=f"{DEPARTMENT}/runs/{RUN}" if id_ in self.again else "",
            )
        return answer

    async def export(self, name: str, which: Which, form: Any) -> AsyncIterator[bytes]:
        self.exported.append((which, form))
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

    @property
    def contracts(self) -> City:
        """The desk for contracts is this one."""
        return self

    @property
    def standards(self) -> City:
        return self

    async def lists(self) -> list[codes.CodeList]:
        newest = codes.CodeListVersion(display_name="性别代码", display_name_en="Sex codes")
        return [codes.CodeList(name="codeLists/sex", latest_version=newest)]

    async def contract(self, name: str) -> cat.ContractVersion:
        return cat.ContractVersion(name=name, contract=dataset().contract)

    async def document(self, name: str) -> bytes:
        return b"apiVersion: v3.1.0\n"

    async def parsed(self, document: str) -> contract_pb2.Contract:
        self._refuse()
        self.documents.append(document)
        return self.documented or dataset().contract

    async def adopt(
        self,
        name: str,
        contract: contract_pb2.Contract,
        etag: str,
        request_id: str = "",
        *,
        look_only: bool = False,
    ) -> cat.AdoptContractResponse:
        self._refuse()
        (self.looked_at if look_only else self.adopted).append((contract, etag))
        return cat.AdoptContractResponse(validate_only=look_only)

    async def releases(self, name: str) -> list[opn.Release]:
        if self.published:
            return [opn.Release(release=1, version=1, state=opn.RELEASE_STATE_PUBLISHED)]
        return [opn.Release(release=1, version=1, state=opn.RELEASE_STATE_FAILED, error="disk full")]

    async def release(self, name: str, number: int, request_id: str) -> opn.Release:
        self._refuse()
        return opn.Release(release=2)


@asynccontextmanager
async def browser(city: City, portal: str | None = "") -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who is signed in at a console over these services."""
    sessions = Sessions(Seal(bytes(32)), None)  # type: ignore[arg-type]  # no token ends here
    app = FastAPI()
    app.include_router(
        console_router(Site(LocalText("云汀市")), lambda: sessions, lambda: None, city, portal=portal)  # type: ignore[arg-type, return-value]
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


Form = dict[str, str]


def sent(text: str, action: str) -> Form:
    """What a browser would send of the form with this address, as it stands, by none of its buttons."""
    form: Form = {}
    (found,) = re.findall(rf'<form[^>]* action="{action}".*?</form>', text, re.S)
    for tag in re.findall(r"<input[^>]*>", found):
        at = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if at.get("type") not in ("checkbox", "radio") or " checked" in tag:
            form[unescape(at["name"])] = unescape(at.get("value", ""))
    for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', found, re.S):
        chosen = re.findall(r'<option value="([^"]*)" selected', options)
        form[name] = unescape((chosen or re.findall(r'<option value="([^"]*)"', options))[0])
    for name, value in re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>\n(.*?)</textarea>', found, re.S):
        form[name] = unescape(value)
    return form
