"""What the console's pages of quality show, as plain values; made from the services' messages, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from plaza.common.v1 import grades_pb2
from plaza.quality.v1 import quality_pb2 as qu
from plaza.quality.v1 import reports_pb2 as rep
from plaza.quality.v1 import scores_pb2 as sc
from plaza.quality.v1 import work_orders_pb2 as wo
from plaza_design.i18n import LocalText
from plaza_kit.working_days import ZONE, working_day

from plaza_gateway.console.quality_rules import Words, kind_of
from plaza_gateway.console.views import Light, last, moment, word

GREEN_FROM: Final = 95.0
YELLOW_FROM: Final = 85.0
"""As the service decides; a dimension under the second makes the whole red."""
DIMENSIONS: Final = ("accuracy", "completeness", "consistency", "timeliness", "uniqueness", "validity")
STATES: Final = ("open", "accepted", "answered", "rechecking", "reopened", "escalated", "closed")
DIRECTIONS: Final = ("higher", "lower")


def light_of(value: int) -> Light:
    """Of a message's light."""
    lights: Mapping[int, Light] = {
        grades_pb2.LIGHT_GREEN: "green",
        grades_pb2.LIGHT_YELLOW: "yellow",
        grades_pb2.LIGHT_RED: "red",
    }
    return lights.get(value, "none")


def level(score: float | None) -> Light:
    """Of one dimension's score."""
    if score is None:
        return "none"
    return "green" if score >= GREEN_FROM else "yellow" if score >= YELLOW_FROM else "red"


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule with its counts."""

    id: str
    title: str
    kind: Words | None
    dimension: str
    indicator: str
    severity: str
    stops: tuple[str, ...]
    """`sharing`, `opening`."""
    weight: float
    threshold: float
    passed: int
    failed: int
    not_applicable: int
    rate: float | None
    met: bool
    reason: str
    absent: tuple[str, ...]
    compared: tuple[str, ...]
    measure: tuple[float, str, float | None, float | None] | None
    """Value, unit, smallest and largest that pass."""

    @property
    def light(self) -> Light:
        return "none" if self.rate is None else "green" if self.met else "red"


@dataclass(frozen=True, slots=True)
class DimensionRow:
    """A dimension with the rules that explain it."""

    dimension: str
    score: float
    light: Light
    rules: int
    unmet: tuple[RuleRow, ...]


@dataclass(frozen=True, slots=True)
class IndicatorRow:
    """X = A / B of GB/T 36344."""

    code: str
    numerator: int
    denominator: int
    value: float
    direction: str


@dataclass(frozen=True, slots=True)
class AssessmentView:
    """What the rules say about one version."""

    version: int
    contract: int
    rows: int
    rows_passed: int | None
    row_rate: float | None
    score: float | None
    light: Light
    made_at: datetime | None
    rules: tuple[RuleRow, ...]
    dimensions: tuple[DimensionRow, ...]
    indicators: tuple[IndicatorRow, ...]
    together: tuple[tuple[tuple[str, ...], int], ...]
    """Titles of rules that rows break together, and how many rows."""
    weighted: float = 0.0
    """Σ weight × pass rate, of the rules that judged something."""
    weights: float = 0.0

    @property
    def unmet(self) -> int:
        return sum(not rule.met for rule in self.rules)

    @property
    def short_board(self) -> DimensionRow | None:
        """The dimension that makes the whole red, where the mean would not."""
        weakest = min(self.dimensions, key=lambda one: one.score, default=None)
        alone = self.score is not None and self.score >= YELLOW_FROM
        return weakest if weakest is not None and alone and weakest.score < YELLOW_FROM else None


def assessment_view(found: qu.Assessment) -> AssessmentView:
    """From quality's message."""
    rules = tuple(map(_rule, found.rules))
    titles = {rule.id: rule.title for rule in rules}
    counted = [rule for rule in rules if rule.rate is not None]
    return AssessmentView(
        version=found.version,
        contract=found.contract_version,
        rows=found.rows,
        rows_passed=found.rows_passed if found.HasField("rows_passed") else None,
        row_rate=found.row_pass_rate if found.HasField("row_pass_rate") else None,
        score=found.score if found.HasField("score") else None,
        light=light_of(found.light),
        made_at=moment(found, "create_time"),
        rules=tuple(sorted(rules, key=lambda rule: (rule.met, rule.rate is None))),
        dimensions=tuple(_dimension(each, rules) for each in found.dimensions),
        indicators=tuple(
            IndicatorRow(
                each.indicator,
                each.numerator,
                each.denominator,
                each.value,
                "lower" if each.direction == qu.DIRECTION_LOWER_IS_BETTER else "higher",
            )
            for each in found.indicators
        ),
        together=tuple(
            (tuple(titles.get(id_, id_) for id_ in each.rules), each.rows)
            for each in found.broken_together
            if len(each.rules) > 1
        ),
        weighted=sum(rule.weight * (rule.rate or 0) for rule in counted),
        weights=sum(rule.weight for rule in counted),
    )


