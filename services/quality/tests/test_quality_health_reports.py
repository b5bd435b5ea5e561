"""Health reports: their numbers against plain reckoning, made once by the calendar, on demand by people."""

from __future__ import annotations

import asyncio
import sys
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import mean
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from plaza.common.v1 import grades_pb2
from plaza.quality.v1 import reports_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.db.requests import RequestIdReused
from plaza_kit.identity import Principal
from plaza_kit.policy import NotPermitted
from plaza_kit.rpc.context import caller, set_caller
from plaza_quality.domain.health import digest, figures, profile_shown
from plaza_quality.domain.months import Month, MonthNotBegun, calendar_until
from plaza_quality.domain.scores import LightProfile
from plaza_quality.domain.work_orders import WorkOrderProfile
from plaza_quality.rpc.reports import HealthReportServicer
from plaza_quality.usecases.health_reports import HealthReports, UnknownHealthReport
from plaza_quality.usecases.ports import World
from plaza_testing.callers import machine, person
from sqlalchemy import text

sys.path.append(str(Path(__file__).parent))
from health_specimen import LONG, facts, report

RPC = cast(Any, None)
Quality = Any
"""The fixture's class lives in conftest, which tests do not import."""
CITY_ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 12, 1, 2, tzinfo=CITY_ZONE)
"""Two hours after November's end."""


def cut(value: Decimal) -> float:
    return int(value * 10**4) / 10**4


def test_numbers_are_those_of_plain_reckoning() -> None:
    given = facts("-")
    made = report(given).figures
    scored = [each for each in given.now if each.score is not None]
    assert made.now.score == cut(mean([Decimal(each.score or 0) for each in scored]))
    assert made.now.datasets == len(scored) == made.now.green + made.now.yellow + made.now.red
    assert made.now.without_score == 1
    # Each department by itself, and together the same.
    assert sum(each.now.datasets for each in made.departments) == len(scored)
    assert sum(each.intake.rows_added for each in made.departments) == made.intake.rows_added
    assert sum(each.work_orders.active for each in made.departments) == made.work_orders.active
    assert [each.score for each in made.worst] == sorted(float(each.score or 0) for each in scored)[:10]
    worst = next(each for each in made.worst if each.dataset.endswith("/permits"))
    assert (worst.worst_rule, worst.worst_rule_failed, worst.rules_not_met) == (LONG, 2662, 1)
    assert (worst.score_before, worst.work_orders) == (97.9, 2)
    assert (worst.weakest, worst.weakest_score) == (grades_pb2.DIMENSION_ACCURACY, 81.9)
    moves = [round(each.score - each.score_before, 4) for each in made.changed]
    assert moves == [-13.0, 19.0, 5.2623]
    accuracy = made.now.dimensions[0]
    assert accuracy.passed == 17_633 * len(scored)
    assert accuracy.rules_not_met == sum(each.light != "green" for each in scored)
    last = made.trend[-1]
    assert (last.score, last.green, last.yellow, last.red) == (
        made.now.score,
        made.now.green,
        made.now.yellow,
        made.now.red,
    )
    assert not made.trend[0].HasField("score")


def test_a_weak_dimension_makes_a_department_red() -> None:
    given = facts()
    assert report(given).figures.now.light == grades_pb2.LIGHT_YELLOW
    weak = [each for each in given.now if each.name.endswith("/permits")]
    given = type(given)("ecology", weak, [], given.months, {}, {})
    made = figures(given, LightProfile(yellow_from=Decimal(80)), pb.HealthProfile())
    assert (made.now.score, made.now.light) == (84.9, grades_pb2.LIGHT_RED)


def test_a_profile_has_a_version_that_changes_with_its_values() -> None:
    one = profile_shown(LightProfile(), WorkOrderProfile(), 2026, "Asia/Shanghai")
    assert one == profile_shown(LightProfile(), WorkOrderProfile(), 2026, "Asia/Shanghai")
    other = profile_shown(LightProfile(green_from=Decimal(96)), WorkOrderProfile(), 2026, "Asia/Shanghai")
    assert one.version != other.version
    assert len(one.version) == 12


