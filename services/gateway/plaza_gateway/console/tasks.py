"""待办: what waits for a person, made of what the services say; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from plaza_design.i18n import LocalText

from plaza_gateway.console.views import DatasetRow, Light, ReleaseRow, RunView

Kind = Literal["load", "quarantine", "quality", "release", "open", "unloaded"]
_ORDER: Mapping[Kind, int] = {
    "load": 0,
    "release": 1,
    "quality": 2,
    "quarantine": 3,
    "open": 4,
    "unloaded": 5,
}
ONE_BY_ONE = 3
"""As many datasets without data are named; of more their number is told."""
_RECENT = 6


@dataclass(frozen=True, slots=True)
class Task:
    """Something that waits for a person. Red is first, yellow then; without a light: whenever it suits."""

    kind: Kind
    light: Light
    dataset: str
    """Id; empty: several."""
    title: LocalText
    href: str
    at: datetime | None = None
    count: int = 0
    said: str = ""
    number: int = 0
    """Version or release."""
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Inbox:
    """The front page."""

    tasks: tuple[Task, ...]
    recent: tuple[RunView, ...]
    datasets: int
    titles: Mapping[str, LocalText] = field(default_factory=dict)


def inbox(
    datasets: Sequence[DatasetRow], runs: Sequence[RunView], releases: Mapping[str, Sequence[ReleaseRow]]
) -> Inbox:
    """What waits, the worst first: failed loads and releases, red versions, quarantine, yellow versions; then
    versions that could be opened, and datasets without data."""
    titles = {each.id: each.title for each in datasets}
    tasks = [*_loads(runs, titles)]
    for each in datasets:
        tasks += _of_dataset(each, releases.get(each.id, ()))
    tasks += _unloaded(datasets, {run.dataset for run in runs if not run.ended})
    lights: Mapping[Light, int] = {"red": 0, "yellow": 1, "green": 2, "none": 2}
    tasks.sort(key=lambda task: (lights[task.light], _ORDER[task.kind]))
    recent = tuple(run for run in runs if run.kind == "load")[:_RECENT]
    return Inbox(tuple(tasks), recent, len(datasets), titles)


def _loads(runs: Sequence[RunView], titles: Mapping[str, LocalText]) -> Iterator[Task]:
    """A failed load counts until the same file went into the same dataset after it."""
    mended: set[tuple[str, str]] = set()
    for run in runs:
        where = (run.dataset, run.file_name)
        if run.kind == "load" and run.state == "succeeded":
            mended.add(where)
        if run.kind == "load" and run.light == "red" and where not in mended:
            mended.add(where)
            yield Task(
                "load",
                "red",
                run.dataset,
                titles.get(run.dataset, LocalText(run.dataset)),
                f"/console/runs/{run.id}",
                at=run.ended_at or run.started_at,
                said=run.error[1] if run.error else "",
            )


def _of_dataset(row: DatasetRow, releases: Sequence[ReleaseRow]) -> Iterator[Task]:
    """A failed release counts until a later one. What may be opened waits when its newest version is not out."""
    page = f"/console/datasets/{row.id}"
    newest = next(iter(releases), None)
    if newest is not None and newest.state == "failed":
        yield Task(
            "release",
            "red",
            row.id,
            row.title,
            f"{page}#releases",
            said=newest.said,
            number=newest.release,
        )
    version = row.version
    if version is not None and version.light in ("red", "yellow"):
        yield Task(
            "quality",
            version.light,
            row.id,
            row.title,
            f"{page}/quality",
            at=version.committed_at,
            number=version.version,
            score=version.score,
        )
    if row.quarantined:
        yield Task("quarantine", "yellow", row.id, row.title, f"{page}/quarantine", count=row.quarantined)
    if (
        version is not None
        and row.opened
        and row.grade == "public"
        and not _is_out(version.version, releases)
    ):
        yield Task(
            "open",
            "none",
            row.id,
            row.title,
            f"{page}#releases",
            at=version.committed_at,
            number=version.version,
        )


def _is_out(version: int, releases: Sequence[ReleaseRow]) -> bool:
    """Was it opened, is it being opened, or was it withdrawn or refused on purpose?"""
    return any(each.version == version for each in releases)


def _unloaded(datasets: Sequence[DatasetRow], loading: set[str]) -> Iterator[Task]:
    empty = [each for each in datasets if each.version is None and each.id not in loading]
    if len(empty) > ONE_BY_ONE:
        yield Task("unloaded", "none", "", LocalText(""), "/console/datasets?show=unloaded", count=len(empty))
        return
    for each in empty:
        yield Task(
            "unloaded", "none", each.id, each.title, f"/console/datasets/{each.id}/load", count=len(empty)
        )
