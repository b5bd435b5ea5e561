"""`plaza work-order …`, against a gateway that lives in this process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import City

ORDERS = "/api/v1/departments/ecology/workOrders"
ID = "01980000-0000-7000-8000-000000000001"
ORDER: dict[str, Any] = {
    "name": f"departments/ecology/workOrders/{ID}",
    "dataset": "departments/ecology/datasets/air",
    "dimension": "DIMENSION_COMPLETENESS",
    "state": "WORK_ORDER_STATE_ACCEPTED",
    "judgedVersion": 3,
    "score": 76.923,
    "target": 95,
    "assignee": "ecology-officer",
    "dueDate": "2026-12-04",
    "dueProvisional": True,
    "failedRules": [
        {
            "id": "x-present",
            "title": "有值",
            "failed": "9",
            "judged": "39",
            "passRate": 76.923,
            "threshold": 90,
        }
    ],
    "history": [
        {
            "time": "2026-11-20T01:00:00Z",
            "state": "WORK_ORDER_STATE_OPEN",
            "version": 1,
            "score": 83.3333,
        },
        {
            "time": "2026-11-21T01:00:00Z",
            "state": "WORK_ORDER_STATE_ACCEPTED",
            "username": "ecology-officer",
        },
    ],
}


def test_the_list_says_until_when_and_why(city: City) -> None:
    city.answer(f"GET {ORDERS}", {"workOrders": [ORDER]})
    city.logged_in()
    result = city.run("work-order", "list", "--department", "ecology", "--dataset", "ecology/air", "--closed")
    assert result.exit_code == 0, result.output
    asked = city.asked(ORDERS)[-1].url.params
    assert (asked["dataset"], asked["showClosed"]) == ("departments/ecology/datasets/air", "true")
    row = result.stdout.splitlines()[-1].split()
    assert row[:2] == ["2026-12-04", "(provisional)"]
    assert row[2:] == [
        *("ecology/air", "completeness", "76.923", "95", "accepted", "ecology-officer"),
        f"ecology/{ID}",
    ]


def test_one_is_shown_with_its_rules_and_its_history(city: City) -> None:
    city.answer(f"GET {ORDERS}/{ID}", ORDER)
    city.logged_in()
    result = city.run("work-order", "show", f"ecology/{ID}")
    assert result.exit_code == 0, result.output
    assert "76.923 of 95 (version 3)" in result.stdout
    assert "x-present" in result.stdout
    first, last = result.stdout.splitlines()[-2:]
    assert "no rows: nothing there" in result.stderr
    assert first.endswith("open  version 1  score 83.3333")
    assert last.endswith("accepted  ecology-officer")


def test_failing_rows_are_shown_with_what_they_break(city: City) -> None:
    city.answer(f"GET {ORDERS}/{ID}", ORDER)
    rows = {
        "version": 3,
        "columns": ["id", "x", "sure"],
        "rows": [{"values": [7.0, None, True], "rules": ["x-present", "once"]}],
        "nextPageToken": "more",
    }
    city.answer(f"GET {ORDERS}/{ID}/rows", rows)
    city.logged_in()
    result = city.run("work-order", "show", f"ecology/{ID}", "--rows", "1")
    assert city.asked(f"{ORDERS}/{ID}/rows")[-1].url.params["pageSize"] == "1"
    assert ["7", "true", "x-present,", "once"] in [line.split() for line in result.stdout.splitlines()]
    assert "work-order patch" in result.stderr
    shown = json.loads(city.run("work-order", "show", f"ecology/{ID}", "--json").stdout)
    assert shown == ORDER | {"failingRows": rows}


def test_a_correction_file_goes_out_and_comes_in(city: City, tmp_path: Path) -> None:
    city.answer(f"GET {ORDERS}/{ID}", ORDER)
    city.stream(f"GET {ORDERS}/{ID}:correctionFile", [b"plaza_row,x\r\n", b"n,1\r\n"])
    city.answer("POST /api/v1/departments/ecology/uploads", {"name": "departments/ecology/uploads/u"})
    city.answer(
        f"POST {ORDERS}/{ID}:correct", {"name": "departments/ecology/runs/r", "workOrder": ORDER["name"]}
    )
    city.logged_in()
    patch = tmp_path / "patch.csv"
    result = city.run("work-order", "patch", f"ecology/{ID}", "-o", str(patch), "--english")
    assert result.exit_code == 0, result.output
    assert patch.read_bytes() == b"plaza_row,x\r\nn,1\r\n"
    assert city.asked(f"{ORDERS}/{ID}:correctionFile")[-1].url.params["language"] == "LANGUAGE_EN"
    result = city.run("work-order", "correct", f"ecology/{ID}", str(patch))
    assert result.exit_code == 0, result.output
    assert city.sent(f"{ORDERS}/{ID}:correct") == {"upload": "departments/ecology/uploads/u"}
    assert "departments/ecology/runs/r started" in result.stdout


def test_a_correction_file_that_breaks_off_leaves_nothing(city: City, tmp_path: Path) -> None:
    city.stream(f"GET {ORDERS}/{ID}:correctionFile", [b"plaza_row", httpx.ReadError("gone")])
    city.logged_in()
    patch = tmp_path / "patch.csv"
    result = city.run("work-order", "patch", f"ecology/{ID}", "-o", str(patch))
    assert result.exit_code != 0
    assert "broke off" in result.stderr
    assert not patch.exists()


def test_taking_answering_and_commenting(city: City) -> None:
    for action in ("accept", "answer", "comment"):
        city.answer(f"POST {ORDERS}/{ID}:{action}", ORDER)
    city.logged_in()
    assert "is accepted" in city.run("work-order", "accept", f"ecology/{ID}").stdout
    done = city.run("work-order", "resolve", f"ecology/{ID}", "传感器已更换", "--json")
    assert json.loads(done.stdout) == ORDER
    assert city.sent(f"{ORDERS}/{ID}:answer") == {"text": "传感器已更换"}
    city.run("work-order", "comment", f"ecology/{ID}", "asked them")
    said = city.sent(f"{ORDERS}/{ID}:comment")
    assert said["text"] == "asked them"
    assert len(said["requestId"]) == 36


def test_a_wrong_name_says_where_to_find_a_right_one(city: City) -> None:
    city.logged_in()
    result = city.run("work-order", "accept", "ecology/7")
    assert result.exit_code == 2
    assert "plaza work-order list" in result.stderr