def test_months_are_the_citys() -> None:
    last = datetime(2026, 10, 31, 16, tzinfo=UTC)
    november = Month.of(last, CITY_ZONE)
    assert str(november) == "2026-11"
    assert november.begin(CITY_ZONE) == last
    assert str(Month.of(last - timedelta(microseconds=1), CITY_ZONE)) == "2026-10"
    assert [str(november.plus(n)) for n in (-11, 1, 2)] == ["2025-12", "2026-12", "2027-01"]
    assert november.end(CITY_ZONE) == Month.parse("2026-12").begin(CITY_ZONE)
    assert calendar_until(last.date()) in (2026, 2027)


def assessment(day: datetime, dataset: str, version: int, score: float | None, light: str) -> dict[str, Any]:
    return {"dataset": dataset, "version": version, "score": score, "light": light, "time": day}


async def keep(quality: Quality, department: str, *made: dict[str, Any]) -> None:
    """Versions with their assessments and one rule, an hour after they came."""
    async with quality.world.database.transaction(Scope.everything()) as connection:
        for each in made:
            values = each | {"department": department, "came": each["time"] - timedelta(hours=1)}
            for statement in (
                "INSERT INTO versions VALUES (:department, :dataset, :version, :came, 100 * :version, :version)",
                "INSERT INTO assessments (department, dataset, version, contract_version, rows, rules, score,"
                " light, create_time) VALUES (:department, :dataset, :version, 1, 100, 1, :score, :light, :time)",
            ):
                await connection.execute(text(statement), values)
            if each["score"] is not None:
                for statement in (
                    "INSERT INTO dimension_scores VALUES (:department, :dataset, :version, 0, 'validity', :score)",
                    "INSERT INTO rule_results (department, dataset, version, position, rule, passed, failed,"
                    " not_applicable, pass_rate, met, absent_fields) VALUES (:department, :dataset, :version, 0,"
                    ' \'{"id": "r", "title": "x", "dimension": "DIMENSION_VALIDITY", "thresholdPercent": 95.5}\','
                    " CAST(:score AS int), 100 - CAST(:score AS int), 0, :score, :score >= 95.5, '{}')",
                ):
                    await connection.execute(text(statement), values)


async def order(
    quality: Quality, department: str, dataset: str, due: str, *entries: tuple[str, datetime]
) -> None:
    """A work order with what happened to it; `said …` are remarks."""
    async with quality.world.database.transaction(Scope.everything()) as connection:
        id_ = str(uuid.uuid4())
        last = [state for state, _ in entries if not state.startswith("said ")][-1]
        values = {"id": id_, "department": department, "dataset": dataset, "begun": entries[0][1]}
        await connection.execute(
            text(
                "INSERT INTO work_orders (id, department, dataset, dimension, state, opened_by_version,"
                " judged_version, score, target, failed_rules, due_date, due_provisional, working_days, due_from,"
                " create_time, update_time) VALUES (:id, :department, :dataset, 'validity', :state, 1, 1, 50, 95,"
                " '[]', CAST(:due AS date), false, 10, :begun, :begun, :begun)"
            ),
            values | {"state": last, "due": due},
        )
        for position, (state, moment) in enumerate(entries):
            said = state.startswith("said ")
            await connection.execute(
                text(
                    "INSERT INTO work_order_history VALUES (:id, :position, :department, :moment, 'people/x',"
                    " :username, :state, :said, :version, null)"
                ),
                {
                    "id": id_,
                    "position": position,
                    "department": department,
                    "moment": moment,
                    "username": "x" if said else "",
                    "state": state.removeprefix("said "),
                    "said": "a remark" if said else "",
                    "version": 0 if said or state == "escalated" else position + 1,
                },
            )


def at(day: int, month: int = 11, hour: int = 12) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=CITY_ZONE)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "now", lambda self: NOW.astimezone(UTC))


