"""The numbers of a health report, reckoned from what is stored about assessments, loads and work orders."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from typing import Final, TypeVar

import orjson
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from plaza.common.v1 import grades_pb2
from plaza.quality.v1 import reports_pb2 as pb

from plaza_quality.domain.rules import Dimension
from plaza_quality.domain.scores import Light, LightProfile, light, published
from plaza_quality.domain.work_orders import WorkOrderProfile

METHOD: Final = 1
"""Of the reckoning below; a later way has a later number."""
MONTHS: Final = 12
_MOST: Final = 10
_VERSION_DIGITS: Final = 12

Counts = TypeVar("Counts", pb.HealthIntake, pb.HealthWorkOrders)


@dataclass(frozen=True, slots=True)
class Judged:
    """A rule of an assessment that judged something."""

    title: str
    dimension: Dimension
    threshold: Decimal
    passed: int
    failed: int
    pass_rate: Decimal
    met: bool


@dataclass(slots=True)
class Assessed:
    """The newest assessment of a dataset before a moment."""

    name: str
    """Resource name."""
    version: int
    rows: int
    score: Decimal | None
    light: Light | None
    dimensions: dict[Dimension, Decimal] = field(default_factory=dict)
    rules: list[Judged] = field(default_factory=list)

    @property
    def department(self) -> str:
        """Its id."""
        return self.name.split("/")[1]


@dataclass(slots=True)
class MonthFacts:
    """What happened in a month, by id of the department, and how it ended."""

    month: str
    scores: Decimal = Decimal(0)
    """Sum of the datasets' scores."""
    lights: dict[Light, int] = field(default_factory=lambda: dict.fromkeys(Light, 0))
    intake: dict[str, pb.HealthIntake] = field(default_factory=dict)
    work_orders: dict[str, pb.HealthWorkOrders] = field(default_factory=dict)

    @property
    def datasets(self) -> int:
        """Those with a score."""
        return sum(self.lights.values())


Names = Mapping[str, tuple[str, str]]
"""Chinese and English, by resource name of a department or dataset."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a report rests on."""

    department: str
    """Id, or `-` for the city."""
    now: Sequence[Assessed]
    before: Sequence[Assessed]
    months: Sequence[MonthFacts]
    """Oldest first; the last is the report's own."""
    active_orders: Mapping[str, int]
    """Work orders that are not closed, by dataset."""
    names: Names


def figures(facts: Facts, profile: LightProfile, shown: pb.HealthProfile) -> pb.HealthFigures:
    """`shown`: the profile as the report tells it."""
    this, last = facts.months[-1], facts.months[-2]
    made = pb.HealthFigures(
        method=METHOD,
        names=_names(facts.names, f"departments/{facts.department}"),
        now=standing(facts.now, profile),
        before=standing(facts.before, profile),
        intake=total(pb.HealthIntake(), this.intake.values()),
        intake_before=total(pb.HealthIntake(), last.intake.values()),
        work_orders=total(pb.HealthWorkOrders(), this.work_orders.values()),
        work_orders_before=total(pb.HealthWorkOrders(), last.work_orders.values()),
        trend=[_month(each) for each in facts.months],
        worst=_worst(facts),
        changed=_changed(facts),
        profile=shown,
    )
    if facts.department == "-":
        made.departments.extend(_departments(facts, profile))
    return made


def standing(assessed: Sequence[Assessed], profile: LightProfile) -> pb.HealthStanding:
    """Each dataset counts once, however many rows it has."""
    scored = [each for each in assessed if each.score is not None]
    score = _mean(each.score for each in scored if each.score is not None)
    dimensions = [of_it for one in Dimension if (of_it := _dimension(one, assessed)) is not None]
    means = [mean for one in Dimension if (mean := _mean(_scores_in(one, assessed))) is not None]
    lights = [each.light for each in scored]
    made = pb.HealthStanding(
        light=_light(light(score, means, profile)),
        datasets=len(scored),
        green=lights.count(Light.GREEN),
        yellow=lights.count(Light.YELLOW),
        red=lights.count(Light.RED),
        without_score=len(assessed) - len(scored),
        dimensions=dimensions,
    )
    if score is not None:
        made.score = float(published(score))
    return made


def profile_shown(
    lights: LightProfile, orders: WorkOrderProfile, calendar_until: int, time_zone: str
) -> pb.HealthProfile:
    """The profile as it is kept with a report, with a version that changes when a value does."""
    made = pb.HealthProfile(
        green_from=float(lights.green_from),
        yellow_from=float(lights.yellow_from),
        dimension_from=float(lights.dimension_from),
        target=float(orders.target),
        working_days=orders.working_days,
        calendar_until=calendar_until,
        time_zone=time_zone,
    )
    made.version = digest(made)[:_VERSION_DIGITS]
    return made


def digest(message: Message) -> str:
    """Hex SHA-256 of the message's JSON with sorted keys and without blanks."""
    return sha256(orjson.dumps(MessageToDict(message), option=orjson.OPT_SORT_KEYS)).hexdigest()


def total(zero: Counts, counts: Iterable[Counts]) -> Counts:
    """Every number added up."""
    for each in counts:
        for one in each.DESCRIPTOR.fields:
            setattr(zero, one.name, getattr(zero, one.name) + getattr(each, one.name))
    return zero


