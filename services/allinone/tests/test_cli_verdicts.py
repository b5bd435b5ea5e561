"""`plaza quality run`, and rows with their verdicts."""

from __future__ import annotations

import json
from typing import Any

import pytest

City = Any
"""The fixture's class lives in conftest, which tests do not import."""
PLACE = "/api/v1/departments/ecology/datasets/air"


@pytest.fixture(autouse=True)
def _logged_in(city: City) -> None:
    city.logged_in()


def test_a_version_is_assessed_again(city: City) -> None:
    city.answer(f"POST {PLACE}/versions/3:assess", {"queued": True, "number": 2})
    city.answer(f"GET {PLACE}/versions/3/assessment", {"number": 1}, {"number": 2})
    result = city.run("quality", "run", "ecology/air@3")
    assert result.exit_code == 0, result.output
    assert "ecology/air@3 is assessed again (assessment 2)" in result.stdout
    assert city.slept == [1.0]
    assert len(json.loads(city.asked(f"{PLACE}/versions/3:assess")[0].content)["requestId"]) == 36


def test_the_newest_is_assessed_where_none_is_named(city: City) -> None:
    city.answer(f"GET {PLACE}/assessments", {"assessments": [{"version": 7}]})
    city.answer(f"POST {PLACE}/versions/7:assess", {"number": 1})
    result = city.run("quality", "run", "ecology/air", "--json")
    assert json.loads(result.stdout) == {"version": 7, "queued": False, "number": 1}
    assert city.run("quality", "run", "ecology/air@x").exit_code == 2


def test_rows_with_their_verdicts(city: City) -> None:
    page = {"version": 1, "columns": ["id", "_verdict"], "rows": [[1, "fail"]], "nextPageToken": ""}
    city.answer(f"GET {PLACE}/rows", page)
    result = city.run("rows", "ecology/air", "--where", "verdict = fail", "--columns", "id", "--verdicts")
    assert result.exit_code == 0, result.output
    asked = dict(city.asked(f"{PLACE}/rows")[0].url.params)
    assert asked["filter"] == "verdict = fail"
    assert asked["columns"] == "id,_verdict,_failed_rules,_reasons,_rule_set"
    assert "fail" in result.stdout
