"""Another contract for a dataset: changed in the browser, renewed by a file, read from a document."""

from __future__ import annotations

import re

import httpx
import pytest
from plaza.common.v1 import contract_pb2 as pb
from plaza_gateway.transcode.problems import Complaint, Problem
from plaza_testing.console import (
    HOSTILE,
    RUN,
    SESSION_OF_TESTS,
    City,
    Form,
    assert_page,
    dataset,
    page,
    sent,
)

HERE = "/console/datasets/air/contract"


async def editor(http: httpx.AsyncClient, path: str = HERE) -> Form:
    """The editor as a browser would send it."""
    return sent(await page(http, path), HERE)


async def send(http: httpx.AsyncClient, form: Form, do: str, **changes: str) -> httpx.Response:
    answer = await http.post(f"{HERE}?lang=en", data=form | {"do": do} | changes)
    if answer.status_code != 303:
        assert_page(answer)
    return answer


async def test_both_languages(http: httpx.AsyncClient) -> None:
    assert "修改合约" in await page(http, HERE, "zh-CN")
    assert "Change the contract" in await page(http, HERE)


async def test_what_nobody_touched_is_the_contract_in_force(http: httpx.AsyncClient, city: City) -> None:
    contract = city.now.contract
    # Tokens, codes and formats that the form cannot write are kept to the letter as well.
    contract.fields[1].missing_values.append("a|b")
    contract.format.missing_values.append("|")
    codes = contract.steps.add(name="codes").map_codes
    codes.field = "station"
    codes.codes.add(text=" a = b", code="x\ty")
    contract.steps.add().map_missing.tokens.extend(["|", "-"])
    contract.rules.add(id="odd", dimension=3, threshold_percent=99.9).not_null.field = "pm2_5"
    contract.rules.add(id="far", dimension=3, threshold_percent=100).range.CopyFrom(
        pb.RangeCheck(field="pm2_5", minimum=0.1)
    )
    answer = await send(http, await editor(http), "preview")
    assert (answer.status_code, "Nothing would change" in answer.text) == (200, True)
    ((looked_at, etag),) = city.looked_at
    assert (looked_at, etag) == (contract, "e3")
    assert 'value="adopt"' not in answer.text


async def test_a_field_is_added_looked_at_and_adopted(http: httpx.AsyncClient, city: City) -> None:
    form = sent((await send(http, await editor(http), "field.add")).text, HERE)
    form |= {"f2.name": "pm10", "f2.type": "number", "f2.code_list": "sex", "f2.source": "PM10"}
    form |= {"f1.unit": "mg/m³", "f1.min": "0", "f2.nulls": "5"}
    answer = await send(http, form, "preview")
    assert answer.status_code == 200
    assert "4 differences" in answer.text
    for text in (
        "pm10",
        "Rows that are there already have no value in it",
        "μg/m³",
        "mg/m³",
        "pm10-null-share",
    ):
        assert text in answer.text
    assert city.adopted == []
    look = sent(answer.text, HERE)
    # Back to the editor: nothing is lost.
    again = sent((await send(http, look, "edit")).text, HERE)
    assert {name: again[name] for name in form if name.startswith("f")} == {
        name: value for name, value in form.items() if name.startswith("f")
    }
    answer = await send(http, look, "adopt")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/datasets/air#fields")
    ((adopted, etag),) = city.adopted
    assert etag == "e3"
    assert adopted.fields[2] == pb.Field(
        name="pm10", source_name="PM10", type=pb.FIELD_TYPE_NUMBER, code_list="codeLists/sex"
    )
    assert adopted.fields[1].unit == "mg/m³"
    assert [rule.id for rule in adopted.rules] == ["pm2_5-range", "pm10-null-share"]


async def test_what_rows_cannot_follow_is_said_at_the_field(http: httpx.AsyncClient, city: City) -> None:
    form = await editor(http)
    city.refusal = Problem(
        400,
        "CONTRACT_CONFLICT",
        "no",
        errors=(
            Complaint("body", "contract.fields", "field station is missing"),
            Complaint("body", "contract.fields[0].type", "field pm2_5 is number, the new one would be <b>"),
        ),
    )
    answer = await send(http, form, "preview", **{"f0.out": "on", "f1.type": "string", "f1.title": HOSTILE})
    assert answer.status_code == 400
    for place in ("f0.out", "f1.type"):
        assert f'href="#{place}"' in answer.text
        assert f'id="{place}-error"' in answer.text
    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", answer.text, re.S)
    # Type and title of pm2_5, the field that goes; the key that loses it is not what the catalogue named.
    assert ["Not possible" in row for row in rows] == [True, False, True, False]
    assert "&lt;script&gt;" in answer.text
    assert sent(answer.text, HERE)["f1.title"] == HOSTILE
    assert city.looked_at == []


