"""Facts of a department and of a city for a health report, harsh on purpose: long names, none, red, no score."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from plaza.quality.v1 import reports_pb2 as pb
from plaza_quality.domain.checks import Dimension
from plaza_quality.domain.health import Assessed, Facts, Judged, MonthFacts, digest, figures, profile_shown
from plaza_quality.domain.scores import Light, LightProfile
from plaza_quality.domain.work_orders import WorkOrderProfile

REPORT = "01890000-0000-7000-8000-000000000001"
LONG = "全市重点排污单位自动监测设备联网状态与小时均值校核修约结果汇总表（含区县上报与窗口录入）"
LONG_ID = "automaticmonitoringhourlymeansofkeypollutingunitswithoutanyhyphen"[:63]
HOSTILE = '<b onclick="x">#link("x")[y] $a$ \\ &amp;</b>'
MONTHS = [f"2025-{n:02}" for n in range(12, 13)] + [f"2026-{n:02}" for n in range(1, 12)]


def rule(title: str, dimension: Dimension, passed: int, failed: int, threshold: str = "99.5") -> Judged:
    rate = Decimal(100 * passed) / (passed + failed)
    return Judged(
        title,
        dimension,
        Decimal(threshold),
        passed,
        failed,
        rate.quantize(Decimal("0.0001")),
        rate >= Decimal(threshold),
    )


def assessed(
    name: str, score: str | None, light: Light | None, worst: str = "", rows: int = 18_406
) -> Assessed:
    made = Assessed(name, 12, rows, None if score is None else Decimal(score), light)
    if score is not None:
        made.dimensions = {
            Dimension.ACCURACY: Decimal(score) - 3,
            Dimension.COMPLETENESS: Decimal(score),
            Dimension.VALIDITY: min(Decimal(100), Decimal(score) + 3),
        }
        failed = 1 if light is Light.GREEN else 2662
        made.rules = [
            rule(worst or "统一社会信用代码校验位", Dimension.ACCURACY, 17_633, failed),
            rule("法定代表人不为空", Dimension.COMPLETENESS, 18_000, 406, "95"),
            rule("日期格式", Dimension.VALIDITY, 18_000, 0),
        ]
    return made


def facts(department: str = "ecology", empty: bool = False) -> Facts:
    """A department's, or the city's (`-`)."""
    if empty:
        return Facts(department, [], [], [MonthFacts(month) for month in MONTHS], {}, {})
    city = department == "-"
    names = {
        "departments/ecology": ("生态环境局", "Ecology Bureau"),
        "departments/transport": ("交通运输委员会与公共交通管理服务中心", ""),
        f"departments/ecology/datasets/{LONG_ID}": (LONG, ""),
        "departments/ecology/datasets/permits": ("企业排污许可", "Pollution permits"),
        "departments/ecology/datasets/air": (HOSTILE, HOSTILE),
    }
    now = _now(city)
    before = [
        assessed("departments/ecology/datasets/permits", "97.9", Light.GREEN),
        assessed("departments/ecology/datasets/air", "91.25", Light.YELLOW),
        assessed("departments/ecology/datasets/d3", "70", Light.RED),
    ]
    months = [MonthFacts(month) for month in MONTHS]
    for number, month in enumerate(months):
        if number in (0, 1, 4):
            continue
        month.scores = Decimal(9 * 9 * 100) / 10 + number * 7 - (30 if number == 11 else 0)
        month.lights = {Light.GREEN: 4 + number % 3, Light.YELLOW: 2, Light.RED: 3 - number % 3}
        departments = ("ecology", "transport") if city else ("ecology",)
        for each in departments:
            month.intake[each] = pb.HealthIntake(
                versions=30 + number,
                versions_unknown=3 if number == 11 else 0,
                rows_added=1_204_331 * (number + 1),
                rows_refused=3120 * (number % 4),
            )
            month.work_orders[each] = pb.HealthWorkOrders(
                opened=number % 5,
                reopened=number % 2,
                closed=(number + 2) % 4,
                escalated=1,
                active=7,
                overdue=2,
            )
    last = months[-1]
    last.scores = sum((each.score for each in now if each.score is not None), Decimal(0))
    last.lights = {one: sum(each.light is one for each in now) for one in Light}
    return Facts(department, now, before, months, {"departments/ecology/datasets/permits": 2}, names)


def _now(city: bool) -> list[Assessed]:
    made = [
        assessed("departments/ecology/datasets/permits", "84.9", Light.RED, LONG),
        assessed("departments/ecology/datasets/air", "96.5123", Light.GREEN),
        assessed(f"departments/ecology/datasets/{LONG_ID}", "92.4567", Light.YELLOW, HOSTILE, 2_108_444_000),
        assessed("departments/ecology/datasets/empty", None, None),
        *(assessed(f"departments/ecology/datasets/d{n}", str(86 + n), Light.YELLOW) for n in range(12)),
    ]
    if city:
        made += [assessed(f"departments/transport/datasets/t{n}", str(80 + n), Light.RED) for n in range(4)]
    return made


def report(
    given: Facts,
    month: str = "2026-11",
    author: str = "",
    origin: pb.HealthReportOrigin.ValueType = pb.HEALTH_REPORT_ORIGIN_MONTHLY,
) -> pb.HealthReport:
    """As the service keeps it, of a month that is over."""
    profile = LightProfile()
    shown = profile_shown(profile, WorkOrderProfile(), 2026, "Asia/Shanghai")
    made = pb.HealthReport(
        name=f"departments/{given.department}/healthReports/{REPORT}",
        month=month,
        origin=origin,
        author=author,
        figures=figures(given, profile, shown),
    )
    made.light = made.figures.now.light
    made.figures_sha256 = digest(made.figures)
    made.as_of_time.FromDatetime(datetime(2026, 11, 30, 16, tzinfo=UTC))
    made.create_time.FromDatetime(datetime(2026, 11, 30, 17, 5, tzinfo=UTC))
    return made
