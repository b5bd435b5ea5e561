"""Chapter nine: the rows themselves say which rules they follow; an officer accepts some, and the next load answers to
them. What stands out in the hours is listed with its rows."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import air_quality
import pytest
from story import Story, until

pytestmark = pytest.mark.e2e

OFFICER = "ecology-officer"
DATASET = "ecology/riverside"
NAME = "departments/ecology/datasets/riverside"
HOURS = 1500
COLUMN = 5
"""PM2.5 in a line of the file."""


def disturbed(folder: Path) -> Path:
    """A station whose sensor froze for twelve hours and jumped once."""
    file = air_quality.station_file(folder, "Riverside", HOURS, seed=9)
    lines = file.read_bytes().split(b"\r\n")
    for hour, value in [*((hour, b"77") for hour in range(400, 412)), (900, b"5000")]:
        cells = lines[hour + 1].split(b",")
        cells[COLUMN] = value
        lines[hour + 1] = b",".join(cells)
    file.write_bytes(b"\r\n".join(lines))
    return file


@pytest.fixture(scope="module")
def riverside(suite: Story, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("riverside")
    file = disturbed(folder)
    suite.log_in(OFFICER)
    contract = folder / "riverside.yaml"
    suite.plaza("dataset", "infer", str(file), "--output", str(contract), person=OFFICER)
    suite.plaza(
        "dataset", "register", DATASET, "--contract", str(contract), "--grade", "internal",
        "--sharing-class", "unconditional", "--title", "河畔站小时值", person=OFFICER,
    )  # fmt: skip
    suite.plaza("ingest", DATASET, str(file), "--wait", person=OFFICER)
    return file


def silent(file: Path) -> list[bool]:
    lines = file.read_bytes().splitlines()[1:]
    return [line.split(b",")[COLUMN] == b"NA" for line in lines]


def test_the_profile_says_what_is_in_the_file(suite: Story, riverside: Path) -> None:
    until(
        lambda: suite.plaza("quality", "profile", DATASET, person=OFFICER, ok=False).returncode == 0,
        "quality has heard of the version",
        120,
    )
    profile = suite.plaza("quality", "profile", f"{DATASET}@1", person=OFFICER)
    columns = {column["field"]: column for column in profile["columns"]}
    assert int(profile["rows"]) == HOURS
    assert int(columns["pm2_5"]["nulls"]) == sum(silent(riverside))
    assert columns["pm2_5"]["maximum"] == "5000"


def test_who_may_not_read_the_rows_sees_no_profile(suite: Story, riverside: Path) -> None:
    for stranger in ("transport-reader", "bureau-auditor"):
        assert suite.get(f"/{NAME}/versions/1/profile", stranger).status_code == 403


def test_rules_are_suggested_accepted_and_asked_of_the_next_load(suite: Story, riverside: Path) -> None:
    suggestions = suite.plaza("quality", "suggest", DATASET, person=OFFICER)
    found = {each["rule"]["id"]: each for each in suggestions}
    assert int(found["pm2_5-range"]["failed"]) == 1
    assert int(found["pm2_5-not-null"]["failed"]) == sum(silent(riverside))
    answer = suite.plaza(
        "quality", "suggest", DATASET, "--accept", "pm2_5-range,pm2_5-not-null", person=OFFICER
    )
    assert answer["contractVersion"] == 2
    assert not {"pm2_5-range", "pm2_5-not-null"} & {
        each["rule"]["id"] for each in suite.plaza("quality", "suggest", DATASET, person=OFFICER)
    }
    suite.plaza(
        "ingest",
        DATASET,
        str(riverside),
        "--mode",
        "replace",
        "--reload",
        "规则更新",
        "--wait",
        person=OFFICER,
    )
    until(
        lambda: suite.get(f"/{NAME}/versions/2/assessment", OFFICER).status_code == 200, "it is assessed", 120
    )
    rules = {each["rule"]["id"]: each for each in suite.plaza("quality", "rules", DATASET, person=OFFICER)}
    assert int(rules["pm2_5-range"]["lastResult"]["failed"]) == 1
    assert int(rules["pm2_5-not-null"]["lastResult"]["failed"]) == sum(silent(riverside))


def test_what_stands_out_is_listed_with_its_rows(suite: Story, riverside: Path) -> None:
    found = suite.plaza(
        "quality", "anomalies", DATASET, "--time", "time", "--value", "pm2_5", "--series", "station",
        person=OFFICER,
    )  # fmt: skip
    counts = {each["kind"].removeprefix("SERIES_ANOMALY_KIND_"): each for each in found["counts"]}
    runs = [len(list(run)) for absent, run in groupby(silent(riverside)) if absent]
    assert (counts["MISSING"]["anomalies"], int(counts["MISSING"]["readings"])) == (str(len(runs)), sum(runs))
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for each in found["anomalies"]:
        by_kind.setdefault(each["kind"], []).append(each)
    [spike] = by_kind["SERIES_ANOMALY_KIND_SPIKE"]
    [point] = spike["points"]
    assert point["value"] == 5000
    assert point["key"]["station"] == "Riverside"
    [frozen] = by_kind["SERIES_ANOMALY_KIND_FROZEN"]
    assert (frozen["readings"], {point["value"] for point in frozen["points"]}) == ("12", {77})
