"""The main job on real input: eight stations, four years of hours, read back and opened; every number is the file's."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import air_quality
import pytest
import yaml
from story import Story, until

FILES = sorted(air_quality.REAL.glob("*.csv"))
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not FILES, reason=f"the shared test data are not there: {air_quality.REAL}"),
]

OFFICER = "ecology-officer"
DATASET = "ecology/air-stations"
NAME = "departments/ecology/datasets/air-stations"
ROWS = 280_512
NUMBERS = ("PM2.5", "PM10", "SO2", "NO2", "CO", "O3", "TEMP", "PRES", "DEWP", "RAIN", "WSPM")


@pytest.fixture(scope="module")
def loaded(suite: Story, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("real")
    suite.log_in(OFFICER)
    contract = folder / "air.yaml"
    suite.plaza("dataset", "infer", str(FILES[0]), "--output", str(contract), person=OFFICER)
    contract.write_text(air_quality.with_rules(contract.read_text("utf-8")), "utf-8")
    suite.plaza(
        "dataset", "register", DATASET, "--contract", str(contract), "--grade", "public",
        "--sharing-class", "unconditional", "--title", "北京市八站空气质量小时值",
        "--title-en", "Hourly air quality of eight Beijing stations", "--licence", "CC-BY-4.0", "--open",
        person=OFFICER,
    )  # fmt: skip
    done = suite.plaza("ingest", DATASET, *map(str, FILES), "--wait", person=OFFICER)
    assert [one["version"] for one in done] == list(range(1, len(FILES) + 1))
    assert not any(one["run"]["progress"].get("rowsRefused", "0") != "0" for one in done)
    return suite


def test_every_row_of_every_file_is_in_one_table(loaded: Story) -> None:
    newest = loaded.plaza("dataset", "versions", DATASET, person=OFFICER)[0]
    assert (newest["version"], newest["rows"]) == (8, str(ROWS))
    again = loaded.plaza("ingest", DATASET, *map(str, FILES), "--wait", person=OFFICER)
    assert all(one["alreadyIngested"] for one in again)


@pytest.mark.parametrize("source", FILES, ids=lambda path: path.stem)
def test_a_stations_year_reads_back_number_by_number(loaded: Story, source: Path) -> None:
    since, until_ = "2014-01-01T00:00:00+08:00", "2015-01-01T00:00:00+08:00"
    words = f'station = "{source.stem}" AND time >= "{since}" AND time < "{until_}"'
    answer = loaded.get(f"/{NAME}/rows", OFFICER, filter=words, format="csv", orderBy="time")
    assert answer.status_code == 200, answer.text
    read = list(csv.DictReader(io.StringIO(answer.text)))
    with source.open(newline="", encoding="utf-8") as file:
        written = [row for row in csv.DictReader(file) if row["year"] == "2014"]
    assert len(read) == len(written) == 8760
    for there, here in zip(read, written, strict=True):
        assert (there["station"], there["wd"]) == (here["station"], "" if here["wd"] == "NA" else here["wd"])
        for heading in NUMBERS:
            name = heading.lower().replace(".", "_")
            if here[heading] in ("NA", " "):
                assert there[name] == ""
            else:
                assert math.isclose(float(there[name]), float(here[heading]), rel_tol=0, abs_tol=0)


def test_the_share_of_gaps_is_counted_right(loaded: Story) -> None:
    path = f"/{NAME}/versions/8/assessment"
    until(lambda: loaded.get(path, OFFICER).status_code == 200, "the newest version is assessed")
    rules = {result["rule"]["id"]: result for result in loaded.get(path, OFFICER).json()["rules"]}
    missing = 0
    for source in FILES:
        with source.open(newline="", encoding="utf-8") as file:
            missing += sum(row["PM2.5"] == "NA" for row in csv.DictReader(file))
    assert int(rules["pm2_5-null-share"]["failed"]) == missing
    assert int(rules["hour-once"]["passed"]) == ROWS


def test_the_release_holds_all_of_it_and_is_proven(loaded: Story, tmp_path: Path) -> None:
    release = loaded.plaza("release", "publish", DATASET, "--wait", person=OFFICER)
    assert (release["state"], release["rows"]) == ("RELEASE_STATE_PUBLISHED", str(ROWS))
    loaded.plaza("release", "download", DATASET, "--output", str(tmp_path))
    file = tmp_path / "air-stations-r1.csv"
    with file.open(newline="", encoding="utf-8") as stream:
        assert sum(1 for _ in csv.DictReader(stream)) == ROWS
    proven = loaded.plaza("verify", str(file), person=OFFICER)
    assert proven


def whole_table() -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for source in FILES:
        with source.open(newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    return rows


def test_the_rows_suggest_rules_and_show_what_stands_out(loaded: Story) -> None:
    until(
        lambda: loaded.plaza("quality", "profile", f"{DATASET}@8", person=OFFICER, ok=False).returncode == 0,
        "the newest version has a profile",
        300,
    )
    found = {each["rule"]["id"]: each for each in loaded.plaza("quality", "suggest", DATASET, person=OFFICER)}
    rows = whole_table()
    colder = sum(
        float(row["DEWP"]) > float(row["TEMP"]) for row in rows if "NA" not in (row["DEWP"], row["TEMP"])
    )
    dew = next(each for each in found.values() if each["rule"].get("compare", {}).get("left") == "dewp")
    assert (dew["rule"]["compare"]["right"], int(dew["failed"])) == ("temp", colder)
    assert int(found["so2-range"]["failed"]) == len(high_so2(rows, found["so2-range"]["rule"]))

    said = loaded.plaza(
        "quality",
        "anomalies",
        DATASET,
        "--time",
        "time",
        "--series",
        "station",
        "--value",
        "pm2_5",
        person=OFFICER,
    )
    counts = {
        each["kind"].removeprefix("SERIES_ANOMALY_KIND_"): int(each["readings"]) for each in said["counts"]
    }
    assert counts["MISSING"] == sum(row["PM2.5"] == "NA" for row in rows)
    assert counts["SPIKE"] >= 1
    assert counts["FROZEN"] >= 12
    by_hour = {
        (row["station"], row["year"], row["month"], row["day"], row["hour"]): row["PM2.5"] for row in rows
    }
    frozen = next(each for each in said["anomalies"] if each["kind"] == "SERIES_ANOMALY_KIND_FROZEN")
    places = [point["key"] for point in frozen["points"]]
    read = {by_hour[key["station"], key["year"], key["month"], key["day"], key["hour"]] for key in places}
    assert {float(value) for value in read} == {frozen["points"][0]["value"]}, (
        "the points are rows of the files"
    )


def high_so2(rows: list[dict[str, str]], rule: dict[str, dict[str, float]]) -> list[dict[str, str]]:
    most = rule["range"]["maximum"]
    return [row for row in rows if row["SO2"].strip() not in ("", "NA") and float(row["SO2"]) > most]


def test_a_suggested_rule_opens_a_work_order_that_a_file_closes(loaded: Story, tmp_path: Path) -> None:
    loaded.plaza("quality", "suggest", DATASET, "--accept", "so2-range", person=OFFICER)
    contract = tmp_path / "contract.yaml"
    document = yaml.safe_load(loaded.plaza("dataset", "contract", DATASET, person=OFFICER)["document"])
    rules = [rule for field in document["schema"][0]["properties"] for rule in field.get("quality", ())]
    strict = next(rule for rule in rules if rule["id"] == "so2-range")
    strict["severity"] = "error"
    strict["implementation"]["thresholdPercent"] = 100  # suggested was what the rows reach
    contract.write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
    loaded.plaza("dataset", "adopt", DATASET, str(contract), person=OFFICER)
    loaded.plaza("quality", "run", f"{DATASET}@8", person=OFFICER)
    listed = ("work-order", "list", "--department", "ecology", "--dataset", DATASET)
    (order,) = loaded.plaza(*listed, person=OFFICER)
    (rule,) = order["failedRules"]
    assert rule["id"] == "so2-range"

    patch = tmp_path / "patch.csv"
    loaded.plaza("work-order", "patch", order["name"], "-o", str(patch), person=OFFICER)
    with patch.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == int(rule["failed"]) > 0
    for row in rows:
        row["SO2"] = "NA"  # a sensor at its end tells nothing
    with patch.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    loaded.plaza("work-order", "correct", order["name"], str(patch), "--wait", person=OFFICER)
    until(lambda: not loaded.plaza(*listed, person=OFFICER), "the assessment closes the work order", 300)
    shown = loaded.plaza("quality", "show", DATASET, person=OFFICER)
    assert (shown["version"], int(shown["rows"])) == (9, ROWS)
    so2 = next(each for each in shown["rules"] if each["rule"]["id"] == "so2-range")
    assert int(so2["failed"]) == 0
