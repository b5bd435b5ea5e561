"""Health reports: made by people and by the calendar, shown, listed, written as files."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

import uuid_utils.compat as uuid
from plaza.quality.v1 import reports_pb2 as pb
from plaza_kit import telemetry
from plaza_kit.db import Scope
from plaza_kit.db.jobs import defer_in
from plaza_kit.db.outbox import NewEvent
from plaza_kit.db.requests import is_first, made_by
from plaza_kit.errors import NotFound
from plaza_kit.identity import Principal, PrincipalKind
from plaza_kit.paging import Page
from plaza_kit.policy import Resource
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_quality.domain.health import MONTHS, Facts, digest, figures, profile_shown
from plaza_quality.domain.months import Month, MonthNotBegun, calendar_until
from plaza_quality.report import files
from plaza_quality.storage import health_facts, health_reports
from plaza_quality.usecases.ports import World

_log = telemetry.log("health-reports")

READ: Final = "health-report.read"
CREATE: Final = "health-report.create"
JOB: Final = "report"
MAX_ATTEMPTS: Final = 240
"""About four hours, mostly a minute apart."""
CITY: Final = "-"
CREATED: Final = "city.plaza.quality.health_report.created.v1"
_GRACE: Final = timedelta(hours=1)
"""After a month's end: what was loaded in its last minutes is assessed by then."""
_LOOK_SECONDS: Final = 600.0
_LAST: Final = ("9999-12", "ffffffff-ffff-ffff-ffff-ffffffffffff")
"""Behind every place in a list, which begins with the newest."""


class UnknownHealthReport(NotFound):
    """There is no such report, or not for this caller."""


