"""What the console's pages show, as plain values; made from the services' messages, pure.

Times are aware. `None` means “not known” and is written as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza.common.v1 import contract_pb2, grades_pb2, runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as ing
from plaza.opendata.v1 import opendata_pb2 as opn
from plaza_design.i18n import LocalText

Light = Literal["green", "yellow", "red", "none"]
Kind = Literal["load", "quarantine", "quality", "release"]


_LIGHTS: Mapping[int, Light] = {
    grades_pb2.LIGHT_GREEN: "green",
    grades_pb2.LIGHT_YELLOW: "yellow",
    grades_pb2.LIGHT_RED: "red",
}


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in."""

    name: str
    username: str
    department: str
    """Id; empty: belongs to none."""
    department_title: LocalText
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A committed version beside the one before it."""

    version: int
    rows: int
    added: int
    refused: int
    committed_at: datetime | None
    score: float | None
    light: Light
    more_rows: int | None = None
    more_score: float | None = None
    contract: int = 0


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A dataset in a list or at the head of its page."""

    id: str
    title: LocalText
    description: str
    grade: str
    sharing: str
    condition: str
    cycle: str
    licence: str
    code: str
    opened: bool
    version: VersionRow | None
    release: int
    contract: int
    key: tuple[str, ...]
    fields: tuple[Any, ...] = ()
    quarantined: int | None = None


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A field of the contract."""

    name: str
    title: str
    type: str
    unit: str
    source: str
    required: bool
    key: bool
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunView:
    """A run."""

    id: str
    kind: Literal["infer", "load"]
    state: str
    dataset: str
    file_name: str
    started_by: str
    started_at: datetime | None
    ended_at: datetime | None
    bytes_done: int
    bytes_total: int
    rows: int
    accepted: int
    refused: int
    by_reason: Mapping[str, int]
    version: int
    warnings: tuple[str, ...]
    error: tuple[str, str, str] | None
    """Reason, message, remedy."""

    @property
    def ended(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")

    @property
    def already(self) -> bool:
        """Failed only because another load of the same file was first."""
        return self.error is not None and self.error[0].startswith("ALREADY_")

    @property
    def light(self) -> Light:
        """For its mark: red when failed, yellow with refused rows."""
        if self.state == "failed" and not self.already:
            return "red"
        if self.state == "succeeded":
            return "yellow" if self.refused else "green"
        return "none"


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """A release."""

    release: int
    version: int
    state: str
    rows: int
    published_at: datetime | None
    said: str
    """Why it failed or was withdrawn."""


@dataclass(frozen=True, slots=True)
class Task:
    """Something that waits for a person."""

    kind: Kind
    light: Light
    dataset: str
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


def dataset_row(found: cat.Dataset, quarantined: int | None = None) -> DatasetRow:
    """From the catalogue's message."""
    latest = found.latest_version if found.HasField("latest_version") else None
    key = tuple(found.contract.key)
    return DatasetRow(
        id=last(found.name),
        title=LocalText(found.display_name, found.display_name_en),
        description=found.description,
        grade=_word(grades_pb2.CityLevel, found.city_level, "CITY_LEVEL_"),
        sharing=_word(grades_pb2.SharingClass, getattr(found.sharing, "class"), "SHARING_CLASS_"),
        condition=found.sharing.condition,
        cycle=_word(cat.UpdateCycle, found.update_cycle, "UPDATE_CYCLE_") or "unspecified",
        licence=found.licence,
        code=found.code,
        opened=found.opening.allowed,
        version=_version(latest) if latest is not None and latest.version else None,
        release=found.latest_release,
        contract=found.contract_version,
        key=key,
        fields=tuple(_field(each, key) for each in found.contract.fields),
        quarantined=quarantined,
    )


def version_rows(found: Sequence[cat.Version]) -> tuple[VersionRow, ...]:
    """Newest first, each with its differences from the one before."""
    rows = [_version(each) for each in found]
    told = []
    for row, before in zip(rows, [*rows[1:], None], strict=True):
        more_score = None
        if before is not None and row.score is not None and before.score is not None:
            more_score = row.score - before.score
        told.append(
            VersionRow(
                row.version,
                row.rows,
                row.added,
                row.refused,
                row.committed_at,
                row.score,
                row.light,
                more_rows=row.rows - before.rows if before is not None else None,
                more_score=more_score,
                contract=row.contract,
            )
        )
    return tuple(told)


