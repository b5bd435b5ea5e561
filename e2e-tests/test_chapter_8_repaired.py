"""Chapter eight: bad loads open one work order; an officer takes it, answers it, and the next load closes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from story import Story, until

pytestmark = pytest.mark.e2e

OFFICER = "health-officer"
DATASET = "health/flu-clinics"
NAME = "departments/health/datasets/flu-clinics"
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: flu-clinics
name: 发热门诊
version: 1.0.0
status: active
schema:
  - name: flu-clinics
    logicalType: object
    properties:
      - {name: id, logicalType: string, required: true, primaryKey: true, primaryKeyPosition: 1}
      - name: phone
        logicalType: string
        quality:
          - id: phone-present
            name: 有电话
            type: library
            metric: nullValues
            mustBeLessOrEqualTo: 2
            unit: percent
"""


def write(folder: Path, name: str, silent: int) -> Path:
    """Fifty clinics; so many have no telephone."""
    lines = [
        "id,phone",
        *(f"{number:03},{'' if number < silent else f'0755-2{number:06}'}" for number in range(50)),
    ]
    path = folder / name
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def load(suite: Story, file: Path, version: int) -> None:
    suite.plaza("ingest", DATASET, str(file), "--mode", "replace", "--wait", person=OFFICER)
    path = f"/{NAME}/versions/{version}/assessment"
    until(lambda: suite.get(path, OFFICER).status_code == 200, f"version {version} is assessed", 120)


def orders(suite: Story, *more: str) -> list[dict[str, Any]]:
    found = suite.plaza(
        "work-order", "list", "--department", "health", "--dataset", DATASET, *more, person=OFFICER
    )
    assert isinstance(found, list)
    return found


@pytest.fixture(scope="module")
def folder(suite: Story, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clinics")
    suite.log_in(OFFICER)
    (folder / "contract.yaml").write_text(CONTRACT, "utf-8")
    suite.plaza(
        "dataset", "register", DATASET, "--contract", str(folder / "contract.yaml"), "--grade", "internal",
        "--sharing-class", "unconditional", "--title", "发热门诊", person=OFFICER,
    )  # fmt: skip
    return folder


def test_two_bad_loads_open_one_work_order(suite: Story, folder: Path) -> None:
    load(suite, write(folder, "one.csv", 10), 1)
    load(suite, write(folder, "two.csv", 15), 2)
    (order,) = orders(suite)
    assert (order["dimension"], order["state"]) == ("DIMENSION_COMPLETENESS", "WORK_ORDER_STATE_OPEN")
    assert (order["openedByVersion"], order["judgedVersion"], order["score"]) == (1, 2, 70)
    (rule,) = order["failedRules"]
    assert (rule["id"], rule["title"], rule["failed"]) == ("phone-present", "有电话", "15")
    assert order["dueDate"]
    shown = suite.plaza("quality", "show", DATASET, person=OFFICER)
    assert (shown["version"], shown["score"], shown["light"]) == (2, 70, "LIGHT_RED")


def test_an_answer_that_is_no_repair_reopens_it(suite: Story, folder: Path) -> None:
    name = orders(suite)[0]["name"]
    taken = suite.plaza("work-order", "accept", name, person=OFFICER)
    assert taken["assignee"] == OFFICER
    suite.plaza("work-order", "resolve", name, "已致电补录", person=OFFICER)
    load(suite, write(folder, "three.csv", 12), 3)
    assert [order["state"] for order in orders(suite)] == ["WORK_ORDER_STATE_REOPENED"]


def test_a_good_load_closes_it(suite: Story, folder: Path) -> None:
    name = orders(suite)[0]["name"]
    suite.plaza("work-order", "resolve", name, "窗口系统已改为必填", person=OFFICER)
    load(suite, write(folder, "four.csv", 0), 4)
    assert orders(suite) == []
    closed = suite.plaza("work-order", "show", name, person=OFFICER)
    assert [entry["state"].removeprefix("WORK_ORDER_STATE_").lower() for entry in closed["history"]] == [
        "open", "accepted", "answered", "rechecking", "reopened", "answered", "rechecking", "closed",
    ]  # fmt: skip


def test_leaders_see_how_departments_stand(suite: Story) -> None:
    scores = suite.plaza("quality", "scores", person=OFFICER)
    health = {score["name"]: score for score in scores["scores"]}["departments/health/score"]
    assert health["datasets"] >= 3
    assert scores["city"]["datasets"] == sum(score.get("datasets", 0) for score in scores["scores"])
    history = suite.get("/departments/health/scoreHistory", OFFICER).json()
    assert history["days"][-1]["datasets"] == health["datasets"]
