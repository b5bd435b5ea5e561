"""Chapter one: the ecology bureau's data officer puts a dataset into the city's directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from story import Story

pytestmark = pytest.mark.e2e

AIR = "departments/ecology/datasets/air-quality"


@pytest.fixture(scope="module")
def registered(suite: Story, tmp_path_factory: pytest.TempPathFactory) -> Story:
    suite.log_in("ecology-officer")
    contract = tmp_path_factory.mktemp("contract") / "air.yaml"
    contract.write_text(_contract(), encoding="utf-8")
    suite.plaza(
        "dataset", "register", "ecology/air-quality", "--contract", str(contract),
        "--grade", "public", "--sharing-class", "unconditional",
        "--title", "环境空气质量小时值", "--description", "八个站点每小时的细颗粒物浓度",
        person="ecology-officer",
    )  # fmt: skip
    return suite


def _contract() -> str:
    here = Path(__file__).parent / "air-quality.odcs.yaml"
    return here.read_text(encoding="utf-8")


def test_she_is_who_she_says(suite: Story) -> None:
    suite.log_in("ecology-officer")
    caller = suite.plaza("whoami", person="ecology-officer")
    assert caller["username"] == "ecology-officer"
    assert caller["departments"] == ["departments/ecology"]
    assert "data-officer" in caller["roles"]


def test_the_dataset_stands_in_the_directory(registered: Story) -> None:
    shown = registered.plaza("dataset", "show", "ecology/air-quality", person="ecology-officer")
    assert shown["name"] == AIR
    assert shown["cityLevel"] == "CITY_LEVEL_PUBLIC"
    assert [field["name"] for field in shown["contract"]["fields"]][:2] == ["station", "time"]
    assert shown["metadataVersion"] == 1


def test_everybody_in_the_city_finds_it_by_two_characters(registered: Story) -> None:
    registered.log_in("transport-reader")
    for words in ("空气", "颗粒", "环境空气质量小时值"):
        found = registered.get("/datasets:search", "transport-reader", query=words).json()
        assert AIR in [dataset["name"] for dataset in found["datasets"]], words
    assert registered.get("/datasets:search", "transport-reader", query="医保").json()["totalSize"] == 1


def test_the_contract_comes_out_as_it_went_in(registered: Story) -> None:
    exported = registered.get(f"/{AIR}:exportContract", "health-reader")
    assert exported.status_code == 200
    assert "apiVersion: v3.1.0" in exported.text
    assert "PM2.5" in exported.text


def test_another_department_may_not_register_here(registered: Story) -> None:
    registered.log_in("health-officer")
    refused = registered.plaza(
        "dataset", "register", "ecology/stolen", "--contract", str(Path(__file__).parent / "air-quality.odcs.yaml"),
        "--grade", "public", "--sharing-class", "unconditional", "--title", "x",
        person="health-officer", ok=False,
    )  # fmt: skip
    assert refused.returncode == 1
    assert "ecology" in refused.stderr


def test_a_stranger_sees_nothing(registered: Story) -> None:
    answer = registered.get(f"/{AIR}")
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_the_registration_stands_in_the_ledger(registered: Story) -> None:
    entries = registered.get("/ledger/entries", "bureau-auditor", subject=AIR).json()["entries"]
    assert [entry["type"] for entry in entries] == ["city.plaza.catalogue.dataset.registered.v1"]
    assert registered.get("/ledger/entries", "ecology-reader").status_code == 403
    assert registered.get("/ledger:checkpoint").status_code == 200


def test_the_grade_was_confirmed_with_it(registered: Story) -> None:
    grading = registered.get(f"/{AIR}/grading", "ecology-reader").json()
    assert grading["cityLevel"] == "CITY_LEVEL_PUBLIC"
    assert grading["sharingClass"] == "SHARING_CLASS_UNCONDITIONAL"
