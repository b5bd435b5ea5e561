"""`plaza quality profile|suggest|rules|anomalies`, against a gateway that lives in this process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import City

AIR = "/api/v1/departments/ecology/datasets/air"
QUEUED: dict[str, Any] = {"version": 3, "state": "PROFILE_STATE_QUEUED"}
PROFILE: dict[str, Any] = {
    "version": 3,
    "state": "PROFILE_STATE_SUCCEEDED",
    "rows": "280512",
    "sampledRows": "100084",
    "columns": [
        {
            "field": "pm2_5",
            "type": "FIELD_TYPE_NUMBER",
            "nulls": "6071",
            "distinct": "796",
            "distinctExact": True,
            "minimum": "2",
            "maximum": "898",
            "quantiles": [{"share": 0.5, "value": "54"}],
            "topValues": [{"value": "3", "rows": "5927"}],
        },
        {
            "field": "id",
            "type": "FIELD_TYPE_STRING",
            "distinct": "9",
            "shapes": [{"value": "A9", "rows": "1"}],
        },
    ],
    "keys": [{"fields": ["station", "time"]}, {"fields": ["id"], "repeatedRows": "2"}],
    "dependencies": [{"determinant": "station", "dependent": "city", "exact": True}],
}
RULE: dict[str, Any] = {
    "id": "pm2_5-range",
    "title": "合理",
    "dimension": "DIMENSION_ACCURACY",
    "thresholdPercent": 99,
    "range": {"field": "pm2_5", "maximum": 1100},
}
SUGGESTION = {"rule": RULE, "passed": "274441", "failed": "7", "evidence": "median 54"}


@pytest.fixture
def air(city: City) -> City:
    city.answer(f"GET {AIR}", {"latestVersion": {"version": 3}, "contract": {"rules": [RULE, {"id": "new"}]}})
    city.answer(f"POST {AIR}/versions/3/profile", PROFILE)
    city.logged_in()
    return city


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_a_profile_is_asked_for_waited_for_and_shown(air: City) -> None:
    air.answer(f"POST {AIR}/versions/3/profile", QUEUED)
    air.answer(f"GET {AIR}/versions/3/profile", QUEUED, PROFILE)
    result = air.run("quality", "profile", "ecology/air")
    assert result.exit_code == 0, result.output
    assert air.slept == [0.5, 0.5]
    found = lines(result.stdout)
    assert ["rows", "280,512"] in found
    assert ["keys", "station,", "time;", "id", "(2", "repeated)"] in found
    assert ["dependencies", "station", "→", "city"] in found
    assert ["pm2_5", "number", "6,071", "0", "796", "2", "54", "898", "3", "(5,927)"] in found
    assert ["id", "string", "0", "0", "~9", "A9"] in found


def test_one_version_can_be_named(air: City) -> None:
    air.answer(f"POST {AIR}/versions/2/profile", PROFILE)
    assert air.run("quality", "profile", "ecology/air@2", "--json").exit_code == 0
    assert air.run("quality", "profile", "ecology/air@two").exit_code == 2


def test_what_cannot_be_profiled_says_why(air: City) -> None:
    failed = {"state": "PROFILE_STATE_FAILED", "error": "version 3 has expired"}
    air.answer(f"POST {AIR}/versions/3/profile", failed)
    result = air.run("quality", "profile", "ecology/air")
    assert result.exit_code == 1
    assert "expired" in result.stderr
    air.answer(f"POST {AIR}/versions/3/profile", QUEUED)
    air.answer(f"GET {AIR}/versions/3/profile", QUEUED)
    assert "still being made" in air.run("quality", "profile", "ecology/air").stderr
    air.answer(f"GET {AIR}", {})
    assert "plaza ingest" in air.run("quality", "profile", "ecology/air").stderr


def test_suggestions_are_shown_with_their_counts(air: City) -> None:
    air.answer(f"GET {AIR}/ruleSuggestions", {"suggestions": [SUGGESTION]})
    result = air.run("quality", "suggest", "ecology/air")
    assert result.exit_code == 0, result.output
    assert ["pm2_5-range", "合理", "99", "274,441", "7", "0", "median", "54"] in lines(result.stdout)


@pytest.mark.parametrize("look", [False, True])
def test_suggestions_are_accepted_by_id(air: City, look: bool) -> None:
    air.answer(f"POST {AIR}/ruleSuggestions:accept", {"contractVersion": 4, "rules": [RULE]})
    more = ["--dry-run"] if look else []
    result = air.run("quality", "suggest", "ecology/air", "--accept", "pm2_5-range, b", *more)
    assert result.exit_code == 0, result.output
    sent = air.sent(f"{AIR}/ruleSuggestions:accept")
    assert (sent["rules"], sent["validateOnly"]) == (["pm2_5-range", "b"], look)
    assert sent["requestId"]
    assert ("nothing was written" in result.stderr) == look
    assert "contract 4" in result.stderr


def test_rules_in_force_stand_beside_their_last_result(air: City) -> None:
    said = {"rule": RULE, "passed": "9", "failed": "1", "passRate": 90, "indicator": "0301"}
    air.answer(f"GET {AIR}/assessments", {"assessments": [{"version": 3, "rules": [said]}]})
    result = air.run("quality", "rules", "ecology/air")
    assert result.exit_code == 0, result.output
    found = lines(result.stdout)
    assert ["pm2_5-range", "合理", "accuracy", "0301", "minor", "99", "90", "1", "not", "met"] in found
    assert ["new", "minor", "0.0", "not", "asked", "yet"] in found


def test_history_is_shown_version_by_version(air: City) -> None:
    drop = {"version": 3, "figure": "HISTORY_FIGURE_ROWS", "value": 5, "expected": 100, "deviation": -9.87}
    air.answer(f"GET {AIR}/anomalies", {"anomalies": [drop]})
    result = air.run("quality", "anomalies", "ecology/air")
    assert ["3", "rows", "5", "100", "-9.9"] in lines(result.stdout)
    assert air.run("quality", "anomalies", "ecology/air", "--time", "time").exit_code == 2


def test_series_are_read_page_by_page(air: City) -> None:
    def anomaly(kind: str, **more: Any) -> dict[str, Any]:
        return {
            "kind": f"SERIES_ANOMALY_KIND_{kind}",
            "series": ["Dongsi"],
            "startTime": "2014-06-24T09:00:00Z",
            "endTime": "2014-06-24T09:00:00Z",
            "readings": "1",
            **more,
        }

    spike = anomaly("SPIKE", expected=61, deviation=19.367, points=[{"value": 463}])
    gap = anomaly("MISSING", points=[{"value": 7}, {}])
    counts = [{"kind": "SERIES_ANOMALY_KIND_SPIKE", "anomalies": "1", "readings": "1"}]
    pages = (
        {"anomalies": [spike], "nextPageToken": "more", "counts": counts},
        {"anomalies": [gap], "counts": counts},
    )
    options = ("--time", "time", "--value", "pm2_5", "--series", "station", "--kind", "level-shift")
    air.answer(f"POST {AIR}/anomalies:find", *pages)
    result = air.run("quality", "anomalies", "ecology/air", *options)
    assert result.exit_code == 0, result.output
    sent = air.sent(f"{AIR}/anomalies:find")
    assert (sent["version"], sent["timeField"], sent["seriesFields"]) == (3, "time", ["station"])
    assert (sent["kinds"], sent["pageToken"]) == (["SERIES_ANOMALY_KIND_LEVEL_SHIFT"], "more")
    when = ["2014-06-24T09:00:00Z"] * 2
    assert ["Dongsi", "spike", *when, "1", "463", "61", "19.4"] in lines(result.stdout)
    assert ["Dongsi", "missing", *when, "1"] in lines(result.stdout)
    assert "spike: 1, 1 reading" in result.stderr
    air.answer(f"POST {AIR}/anomalies:find", *pages)
    document = json.loads(air.run("quality", "anomalies", "ecology/air", *options, "--json").stdout)
    assert document == {"anomalies": [spike, gap], "counts": counts}