def run_view(run: ing.Run) -> RunView:
    """From ingestion's message."""
    error = (run.error.reason, run.error.message, run.error.remedy) if run.HasField("error") else None
    return RunView(
        id=last(run.name),
        kind="infer" if run.kind == ing.RUN_KIND_INFER else "load",
        state=_word(runs_pb2.RunState, run.state, "RUN_STATE_") or "queued",
        dataset=last(run.dataset) if run.dataset else "",
        file_name=run.file_name,
        started_by=run.started_by,
        started_at=moment(run, "create_time"),
        ended_at=moment(run, "end_time"),
        bytes_done=run.progress.bytes_done,
        bytes_total=run.progress.bytes_total,
        rows=run.progress.rows_read,
        accepted=run.progress.rows_accepted,
        refused=run.progress.rows_refused,
        by_reason=dict(sorted(run.refused_by_reason.items(), key=lambda each: -each[1])),
        version=run.version,
        warnings=tuple(run.warnings),
        error=error,
    )


def release_row(found: opn.Release) -> ReleaseRow:
    """From open data's message."""
    return ReleaseRow(
        release=found.release,
        version=found.version,
        state=_word(opn.ReleaseState, found.state, "RELEASE_STATE_") or "approved",
        rows=found.rows,
        published_at=moment(found, "publish_time"),
        said=found.error or found.withdraw_reason,
    )


def inbox(
    datasets: Sequence[DatasetRow], runs: Sequence[RunView], releases: Mapping[str, Sequence[ReleaseRow]]
) -> Inbox:
    """What waits, the worst first: failed loads and releases, red versions, quarantine, yellow versions.

    A failed load counts until the same file went into the same dataset after it; a failed release until a
    later one.
    """
    titles = {each.id: each.title for each in datasets}
    tasks: list[Task] = []
    mended: set[tuple[str, str]] = set()
    for run in runs:
        where = (run.dataset, run.file_name)
        if run.kind == "load" and run.state == "succeeded":
            mended.add(where)
        if run.kind == "load" and run.light == "red" and where not in mended:
            mended.add(where)
            tasks.append(
                Task(
                    "load",
                    "red",
                    run.dataset,
                    titles.get(run.dataset, LocalText(run.dataset)),
                    f"/console/runs/{run.id}",
                    at=run.ended_at or run.started_at,
                    said=run.error[1] if run.error else "",
                )
            )
    for each in datasets:
        page = f"/console/datasets/{each.id}"
        newest = next(iter(releases.get(each.id, ())), None)
        if newest is not None and newest.state == "failed":
            tasks.append(
                Task(
                    "release",
                    "red",
                    each.id,
                    each.title,
                    f"{page}#releases",
                    said=newest.said,
                    number=newest.release,
                )
            )
        if each.version is not None and each.version.light in ("red", "yellow"):
            tasks.append(
                Task(
                    "quality",
                    each.version.light,
                    each.id,
                    each.title,
                    f"{page}#versions",
                    at=each.version.committed_at,
                    number=each.version.version,
                    score=each.version.score,
                )
            )
        if each.quarantined:
            tasks.append(
                Task(
                    "quarantine", "yellow", each.id, each.title, f"{page}/quarantine", count=each.quarantined
                )
            )
    order = {"load": 0, "release": 1, "quality": 2, "quarantine": 3}
    tasks.sort(key=lambda task: (task.light != "red", order[task.kind]))
    recent = tuple(run for run in runs if run.kind == "load")[:6]
    return Inbox(tuple(tasks), recent, len(datasets), titles)


def last(name: str) -> str:
    """The id at the end of a resource name."""
    return name.rpartition("/")[2]


def moment(message: Any, name: str) -> datetime | None:
    """A time of a message; None when it is absent."""
    if not message.HasField(name):
        return None
    found: datetime = getattr(message, name).ToDatetime(tzinfo=UTC)
    return found


def _version(found: cat.Version) -> VersionRow:
    return VersionRow(
        version=found.version,
        rows=found.rows,
        added=found.rows_added,
        refused=found.rows_refused,
        committed_at=moment(found, "commit_time"),
        score=found.score if found.HasField("score") else None,
        light=_LIGHTS.get(found.light, "none"),
        contract=found.contract_version,
    )


def _field(found: Any, key: Sequence[str]) -> FieldRow:
    return FieldRow(
        name=found.name,
        title=found.title,
        type=_word(contract_pb2.FieldType, found.type, "FIELD_TYPE_"),
        unit=found.unit,
        source=found.source_name,
        required=found.required,
        key=found.name in key,
        missing=tuple(found.missing_values),
    )


def _word(enum: Any, number: int, prefix: str) -> str:
    """`CITY_LEVEL_PUBLIC` → `public`; not declared, or unknown to this release: empty."""
    if number == 0 or number not in enum.values():
        return ""
    return str(enum.Name(number)).removeprefix(prefix).lower()