async def test_a_colleagues_contract_is_not_overwritten(http: httpx.AsyncClient, city: City) -> None:
    form = await editor(http) | {"f1.title": "细颗粒物"}
    city.now.contract_version, city.now.etag = 2, "e4"
    city.now.contract.fields[1].unit = "mg/m³"
    city.now.contract.fields.add(name="wind", type=pb.FIELD_TYPE_NUMBER)
    answer = await send(http, form, "adopt")
    assert (answer.status_code, city.adopted, city.looked_at) == (409, [], [])
    assert "Below is the newest contract with your changes" in answer.text
    both = sent(answer.text, HERE)
    assert (both["f1.title"], both["f1.unit"], both["f2.name"], both["seen"]) == (
        "细颗粒物",
        "mg/m³",
        "wind",
        "2",
    )
    answer = await send(http, both, "preview")
    assert (answer.status_code, "1 difference" in answer.text) == (200, True)
    assert [etag for _, etag in city.looked_at] == ["e4"]


async def test_the_same_adoption_twice_is_one(http: httpx.AsyncClient, city: City) -> None:
    look = sent((await send(http, await editor(http) | {"f1.title": "细颗粒物"}, "preview")).text, HERE)
    await send(http, look, "adopt")
    ((adopted, _),) = city.adopted
    city.now.contract.CopyFrom(adopted)
    city.now.contract_version = 2
    assert (await send(http, look, "adopt")).status_code == 303
    assert len(city.adopted) == 1


async def test_a_newer_file_brings_new_columns(http: httpx.AsyncClient, city: City) -> None:
    city.inferred = True
    text = await page(http, f"{HERE}?run={RUN}")
    # 站点 is the heading of another field than `station`; year, month and day are new; `at` is made by a step.
    assert "4 new columns in air-hourly.csv" in text
    assert text.count("Not in this file") == 2
    form = sent(text, HERE)
    assert [form[f"f{n}.name"] for n in range(6)] == ["station", "pm2_5", "field_1", "year", "month", "day"]
    assert "f2.required" not in form
    await send(http, form, "preview")
    ((looked_at, _),) = city.looked_at
    assert looked_at.fields[0] == dataset().contract.fields[0]
    assert (looked_at.fields[2].source_name, looked_at.format.delimiter) == ("站点", ";")


async def test_rules_of_a_field_without_a_name_wait_for_it(http: httpx.AsyncClient, city: City) -> None:
    form = sent((await send(http, await editor(http), "field.add")).text, HERE)
    form |= {"f2.type": "number", "f2.min": "0", "f1.max": "1"}
    form = sent((await send(http, form, "step.add", new_step="trim", **{"f2.name": "PM 10"})).text, HERE)
    assert form["f2.min"] == "0"
    await send(http, form, "preview", **{"f2.name": "pm10"})
    rules = city.looked_at[-1][0].rules
    assert {(rule.id, rule.range.field) for rule in rules} == {
        ("pm2_5-range", "pm2_5"),
        ("pm10-range", "pm10"),
    }


async def test_a_dataset_without_a_contract_gets_the_files(http: httpx.AsyncClient, city: City) -> None:
    city.now.ClearField("contract")
    city.now.contract_version = 0
    city.inferred = True
    form = sent(await page(http, f"{HERE}?run={RUN}"), HERE)
    assert (form["f0.name"], form["f0.required"], form["seen"]) == ("field_1", "on", "0")
    city.now.contract.CopyFrom(dataset().contract)
    city.now.contract_version = 1
    answer = await send(http, form, "preview")
    assert answer.status_code == 409
    assert {"station", "field_1"} <= set(sent(answer.text, HERE).values())


