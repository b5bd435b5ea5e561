"""`plaza quality reconcile …`, against a gateway that lives in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import City

ID = "01940000-0000-7000-8000-000000000001"
NAME = f"departments/ecology/reconciliations/{ID}"
PATH = f"/api/v1/{NAME}"
RUN = f"{NAME}/runs/2"
LEFT = {"dataset": "departments/ecology/datasets/people"}
RIGHT = {"dataset": "departments/police/datasets/residents", "agreement": "agreements/7"}
DONE: dict[str, Any] = {
    "name": RUN,
    "state": "RECONCILIATION_STATE_SUCCEEDED",
    "leftVersion": 3,
    "rightVersion": 4,
    "result": {
        "agreed": "980",
        "accuracy": 98.9898,
        "differences": [{"kind": "DIFFERENCE_KIND_ONLY_LEFT", "count": "7"}],
        "fields": [
            {"left": "income", "right": "revenue", "agreed": "980", "differing": "10", "agreement": 98.9898}
        ],
        "patterns": [
            {"kind": "PATTERN_KIND_FACTOR", "left": "income", "count": "9", "constant": 1000},
            {"kind": "PATTERN_KIND_SWAPPED", "left": "a", "count": "1", "otherLeft": "b"},
        ],
    },
}
DIFFERENCE = {
    "number": "1",
    "kind": "DIFFERENCE_KIND_DIFFERING",
    "key": ["a", "7"],
    "fields": [
        {
            "left": "income",
            "leftValue": "1000",
            "rightValue": "1",
            "rule": "differ by more than 1 %",
            "hints": ["PATTERN_KIND_CASE"],
        }
    ],
}


def test_two_datasets_are_compared_until_the_result_is_there(city: City) -> None:
    agreements = [
        {"name": "agreements/6", "state": "AGREEMENT_STATE_ENDED"},
        {
            "name": "agreements/7",
            "state": "AGREEMENT_STATE_IN_FORCE",
            "dataset": RIGHT["dataset"],
            "consumer": "departments/ecology",
        },
    ]
    city.answer("GET /api/v1/agreements", {"agreements": agreements})
    city.answer("POST /api/v1/departments/ecology/reconciliations", {"name": NAME})
    queued = {"name": RUN, "state": "RECONCILIATION_STATE_QUEUED"}
    city.answer(f"POST {PATH}:run", queued)
    city.answer(f"GET /api/v1/{RUN}", queued, DONE)
    city.logged_in()
    result = city.run(
        *(
            "quality",
            "reconcile",
            "ecology/people@3",
            "police/residents",
            "--key",
            "id=person",
            "--key",
            "part",
        ),
        *("--field", "income=revenue~1%", "--field", "sex=gender", "--field", "born=birth~30d"),
        *("--fold", "id=case,blanks", "--map", "sex=1:男,2:女", "--map", "part=codeLists/parts"),
        *("--authoritative", "right", "--title", "people", "--wait"),
    )
    assert result.exit_code == 0, result.output
    assert city.sent("/api/v1/departments/ecology/reconciliations") == {
        "title": "people",
        "left": LEFT | {"version": 3},
        "right": RIGHT,
        "key": [
            {"left": "id", "right": "person", "foldCase": True, "foldBlanks": True},
            {"left": "part", "codeList": "codeLists/parts"},
        ],
        "fields": [
            {"left": "income", "right": "revenue", "relativeTolerance": 0.01},
            {"left": "sex", "right": "gender", "values": {"1": "男", "2": "女"}},
            {"left": "born", "right": "birth", "timeTolerance": "2592000s"},
        ],
        "authority": "AUTHORITY_RIGHT",
    }
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["accuracy", "98.9898", "%"] in lines
    assert ["only-left", "7"] in lines
    assert "income: factor 1000 in 9 rows" in result.stdout
    assert "a: swapped with b in 1 row" in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--key", "a", "--field", "b~x"], "no pair"),
        (["--key", "a", "--field", "b", "--fold", "b=size"], "none of"),
        (["--key", "a", "--field", "b", "--fold", "c=case"], "neither"),
        (["--key", "a", "--field", "b", "--map", "b=1"], "VALUE:OTHER"),
        (["--field", "b"], "--key"),
    ],
)
def test_what_is_written_wrongly_is_said_before_anything_is_asked(
    city: City, words: list[str], said: str
) -> None:
    city.logged_in()
    result = city.run("quality", "reconcile", "ecology/a", "ecology/b", *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not [request for request in city.requests if request.method == "POST"]


def test_without_an_agreement_it_says_how_there_will_be_one(city: City) -> None:
    city.answer("GET /api/v1/agreements", {})
    city.logged_in()
    result = city.run("quality", "reconcile", "ecology/a", "police/b", "--key", "a", "--field", "b")
    assert result.exit_code == 1
    assert "plaza rows police/b" in result.stderr


def test_what_was_found_is_shown_listed_and_written_to_a_file(city: City, tmp_path: Path) -> None:
    city.answer(f"GET {PATH}", {"name": NAME, "left": LEFT, "right": RIGHT, "latestRun": DONE})
    city.answer(f"GET /api/v1/{RUN}", DONE)
    city.answer(f"GET /api/v1/{RUN}/differences", {"differences": [DIFFERENCE]})
    city.stream(f"GET /api/v1/{RUN}/differences:export", [b"number,kind\r\n", b"1,differing\r\n"])
    listed = {"reconciliations": [{"name": NAME, "left": LEFT, "right": RIGHT, "latestRun": DONE}]}
    city.answer("GET /api/v1/departments/ecology/reconciliations", listed)
    city.logged_in()
    shown = city.run("quality", "reconcile", "show", f"ecology/{ID}", "--json")
    assert json.loads(shown.stdout) == DONE
    lines = city.run("quality", "reconcile", "list", "--department", "ecology").stdout.splitlines()
    assert lines[-1].split()[:3] == [f"ecology/{ID}", "ecology/people", "police/residents"]
    found = city.run(
        "quality", "reconcile", "differences", f"ecology/{ID}", "--kind", "only-left", "--limit", "5"
    )
    assert "differ by more than 1 %" in found.stdout
    asked = city.asked(f"/api/v1/{RUN}/differences")[-1].url.params
    assert dict(asked) == {"pageSize": "5", "kind": "DIFFERENCE_KIND_ONLY_LEFT"}
    target = tmp_path / "d.csv"
    written = city.run("quality", "reconcile", "export", f"ecology/{ID}/2", "--output", str(target))
    assert written.exit_code == 0, written.output
    assert target.read_bytes() == b"number,kind\r\n1,differing\r\n"
    failed = {"name": RUN, "state": "RECONCILIATION_STATE_FAILED", "error": "right: refused"}
    city.answer(f"GET /api/v1/{RUN}", failed)
    again = city.run("quality", "reconcile", "show", f"ecology/{ID}/2")
    assert again.exit_code == 1
    assert "right: refused" in again.stderr
