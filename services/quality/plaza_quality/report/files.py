"""A health report as a file."""

from __future__ import annotations

from datetime import UTC

from plaza.quality.v1 import reports_pb2 as pb

from plaza_quality.report import words
from plaza_quality.report.compose import compose
from plaza_quality.report.html import html
from plaza_quality.report.pdf import pdf


def written(report: pb.HealthReport, format_: str, language: str) -> tuple[str, bytes]:
    """Media type and bytes, the same for the same report. `format_`: `pdf`, `html`, empty for `pdf`; `language`: `zh`,
    `en`, empty for `zh`. Blocking, a tenth of a second."""
    document = compose(report, words.translators()[words.LANGUAGES[language]])
    if format_ == "html":
        return "text/html; charset=utf-8", html(document)
    return "application/pdf", pdf(document, report.create_time.ToDatetime(tzinfo=UTC))
