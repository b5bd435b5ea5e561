"""Chapter three: the version is scored, and another department reads it under an agreement with a number."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import air_quality
import pytest
from story import Story, until

pytestmark = pytest.mark.e2e

OFFICER = "ecology-officer"
READER = "transport-reader"
DATASET = "ecology/roadside"
NAME = "departments/ecology/datasets/roadside"
HOURS = 400


@pytest.fixture(scope="module")
def roadside(suite: Story, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("roadside")
    file = air_quality.station_file(folder, "Wanliu", HOURS, seed=3)
    suite.log_in(OFFICER)
    suite.log_in(READER)
    contract = folder / "roadside.yaml"
    suite.plaza("dataset", "infer", str(file), "--output", str(contract), person=OFFICER)
    contract.write_text(air_quality.with_rules(contract.read_text("utf-8")), "utf-8")
    suite.plaza(
        "dataset", "register", DATASET, "--contract", str(contract), "--grade", "internal",
        "--sharing-class", "unconditional", "--title", "路边站小时值", person=OFFICER,
    )  # fmt: skip
    suite.plaza("ingest", DATASET, str(file), "--wait", person=OFFICER)
    return file


def test_it_is_scored_by_the_rules_of_its_contract(suite: Story, roadside: Path) -> None:
    path = f"/{NAME}/versions/1/assessment"
    until(lambda: suite.get(path, OFFICER).status_code == 200, "the version is assessed")
    assessment = suite.get(path, OFFICER).json()
    missing = sum(line.split(b",")[5] == b"NA" for line in roadside.read_bytes().splitlines()[1:])
    rules = {result["rule"]["id"]: result for result in assessment["rules"]}
    assert int(rules["pm2_5-null-share"]["failed"]) == missing > 0
    assert rules["hour-once"]["met"]
    shown = suite.plaza("dataset", "show", DATASET, person=OFFICER)
    assert shown["latestVersion"]["light"] == assessment["light"]


def test_transport_reads_it_under_an_agreement_by_rule(suite: Story, roadside: Path) -> None:
    answer = suite.get(f"/{NAME}/rows", READER, format="csv", purpose="路网与空气质量分析")
    assert answer.status_code == 200, answer.text
    assert answer.text.count("\n") == HOURS + 1
    agreement = suite.get(f"/{answer.headers['plaza-agreement']}", READER).json()
    assert (agreement["provider"], agreement["consumer"]) == ("departments/ecology", "departments/transport")
    assert agreement["clauses"]
    delivery = suite.get(f"/{answer.headers['plaza-delivery']}", READER).json()
    assert delivery["rows"] == str(HOURS)
    assert len(delivery["contentSha256"]) == 64
    again = suite.get(f"/{NAME}/rows", READER, format="csv")
    assert again.headers["plaza-agreement"] == answer.headers["plaza-agreement"]
    assert hashlib.sha256(again.content).digest() == hashlib.sha256(answer.content).digest()


def test_pages_hand_over_the_same_rows(suite: Story, roadside: Path) -> None:
    rows: list[Any] = []
    token = ""
    while True:
        more = {"pageToken": token} if token else {}
        page = suite.get(
            f"/{NAME}/rows", READER, pageSize="150", columns="station,time,pm2_5,year,month,day,hour", **more
        )
        assert page.status_code == 200, page.text
        rows += page.json()["rows"]
        token = page.json().get("nextPageToken", "")
        if not token:
            break
    assert len(rows) == len({json.dumps(row) for row in rows}) == HOURS
    assert len(page.headers["plaza-content-sha256"]) == 64


def test_its_own_readers_need_no_agreement(suite: Story, roadside: Path) -> None:
    answer = suite.get(f"/{NAME}/rows", "ecology-reader", pageSize="5")
    assert answer.status_code == 200, answer.text
    assert "plaza-agreement" not in answer.headers


def test_what_is_conditional_is_not_simply_read(suite: Story) -> None:
    refused = suite.get("/departments/health/datasets/bed-occupancy/rows", READER)
    assert refused.status_code == 403
    assert refused.json()["remedy"]


def test_a_stranger_reads_nothing(suite: Story, roadside: Path) -> None:
    assert suite.get(f"/{NAME}/rows").status_code == 401


def test_every_step_stands_in_the_ledger(suite: Story, roadside: Path) -> None:
    def types(subject: str) -> list[str]:
        found = suite.get("/ledger/entries", "bureau-auditor", subject=subject).json()
        return [entry["type"].removeprefix("city.plaza.") for entry in found.get("entries", [])]

    assert types(NAME) == ["catalogue.dataset.registered.v1"]
    assert types(f"{NAME}/versions/1") == ["ingestion.version.committed.v1"]
    assert types(f"{NAME}/versions/1/assessment") == ["quality.version.assessed.v1"]
    agreements = suite.get("/agreements", READER).json()["agreements"]
    (agreement,) = [one["name"] for one in agreements if one["dataset"] == NAME]
    assert types(agreement) == ["sharing.agreement.signed.v1"]
    deliveries = suite.get(f"/{agreement}/deliveries", READER).json()["deliveries"]
    until(lambda: all(types(one["name"]) for one in deliveries), "every delivery stands in the ledger")
    assert all(types(one["name"]) == ["sharing.delivery.made.v1"] for one in deliveries)
