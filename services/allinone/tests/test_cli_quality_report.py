"""`plaza quality report`, against a gateway that lives in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from conftest import City

REPORTS = "/api/v1/departments/ecology/healthReports"
NAME = "departments/ecology/healthReports/01980000-0000-7000-8000-000000000001"
OVER = {
    "name": NAME,
    "month": "2026-10",
    "asOfTime": "2026-10-31T16:00:00Z",
    "createTime": "2026-10-31T17:01:00Z",
}
DURING = {
    "name": f"{NAME[:-1]}2",
    "month": "2026-10",
    "asOfTime": "2026-10-07T01:00:00Z",
    "createTime": "2026-10-07T01:00:00Z",
}
REPORT: dict[str, Any] = {
    **OVER,
    "score": 92.4567,
    "light": "LIGHT_YELLOW",
    "figures": {
        "now": {"score": 92.4567, "green": 3, "red": 1, "withoutScore": 2},
        "before": {"score": 97.1},
        "workOrders": {"opened": 4, "overdue": 1},
        "intake": {"rowsAdded": "1204331", "rowsRefused": "312"},
        "worst": [
            {
                "dataset": "departments/ecology/datasets/permits",
                "score": 84.9,
                "light": "LIGHT_RED",
                "rulesNotMet": 2,
                "worstRule": "校验位",
            }
        ],
    },
}
WORDS = ("quality", "report", "--department", "ecology", "--month", "2026-10")


def test_the_report_of_a_month_that_is_over_is_shown(city: City) -> None:
    city.answer(f"GET {REPORTS}", {"healthReports": [{"name": "x", "month": "2026-11"}, DURING, OVER]})
    city.answer(f"GET /api/v1/{NAME}", REPORT)
    city.logged_in()
    result = city.run(*WORDS)
    assert result.exit_code == 0, result.output
    assert "92.4567" in result.stdout
    assert "1,204,331 loaded, 312 refused" in result.stdout
    assert "ecology/permits" in result.stdout
    assert json.loads(city.run(*WORDS, "--json").stdout)["figures"] == REPORT["figures"]


def test_else_one_is_made(city: City) -> None:
    city.answer(f"GET {REPORTS}", {"healthReports": [DURING]})
    city.answer(f"POST {REPORTS}", REPORT)
    city.answer("POST /api/v1/departments/-/healthReports", REPORT)
    city.answer("GET /api/v1/departments/-/healthReports", {})
    city.logged_in()
    assert city.run(*WORDS).exit_code == 0
    made = city.asked(REPORTS)[-1]
    assert json.loads(made.content) == {"month": "2026-10"}
    assert made.url.params["requestId"]
    assert city.run("quality", "report", "--city", "--new").exit_code == 0
    month = json.loads(city.asked("/api/v1/departments/-/healthReports")[-1].content)["month"]
    assert len(month) == 7


def test_a_file_is_written_whole(city: City, tmp_path: Path) -> None:
    city.answer(f"GET {REPORTS}", {"healthReports": [OVER]})
    city.answer(f"GET /api/v1/{NAME}", REPORT)
    download = f"/api/v1/{NAME}:download"
    city.stream(f"GET {download}", [b"%PDF", b"-1.7"])
    city.logged_in()
    for name, more, form in (
        ("a.pdf", (), "pdf"),
        ("b.html", (), "html"),
        ("c.x", ("--format", "html"), "html"),
    ):
        result = city.run(*WORDS, "-o", str(tmp_path / name), "--language", "en", *more)
        assert result.exit_code == 0, result.output
        assert (tmp_path / name).read_bytes() == b"%PDF-1.7"
        asked = city.asked(download)[-1].url.params
        assert (asked["format"], asked["language"]) == (form, "en")
    assert city.run(*WORDS, "-o", str(tmp_path / "a.pdf")).exit_code == 2
    city.stream(f"GET {download}", [b"%PDF", httpx.ReadError("gone")])
    assert city.run(*WORDS, "-o", str(tmp_path / "d.pdf")).exit_code == 1
    assert not (tmp_path / "d.pdf").exists()


def test_wrong_use(city: City) -> None:
    city.logged_in()
    for words in (("--month", "2026-13"), ("--city", "--department", "ecology"), ("--format", "pdf")):
        assert city.run("quality", "report", *words).exit_code == 2
