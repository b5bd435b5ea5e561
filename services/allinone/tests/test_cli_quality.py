"""`plaza quality …`, against a gateway that lives in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import City

AIR = "/api/v1/departments/ecology/datasets/air"
ASSESSMENT: dict[str, Any] = {
    "name": "departments/ecology/datasets/air/versions/3/assessment",
    "version": 3,
    "rows": "1200",
    "score": 88.8888,
    "light": "LIGHT_YELLOW",
    "rowPassRate": 97.5,
    "createTime": "2026-11-21T01:00:00Z",
    "dimensions": [{"dimension": "DIMENSION_VALIDITY", "score": 88.8888}],
    "rules": [
        {
            "rule": {"id": "x-sane", "title": "合理", "thresholdPercent": 90},
            "passed": "800",
            "failed": "100",
            "notApplicable": "300",
            "passRate": 88.8888,
        },
        {"rule": {"id": "gone"}, "notApplicable": "1200", "met": True, "absentFields": ["y"]},
    ],
}


def test_the_newest_assessment_is_shown_rule_by_rule(city: City) -> None:
    city.answer(f"GET {AIR}/assessments", {"assessments": [ASSESSMENT]})
    city.logged_in()
    result = city.run("quality", "show", "ecology/air")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["score", "88.8888"] in lines
    assert ["rows", "1,200"] in lines
    assert ["validity", "88.8888"] in lines
    assert ["x-sane", "合理", "800", "100", "300", "88.8888", "90", "not", "met"] in lines
    assert ["gone", "0", "0", "1,200", "0", "no", "field", "y"] in lines


def test_what_a_gate_stops_is_shown(city: City) -> None:
    stopped = {"exit": "EXIT_OPENING", "stopped": True, "stoppedBy": [{"id": "x-sane", "title": "合理"}]}
    gates = [{"exit": "EXIT_SHARING"}, stopped]
    city.answer(f"GET {AIR}/assessments", {"assessments": [ASSESSMENT | {"gates": gates}]})
    gate = {
        "version": 3,
        "sharing": {"state": "GATE_STATE_PASSED", "lastGoodVersion": 3},
        "opening": {"state": "GATE_STATE_STOPPED", "stoppedBy": stopped["stoppedBy"], "lastGoodVersion": 2},
    }
    city.answer(f"GET {AIR}/gate", gate)
    city.logged_in()
    shown = [line.split() for line in city.run("quality", "show", "ecology/air").stdout.splitlines()]
    assert ["not", "to", "be", "opened", "x-sane", "(合理)"] in shown
    assert not [line for line in shown if line[:4] == ["not", "to", "be", "shared"]]
    result = city.run("quality", "gate", "ecology/air", "--version", "3")
    assert result.exit_code == 0, result.output
    assert city.asked(f"{AIR}/gate")[-1].url.params["version"] == "3"
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["shared", "passed", "3"] in lines
    assert ["opened", "stopped", "x-sane", "(合理)", "2"] in lines


def test_one_version_can_be_asked_for(city: City) -> None:
    city.answer(f"GET {AIR}/versions/2/assessment", ASSESSMENT)
    city.logged_in()
    assert city.run("quality", "show", "ecology/air", "--version", "2").exit_code == 0


def test_without_any_assessment_it_says_what_to_do(city: City) -> None:
    city.answer(f"GET {AIR}/assessments", {})
    city.logged_in()
    result = city.run("quality", "show", "ecology/air")
    assert result.exit_code != 0
    assert "plaza ingest" in result.stderr


def test_departments_stand_beside_the_city(city: City) -> None:
    score = {"score": 91.5, "light": "LIGHT_GREEN", "datasets": 4, "green": 3, "red": 1, "workOrders": 2}
    scores = [
        {**score, "name": "departments/ecology/score"},
        {"name": "departments/health/score", "withoutScore": 1},
    ]
    city.answer("GET /api/v1/scores", {"city": {**score, "name": "departments/-/score"}, "scores": scores})
    city.logged_in()
    result = city.run("quality", "scores")
    assert result.exit_code == 0, result.output
    first, second, third = result.stdout.splitlines()[-3:]
    assert first.split() == ["city", "91.5", "green", "4", "3", "0", "1", "2", "0"]
    assert second.split()[0] == "ecology"
    assert third.split() == ["health", "0", "0", "0", "0", "0", "0"]
