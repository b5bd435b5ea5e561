"""The sections of a health report that name datasets and departments."""

from __future__ import annotations

from plaza.quality.v1 import reports_pb2 as pb
from plaza_design import formats
from plaza_design.i18n import Translator

from plaza_quality.report import charts, words
from plaza_quality.report.document import Block, Cell, Head, Lead, Table
from plaza_quality.report.pictures import chart

_MOST_BARS = 30


def worst(figures: pb.HealthFigures, say: Translator) -> list[Block]:
    """The lowest scores with what is wrong."""
    if not figures.worst:
        return [Lead(say.text("lead.worst.none"))]
    return [
        Lead(say.text("lead.worst")),
        Table(
            say.text("section.worst"),
            [
                Head(say.text("head.dataset"), weight=7),
                Head(say.text("head.score"), "right", 2),
                Head(say.text("head.change"), "right", 2),
                Head(say.text("head.weakest"), weight=4),
                Head(say.text("head.worst_rule"), weight=7),
                Head(say.text("head.orders"), "right", 2),
            ],
            [_worst(each, figures, say) for each in figures.worst],
        ),
    ]


def _worst(each: pb.HealthDataset, figures: pb.HealthFigures, say: Translator) -> list[Cell]:
    rule = Cell(say.text("cell.met"))
    if each.rules_not_met:
        failed = formats.number(each.worst_rule_failed)
        rule = Cell(each.worst_rule, say.text("cell.rule", n=each.rules_not_met, failed=failed))
    return [
        _dataset(each, figures, say),
        Cell(formats.cut(each.score)),
        Cell(_change(each)),
        Cell(words.dimension(say, each.weakest), formats.score(each.weakest_score))
        if each.weakest
        else Cell("–"),
        rule,
        Cell(formats.number(each.work_orders)),
    ]


def changed(figures: pb.HealthFigures, say: Translator) -> list[Block]:
    """Who fell and who rose."""
    if not figures.changed:
        return [Lead(say.text("lead.changed.none"))]
    return [
        Lead(say.text("lead.changed")),
        Table(
            say.text("section.changed"),
            [
                Head(say.text("head.dataset"), weight=9),
                Head(say.text("head.before"), "right", 2),
                Head(say.text("head.score"), "right", 2),
                Head(say.text("head.change"), "right", 2),
                Head(say.text("head.light"), weight=4),
            ],
            [
                [
                    _dataset(each, figures, say),
                    Cell(formats.cut(each.score_before)),
                    Cell(formats.cut(each.score)),
                    Cell(_change(each)),
                    Cell(
                        say.text(f"light.{words.light(each.light_before)}")
                        if each.light == each.light_before
                        else f"{say.text(f'light.{words.light(each.light_before)}')} →"
                        f" {say.text(f'light.{words.light(each.light)}')}"
                    ),
                ]
                for each in figures.changed
            ],
        ),
    ]


def departments(figures: pb.HealthFigures, say: Translator) -> list[Block]:
    """Of the city's report alone."""
    if not figures.departments:
        return []
    lowest = sorted(
        figures.departments,
        key=lambda one: (one.now.score if one.now.HasField("score") else 101.0, one.department),
    )
    bars = [
        (
            words.called(say, each.names, each.department),
            each.now.score if each.now.HasField("score") else None,
            words.light(each.now.light),
        )
        for each in lowest[:_MOST_BARS]
    ]
    goal = figures.profile.green_from
    finding = say.text("chart.departments")
    measure = say.text("chart.dimensions.sub", goal=formats.number(goal))
    counts = ("green", "yellow", "red", "active", "overdue")
    return [
        Lead(say.text("lead.departments")),
        chart(finding, measure, lambda width: charts.bars(bars, goal, width)),
        Table(
            say.text("section.departments"),
            [
                Head(say.text("head.department"), weight=7),
                Head(say.text("head.score"), "right", 3),
                Head(say.text("head.change"), "right", 3),
                *(Head(say.text(f"head.{name}"), "right", 3 if len(name) > 5 else 2) for name in counts),
                Head(say.text("head.rows"), "right", 5),
                Head(say.text("head.refused"), "right", 4),
            ],
            [_department(each, say) for each in lowest],
        ),
    ]


def _department(each: pb.HealthDepartment, say: Translator) -> list[Cell]:
    now = each.now
    scored = now.HasField("score")
    counts = (now.green, now.yellow, now.red, each.work_orders.active, each.work_orders.overdue)
    came = (each.intake.rows_added, each.intake.rows_refused)
    return [
        Cell(
            words.called(say, each.names, each.department),
            light=words.light(now.light),  # type: ignore[arg-type]  # the enum's own words
        ),
        Cell(formats.cut(now.score) if scored else "–"),
        Cell(words.change(now.score, each.score_before) if scored and each.HasField("score_before") else "–"),
        *(Cell(formats.number(count)) for count in (*counts, *came)),
    ]


def _dataset(each: pb.HealthDataset, figures: pb.HealthFigures, say: Translator) -> Cell:
    department, id_ = each.dataset.split("/")[1], each.dataset.rpartition("/")[2]
    place = f"{department}/{id_}" if figures.departments else id_
    sub = say.text("cell.version", id=place, version=each.version, rows=formats.number(each.rows))
    return Cell(
        words.called(say, each.names, each.dataset),
        sub,
        words.light(each.light),  # type: ignore[arg-type]  # the enum's own words
    )


def _change(each: pb.HealthDataset) -> str:
    if not (each.HasField("score") and each.HasField("score_before")):
        return "–"
    return words.change(each.score, each.score_before)
