"""A city's quality for the console's pages: many rules or none, long names, red, late, provisional."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import ParseDict
from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza.common.v1 import contract_pb2, grades_pb2
from plaza.quality.v1 import quality_pb2 as qu
from plaza.quality.v1 import reports_pb2 as rep
from plaza.quality.v1 import scores_pb2 as sc
from plaza.quality.v1 import work_orders_pb2 as wo
from plaza.security.v1 import security_pb2 as sec
from plaza_gateway.transcode.problems import Complaint, Problem
from plaza_testing.console import AIR, DEPARTMENT, HOSTILE, City

ORDER = "01980000-0000-7000-8000-0000000000a1"
ORDER_PAGE = f"/console/orders/ecology/{ORDER}"
REPORT = "01980000-0000-7000-8000-0000000000b1"
LONG = "全市重点排污单位自动监测设备联网状态与小时均值校核修约结果汇总表（含区县上报与窗口录入）"
KINDS: tuple[dict[str, Any], ...] = (
    {"notNull": {"field": "pm2_5"}},
    {"range": {"field": "pm2_5", "minimum": 0, "maximum": 1000}},
    {"range": {"field": "pm2_5", "minimum": 0}},
    {"range": {"field": "pm2_5", "maximum": 1e12}},
    {"unique": {"fields": ["station", "time"]}},
    *({"format": {"field": "code", "format": name}} for name in contract_pb2.TextFormat.keys()[1:]),
    {"length": {"field": "code", "minimum": 1, "maximum": 18}},
    {"length": {"field": "code", "minimum": 1}},
    {"pattern": {"field": "code", "pattern": HOSTILE}},
    {"inList": {"field": "code", "values": ["a", "b"]}},
    {"inCodeList": {"field": "code", "codeList": "codeLists/sex/versions/2003"}},
    {"inCodeList": {"field": "code"}},
    {"compare": {"left": "pm2_5", "comparison": "COMPARISON_LESS_OR_EQUAL", "right": "pm10"}},
    {"conditional": {"when": 'state = "closed"', "then": "closed_at != null"}},
    {"conditional": {"then": "pm2_5 != null"}},
    {"referential": {"fields": ["station"], "dataset": "departments/ecology/datasets/stations"}},
    {"notFuture": {"field": "time"}},
    {"monotone": {"field": "n", "orderedBy": "time"}},
    {"monotone": {"field": "n", "orderedBy": "time", "falling": True}},
    {"freshness": {"field": "time"}},
    {"rowCount": {"minimum": "1"}},
    {"drift": {"field": "pm2_5", "limit": 0.25}},
    {"expression": {"expression": "pm2_5 <= pm10"}},
)
"""Every kind of rule."""


def assessment(version: int = 2, rules: int = len(KINDS)) -> qu.Assessment:
    """With so many rules; the first three are not met."""
    made = qu.Assessment(
        name=f"{AIR}/versions/{version}/assessment",
        version=version,
        contract_version=3,
        rows=1_443_636,
        score=95.5123,
        light=grades_pb2.LIGHT_RED,
        rows_passed=1_400_000,
        row_pass_rate=96.9773,
    )
    made.create_time.FromJsonString("2026-11-20T01:00:00Z")
    if not rules:
        made.ClearField("score")
        made.light = grades_pb2.LIGHT_UNSPECIFIED
        return made
    for number in range(rules):
        bad = number < 3
        result = made.rules.add(
            passed=84_900 if bad else 100_000,
            failed=15_100 if bad else 0,
            not_applicable=7,
            pass_rate=84.9 if bad else 100,
            met=not bad,
            indicator="0301",
        )
        rule: dict[str, Any] = {
            "id": f"rule-{number}",
            "title": HOSTILE
            if number == 0
            else LONG
            if number == 1
            else f"规则 {number}"
            if number % 5
            else "",
            "dimension": (number % 6) + 1,
            "thresholdPercent": 99.5,
            "weight": number % 3,
            "severity": (number % 3) + 1,
            "stopsSharing": number == 0,
            "stopsOpening": number < 2,
            **KINDS[number % len(KINDS)],
        }
        result.rule.CopyFrom(ParseDict(rule, contract_pb2.QualityRule()))
    made.rules[0].compared_with[:] = ["codeLists/sex/versions/2003", f"{AIR}/versions/1"]
    if rules > 5:
        made.rules[3].ClearField("pass_rate")
        made.rules[3].reason = "the list codeLists/x is not there"
        made.rules[4].ClearField("pass_rate")
        made.rules[4].absent_fields[:] = ["pm10"]
        made.rules[5].measure.CopyFrom(qu.Measure(value=26.5, unit="hours", maximum=24))
        made.broken_together.add(rules=["rule-0", "rule-1"], rows=12_000)
    made.indicators.add(indicator="0201", numerator=9, denominator=10, value=0.9, direction=1)
    made.indicators.add(indicator="0303", numerator=1, denominator=10, value=0.1, direction=2)
    for dimension, score in ((1, 84.9), (2, 95.8), (3, 93.6), (4, 100), (5, 99.9), (6, 98.7)):
        made.dimensions.add(dimension=dimension, score=score)  # type: ignore[arg-type]  # a number of the enum
    return made


def order(state: int = wo.WORK_ORDER_STATE_OPEN, **more: Any) -> wo.WorkOrder:
    """Late."""
    made = wo.WorkOrder(
        name=f"{DEPARTMENT}/workOrders/{ORDER}",
        dataset=AIR,
        dimension=grades_pb2.DIMENSION_ACCURACY,
        state=state,  # type: ignore[arg-type]  # a number of the enum
        opened_by_version=1,
        judged_version=2,
        score=84.9,
        target=95,
        due_date="2026-11-18",
        overdue=True,
        etag="e1",
    )
    made.failed_rules.add(
        id="rule-0", title=HOSTILE, failed=2662, judged=17_633, pass_rate=84.9, threshold=99.5
    )
    made.failed_rules.add(id="rule-1", title=LONG, failed=1, judged=2, pass_rate=50, threshold=99.5)
    made.create_time.FromJsonString("2026-11-04T00:02:00Z")
    opened = made.history.add(state=wo.WORK_ORDER_STATE_OPEN, version=1, score=84.9)
    opened.time.FromJsonString("2026-11-04T00:02:00Z")
    made.MergeFrom(wo.WorkOrder(**more))
    return made


def said(made: wo.WorkOrder, who: str, text: str, state: int) -> wo.WorkOrder:
    """The same, after somebody said something."""
    entry = made.history.add(username=who, text=text, state=state)  # type: ignore[arg-type]
    entry.time.FromJsonString("2026-11-05T01:40:00Z")
    return made


def orders() -> list[wo.WorkOrder]:
    """In every state."""
    made = [order()]
    for number, state in enumerate(wo.WorkOrderState.values()[2:]):
        one = order(state)
        one.name = f"{DEPARTMENT}/workOrders/{ORDER[:-1]}{number + 2}"
        one.overdue, one.due_provisional = False, number == 0
        one.due_date = f"2026-12-0{number + 1}" if number else "2027-01-04"
        one.dimension = number % 6 + 1  # type: ignore[assignment]  # a number of the enum
        if number == 0:
            one.assignee = "ecology-officer"
        if state == wo.WORK_ORDER_STATE_CLOSED:
            one.close_time.FromJsonString("2026-11-20T00:02:00Z")
        made.append(one)
    return made


def score(department: str, value: float | None, light: int, **more: int) -> sc.Score:
    made = sc.Score(name=f"departments/{department}/score", light=light, **more)  # type: ignore[arg-type]
    if value is not None:
        made.score = value
    return made


@dataclass
class QualityTown(City):
    """Services with a dataset that is red."""

    roles: tuple[str, ...] = ("data-officer",)
    rules: int = len(KINDS)
    pending: bool = False
    there: wo.WorkOrder = field(default_factory=lambda: order())
    faster: bool = False
    """A colleague was."""
    asked_orders: list[tuple[str, str, bool]] = field(default_factory=list)
    done: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def quality(self) -> QualityTown:
        return self

    async def held_rows(self, department: str) -> dict[str, int]:
        return {}

    async def caller(self) -> sec.Caller:
        return sec.Caller(
            username="ecology-officer", display_name="林清源", departments=self.departments, roles=self.roles
        )

    async def department(self, name: str) -> cat.Department:
        if name == DEPARTMENT:
            return cat.Department(name=name, display_name="生态环境局", display_name_en="Ecology Bureau")
        if name.endswith("gone"):
            raise Problem(404, "NOT_FOUND", "")
        return cat.Department(name=name, display_name=LONG)

    async def assessment(self, dataset: str, version: int) -> qu.Assessment | None:
        return None if self.pending or version > 2 else assessment(version, self.rules)

    async def scores(self) -> sc.ListScoresResponse:
        if self.empty:
            return sc.ListScoresResponse(city=score("-", None, 0))
        rows = [
            score(
                "ecology", 95.5, 3, datasets=9, green=6, yellow=2, red=1, work_orders=2, overdue_work_orders=1
            ),
            score("gone", None, 0, without_score=2),
            score("transport", 81.25, 3, datasets=3, red=3, work_orders=12, overdue_work_orders=4),
        ]
        return sc.ListScoresResponse(city=score("-", 92.1, 2, datasets=12), scores=rows)

    async def days(self, parent: str) -> list[sc.ScoreDay]:
        if self.empty:
            return []
        return [
            sc.ScoreDay(date=f"2026-11-{day:02}", score=97 - day % 7 - (10 if day > 16 else 0), datasets=9)
            for day in range(1, 21)
        ]

    async def orders(self, parent: str, dataset: str = "", *, closed: bool = False) -> list[wo.WorkOrder]:
        self.asked_orders.append((parent, dataset, closed))
        if self.empty:
            return []
        return [one for one in orders() if closed or one.state != wo.WORK_ORDER_STATE_CLOSED]

    async def order(self, name: str) -> wo.WorkOrder:
        if name != self.there.name:
            raise Problem(404, "UNKNOWN_WORK_ORDER", f"there is no {name}")
        return self.there

    def _do(self, *what: str) -> wo.WorkOrder:
        if self.faster:
            said(self.there, "gaoshan", "传感器已换", wo.WORK_ORDER_STATE_ANSWERED)
            self.there.state = wo.WORK_ORDER_STATE_ANSWERED
            raise Problem(409, "ETAG_MISMATCH", f"{self.there.name} was changed since it was read")
        self.done.append(what)
        return self.there

    async def accept(self, name: str, etag: str) -> wo.WorkOrder:
        return self._do("accept", name, etag)

    async def answer(self, name: str, text: str, etag: str) -> wo.WorkOrder:
        if not text:
            raise Problem(400, "INVALID_REQUEST", "", errors=(Complaint("body", "text", "is empty"),))
        return self._do("answer", text, etag)

    async def comment(self, name: str, text: str, request_id: str) -> wo.WorkOrder:
        return self._do("comment", text, request_id)

    async def reports(self, parent: str) -> list[rep.HealthReport]:
        if self.empty:
            return []
        made = []
        for number, month in enumerate(("2026-11", "2026-10", "2026-09")):
            one = rep.HealthReport(
                name=f"{parent}/healthReports/{REPORT[:-1]}{number}",
                month=month,
                origin=rep.HEALTH_REPORT_ORIGIN_MONTHLY if number else rep.HEALTH_REPORT_ORIGIN_ON_DEMAND,
                author="" if number else "ecology-officer",
                score=92.4,
                light=grades_pb2.LIGHT_YELLOW,
            )
            one.create_time.FromJsonString(f"2026-{12 - number}-01T01:00:00Z")
            one.as_of_time.FromJsonString(f"2026-{12 - number}-01T0{0 if number else 1}:00:00Z")
            made.append(one)
        return made

    async def make_report(self, parent: str, month: str, request_id: str) -> rep.HealthReport:
        self._refuse()
        self.done.append(("report", parent, month))
        return rep.HealthReport()

    async def report_file(self, name: str, format_: str, language: str) -> AsyncIterator[bytes]:
        self._refuse()
        self.done.append(("file", name, format_, language))
        yield b"%PDF"
        yield b"-1.7"
