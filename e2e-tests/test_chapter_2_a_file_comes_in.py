"""Chapter two: the stations' file becomes a version; what is wrong in it is kept with its reason."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import air_quality
import pytest
from story import Story

pytestmark = pytest.mark.e2e

OFFICER = "ecology-officer"
DATASET = "ecology/stations"
HOURS = 600


@dataclass
class Desk:
    """The officer's desk: the suite, her files, and what the command told her."""

    suite: Story
    folder: Path
    file: Path
    proposal: dict[str, Any]

    def plaza(self, *arguments: str, ok: bool = True) -> Any:
        return self.suite.plaza(*arguments, person=OFFICER, ok=ok)


@pytest.fixture(scope="module")
def desk(suite: Story, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    file = air_quality.station_file(folder, "Dongsi", HOURS)
    suite.log_in(OFFICER)
    contract = folder / "stations.yaml"
    proposal = suite.plaza("dataset", "infer", str(file), "--output", str(contract), person=OFFICER)
    contract.write_text(air_quality.with_rules(contract.read_text("utf-8")), "utf-8")
    suite.plaza(
        "dataset", "register", DATASET, "--contract", str(contract), "--grade", "public",
        "--sharing-class", "unconditional", "--title", "自动监测站小时值", "--licence", "CC-BY-4.0", "--open",
        person=OFFICER,
    )  # fmt: skip
    return Desk(suite, folder, file, proposal)


def test_the_file_says_what_it_is(desk: Desk) -> None:
    contract = desk.proposal["contract"]
    types = {field["name"]: field["type"] for field in contract["fields"]}
    assert types["pm2_5"] == "FIELD_TYPE_INTEGER"
    assert types["temp"] == "FIELD_TYPE_NUMBER"
    assert types["time"] == "FIELD_TYPE_TIMESTAMP"
    assert tuple(contract["key"]) == air_quality.KEY
    assert all(field["reasons"] for field in desk.proposal["fields"])


def test_the_file_becomes_a_version(desk: Desk) -> None:
    (loaded,) = desk.plaza("ingest", DATASET, str(desk.file), "--wait")
    assert loaded["version"] == 1
    assert loaded["run"]["progress"]["rowsAccepted"] == str(HOURS)
    (version,) = desk.plaza("dataset", "versions", DATASET)
    assert version["rows"] == str(HOURS)


def test_every_cell_is_read_back_as_it_stood(desk: Desk) -> None:
    done = desk.suite.get(
        "/departments/ecology/datasets/stations/rows",
        OFFICER,
        filter='station = "Dongsi" AND time >= "2013-03-02T00:00:00+08:00" AND time < "2013-03-03T00:00:00+08:00"',
        format="csv",
    )
    assert done.status_code == 200, done.text
    read = list(csv.DictReader(io.StringIO(done.text)))
    with desk.file.open(newline="", encoding="utf-8") as source:
        written = [row for row in csv.DictReader(source) if (row["month"], row["day"]) == ("3", "2")]
    assert len(read) == len(written) == 24
    for there, here in zip(read, written, strict=True):
        assert there["wd"] == here["wd"]
        for name, heading in (("no", "No"), ("hour", "hour"), ("pm2_5", "PM2.5"), ("temp", "TEMP")):
            assert there[name] == ("" if here[heading] == "NA" else there[name])
            assert here[heading] == "NA" or float(there[name]) == float(here[heading])
    assert read[0]["time"] == "2013-03-01T16:00:00Z"


def test_the_same_file_again_is_told_as_such(desk: Desk) -> None:
    (loaded,) = desk.plaza("ingest", DATASET, str(desk.file), "--wait")
    assert loaded["alreadyIngested"]
    assert loaded["version"] == 1
    assert len(desk.plaza("dataset", "versions", DATASET)) == 1


def test_twenty_broken_lines_are_kept_with_their_reason(desk: Desk) -> None:
    broken_file = desk.folder / "broken.csv"
    broken = air_quality.break_lines(air_quality.station_file(desk.folder, "Gucheng", 500), broken_file)
    (loaded,) = desk.plaza("ingest", DATASET, str(broken_file), "--wait")
    progress = loaded["run"]["progress"]
    assert (progress["rowsAccepted"], progress["rowsRefused"]) == ("480", "20")
    kept = desk.plaza("quarantine", "list", DATASET, "--run", loaded["run"]["name"])
    found = {int(row["line"]): (row.get("field", ""), row["reason"]) for row in kept}
    expected = {one.line: (one.field, one.reason) for one in broken}
    assert {line: reason for line, (_, reason) in found.items()} == {
        line: reason for line, (_, reason) in expected.items()
    }
    for line, (field, reason) in expected.items():
        assert reason == "duplicate_key" or found[line][0] == field, line
    exported = desk.folder / "refused.csv"
    desk.plaza("quarantine", "export", DATASET, "--run", loaded["run"]["name"], "--output", str(exported))
    assert all(one.original in exported.read_bytes() for one in broken)


def test_a_key_that_is_in_the_table_stays_out(desk: Desk) -> None:
    overlapping = air_quality.station_file(desk.folder, "Dongsi", 100, first=HOURS - 40, seed=2)
    (loaded,) = desk.plaza("ingest", DATASET, str(overlapping), "--wait")
    assert loaded["run"]["refusedByReason"] == {"duplicate_key": "40"}
    assert loaded["run"]["progress"]["rowsAccepted"] == "60"


def test_another_department_cannot_look_into_the_quarantine(desk: Desk) -> None:
    assert (
        desk.suite.get("/departments/ecology/datasets/stations/quarantine", "health-officer").status_code
        == 403
    )


def test_a_file_for_another_table_is_refused_whole(desk: Desk) -> None:
    stranger = desk.folder / "stranger.csv"
    stranger.write_text("id,name\n1,x\n", "utf-8")
    done = desk.plaza("ingest", DATASET, str(stranger), "--wait", ok=False)
    assert done.returncode == 1
    assert "PM2.5" in done.stdout + done.stderr
    assert len(desk.plaza("dataset", "versions", DATASET)) == 3


def test_refused_rows_are_repaired_in_a_spreadsheet_and_replayed(desk: Desk) -> None:
    """Every one of the twenty gets the cells that it had before it was broken; then the table is complete."""
    whole = air_quality.station_file(desk.folder, "Gucheng", 500)
    broken = {one.line for one in air_quality.break_lines(whole, desk.folder / "broken-again.csv")}
    with whole.open(newline="", encoding="utf-8") as source:
        right = [*csv.reader(source)]
    (batch,) = {
        row["name"].rpartition("/")[2].rpartition("-")[0]
        for row in desk.plaza("quarantine", "list", DATASET, "--limit", "1000")
        if row["fileName"] == "broken.csv"
    }
    repair = desk.folder / "repair.csv"
    desk.plaza("quarantine", "export", DATASET, "--repair", "--output", str(repair))
    with repair.open(newline="", encoding="utf-8-sig") as stream:
        heading, *rows = csv.reader(stream)
    assert heading == ["plaza_row", "plaza_reason", "plaza_detail", "plaza_record", *right[0]]
    rows = [row for row in rows if row[0].startswith(batch)]
    assert len(rows) == len(broken) == 20
    for row in rows:
        row[4:] = right[int(row[0].rpartition("-")[2]) - 1]
    with repair.open("w", newline="", encoding="utf-8-sig") as stream:
        csv.writer(stream).writerows([heading, *rows])
    before = desk.plaza("dataset", "versions", DATASET)
    replayed = desk.plaza("quarantine", "replay", DATASET, str(repair), "--wait")
    progress = replayed["run"]["progress"]
    assert (progress["rowsAccepted"], progress["rowsRefused"]) == ("20", "0"), replayed
    versions = desk.plaza("dataset", "versions", DATASET)
    assert len(versions) == len(before) + 1
    assert max(int(one["rows"]) for one in versions) == HOURS + 60 + 500
    states = desk.plaza("quarantine", "list", DATASET, "--state", "replayed", "--limit", "1000")
    assert {int(row["line"]) for row in states} == broken
    assert desk.plaza("quarantine", "replay", DATASET, str(repair), "--wait")["alreadyIngested"]


def test_a_row_that_nobody_will_repair_is_discarded(desk: Desk) -> None:
    (held, *rest) = desk.plaza("quarantine", "list", DATASET, "--state", "held")
    row = held["name"].replace("departments/", "").replace("datasets/", "").replace("quarantine/", "")
    done = desk.plaza("quarantine", "discard", row, "--reason", "the hour is in the table already")
    assert done["state"] == "QUARANTINE_STATE_DISCARDED"
    assert len(desk.plaza("quarantine", "list", DATASET, "--state", "held")) == len(rest)


def test_a_month_is_delivered_again_and_takes_the_place_of_the_first(desk: Desk) -> None:
    again = air_quality.station_file(desk.folder, "Dongsi", 48, seed=9)
    rows = max(int(one["rows"]) for one in desk.plaza("dataset", "versions", DATASET))
    (loaded,) = desk.plaza("ingest", DATASET, str(again), "--mode", "upsert", "--wait")
    assert loaded["run"]["rowsRemoved"] == loaded["run"]["progress"]["rowsAccepted"] == "48"
    newest = max(desk.plaza("dataset", "versions", DATASET), key=lambda one: int(one["version"]))
    assert int(newest["rows"]) == rows
