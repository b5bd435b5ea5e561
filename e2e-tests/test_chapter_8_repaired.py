"""Chapter eight: bad loads open one work order; an officer takes it, answers it, and the next load closes it. What
fails leaves the department by no door, until its rows are corrected by a file of the source's own.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from story import Story, until

pytestmark = pytest.mark.e2e

OFFICER = "health-officer"
READER = "transport-reader"
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
            customProperties:
              - {property: stopsSharing, value: true}
              - {property: stopsOpening, value: true}
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
    suite.log_in(READER)
    (folder / "contract.yaml").write_text(CONTRACT, "utf-8")
    suite.plaza(
        "dataset", "register", DATASET, "--contract", str(folder / "contract.yaml"), "--grade", "public",
        "--sharing-class", "unconditional", "--title", "发热门诊", "--licence", "CC-BY-4.0", "--open", person=OFFICER,
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


def test_a_version_that_fails_goes_nowhere_and_the_last_good_one_stays(suite: Story, folder: Path) -> None:
    released = suite.plaza("release", "publish", DATASET, "--wait", person=OFFICER)
    load(suite, write(folder, "five.csv", 9), 5)
    assert suite.get(f"/{NAME}/rows", OFFICER).headers["plaza-version"] == "5", "the owner reads everything"
    for form in ("json", "csv", "parquet", "arrow"):
        answer = suite.get(f"/{NAME}/rows", READER, format=form)
        assert (answer.status_code, answer.headers["plaza-version"]) == (200, "4")
        assert answer.headers["plaza-held-back"] == "5; rules=phone-present"
    named = suite.get(f"/{NAME}/versions/5/rows", READER)
    assert (named.status_code, named.json()["reason"]) == (400, "VERSION_STOPPED")
    assert "phone-present (有电话)" in named.json()["detail"]
    refused = suite.plaza("release", "publish", DATASET, person=OFFICER, ok=False)
    assert refused.returncode == 1
    assert "release version 4" in refused.stdout + refused.stderr
    gate = suite.plaza("quality", "gate", DATASET, person=OFFICER)
    assert (gate["version"], gate["opening"]["state"]) == (5, "GATE_STATE_STOPPED")
    shown = suite.get(f"/{NAME}/openDataset").json()
    assert shown["latestRelease"]["name"] == released["name"]


def test_its_rows_are_corrected_by_a_file_of_the_sources_own(suite: Story, folder: Path) -> None:
    (order,) = orders(suite)
    shown = suite.plaza("work-order", "show", order["name"], person=OFFICER)
    evidence = shown["failingRows"]
    assert [row["values"][0] for row in evidence["rows"]] == [f"{number:03}" for number in range(9)]
    assert evidence["rows"][0]["rules"] == ["phone-present"]
    patch = folder / "patch.csv"
    suite.plaza("work-order", "patch", order["name"], "-o", str(patch), person=OFFICER)
    by_api = suite.get(f"/{order['name']}:correctionFile", OFFICER)
    assert by_api.content == patch.read_bytes()
    assert by_api.headers["content-disposition"].endswith('.csv"')
    with patch.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["plaza_row", "plaza_reason", "plaza_detail", "id", "phone"]
    assert rows[0]["plaza_reason"] == "未满足规则 phone-present（有电话）"
    for number, row in enumerate(rows):
        row["phone"] = f"0755-8{number:06}"
    with patch.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    done = suite.plaza("work-order", "correct", order["name"], str(patch), "--wait", person=OFFICER)
    assert (done["version"], done["run"]["rowsRemoved"]) == (6, "9")
    until(lambda: not orders(suite), "the assessment closes the work order", 120)
    closed = suite.plaza("work-order", "show", order["name"], person=OFFICER)
    last = [entry["state"].removeprefix("WORK_ORDER_STATE_").lower() for entry in closed["history"][-4:]]
    assert last == ["reopened", "answered", "rechecking", "closed"]
    assert closed["history"][-3]["text"] == done["run"]["name"]
    newest = suite.get(f"/{NAME}/rows", READER)
    assert newest.headers["plaza-version"] == "6"
    assert "plaza-held-back" not in newest.headers
    assert len(newest.json()["rows"]) == 50


def test_the_sender_is_answered(suite: Story, folder: Path) -> None:
    runs = suite.plaza("run", "list", "--dataset", DATASET, person=OFFICER)
    by_version = {run.get("version"): run for run in runs}
    until(
        lambda: "assessment" in suite.plaza("run", "show", by_version[6]["name"], person=OFFICER),
        "the run of the correction says what quality found",
    )
    bad = suite.plaza("run", "show", by_version[5]["name"], person=OFFICER)["assessment"]
    assert (bad["score"], bad["light"], bad["stoppedSharing"]) == ("82", "red", ["phone-present"])
    (rule,) = bad["failedRules"]
    assert (rule["title"], rule["failed"], rule["judged"]) == ("有电话", "9", "50")
    assert len(bad["workOrders"]) == 1


def test_leaders_see_how_departments_stand(suite: Story) -> None:
    scores = suite.plaza("quality", "scores", person=OFFICER)
    health = {score["name"]: score for score in scores["scores"]}["departments/health/score"]
    assert health["datasets"] >= 3
    assert scores["city"]["datasets"] == sum(score.get("datasets", 0) for score in scores["scores"])
    history = suite.get("/departments/health/scoreHistory", OFFICER).json()
    assert history["days"][-1]["datasets"] == health["datasets"]
