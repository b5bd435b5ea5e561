"""Chapter two, continued: the source system gets a name, the file a new column, and the contract follows, by rule."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from story import Story

pytestmark = pytest.mark.e2e

OFFICER = "ecology-officer"
DATASET = "ecology/gauges"
SYSTEM = "ecology/water-platform"
FIRST = "station,day,level\nA,2026-01-01,1.5\nB,2026-01-01,2.5\n"
SECOND = "station,day,level,quality\nA,2026-01-02,1.75,2\n"


@dataclass
class Desk:
    """The officer's desk and the contract she keeps."""

    suite: Story
    folder: Path
    contract: str

    def plaza(self, *arguments: str, ok: bool = True) -> Any:
        return self.suite.plaza(*arguments, person=OFFICER, ok=ok)

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text, "utf-8")
        return str(path)

    def ingest(self, name: str, text: str) -> dict[str, Any]:
        (loaded,) = self.plaza("ingest", DATASET, self.file(name, text), "--wait")
        return dict(loaded)


@pytest.fixture(scope="module")
def desk(suite: Story, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("gauges")
    suite.log_in(OFFICER)
    desk = Desk(suite, folder, "")
    file = desk.file("first.csv", FIRST)
    contract = folder / "gauges.yaml"
    desk.plaza("dataset", "infer", file, "--output", str(contract))
    desk.contract = contract.read_text("utf-8")
    desk.plaza("source-system", "add", SYSTEM, "--title", "智慧水务平台", "--class", "government")
    desk.plaza(
        "dataset", "register", DATASET, "--contract", str(contract), "--grade", "internal",
        "--sharing-class", "unconditional", "--title", "水位", "--source-system", "water-platform",
    )  # fmt: skip
    desk.ingest("first.csv", FIRST)
    return desk


def test_the_source_system_is_shown_and_found(desk: Desk) -> None:
    shown = desk.plaza("dataset", "show", DATASET)
    assert shown["sourceSystemTitle"] == "智慧水务平台"
    assert [one["name"] for one in desk.plaza("dataset", "search", "智慧水务")] == [shown["name"]]
    (system,) = [one for one in desk.plaza("source-system", "list") if one["displayName"] == "智慧水务平台"]
    assert system["state"] == "SOURCE_SYSTEM_STATE_ACTIVE"


def test_a_changed_type_is_refused_with_the_difference(desk: Desk) -> None:
    wrong = desk.file("wrong.yaml", desk.contract.replace("logicalType: number", "logicalType: string"))
    for words in (("--dry-run",), ()):
        done = desk.plaza("dataset", "adopt", DATASET, wrong, *words, ok=False)
        assert done.returncode == 1
        assert "field level is number, the new one would be string" in done.stderr
    assert desk.plaza("dataset", "show", DATASET)["contractVersion"] == 1


def test_a_new_column_is_a_new_contract_and_its_file_is_loaded(desk: Desk) -> None:
    file = desk.file("second.csv", SECOND)
    contract = desk.folder / "second.yaml"
    desk.plaza("dataset", "infer", file, "--output", str(contract))
    proposed = desk.suite.plaza("dataset", "infer", file, person=OFFICER)["contract"]
    assert [field["name"] for field in proposed["fields"]] == ["station", "day", "level", "quality"]
    # Inference saw a value in every row; the rows that are there already have none.
    done = desk.plaza("dataset", "adopt", DATASET, str(contract), "--dry-run", ok=False)
    assert "new field quality is required, but earlier rows lack it" in done.stderr
    head, name, tail = contract.read_text("utf-8").partition("- name: quality")
    contract.write_text(head + name + tail.replace("required: true", "required: false", 1), "utf-8")
    answer = desk.plaza("dataset", "adopt", DATASET, str(contract))
    assert answer["contractVersion"] == 2
    assert "contract.fields.quality.type" in [one["field"] for one in answer["differences"]]
    assert desk.plaza("dataset", "adopt", DATASET, str(contract))["differences"] == []
    assert desk.ingest("second.csv", SECOND)["version"] == 2
    versions = {one["version"]: one["contractVersion"] for one in desk.plaza("dataset", "versions", DATASET)}
    assert versions == {1: 1, 2: 2}
    rows = desk.suite.get("/departments/ecology/datasets/gauges/rows", OFFICER, format="csv")
    assert sorted(row["quality"] for row in csv.DictReader(io.StringIO(rows.text))) == ["", "", "2"]


def test_code_lists_are_there(desk: Desk) -> None:
    lists = {one["name"]: one["latestVersion"]["codeCount"] for one in desk.plaza("code-list", "list")}
    assert lists["codeLists/gb-t-3304"] == 56
    (district,) = desk.plaza("code-list", "codes", "gb-t-2260", "海淀", "--current")
    assert (district["code"], district["parent"]) == ("110108", "110100")
