"""`plaza dataset adopt` against a gateway in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

City = Any
"""The fixture's class lives in conftest, which tests do not import."""
AIR = "/api/v1/departments/ecology/datasets/air"
CONTRACT = {"fields": [{"name": "a", "type": "FIELD_TYPE_STRING"}]}
DIFFERENCE = {"field": "contract.fields.a.unit", "oldValue": "", "newValue": "m"}


@pytest.fixture
def document(tmp_path: Path, city: City) -> str:
    city.logged_in()
    city.answer("POST /api/v1/contracts:parse", {"contract": CONTRACT})
    city.answer(f"GET {AIR}", {"etag": "abc"})
    path = tmp_path / "air.odcs.yaml"
    path.write_text("kind: DataContract")
    return str(path)


def test_what_was_read_is_sent_with_its_etag(city: City, document: str) -> None:
    city.answer(f"POST {AIR}:adoptContract", {"contractVersion": 2, "differences": [DIFFERENCE]})
    result = city.run("dataset", "adopt", "ecology/air", document)
    assert result.exit_code == 0, result.output
    sent = city.sent(f"{AIR}:adoptContract")
    assert (sent["contract"], sent["etag"], sent["validateOnly"]) == (CONTRACT, "abc", False)
    assert "contract.fields.a.unit" in result.stdout
    assert "contract 2 is in force" in result.stderr


def test_a_dry_run_asks_only(city: City, document: str) -> None:
    city.answer(f"POST {AIR}:adoptContract", {"contractVersion": 2, "differences": [DIFFERENCE]})
    result = city.run("dataset", "adopt", "ecology/air", document, "--dry-run", "--json")
    assert json.loads(result.stdout)["differences"] == [DIFFERENCE]
    assert city.sent(f"{AIR}:adoptContract")["validateOnly"] is True


def test_nothing_new_is_said(city: City, document: str) -> None:
    city.answer(f"POST {AIR}:adoptContract", {"contractVersion": 3})
    result = city.run("dataset", "adopt", "ecology/air", document)
    assert "no difference" in result.stdout
    assert "contract 3 says this already" in result.stderr


def test_a_refusal_shows_every_difference(city: City, document: str) -> None:
    errors = [
        {"in": "body", "pointer": f"/contract/fields/{n}/type", "detail": f"field f{n} is …"}
        for n in range(2)
    ]
    problem = {"status": 400, "detail": "version 4 of the data cannot follow", "errors": errors}
    city.routes[f"POST {AIR}:adoptContract"] = lambda _: httpx.Response(400, json=problem)
    result = city.run("dataset", "adopt", "ecology/air", document)
    assert result.exit_code == 1
    assert "/contract/fields/0/type: field f0" in result.stderr
    assert "/contract/fields/1/type: field f1" in result.stderr