def _scores_in(dimension: Dimension, assessed: Iterable[Assessed]) -> list[Decimal]:
    return [each.dimensions[dimension] for each in assessed if dimension in each.dimensions]


def _dimension(dimension: Dimension, assessed: Sequence[Assessed]) -> pb.HealthDimension | None:
    scores = _scores_in(dimension, assessed)
    mean = _mean(scores)
    if mean is None:
        return None
    rules = [rule for each in assessed for rule in each.rules if rule.dimension is dimension]
    return pb.HealthDimension(
        dimension=_dimension_number(dimension),
        score=float(published(mean)),
        datasets=len(scores),
        rules=len(rules),
        rules_not_met=sum(not rule.met for rule in rules),
        passed=sum(rule.passed for rule in rules),
        failed=sum(rule.failed for rule in rules),
    )


def _month(facts: MonthFacts) -> pb.HealthMonth:
    made = pb.HealthMonth(
        month=facts.month,
        green=facts.lights[Light.GREEN],
        yellow=facts.lights[Light.YELLOW],
        red=facts.lights[Light.RED],
        intake=total(pb.HealthIntake(), facts.intake.values()),
        work_orders=total(pb.HealthWorkOrders(), facts.work_orders.values()),
    )
    if facts.datasets:
        made.score = float(published(Fraction(facts.scores) / facts.datasets))
    return made


def _worst(facts: Facts) -> list[pb.HealthDataset]:
    before = {each.name: each for each in facts.before}
    scored = [(each.score, each.name, each) for each in facts.now if each.score is not None]
    lowest = sorted(scored, key=lambda one: one[:2])[:_MOST]
    return [_dataset(each, before.get(name), facts) for _, name, each in lowest]


def _changed(facts: Facts) -> list[pb.HealthDataset]:
    """Of datasets that had a score then and have one now."""
    before = {each.name: each for each in facts.before}
    moved = [
        (each.score - then.score, each.name, each, then)
        for each in facts.now
        if (then := before.get(each.name)) and each.score is not None and then.score is not None
    ]
    fell = sorted((one for one in moved if one[0] < 0), key=lambda one: one[:2])[:_MOST]
    rose = sorted((one for one in moved if one[0] > 0), key=lambda one: (-one[0], one[1]))[:_MOST]
    return [_dataset(each, then, facts) for _, _, each, then in (*fell, *rose)]


def _dataset(each: Assessed, before: Assessed | None, facts: Facts) -> pb.HealthDataset:
    broken = sorted(
        (rule for rule in each.rules if not rule.met),
        key=lambda rule: (rule.pass_rate - rule.threshold, rule.title),
    )
    made = pb.HealthDataset(
        dataset=each.name,
        names=_names(facts.names, each.name),
        version=each.version,
        rows=each.rows,
        light=_light(each.light),
        rules_not_met=len(broken),
        worst_rule=broken[0].title if broken else "",
        worst_rule_failed=broken[0].failed if broken else 0,
        work_orders=facts.active_orders.get(each.name, 0),
    )
    if each.score is not None:
        made.score = float(each.score)
    if before is not None:
        made.light_before = _light(before.light)
        if before.score is not None:
            made.score_before = float(before.score)
    if each.dimensions:
        weakest = min(each.dimensions, key=lambda one: (each.dimensions[one], list(Dimension).index(one)))
        made.weakest = _dimension_number(weakest)
        made.weakest_score = float(each.dimensions[weakest])
    return made


def _departments(facts: Facts, profile: LightProfile) -> list[pb.HealthDepartment]:
    this = facts.months[-1]
    ids = {each.department for each in facts.now} | this.intake.keys() | this.work_orders.keys()
    return [_department(one, facts, profile) for one in sorted(ids)]


def _department(id_: str, facts: Facts, profile: LightProfile) -> pb.HealthDepartment:
    this = facts.months[-1]
    made = pb.HealthDepartment(
        department=f"departments/{id_}",
        names=_names(facts.names, f"departments/{id_}"),
        now=standing(_of(id_, facts.now), profile),
        intake=this.intake.get(id_),
        work_orders=this.work_orders.get(id_),
    )
    before = standing(_of(id_, facts.before), profile)
    if before.HasField("score"):
        made.score_before = before.score
    return made


def _of(department: str, assessed: Iterable[Assessed]) -> list[Assessed]:
    return [each for each in assessed if each.department == department]


def _names(names: Names, resource: str) -> pb.HealthNames:
    chinese, english = names.get(resource, ("", ""))
    return pb.HealthNames(display_name=chinese, display_name_en=english)


def _mean(scores: Iterable[Decimal]) -> Fraction | None:
    kept: Collection[Decimal] = list(scores)
    return sum(map(Fraction, kept), Fraction(0)) / len(kept) if kept else None


def _light(one: Light | None) -> grades_pb2.Light.ValueType:
    return grades_pb2.Light.Value(f"LIGHT_{(one or 'unspecified').upper()}")


def _dimension_number(one: Dimension) -> grades_pb2.Dimension.ValueType:
    return grades_pb2.Dimension.Value(f"DIMENSION_{one.upper()}")
