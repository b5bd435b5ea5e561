"""The console's pages of quality, work orders and health reports."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import httpx
import pytest
from plaza.quality.v1 import work_orders_pb2 as wo
from plaza_gateway.console import quality_charts
from plaza_gateway.console.quality_rules import FORMS, KINDS, kind_of
from plaza_gateway.console.quality_view import assessment_view, working_days_left
from plaza_gateway.transcode.problems import Problem
from plaza_testing.console import DEPARTMENT, HOSTILE, SESSION_OF_TESTS, assert_page, browser, page, sent
from quality_specimen import KINDS as EVERY_KIND
from quality_specimen import LONG, ORDER, ORDER_PAGE, REPORT, QualityTown, assessment, order, said

CSRF = {"csrf": SESSION_OF_TESTS.csrf}
QUALITY = "/console/datasets/air/quality"
FILE = f"/console/reports/{REPORT}/file"


@pytest.fixture
def town() -> QualityTown:
    return QualityTown()


@pytest.fixture
async def here(town: QualityTown) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(town) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "chinese", "english"),
    [
        ("/console/quality", "本部门得分 95.5，红", "Your department scores 95.5, red"),
        (QUALITY, "39 条规则，3 条没有达到", "39 rules, 3 not met"),
        (f"{QUALITY}?version=1", "版本 1", "version 1"),
        ("/console/orders", "6 件工单，1 件逾期", "6 work orders, 1 overdue"),
        (ORDER_PAGE, "逾期", "late"),
        ("/console/reports", "3 份数据健康报告", "3 data health reports"),
    ],
)
async def test_pages_of_quality_in_both_languages(
    here: httpx.AsyncClient, path: str, chinese: str, english: str
) -> None:
    assert chinese in await page(here, path, "zh-CN")
    assert english in await page(here, path)


@pytest.mark.parametrize("path", ["/console/quality", QUALITY, "/console/orders", "/console/reports"])
async def test_nothing_is_a_page_too(here: httpx.AsyncClient, town: QualityTown, path: str) -> None:
    town.empty = True
    town.pending = True
    await page(here, path)


async def test_a_version_without_rules_and_one_that_is_being_assessed(
    here: httpx.AsyncClient, town: QualityTown
) -> None:
    town.rules = 0
    text = await page(here, QUALITY)
    assert "No score" in text
    assert "No rule judged a row" in text
    town.pending = True
    assert "Version 2 is being assessed" in await page(here, QUALITY)
    await page(here, f"{QUALITY}?version=99", status=404)


async def test_every_kind_of_rule_has_its_words(here: httpx.AsyncClient) -> None:
    made = assessment()
    told = [kind_of(each.rule) for each in made.rules]
    assert {each[0] for each in told if each is not None} == set(KINDS)
    assert {each[1].get("form") for each in told if each is not None} - {None} == set(FORMS)
    text = await page(here, QUALITY)
    assert "A kind that this console does not know yet" not in text
    assert len(re.findall(r'<tr id="rule-', text)) == len(EVERY_KIND)
    assert "n only falls, in the order of time" in text


async def test_a_score_is_shown_with_what_it_is_made_of(here: httpx.AsyncClient) -> None:
    view = assessment_view(assessment())
    judged = [rule for rule in view.rules if rule.rate is not None]
    assert view.weights == sum(rule.weight for rule in judged)
    assert [rule.met for rule in view.rules[:4]] == [False, False, False, True]
    text = await page(here, QUALITY)
    assert f"÷ {view.weights:.2f}" in text
    assert "2 rules that are not met stop this version" in text
    assert "Accuracy 84.9 makes the whole red" in text
    assert "sex/2003" in text
    assert "This version lacks" in text
    assert 'href="/console/orders?dataset=air"' in text
    assert "plaza rows ecology/air --as-of 2 --where 'verdict = fail' --verdicts" in text


async def test_the_board_is_sorted_by_its_columns(here: httpx.AsyncClient) -> None:
    for sort, first in (
        ("score", "transport"),
        ("department", "ecology"),
        ("orders", "transport"),
        ("odd", "transport"),
    ):
        text = await page(here, f"/console/quality?sort={sort}")
        rows = re.findall(r'table__why mono">(ecology|transport|gone)<', text)
        assert rows[0] == first
        assert text.count("aria-sort") == 1


async def test_work_orders_are_narrowed(here: httpx.AsyncClient, town: QualityTown) -> None:
    async def found(query: str) -> int:
        return (await page(here, f"/console/orders?{query}")).count('class="inbox__title"')

    assert await found("") == 6
    assert await found("mine=on") == 1
    assert await found("late=on") == 1
    assert await found("state=reopened") == 1
    assert await found("dataset=water") == 0
    assert await found("state=closed") == 1
    assert await found("state=odd&of=-") == 6
    # Only those who oversee the city ask for others.
    assert {parent for parent, _, _ in town.asked_orders} == {DEPARTMENT}
    town.roles = ("city-administrator",)
    assert await found("of=-") == 6
    assert await found("of=transport") == 6
    assert [parent for parent, _, _ in town.asked_orders][-2:] == ["departments/-", "departments/transport"]
    await page(here, "/console/orders?of=../x", status=404)


async def test_a_deadline_counts_working_days(here: httpx.AsyncClient) -> None:
    # From Friday 20 November: the weekend does not count.
    friday = date(2026, 11, 20)
    assert working_days_left(friday, date(2026, 11, 23)) == 1
    assert working_days_left(friday, friday) == 0
    assert working_days_left(friday, date(2026, 12, 4)) == 10
    assert "Provisional" in await page(here, "/console/orders")


async def test_a_work_order_is_taken_answered_and_remarked_on(
    here: httpx.AsyncClient, town: QualityTown
) -> None:
    text = await page(here, ORDER_PAGE)
    form = sent(text, f"{ORDER_PAGE}/accept")
    assert (await here.post(f"{ORDER_PAGE}/accept", data=form)).headers["location"] == ORDER_PAGE
    # The form of answers has a button for each of its two addresses.
    assert f'formaction="{ORDER_PAGE}/answer"' in text
    more = {**CSRF, "etag": "e1", "seen": "1", "request_id": "r", "text": " 传感器已换 "}
    for action in ("answer", "comment"):
        assert (await here.post(f"{ORDER_PAGE}/{action}", data=more)).status_code == 303
    name = f"{DEPARTMENT}/workOrders/{ORDER}"
    assert town.done == [
        ("accept", name, "e1"),
        ("answer", "传感器已换", "e1"),
        ("comment", "传感器已换", "r"),
    ]
    answer = await here.post(f"{ORDER_PAGE}/answer?lang=en", data={**more, "text": ""})
    assert answer.status_code == 400
    assert_page(answer)
    assert 'id="text-error"' in answer.text


async def test_a_colleague_was_faster(here: httpx.AsyncClient, town: QualityTown) -> None:
    town.faster = True
    more = {**CSRF, "etag": "e0", "seen": "1", "text": HOSTILE}
    answer = await here.post(f"{ORDER_PAGE}/answer?lang=en", data=more)
    assert answer.status_code == 409
    assert_page(answer)
    alert = re.search(r'role="alert">(.*?)</div>', answer.text, re.S)
    assert alert
    # What they did stands there, what was before does not; what was written is still in its field.
    assert "gaoshan" in alert[1]
    assert "传感器已换" in alert[1]
    assert alert[1].count("<b>") == 1
    assert "alert(1)&lt;/script&gt;{{7*7}}</textarea>" in answer.text
    # By now it waits for the re-check: only a remark is possible.
    assert "formaction" in answer.text
    assert f'formaction="{ORDER_PAGE}/answer"' not in answer.text


async def test_who_may_only_look_sees_no_forms(here: httpx.AsyncClient, town: QualityTown) -> None:
    town.roles = ("auditor",)
    for path in (ORDER_PAGE, "/console/reports"):
        text = await page(here, path)
        assert "/accept" not in text
        assert 'name="month"' not in text
    town.there = said(order(wo.WORK_ORDER_STATE_CLOSED), "gaoshan", LONG, wo.WORK_ORDER_STATE_CLOSED)
    assert LONG in await page(here, ORDER_PAGE)
    await page(here, "/console/orders/ecology/odd", status=404)
    await page(here, f"/console/orders/ecology/{ORDER[:-1]}0", status=404)


async def test_health_reports_are_made_and_saved(here: httpx.AsyncClient, town: QualityTown) -> None:
    text = await page(here, "/console/reports")
    assert len(re.findall(r'href="/console/reports/[^"]+/file\?', text)) == 12
    form = sent(text, "/console/reports")
    assert (await here.post("/console/reports", data=form)).headers["location"] == "/console/reports"
    assert re.fullmatch("20[0-9]{2}-[0-9]{2}", form["month"])
    answer = await here.get(f"{FILE}?format=pdf&language=en")
    assert (answer.content, answer.headers["content-type"]) == (b"%PDF-1.7", "application/pdf")
    assert answer.headers["content-disposition"] == 'attachment; filename="health-ecology-000000b1-en.pdf"'
    assert answer.headers["cache-control"] == "no-store"
    name = f"{DEPARTMENT}/healthReports/{REPORT}"
    assert town.done == [("report", DEPARTMENT, form["month"]), ("file", name, "pdf", "en")]
    for wrong in (f"{FILE}?format=exe", f"{FILE}?language=fr", "/console/reports/x/file"):
        assert (await here.get(wrong)).status_code == 404


@pytest.mark.parametrize("month", ["", "2026-13", "2026-11"])
async def test_a_month_that_is_none_is_said_at_its_field(
    here: httpx.AsyncClient, town: QualityTown, month: str
) -> None:
    town.refusal = Problem(400, "MONTH_NOT_BEGUN", "2026-11 has not begun")
    answer = await here.post("/console/reports?lang=en", data={**CSRF, "month": month})
    assert answer.status_code == 400
    assert_page(answer)
    assert 'id="month-error"' in answer.text


async def test_the_citys_reports_are_for_those_who_oversee_it(
    here: httpx.AsyncClient, town: QualityTown
) -> None:
    await here.post("/console/reports", data={**CSRF, "month": "2026-11", "of": "city"})
    town.roles = ("city-administrator",)
    text = await page(here, "/console/reports?of=city")
    assert "&amp;of=city" in text.replace("&of", "&amp;of")
    answer = await here.post("/console/reports", data=sent(text, "/console/reports"))
    assert answer.headers["location"] == "/console/reports?of=city"
    assert (await here.get(f"{FILE}?of=city")).status_code == 200
    assert [each[1] for each in town.done] == [
        DEPARTMENT,
        "departments/-",
        f"departments/-/healthReports/{REPORT}",
    ]


def test_charts_leave_open_what_is_not_known() -> None:
    points: Any = [("1", 96.0), ("2", None), ("3", 80.0), ("4", 81.0)]
    made = quality_charts.line(points, 95, 340)
    assert made.path.count("M") == 2
    assert len(made.marks) == 3
    assert [tick for _, tick in made.ticks] == ["100", "90", "80", "70"]
    many = quality_charts.line([(str(n), 90.0) for n in range(50)], 95, 340)
    assert sum(bool(mark.label) for mark in many.marks) <= 5
    assert all(mark.x <= 340 for mark in many.marks)
