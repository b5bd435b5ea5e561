"""The sections of a health report that speak of all datasets together."""

from __future__ import annotations

from plaza.quality.v1 import reports_pb2 as pb
from plaza_design import formats
from plaza_design.i18n import Language, Translator

from plaza_quality.report import charts, words
from plaza_quality.report.document import Block, Cell, Head, Kpi, Kpis, Lead, Light, Points, Table
from plaza_quality.report.pictures import chart, month_label


def summary(figures: pb.HealthFigures, say: Translator) -> list[Block]:
    """The four numbers, and what they mean."""
    now, before, orders, came = figures.now, figures.before, figures.work_orders, figures.intake
    change = say.text("report.first")
    if now.HasField("score") and before.HasField("score"):
        moved = words.change(now.score, before.score)
        change = say.text("kpi.change", before=formats.score(before.score), change=moved)
    lights = say.text("kpi.lights", green=now.green, yellow=now.yellow, red=now.red)
    if now.without_score:
        lights += say.text("kpi.unscored", n=now.without_score)
    light = words.light(now.light)
    refused = words.share(came.rows_refused, came.rows_added)
    # 28.9 million rows: the number is large, what it counts is small.
    loaded, _, size = formats.prose_number(came.rows_added, str(say.language)).partition(" ")
    unit = say.text("kpi.rows.unit")
    kpis = [
        Kpi(
            say.text("kpi.score"),
            formats.score(now.score) if now.HasField("score") else "–",
            light=_light(light) if now.datasets else "",
            said=say.text(f"light.{light}") if now.datasets else "",
            note=change,
        ),
        Kpi(say.text("kpi.datasets"), formats.number(now.datasets), note=lights),
        Kpi(
            say.text("kpi.orders"),
            formats.number(orders.active),
            light="red" if orders.overdue else "",
            note=say.text("kpi.overdue", n=orders.overdue),
        ),
        Kpi(
            say.text("kpi.rows"),
            loaded,
            f"{size} {unit}" if say.language is Language.EN and size else f"{size}{unit}",
            note=say.text("kpi.refused", refused=formats.number(came.rows_refused), share=refused),
        ),
    ]
    return [Kpis(kpis), Points(list(_points(figures, say)))]


def _points(figures: pb.HealthFigures, say: Translator) -> list[tuple[Light, str]]:
    now, before = figures.now, figures.before
    found: list[tuple[Light, str]] = []
    if now.HasField("score"):
        found.append(_score_point(now, before, say))
    if before.HasField("score") and now.red != before.red:
        way = "more" if now.red > before.red else "fewer"
        text = say.text(f"point.red.{way}", before=before.red, now=now.red)
        found.append(("red" if way == "more" else "green", text))
    if now.dimensions:
        weakest = min(now.dimensions, key=lambda one: one.score)
        text = say.text(
            "point.weakest",
            n=weakest.rules,
            dimension=words.dimension(say, weakest.dimension),
            score=formats.score(weakest.score),
            unmet=weakest.rules_not_met,
        )
        found.append((_light(level(weakest.score, figures.profile)), text))
    orders = figures.work_orders
    counts = {name: getattr(orders, name) for name in ("opened", "reopened", "closed", "active", "overdue")}
    found.append(("red" if orders.overdue else "", say.text("point.orders", **counts)))
    came = figures.intake
    if came.versions:
        text = say.text(
            "point.intake",
            n=came.versions,
            added=formats.number(came.rows_added),
            refused=formats.number(came.rows_refused),
            share=words.share(came.rows_refused, came.rows_added),
            before=formats.number(figures.intake_before.rows_added),
        )
        found.append(("", text))
    else:
        found.append(("", say.text("point.nothing")))
    return found


def _score_point(now: pb.HealthStanding, before: pb.HealthStanding, say: Translator) -> tuple[Light, str]:
    if not before.HasField("score"):
        return "", say.text("point.score.first", now=formats.score(now.score))
    if now.score == before.score:
        return "", say.text("point.score.same", now=formats.score(now.score))
    way = "rose" if now.score > before.score else "fell"
    text = say.text(
        f"point.score.{way}",
        before=formats.score(before.score),
        now=formats.score(now.score),
        change=words.change(now.score, before.score),
    )
    return "green" if way == "rose" else "yellow", text


