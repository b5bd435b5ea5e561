"""What waits for whom: the worst first, nothing twice, and a way out of each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from plaza_design.i18n import LocalText
from plaza_gateway.console.tasks import ONE_BY_ONE, inbox
from plaza_gateway.console.views import DatasetRow, ReleaseRow, RunView, VersionRow

NOW = datetime(2026, 11, 21, tzinfo=UTC)
VERSION = VersionRow(2, 100, 10, 0, NOW, 97.0, "green")


def row(id_: str, **other: Any) -> DatasetRow:
    known: dict[str, Any] = dict.fromkeys(("description", "sharing", "condition", "licence", "code"), "")
    known |= {"grade": "internal", "cycle": "daily", "opened": False, "version": VERSION, "release": 0}
    return DatasetRow(id=id_, title=LocalText(id_), contract=1, key=(), **(known | other))


def run(file: str, state: str, dataset: str = "air") -> RunView:
    error = ("BAD", "a letter in a number", "") if state == "failed" else None
    return RunView(
        f"{file}-{state}", "load", state, dataset, file, "", NOW, NOW, 0, 0, 0, 0, 0, {}, 0, (), error
    )


def release(version: int, state: str) -> ReleaseRow:
    return ReleaseRow(version, version, state, 100, NOW, "disk full" if state == "failed" else "")


def kinds(*rows: DatasetRow, runs: tuple[RunView, ...] = (), **releases: tuple[ReleaseRow, ...]) -> list[str]:
    return [task.kind for task in inbox(rows, runs, releases).tasks]


def test_the_worst_comes_first() -> None:
    bad = replace(VERSION, light="red", score=60.0)
    rows = (
        row("new", version=None),
        row("open", grade="public", opened=True),
        row("held", quarantined=2),
        row("red", version=bad),
        row("out", version=replace(VERSION, light="yellow")),
    )
    found = inbox(rows, (run("a.csv", "failed"),), {"held": (release(1, "failed"),)}).tasks
    assert [task.kind for task in found] == [
        "load",
        "release",
        "quality",
        "quality",
        "quarantine",
        "open",
        "unloaded",
    ]
    assert [task.light for task in found] == ["red"] * 3 + ["yellow"] * 2 + ["none"] * 2
    assert all(task.href.startswith("/console/") for task in found)


def test_a_failed_load_waits_until_the_file_is_in() -> None:
    newest_first = (
        run("a.csv", "succeeded"),
        run("a.csv", "failed"),
        run("b.csv", "failed"),
        run("b.csv", "failed"),
    )
    assert kinds(row("air"), runs=newest_first) == ["load"]


def test_what_is_out_or_on_its_way_does_not_wait_to_be_opened() -> None:
    ready = row("air", grade="public", opened=True)
    assert kinds(ready) == ["open"]
    assert kinds(ready, air=(release(1, "published"),)) == ["open"]
    for state in ("approved", "published", "withdrawn", "superseded"):
        assert kinds(ready, air=(release(2, state),)) == []
    assert kinds(ready, air=(release(2, "failed"),)) == ["release"]
    assert kinds(row("air", grade="internal", opened=True)) == []


def test_many_datasets_without_data_are_one_thing() -> None:
    few = [row(f"d{n}", version=None) for n in range(ONE_BY_ONE)]
    assert len(kinds(*few)) == ONE_BY_ONE
    (one,) = inbox([*few, row("more", version=None)], (), {}).tasks
    assert (one.count, one.href) == (ONE_BY_ONE + 1, "/console/datasets?show=unloaded")
    # A first load that is under way does not wait for anybody.
    assert kinds(row("air", version=None), runs=(run("a.csv", "running"),)) == []