@pytest.fixture
async def department(quality: Quality, now: None) -> str:
    """One with two datasets and two work orders."""
    name = f"d{uuid.uuid4().hex[:12]}"
    await keep(
        quality,
        name,
        assessment(at(31, 10, 23), "a", 1, 90, "yellow"),
        assessment(at(1, 11, 0), "a", 2, 97, "green"),
        assessment(at(30, 11, 23), "a", 3, 60, "red"),
        assessment(at(1, 12, 1), "a", 4, 100, "green"),
        assessment(at(5), "b", 1, 80, "red"),
        assessment(at(6), "c", 1, None, ""),
    )
    await order(
        quality, name, "a", "2026-11-10", ("open", at(20, 10)), ("said open", at(2)), ("escalated", at(11))
    )
    await order(quality, name, "b", "2026-12-30", ("open", at(5)), ("closed", at(9)), ("said closed", at(10)))
    await order(quality, name, "b", "2026-12-30", ("open", at(12)), ("closed", at(13)), ("reopened", at(14)))
    return name


def servicer(quality: Quality) -> HealthReportServicer:
    return HealthReportServicer(HealthReports(quality.world))


async def made_by_hand(
    quality: Quality, department: str, month: str = "2026-11", **more: Any
) -> pb.HealthReport:
    request = pb.CreateHealthReportRequest(
        parent=f"departments/{department}", health_report=pb.HealthReport(month=month), **more
    )
    return await servicer(quality).CreateHealthReport(request, RPC)


@pytest.mark.integration
async def test_a_report_tells_what_is_stored(quality: Quality, department: str) -> None:
    quality.be("data-officer", department)
    made = await made_by_hand(quality, department)
    found = made.figures
    assert (made.month, made.score, made.light) == ("2026-11", 70, grades_pb2.LIGHT_RED)
    assert made.as_of_time.ToDatetime(tzinfo=UTC) == datetime(2026, 11, 30, 16, tzinfo=UTC)
    # What was assessed at 00:00 of the first day in the city is November's, an hour before it is October's.
    assert (found.before.score, found.before.datasets) == (90, 1)
    assert (found.now.datasets, found.now.red, found.now.without_score) == (2, 2, 1)
    assert [each.dataset.rpartition("/")[2] for each in found.worst] == ["a", "b"]
    assert (found.worst[0].names.display_name, found.worst[0].version) == ("空气", 3)
    assert (found.worst[0].worst_rule, found.worst[0].worst_rule_failed) == ("x", 40)
    assert [round(each.score - each.score_before) for each in found.changed] == [-30]
    # The version of 1 November came at 23:00 of 31 October.
    assert (found.intake.versions, found.intake.rows_added, found.intake.rows_refused) == (3, 500, 5)
    assert (found.intake_before.versions, found.intake_before.rows_added) == (2, 300)
    orders = found.work_orders
    assert (orders.opened, orders.reopened, orders.closed, orders.escalated) == (2, 1, 2, 1)
    assert (orders.active, orders.overdue, found.work_orders_before.active) == (2, 1, 1)
    assert [each.month for each in found.trend][-2:] == ["2026-10", "2026-11"]
    assert [each.score for each in found.trend][-2:] == [90, 70]
    assert made.figures_sha256 == digest(found)


@pytest.mark.integration
async def test_a_report_is_shown_again_as_it_was(quality: Quality, department: str) -> None:
    quality.be("data-officer", department)
    request_id = str(uuid.uuid4())
    made = await made_by_hand(quality, department, request_id=request_id)
    await keep(quality, department, assessment(at(15), "late", 1, 0, "red"))
    assert await made_by_hand(quality, department, request_id=request_id) == made
    with pytest.raises(RequestIdReused):
        await made_by_hand(quality, department, "2026-10", request_id=request_id)
    api = servicer(quality)
    assert await api.GetHealthReport(pb.GetHealthReportRequest(name=made.name), RPC) == made
    again = await made_by_hand(quality, department)
    assert again.figures_sha256 != made.figures_sha256
    listed = pb.ListHealthReportsRequest(parent=f"departments/{department}", page_size=1)
    page = await api.ListHealthReports(listed, RPC)
    assert [each.name for each in page.health_reports] == [again.name]
    assert not page.health_reports[0].HasField("figures")
    listed.page_token = page.next_page_token
    page = await api.ListHealthReports(listed, RPC)
    assert [(each.name, each.score) for each in page.health_reports] == [(made.name, made.score)]
    assert page.next_page_token == ""
    for format_, begin in (("pdf", b"%PDF-"), ("html", b"\n<!doctype"), ("", b"%PDF-")):
        wanted = pb.DownloadHealthReportRequest(name=made.name, format=format_, language="en")
        pieces = [piece async for piece in api.DownloadHealthReport(wanted, RPC)]
        assert b"".join(piece.data for piece in pieces).lstrip().startswith(begin.strip())
        assert {piece.content_type.split(";")[0] for piece in pieces} == {
            "text/html" if format_ == "html" else "application/pdf"
        }
    events = await told(quality, department)
    assert [(each["month"], each["score"]) for each in events] == [
        ("2026-11", "70.0000"),
        ("2026-11", "46.6666"),
    ]