class HealthReports:
    """Use cases of people and machines, and of the service itself."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def create(self, request: pb.CreateHealthReportRequest) -> pb.HealthReport:
        """Raises MonthNotBegun, RequestIdReused, NotPermitted, AioRpcError."""
        department = _department(request.parent)
        principal = self._world.policy.authorize(CREATE, Resource.of_department(department))
        scope = _scope(principal, department)
        async with self._world.database.transaction(scope) as connection:
            if request.request_id and (made := await made_by(connection, principal, request.request_id)):
                await is_first(connection, principal, request.request_id, request, (department, made))
                return await self._found(connection, made)
        author = principal.username if principal.kind is PrincipalKind.PERSON else ""
        month = Month.parse(request.health_report.month)
        report = await self._made(department, month, pb.HEALTH_REPORT_ORIGIN_ON_DEMAND, author)
        async with self._world.database.transaction(scope) as connection:
            place = (department, report.name)
            if not await is_first(connection, principal, request.request_id, request, place):
                made = await made_by(connection, principal, request.request_id)
                return await self._found(connection, made)
            await self._keep(connection, report, principal.name)
        self._world.outbox.wake()
        return report

    async def get(self, name: str) -> pb.HealthReport:
        """Raises UnknownHealthReport, NotPermitted."""
        department = _department(name)
        principal = self._world.policy.authorize(READ, Resource.of_department(department))
        async with self._world.database.transaction(_scope(principal, department)) as connection:
            return await self._found(connection, name)

    async def list(self, request: pb.ListHealthReportsRequest) -> pb.ListHealthReportsResponse:
        """Raises BadPageToken, NotPermitted."""
        department = _department(request.parent)
        principal = self._world.policy.authorize(READ, Resource.of_department(department))
        page = Page.of("health_reports", (request.parent,), request.page_size, request.page_token, _LAST)
        month, id_ = map(str, page.start)
        async with self._world.database.transaction(_scope(principal, department)) as connection:
            found = await health_reports.page(connection, department, (month, id_), page.size + 1)
        items, more = page.cut(found)
        token = page.token((items[-1].month, items[-1].name.rpartition("/")[2])) if more else ""
        return pb.ListHealthReportsResponse(health_reports=items, next_page_token=token)

    async def file(self, request: pb.DownloadHealthReportRequest) -> tuple[str, bytes]:
        """Media type and bytes: written anew from the numbers. Raises UnknownHealthReport, NotPermitted."""
        report = await self.get(request.name)
        return await asyncio.to_thread(files.written, report, request.format, request.language)

    async def make(self, department: str, month: str) -> None:
        """The job: a month's own report, once, however often it begins again. Raises AioRpcError."""
        scope = Scope.everything()
        async with self._world.database.transaction(scope) as connection:
            if await health_reports.has_monthly(connection, department, month):
                return
        report = await self._made(department, Month.parse(month), pb.HEALTH_REPORT_ORIGIN_MONTHLY, "")
        async with self._world.database.transaction(scope) as connection:
            await self._keep(connection, report, self._world.principal)
        self._world.outbox.wake()
        _log.info("health report made", department=department, month=month)

    async def watch(self) -> None:
        """For ever: when a month is over, each department's report and the city's are put into the queue."""
        while True:
            try:
                await self.look()
            except Exception as error:  # whatever it is, the next look may succeed
                _log.warning("cannot look at months", error=repr(error)[:300])
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> int:
        """Answers how many reports were put into the queue."""
        month = Month.of(self._world.now() - _GRACE, self._world.zone).plus(-1)
        async with self._world.database.transaction(Scope.everything()) as connection:
            taken = await health_reports.take_month(connection, str(month), month.end(self._world.zone))
            for department in taken:
                await defer_in(connection, JOB, {"department": department, "month": str(month)})
        return len(taken)

    async def _made(
        self, department: str, month: Month, origin: pb.HealthReportOrigin.ValueType, author: str
    ) -> pb.HealthReport:
        now, zone = self._world.now(), self._world.zone
        if month.begin(zone) >= now:
            raise MonthNotBegun(
                f"health_report.month: {month} has not begun",
                remedy=f"ask for {Month.of(now, zone)} or an earlier month",
                facts={"field": "health_report.month"},
            )
        as_of = min(now, month.end(zone))
        facts = await self._facts(department, month, as_of)
        until = calendar_until(as_of.astimezone(zone).date())
        shown = profile_shown(self._world.profile, self._world.ordering, until, zone.key)
        report = pb.HealthReport(
            name=f"departments/{department}/healthReports/{uuid.uuid7()}",
            month=str(month),
            origin=origin,
            author=author,
            figures=figures(facts, self._world.profile, shown),
        )
        report.figures_sha256 = digest(report.figures)
        report.light = report.figures.now.light
        if report.figures.now.HasField("score"):
            report.score = report.figures.now.score
        report.create_time.FromDatetime(now)
        report.as_of_time.FromDatetime(as_of)
        return report

    async def _facts(self, department: str, month: Month, as_of: datetime) -> Facts:
        zone = self._world.zone
        asked = "" if department == CITY else department
        spans = [
            (str(one), one.begin(zone), min(one.end(zone), as_of))
            for one in (month.plus(-back) for back in reversed(range(MONTHS)))
        ]
        async with self._world.database.transaction(Scope.everything()) as connection:
            now = await health_facts.assessed(connection, asked, as_of)
            before = await health_facts.assessed(connection, asked, month.begin(zone))
            months = await health_facts.months(connection, asked, spans, zone.key)
            orders = await health_facts.active_orders(connection, asked, as_of)
        names = await self._world.catalogue.names(department)
        return Facts(department, now, before, months, orders, names)

    async def _keep(self, connection: AsyncConnection, report: pb.HealthReport, principal: str) -> None:
        if not await health_reports.insert(connection, report):
            return
        data: dict[str, object] = {
            "month": report.month,
            "figures_sha256": report.figures_sha256,
            "score": format(report.score, ".4f") if report.HasField("score") else "",
        }
        await self._world.outbox.write(connection, NewEvent(CREATED, report.name, data, principal))

    async def _found(self, connection: AsyncConnection, name: str) -> pb.HealthReport:
        _, department, _, id_ = name.split("/")
        found = await health_reports.find(connection, department, id_)
        if found is None:
            raise UnknownHealthReport(f"there is no {name}", remedy="list the health reports")
        return found


def _department(name: str) -> str:
    """Of the validated forms `departments/{d}` and `departments/{d}/healthReports/{id}`."""
    return name.split("/")[1]


def _scope(principal: Principal, department: str) -> Scope:
    """The city's reports are no department's: whoever may see them sees all."""
    return Scope.everything() if department == CITY else Scope.of(principal)
