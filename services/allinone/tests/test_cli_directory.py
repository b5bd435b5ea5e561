"""`plaza directory …` and the history of datasets, against a gateway that lives in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from conftest import City

IMPORT = "/api/v1/departments/ecology/directory:import"
EXPORT = "/api/v1/departments/ecology/directory:export"
AIR = "/api/v1/departments/ecology/datasets/air"
REMARK = {
    "sheet": "目录",
    "row": 4,
    "column": "C",
    "heading": "代码",
    "text": "taken",
    "remedy": "leave it blank",
}
CHANGE = {
    "dataset": "departments/ecology/datasets/air",
    "displayName": "空气质量",
    "action": "ACTION_CREATE",
    "row": 2,
}


def answers(city: City, **document: Any) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        look = request.url.params["validateOnly"] == "true"
        return httpx.Response(200, json={**document, "validateOnly": look})

    city.routes[f"POST {IMPORT}"] = handler


def imported(city: City, tmp_path: Path, *words: str) -> Any:
    path = tmp_path / "目录.csv"
    path.write_bytes("名称\n空气".encode("gb18030"))
    city.logged_in()
    return city.run("directory", "import", str(path), "--department", "ecology", *words)


def test_an_import_looks_first(city: City, tmp_path: Path) -> None:
    answers(city, createdCount=1, changes=[CHANGE], notices=[{**REMARK, "text": "core is taken"}])
    result = imported(city, tmp_path)
    assert result.exit_code == 0, result.output
    assert [r.url.params["validateOnly"] for r in city.asked(IMPORT)] == ["true", "false"]
    assert {r.content for r in city.asked(IMPORT)} == {"名称\n空气".encode("gb18030")}
    assert "1 registered, 0 changed" in result.stdout
    assert "core is taken" in result.stdout
    assert "ecology/air" in result.stdout


def test_a_dry_run_writes_nothing(city: City, tmp_path: Path) -> None:
    answers(city, createdCount=1, changes=[CHANGE])
    result = imported(city, tmp_path, "--dry-run", "--json")
    assert result.exit_code == 0
    assert [r.url.params["validateOnly"] for r in city.asked(IMPORT)] == ["true"]
    assert json.loads(result.stdout)["createdCount"] == 1


def test_problems_are_shown_cell_by_cell_and_nothing_is_sent(city: City, tmp_path: Path) -> None:
    answers(city, problemCount=1, problems=[REMARK])
    result = imported(city, tmp_path)
    assert result.exit_code == 1
    assert "目录!C4" in result.stdout
    assert "leave it blank" in result.stdout
    assert "nothing was imported" in result.stderr
    assert len(city.asked(IMPORT)) == 1


def test_what_is_no_small_file_is_wrong_use(city: City, tmp_path: Path) -> None:
    city.logged_in()
    assert city.run("directory", "import", str(tmp_path), "--department", "ecology").exit_code == 2
    with (tmp_path / "big").open("wb") as stream:
        stream.truncate(20 * 1024 * 1024 + 1)
    assert city.run("directory", "import", str(tmp_path / "big"), "--department", "ecology").exit_code == 2
    assert not city.asked(IMPORT)


def test_an_export_is_a_whole_file(city: City, tmp_path: Path) -> None:
    city.stream(f"GET {EXPORT}", [b"PK", b"34"])
    city.logged_in()
    for name, form in (("a.xlsx", "xlsx"), ("b.csv", "csv")):
        words = ("directory", "export", "--department", "ecology", "--output", str(tmp_path / name))
        assert city.run(*words).exit_code == 0
        assert (tmp_path / name).read_bytes() == b"PK34"
        assert city.asked(EXPORT)[-1].url.params["format"] == form
        assert city.run(*words).exit_code == 2
    city.stream(f"GET {EXPORT}", [b"PK", httpx.ReadError("gone")])
    words = ("directory", "export", "--department", "ecology", "--output", str(tmp_path / "c.csv"))
    assert city.run(*words).exit_code != 0
    assert not (tmp_path / "c.csv").exists()


def test_differences(city: City) -> None:
    city.answer(
        f"GET {AIR}:diffMetadata",
        {
            "fromVersion": 1,
            "toVersion": 2,
            "differences": [{"field": "description", "oldValue": "旧", "newValue": "新"}],
        },
    )
    city.logged_in()
    result = city.run("dataset", "diff", "ecology/air", "1")
    assert result.exit_code == 0, result.output
    assert dict(city.asked(f"{AIR}:diffMetadata")[0].url.params) == {"fromVersion": "1", "toVersion": "0"}
    assert all(each in result.stdout for each in ("description", "旧", "新"))
    city.answer(f"GET {AIR}:diffMetadata", {"fromVersion": 1, "toVersion": 3})
    assert "no difference" in city.run("dataset", "diff", "ecology/air", "1", "3").stdout


def test_a_restore_sends_the_etag_that_was_read(city: City) -> None:
    city.answer(f"GET {AIR}", {"etag": "abc"})
    city.answer(f"POST {AIR}/metadataVersions/1:restore", {"metadataVersion": 3})
    city.logged_in()
    result = city.run("dataset", "restore", "ecology/air", "1")
    assert result.exit_code == 0, result.output
    assert city.sent(f"{AIR}/metadataVersions/1:restore") == {"etag": "abc"}
    assert "version 3" in result.stdout