async def told(quality: Quality, department: str) -> list[dict[str, Any]]:
    async with quality.world.database.transaction(Scope.everything()) as connection:
        found = await connection.execute(
            text(
                "SELECT CAST(data AS jsonb) AS data FROM outbox WHERE type ="
                " 'city.plaza.quality.health_report.created.v1' AND subject LIKE :name ORDER BY seq"
            ),
            {"name": f"departments/{department}/%"},
        )
        return [row.data for row in found]


@pytest.mark.integration
async def test_who_may_see_what(quality: Quality, department: str, new_quality: Any) -> None:
    quality.be("data-officer", department)
    made = await made_by_hand(quality, department)
    quality.be("data-officer", "transport")
    api = servicer(quality)
    with pytest.raises(NotPermitted):
        await api.GetHealthReport(pb.GetHealthReportRequest(name=made.name), RPC)
    with pytest.raises(NotPermitted):
        await made_by_hand(quality, department)
    with pytest.raises(NotPermitted):
        await made_by_hand(quality, "-")
    # A name of one's own department does not open another's report.
    quality.be("data-officer", "transport")
    with pytest.raises(UnknownHealthReport):
        name = made.name.replace(department, "transport")
        await api.GetHealthReport(pb.GetHealthReportRequest(name=name), RPC)
    bureau = new_quality(Everywhere())
    set_caller(person("city-administrator"))
    city = await made_by_hand(bureau, "-")
    assert f"departments/{department}" in [each.department for each in city.figures.departments]
    set_caller(machine(department))
    assert (await made_by_hand(bureau, department)).author == ""


class Everywhere:
    """Everybody may do everything."""

    def authorize(self, action: str, resource: Any, facts: Any = None) -> Principal:
        return caller()


@pytest.mark.integration
async def test_a_month_that_has_not_begun_has_no_report(quality: Quality, department: str) -> None:
    quality.be("data-officer", department)
    with pytest.raises(MonthNotBegun, match="2027-01 has not begun"):
        await made_by_hand(quality, department, "2027-01")
    made = await made_by_hand(quality, department, "2026-12")
    assert made.as_of_time == made.create_time
    assert made.figures.worst[0].dataset.endswith("/b")


@pytest.mark.integration
async def test_the_month_s_own_report_is_made_once(quality: Quality, department: str) -> None:
    reports = HealthReports(quality.world)
    await reports.look()
    await reports.look()
    async with quality.world.database.transaction(Scope.everything()) as connection:
        found = await connection.execute(
            text(
                "SELECT args - 'traceparent' AS args FROM procrastinate_jobs WHERE task_name = 'report'"
                " AND args ->> 'department' IN (:department, '-') AND args ->> 'month' = '2026-11'"
            ),
            {"department": department},
        )
        jobs = sorted((row.args for row in found), key=lambda one: str(one["department"]))
    assert jobs == [{"department": one, "month": "2026-11"} for one in ("-", department)]
    # Cut off and begun again, by two processes at once.
    await asyncio.gather(*(reports.make(department, "2026-11") for _ in range(3)))
    quality.be("data-officer", department)
    listed = pb.ListHealthReportsRequest(parent=f"departments/{department}")
    page = await servicer(quality).ListHealthReports(listed, RPC)
    (made,) = page.health_reports
    assert (made.origin, made.author, made.month) == (pb.HEALTH_REPORT_ORIGIN_MONTHLY, "", "2026-11")
    assert len(await told(quality, department)) == 1
