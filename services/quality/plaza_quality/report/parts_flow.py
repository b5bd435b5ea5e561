"""The sections of a health report about work orders and loads, and its method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plaza.quality.v1 import reports_pb2 as pb
from plaza_design import formats
from plaza_design.i18n import Translator

from plaza_quality.report import charts, words
from plaza_quality.report.charts import Columns
from plaza_quality.report.document import Block, Cell, Formula, Formulas, Head, Lead, Table
from plaza_quality.report.pictures import chart, month_label


def orders(figures: pb.HealthFigures, say: Translator) -> list[Block]:
    """What happened to work orders."""
    profile = figures.profile
    pairs = [
        (float(each.work_orders.opened + each.work_orders.reopened), float(each.work_orders.closed))
        for each in figures.trend
    ]
    labels = [month_label(each.month) for each in figures.trend]
    names = ("opened", "reopened", "closed", "escalated", "active", "overdue")
    return [
        Lead(say.text("lead.orders", target=formats.number(profile.target), days=profile.working_days)),
        *(
            [
                chart(
                    say.text("chart.orders"),
                    say.text("chart.orders.sub"),
                    lambda width: charts.columns(Columns(pairs, labels), width),
                )
            ]
            if any(map(any, pairs))
            else []
        ),
        _beside(
            say.text("section.orders"),
            [
                (
                    say.text(f"head.{name}"),
                    formats.number(getattr(now, name)),
                    formats.number(getattr(then, name)),
                )
                for name in names
                for now, then in [(figures.work_orders, figures.work_orders_before)]
            ],
            say,
        ),
    ]


def intake(figures: pb.HealthFigures, say: Translator) -> list[Block]:
    """What came in, and what was refused."""
    now, then = figures.intake, figures.intake_before
    values = [(float(each.intake.rows_added),) for each in figures.trend]
    shares = [
        words.share(each.intake.rows_refused, each.intake.rows_added) if each.intake.rows_refused else ""
        for each in figures.trend
    ]
    labels = [month_label(each.month) for each in figures.trend]
    text = say.text("lead.intake")
    if now.versions_unknown:
        text = f"{text} {say.text('lead.intake.unknown', n=now.versions_unknown)}"
    return [
        Lead(text),
        *(
            [
                chart(
                    say.text("chart.intake"),
                    say.text("chart.intake.sub"),
                    lambda width: charts.columns(Columns(values, labels, shares), width),
                )
            ]
            if any(map(any, values))
            else []
        ),
        _beside(
            say.text("section.intake"),
            [
                (say.text("head.versions"), formats.number(now.versions), formats.number(then.versions)),
                (say.text("head.rows"), formats.number(now.rows_added), formats.number(then.rows_added)),
                (
                    say.text("head.refused"),
                    formats.number(now.rows_refused),
                    formats.number(then.rows_refused),
                ),
                (
                    say.text("head.share"),
                    words.share(now.rows_refused, now.rows_added),
                    words.share(then.rows_refused, then.rows_added),
                ),
            ],
            say,
        ),
    ]


def method(report: pb.HealthReport, say: Translator) -> list[Block]:
    """Formulas, thresholds, and the versions of what they rest on."""
    profile = report.figures.profile
    values: dict[str, Any] = {
        "green": formats.number(profile.green_from),
        "yellow": formats.number(profile.yellow_from),
        "dimension": formats.number(profile.dimension_from),
        "target": formats.number(profile.target),
        "days": profile.working_days,
        "year": profile.calendar_until,
        "method": report.figures.method,
        "profile": profile.version,
        "digest": report.figures_sha256,
        "zone": profile.time_zone,
    }
    terms = ("rate", "dimension", "mean", "light", "cut", "orders", "refused", "versions")
    return [
        Lead(say.text("method.lead")),
        Formulas(
            [
                Formula(
                    say.text(f"method.{term}"),
                    say.text(f"method.{term}.formula", **values),
                    say.text(f"method.{term}.text", **values),
                )
                for term in terms
            ]
        ),
    ]


def _beside(name: str, rows: Sequence[tuple[str, str, str]], say: Translator) -> Table:
    return Table(
        name,
        [
            Head(say.text("head.what"), weight=4),
            Head(say.text("head.this"), "right"),
            Head(say.text("head.before"), "right"),
        ],
        [[Cell(term), Cell(now), Cell(before)] for term, now, before in rows],
    )
