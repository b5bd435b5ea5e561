"""From the numbers of a health report to what it says."""

from __future__ import annotations

from plaza.quality.v1 import reports_pb2 as pb
from plaza_design import formats
from plaza_design.i18n import Translator

from plaza_quality.report import parts, parts_datasets, parts_flow, words
from plaza_quality.report.document import Document, Section


def compose(report: pb.HealthReport, say: Translator) -> Document:
    """The report in one language. Only what is stored goes in: the same report is the same document."""
    who = words.called(say, report.figures.names, report.name.split("/")[1])
    if report.name.startswith("departments/-/"):
        who = say.text("report.city")
    month = words.month(say, report.month)
    return Document(
        language=str(say.language),
        title=say.text("report.title", who=who, month=month),
        site=say.text("report.site"),
        name=say.text("report.name"),
        who=who,
        month=month,
        say=_say(report.figures, say),
        light=words.light(report.figures.now.light),  # type: ignore[arg-type]  # the enum's own words
        notes=_notes(report, say, month),
        contents=say.text("report.contents"),
        page=say.pattern("report.page"),
        sections=_sections(report, say),
    )


def _say(figures: pb.HealthFigures, say: Translator) -> str:
    now = figures.now
    if not now.HasField("score"):
        return say.text("say.nothing")
    return say.text(
        "say.score",
        n=now.datasets,
        score=formats.score(now.score),
        light=say.text(f"light.{words.light(now.light)}").lower(),
        red=now.red,
        overdue=formats.number(figures.work_orders.overdue),
    )


def _notes(report: pb.HealthReport, say: Translator, month: str) -> list[str]:
    as_of = report.as_of_time.ToDatetime()
    # A report of a month that is over is made behind its end.
    ended = report.create_time.ToNanoseconds() > report.as_of_time.ToNanoseconds()
    origin = "monthly" if report.origin == pb.HEALTH_REPORT_ORIGIN_MONTHLY else "on_demand"
    if origin == "on_demand" and not report.author:
        origin = "nobody"
    return [
        say.text("report.as_of.end", date=month)
        if ended
        else say.text("report.as_of.during", moment=words.moment(as_of)),
        say.text("report.made", moment=words.moment(report.create_time.ToDatetime())),
        say.text(f"report.origin.{origin}", author=report.author),
        say.text("report.zone"),
    ]


def _sections(report: pb.HealthReport, say: Translator) -> list[Section]:
    figures = report.figures
    made = [
        ("summary", parts.summary(figures, say)),
        ("trend", parts.trend(figures, say)),
        ("dimensions", parts.dimensions(figures, say)),
        ("departments", parts_datasets.departments(figures, say)),
        ("worst", parts_datasets.worst(figures, say)),
        ("changed", parts_datasets.changed(figures, say)),
        ("orders", parts_flow.orders(figures, say)),
        ("intake", parts_flow.intake(figures, say)),
        ("method", parts_flow.method(report, say)),
    ]
    return [Section(id_, say.text(f"section.{id_}"), blocks) for id_, blocks in made if blocks]