async def test_a_newer_file_is_read_for_this_dataset(http: httpx.AsyncClient, city: City) -> None:
    file = {"file": ("new.csv", b"a\n1\n")}
    answer = await http.post(f"{HERE}/infer", data={"csrf": SESSION_OF_TESTS.csrf}, files=file)
    assert answer.headers["location"] == f"/console/runs/{RUN}?contract=air"
    city.inferred = True
    answer = await http.get(f"/console/runs/{RUN}?contract=air")
    assert answer.headers["location"] == f"{HERE}?run={RUN}"
    answer = await http.get(f"/console/runs/{RUN}?contract=//evil.test")
    assert answer.headers["location"] == f"/console/register/{RUN}"


async def test_a_document_is_compared_and_handed_on(http: httpx.AsyncClient, city: City) -> None:
    text = await page(http, HERE)
    assert f'href="{HERE}/document" download' in text
    answer = await http.get(f"{HERE}/document")
    assert (answer.content, "air.odcs.yaml" in answer.headers["content-disposition"]) == (
        b"apiVersion: v3.1.0\n",
        True,
    )
    city.documented = dataset().contract
    city.documented.fields[1].title = "细颗粒物"
    answer = await post_document(http, "﻿x: 1".encode())
    assert (answer.status_code, "1 difference" in answer.text) == (200, True)
    assert city.documents == ["x: 1"]
    await send(http, sent(answer.text, HERE), "adopt")
    assert city.adopted == [(city.documented, "e3")]


async def test_a_document_that_cannot_be_read_is_told(http: httpx.AsyncClient, city: City) -> None:
    answer = await post_document(http, b"\xff")
    assert (answer.status_code, "byte 0 of the document is not UTF-8" in answer.text) == (400, True)
    answer = await post_document(http, b"x" * (1024 * 1024 + 1))
    assert (answer.status_code, "at most 1048576 bytes" in answer.text) == (413, True)
    answer = await post_document(http, b"", "")
    assert (answer.status_code, "Choose a document" in answer.text) == (400, True)
    city.refusal = Problem(400, "BAD_DOCUMENT", "no", errors=(Complaint("body", "schema[0]", "is <i>odd"),))
    answer = await post_document(http, b"x: 1")
    assert (answer.status_code, "schema[0]: is &lt;i&gt;odd" in answer.text) == (400, True)


async def post_document(http: httpx.AsyncClient, content: bytes, name: str = "a.yaml") -> httpx.Response:
    answer = await http.post(
        f"{HERE}/document?lang=en", data={"csrf": SESSION_OF_TESTS.csrf}, files={"file": (name, content)}
    )
    assert_page(answer)
    return answer


@pytest.mark.parametrize("base", ["", "no base64!", "AAAA", "_____w=="])
async def test_a_form_without_a_contract_is_about_the_one_in_force(
    http: httpx.AsyncClient, city: City, base: str
) -> None:
    await send(http, await editor(http), "preview", base=base)
    assert [contract for contract, _ in city.looked_at] == [dataset().contract]


async def test_who_may_not_adopt_loses_nothing(http: httpx.AsyncClient, city: City) -> None:
    form = await editor(http)
    city.refusal = Problem(403, "NOT_PERMITTED", "contract.adopt is not permitted", remedy="ask an officer")
    answer = await send(http, form, "preview", **{"f1.title": "kept"})
    assert (answer.status_code, "ask an officer" in answer.text) == (403, True)
    assert sent(answer.text, HERE)["f1.title"] == "kept"


# Steps


