"""How a health report is named as a file."""

from __future__ import annotations

import pytest
from plaza.quality.v1 import reports_pb2
from plaza_gateway.streams.reports import file_name

ID = "01980000-0000-7000-8000-0000000000b1"


@pytest.mark.parametrize(
    ("department", "more", "name"),
    [
        ("ecology", {}, "health-ecology-000000b1-zh.pdf"),
        ("-", {"format": "html", "language": "en"}, "health-city-000000b1-en.html"),
    ],
)
def test_a_report_s_file_says_whose_it_is(department: str, more: dict[str, str], name: str) -> None:
    asked = reports_pb2.DownloadHealthReportRequest(
        name=f"departments/{department}/healthReports/{ID}", **more
    )
    assert file_name(asked) == name