def trend(figures: pb.HealthFigures, say: Translator) -> list[Block]:
    """Twelve months: scores, lights, and the table behind both."""
    months = figures.trend
    labels = [month_label(each.month) for each in months]
    scores = [each.score if each.HasField("score") else None for each in months]
    goal = figures.profile.green_from
    present = [score for score in scores if score is not None]
    finding = say.text("chart.score")
    if len(present) > 1:
        finding = say.text("chart.score.fell", from_=formats.score(present[0]), to=formats.score(present[-1]))
    lights = [(each.green, each.yellow, each.red) for each in months]
    columns = ("green", "yellow", "red", "opened", "reopened", "closed")
    drawn: list[Block] = [
        chart(
            finding,
            say.text("chart.score.sub", goal=formats.number(goal)),
            lambda width: charts.line(scores, labels, goal, width),
        ),
        chart(
            say.text("chart.lights"),
            say.text("chart.lights.sub"),
            lambda width: charts.stacked(lights, labels, width),
        ),
    ]
    return [
        *(drawn if present else [Lead(say.text("chart.none"))]),
        Table(
            say.text("section.trend"),
            [
                Head(say.text("head.month"), weight=3),
                Head(say.text("head.score"), "right"),
                *(Head(say.text(f"head.{name}"), "right") for name in columns),
                Head(say.text("head.rows"), "right", 4),
                Head(say.text("head.refused"), "right", 3),
            ],
            [_trend_row(each) for each in reversed(months)],
        ),
    ]


def _trend_row(each: pb.HealthMonth) -> list[Cell]:
    orders = each.work_orders
    counts = (each.green, each.yellow, each.red, orders.opened, orders.reopened, orders.closed)
    came = (each.intake.rows_added, each.intake.rows_refused)
    score = formats.cut(each.score) if each.HasField("score") else "–"
    return [Cell(each.month), Cell(score), *(Cell(formats.number(count)) for count in (*counts, *came))]


def dimensions(figures: pb.HealthFigures, say: Translator) -> list[Block]:
    """Each dimension beside the month before."""
    now, profile = figures.now.dimensions, figures.profile
    if not now:
        return []
    before = {each.dimension: each.score for each in figures.before.dimensions}
    weakest = min(now, key=lambda one: one.score)
    rows = [(words.dimension(say, each.dimension), each.score, level(each.score, profile)) for each in now]
    numbers = ("before", "change", "datasets", "rules", "unmet", "passed", "failed")
    return [
        Lead(say.text("lead.dimensions", dimension=formats.number(profile.dimension_from))),
        chart(
            say.text(
                "chart.dimensions",
                dimension=words.dimension(say, weakest.dimension),
                score=formats.score(weakest.score),
            ),
            say.text("chart.dimensions.sub", goal=formats.number(profile.green_from)),
            lambda width: charts.bars(rows, profile.green_from, width),
        ),
        Table(
            say.text("section.dimensions"),
            [
                Head(say.text("head.dimension"), weight=4),
                Head(say.text("head.score"), "right"),
                *(
                    Head(say.text(f"head.{name}"), "right", 3 if name in ("passed", "failed") else 2)
                    for name in numbers
                ),
            ],
            [_dimension_row(each, before.get(each.dimension), profile, say) for each in now],
        ),
    ]


def _dimension_row(
    each: pb.HealthDimension, before: float | None, profile: pb.HealthProfile, say: Translator
) -> list[Cell]:
    counts = (each.datasets, each.rules, each.rules_not_met, each.passed, each.failed)
    return [
        Cell(words.dimension(say, each.dimension), light=_light(level(each.score, profile))),
        Cell(formats.cut(each.score)),
        Cell("–" if before is None else formats.cut(before)),
        Cell("–" if before is None else words.change(each.score, before)),
        *(Cell(formats.number(count)) for count in counts),
    ]


def level(score: float, profile: pb.HealthProfile) -> str:
    """The light of one dimension's score."""
    if score < profile.dimension_from:
        return "red"
    return "green" if score >= profile.green_from else "yellow"


def _light(word: str) -> Light:
    return word  # type: ignore[return-value]  # the enum's own words
