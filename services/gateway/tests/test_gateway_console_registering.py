"""The contract that an inference proposes, corrected and registered."""

from __future__ import annotations

import re

import httpx
from plaza.common.v1 import contract_pb2, grades_pb2
from plaza_gateway.transcode.problems import Complaint, Problem
from plaza_testing.console import (
    DEPARTMENT,
    RUN,
    City,
    Form,
    inference,
    page,
    sent,
)


def filled(text: str) -> Form:
    return sent(text, f"/console/register/{RUN}")


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