async def test_each_kind_of_step_is_added_filled_in_moved_and_removed(
    http: httpx.AsyncClient, city: City
) -> None:
    fields = city.now.contract.fields
    for name, type_ in (
        ("day", pb.FIELD_TYPE_DATE),
        ("y", pb.FIELD_TYPE_INTEGER),
        ("at", pb.FIELD_TYPE_TIMESTAMP),
        ("id", pb.FIELD_TYPE_STRING),
    ):
        fields.add(name=name, type=type_)
    form = await editor(http)
    kinds = (
        "keep_latest",
        "trim",
        "map_missing",
        "map_codes",
        "parse_time",
        "convert_unit",
        "build_timestamp",
        "build_key",
    )
    for kind in kinds:
        answer = await send(http, form, "step.add", new_step=kind)
        form = sent(answer.text, HERE)
    form |= {"s0.field": "day", "s1.in.0": "station", "s2.tokens": "NA|无", "s3.field": "station"}
    form |= {"s3.codes": "甲 = A\r\n\r\na=b\tc\r\nnone =\r\n", "s3.otherwise": "keep", "s3.name": "codes"}
    form |= {
        "s4.field": "day",
        "s4.formats": "%Y年%-m月%-d日\r\n%Y%m%d",
        "s5.field": "pm2_5",
        "s5.factor": "1000",
    }
    form |= {"s6.target": "at", "s6.year": "y", "s6.month": "y", "s6.day": "y", "s6.zone": "Asia/Shanghai"}
    form |= {"s7.target": "id", "s7.parts.0": "station", "s7.parts.2": "day", "s7.separator": "|"}
    form = sent((await send(http, form, "step.down:0")).text, HERE)
    form = sent((await send(http, form, "step.up:7")).text, HERE)
    form = sent((await send(http, form, "step.remove:3", **{"f0.name": "place"})).text, HERE)
    await send(http, form, "preview")
    steps = city.looked_at[-1][0].steps
    kinds_now = [step.WhichOneof("kind") for step in steps]
    assert kinds_now == [
        "trim",
        "keep_latest",
        "map_missing",
        "parse_time",
        "convert_unit",
        "build_key",
        "build_timestamp",
    ]
    assert list(steps[0].trim.fields) == ["place"]
    assert list(steps[2].map_missing.tokens) == ["NA", "无"]
    assert list(steps[3].parse_time.formats) == ["%Y年%-m月%-d日", "%Y%m%d"]
    assert steps[4].convert_unit == pb.ConvertUnit(field="pm2_5", factor="1000")
    assert list(steps[5].build_key.parts) == ["place", "day"]
    assert steps[6].build_timestamp.zone == "Asia/Shanghai"


async def test_codes_are_read_line_by_line(http: httpx.AsyncClient, city: City) -> None:
    city.now.contract.steps.add().map_codes.field = "station"
    form = await editor(http)
    lines = "甲 = A\r\n\r\na=b\tc\r\nnone =\r\nnothing"
    answer = await send(http, form, "preview", **{"s0.codes": lines})
    assert (answer.status_code, city.looked_at) == (400, [])
    assert "Lines without a sign between text and code: 5" in answer.text
    kept = sent(answer.text, HERE)
    assert kept["s0.codes"] == lines.replace("\r\n", "\n")
    await send(http, kept, "preview", **{"s0.codes": lines.removesuffix("\r\nnothing")})
    ((looked_at, _),) = city.looked_at
    assert [(each.text, each.code) for each in looked_at.steps[0].map_codes.codes] == [
        ("甲", "A"),
        ("a=b", "c"),
        ("none", ""),
    ]


async def test_what_a_step_lacks_is_said_at_its_place(http: httpx.AsyncClient, city: City) -> None:
    contract = city.now.contract
    contract.steps.add().trim.fields.append("station")
    contract.steps.add().map_codes.codes.add(text="a")
    contract.steps.add().build_key.parts.extend(["station", "pm2_5"])
    form = await editor(http)
    city.refusal = Problem(
        400,
        "INVALID",
        "no",
        errors=(
            # The first step was only about the field that is left out: it is not sent, and not counted.
            Complaint("body", "contract.steps[0].map_codes.codes[0].text", "no"),
            Complaint("body", "contract.steps[0].map_codes.field", "must be at least 1 characters"),
            Complaint("body", "contract.steps[1].build_key.parts[1]", "'pm2_5' must be a string"),
            Complaint("body", "contract.steps[1].name", "does not match regex pattern `x`"),
        ),
    )
    answer = await send(http, form, "preview", **{"f0.out": "on"})
    for place in ("s1.codes", "s1.field", "s2.parts.1", "s2.name"):
        assert f'href="#{place}"' in answer.text
        assert f'id="{place}-error"' in answer.text, place


async def test_steps_of_a_registration_too(http: httpx.AsyncClient, city: City) -> None:
    city.inferred = True
    there = f"/console/register/{RUN}"
    form = sent(await page(http, there), there) | {"new_step": "trim", "do": "step.add", "title": "kept"}
    answer = await http.post(f"{there}?lang=en", data=form)
    assert_page(answer)
    form = sent(answer.text, there)
    assert (form["title"], city.registered) == ("kept", [])
    await http.post(there, data=form | {"s1.in.0": "field_1"})
    ((_, made),) = city.registered
    assert [step.WhichOneof("kind") for step in made.contract.steps] == ["build_timestamp", "trim"]
    assert list(made.contract.steps[1].trim.fields) == ["field_1"]
