"""Charts as blocks."""

from __future__ import annotations

from collections.abc import Callable

from plaza_quality.report.charts import NARROW, WIDE
from plaza_quality.report.document import Chart


def chart(finding: str, measure: str, draw: Callable[[int], str]) -> Chart:
    """`draw` is asked for both widths."""
    return Chart(finding, measure, f"{finding}. {measure}", draw(WIDE), draw(NARROW))


def month_label(month: str) -> str:
    """`2026-11` → `26-11`."""
    return month[2:]