def _rule(found: qu.RuleResult) -> RuleRow:
    rule = found.rule
    measure = None
    if found.HasField("measure"):
        least = found.measure.minimum if found.measure.HasField("minimum") else None
        most = found.measure.maximum if found.measure.HasField("maximum") else None
        measure = (found.measure.value, found.measure.unit, least, most)
    stops = (("sharing", rule.stops_sharing), ("opening", rule.stops_opening))
    return RuleRow(
        id=rule.id,
        title=rule.title or rule.id,
        kind=kind_of(rule),
        dimension=word(grades_pb2.Dimension, rule.dimension, "DIMENSION_"),
        indicator=found.indicator,
        severity={2: "major", 3: "severe"}.get(rule.severity, "minor"),
        stops=tuple(name for name, does in stops if does),
        weight=rule.weight or 1.0,
        threshold=rule.threshold_percent,
        passed=found.passed,
        failed=found.failed,
        not_applicable=found.not_applicable,
        rate=found.pass_rate if found.HasField("pass_rate") else None,
        met=found.met,
        reason=found.reason,
        absent=tuple(found.absent_fields),
        compared=tuple(_place(each) for each in found.compared_with),
        measure=measure,
    )


def _place(name: str) -> str:
    """`departments/a/datasets/b/versions/3` → `a/b/3`; `codeLists/x/versions/2003` → `x/2003`."""
    return "/".join(name.split("/")[1::2])


def _dimension(found: qu.DimensionScore, rules: Sequence[RuleRow]) -> DimensionRow:
    dimension = word(grades_pb2.Dimension, found.dimension, "DIMENSION_")
    own = [rule for rule in rules if rule.dimension == dimension and rule.rate is not None]
    return DimensionRow(
        dimension, found.score, level(found.score), len(own), tuple(rule for rule in own if not rule.met)
    )


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A department, or the city, on the board."""

    id: str
    title: LocalText
    score: float | None
    light: Light
    datasets: int
    green: int
    yellow: int
    red: int
    unscored: int
    orders: int
    overdue: int


def score_row(found: sc.Score, titles: Mapping[str, LocalText]) -> ScoreRow:
    """From quality's message."""
    id_ = found.name.split("/")[1]
    return ScoreRow(
        id=id_,
        title=titles.get(id_) or LocalText(id_),
        score=found.score if found.HasField("score") else None,
        light=light_of(found.light),
        datasets=found.datasets,
        green=found.green,
        yellow=found.yellow,
        red=found.red,
        unscored=found.without_score,
        orders=found.work_orders,
        overdue=found.overdue_work_orders,
    )


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a work order."""

    at: datetime | None
    who: str
    """Log-in name; empty: the service."""
    state: str
    said: str
    version: int
    score: float | None


@dataclass(frozen=True, slots=True)
class OrderView:
    """A work order."""

    id: str
    department: str
    dataset: str
    title: LocalText
    dimension: str
    state: str
    opened_by: int
    judged: int
    score: float
    target: float
    rules: tuple[wo.FailedRule, ...]
    assignee: str
    due: date
    provisional: bool
    overdue: bool
    left: int
    """Working days until the end of its day; of one that is overdue days since."""
    opened_at: datetime | None
    closed_at: datetime | None
    etag: str
    events: tuple[Event, ...] = field(default_factory=tuple)

    @property
    def href(self) -> str:
        return f"/console/orders/{self.department}/{self.id}"

    @property
    def closed(self) -> bool:
        return self.state == "closed"

    @property
    def may(self) -> tuple[str, ...]:
        """What a person can do now besides a remark."""
        waiting = self.state in ("open", "accepted", "reopened", "escalated")
        return ("accept", "answer") if waiting else ()


def order_view(found: wo.WorkOrder, titles: Mapping[str, LocalText], now: datetime) -> OrderView:
    """From quality's message; `titles` by resource name of the dataset."""
    _, department, _, id_ = found.name.split("/")
    due, today = date.fromisoformat(found.due_date), now.astimezone(ZONE).date()
    return OrderView(
        id=id_,
        department=department,
        dataset=last(found.dataset),
        title=titles.get(found.dataset) or LocalText(last(found.dataset)),
        dimension=word(grades_pb2.Dimension, found.dimension, "DIMENSION_"),
        state=word(wo.WorkOrderState, found.state, "WORK_ORDER_STATE_") or "open",
        opened_by=found.opened_by_version,
        judged=found.judged_version,
        score=found.score,
        target=found.target,
        rules=tuple(found.failed_rules),
        assignee=found.assignee,
        due=due,
        provisional=found.due_provisional,
        overdue=found.overdue,
        left=(today - due).days if found.overdue else working_days_left(today, due),
        opened_at=moment(found, "create_time"),
        closed_at=moment(found, "close_time"),
        etag=found.etag,
        events=tuple(map(_event, found.history)),
    )


def working_days_left(today: date, due: date) -> int:
    """Those behind today, up to the due day itself; today's own does not count, as when a deadline is set."""
    days = (today + timedelta(days=n) for n in range(1, (due - today).days + 1))
    return sum(working_day(day)[0] for day in days)


def _event(found: wo.WorkOrderEntry) -> Event:
    return Event(
        at=moment(found, "time"),
        who=found.username,
        state=word(wo.WorkOrderState, found.state, "WORK_ORDER_STATE_") or "open",
        said=found.text,
        version=found.version,
        score=found.score if found.HasField("score") else None,
    )


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A health report in the list."""

    id: str
    month: str
    monthly: bool
    author: str
    made_at: datetime | None
    during: bool
    """The month had not ended when it was made."""
    score: float | None
    light: Light


def report_row(found: rep.HealthReport) -> ReportRow:
    """From quality's message."""
    return ReportRow(
        id=last(found.name),
        month=found.month,
        monthly=found.origin == rep.HEALTH_REPORT_ORIGIN_MONTHLY,
        author=found.author,
        made_at=moment(found, "create_time"),
        during=found.as_of_time.ToDatetime(tzinfo=UTC) >= found.create_time.ToDatetime(tzinfo=UTC),
        score=found.score if found.HasField("score") else None,
        light=light_of(found.light),
    )
