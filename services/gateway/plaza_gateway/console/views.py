"""What the console's pages show, as plain values; made from the services' messages, pure.

Times are aware. `None` means “not known” and is written as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza.common.v1 import contract_pb2, grades_pb2, runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as ing
from plaza.opendata.v1 import opendata_pb2 as opn
from plaza_design.i18n import LocalText

from plaza_gateway.console import steps_form
from plaza_gateway.console.archives import readable
from plaza_gateway.console.steps_form import StepDraft

Light = Literal["green", "yellow", "red", "none"]

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
    departments: Mapping[str, LocalText] = field(default_factory=dict)
    """All that the person belongs to, by id."""


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
    expired: bool = False
    """Its rows are kept no more."""
    expired_at: datetime | None = None
    expired_by: str = ""
    """The rule that it expired by. A sentence."""


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
    rules: int = 0
    """Quality rules of the contract in force; without any no score is to be waited for."""
    steps: tuple[StepDraft, ...] = ()


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
    mode: str = "append"
    replay: bool = False
    """Its file holds repaired rows."""
    removed: int = 0
    rate: float | None = None
    """Rows in a second."""
    remaining: int | None = None
    """Seconds."""
    source: str = ""
    """Id of the source that it pulls; empty: somebody sent the file."""
    unchanged: bool = False
    """The source had nothing new."""

    @property
    def ended(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")

    @property
    def stoppable(self) -> bool:
        """Is it early enough to cancel it?"""
        return self.state in ("queued", "leased", "running")

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
class MetadataRow:
    """A version of a dataset's metadata."""

    version: int
    author: str
    at: datetime | None
    changed: tuple[str, ...]
    contract: int


def dataset_row(found: cat.Dataset, quarantined: int | None = None) -> DatasetRow:
    """From the catalogue's message."""
    latest = found.latest_version if found.HasField("latest_version") else None
    key = tuple(found.contract.key)
    return DatasetRow(
        id=last(found.name),
        title=LocalText(found.display_name, found.display_name_en),
        description=found.description,
        grade=word(grades_pb2.CityLevel, found.city_level, "CITY_LEVEL_"),
        sharing=word(grades_pb2.SharingClass, getattr(found.sharing, "class"), "SHARING_CLASS_"),
        condition=found.sharing.condition,
        cycle=word(cat.UpdateCycle, found.update_cycle, "UPDATE_CYCLE_") or "unspecified",
        licence=found.licence,
        code=found.code,
        opened=found.opening.allowed,
        version=_version(latest) if latest is not None and latest.version else None,
        release=found.latest_release,
        contract=found.contract_version,
        key=key,
        fields=tuple(_field(each, key) for each in found.contract.fields),
        quarantined=quarantined,
        rules=len(found.contract.rules),
        steps=tuple(steps_form.drafted(each) for each in found.contract.steps),
    )


def version_rows(found: Sequence[cat.Version]) -> tuple[VersionRow, ...]:
    """Newest first, each with its differences from the one before."""
    rows = [_version(each) for each in found]
    told = []
    for number, row in enumerate(rows):
        before = rows[number + 1] if number + 1 < len(rows) else None
        more_score = None
        if before is not None and row.score is not None and before.score is not None:
            more_score = row.score - before.score
        more_rows = row.rows - before.rows if before is not None else None
        told.append(replace(row, more_rows=more_rows, more_score=more_score))
    return tuple(told)


def run_view(run: ing.Run) -> RunView:
    """From ingestion's message."""
    error = (run.error.reason, run.error.message, run.error.remedy) if run.HasField("error") else None
    return RunView(
        id=last(run.name),
        kind="infer" if run.kind == ing.RUN_KIND_INFER else "load",
        state=word(runs_pb2.RunState, run.state, "RUN_STATE_") or "queued",
        dataset=last(run.dataset) if run.dataset else "",
        # A pull has no file before it came: then it goes by the name of its source.
        file_name=file_of(run) or last(run.source),
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
        mode=word(ing.LoadMode, run.mode, "LOAD_MODE_") or "append",
        replay=run.replay,
        removed=run.rows_removed,
        rate=run.rate if run.HasField("rate") else None,
        remaining=run.remaining_seconds if run.HasField("remaining_seconds") else None,
        source=last(run.source),
        unchanged=run.unchanged,
    )


def file_of(run: ing.Run) -> str:
    """The file that a run reads; of an archive, the file in it."""
    return f"{run.file_name} › {readable(run.entry)}" if run.entry else run.file_name


def metadata_row(found: cat.MetadataVersion) -> MetadataRow:
    """From the catalogue's message."""
    return MetadataRow(
        version=found.version,
        author=found.author,
        at=moment(found, "create_time"),
        changed=tuple(found.changed_fields),
        contract=found.contract_version,
    )


def release_row(found: opn.Release) -> ReleaseRow:
    """From open data's message."""
    return ReleaseRow(
        release=found.release,
        version=found.version,
        state=word(opn.ReleaseState, found.state, "RELEASE_STATE_") or "approved",
        rows=found.rows,
        published_at=moment(found, "publish_time"),
        said=found.error or found.withdraw_reason,
    )


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
        expired=found.state == cat.VERSION_STATE_EXPIRED,
        expired_at=moment(found, "expire_time"),
        expired_by=found.expire_rule,
    )


def _field(found: Any, key: Sequence[str]) -> FieldRow:
    return FieldRow(
        name=found.name,
        title=found.title,
        type=word(contract_pb2.FieldType, found.type, "FIELD_TYPE_"),
        unit=found.unit,
        source=found.source_name,
        required=found.required,
        key=found.name in key,
        missing=tuple(found.missing_values),
    )


def word(enum: Any, number: int, prefix: str) -> str:
    """`CITY_LEVEL_PUBLIC` → `public`; not declared, or unknown to this release: empty."""
    if number == 0 or number not in enum.values():
        return ""
    return str(enum.Name(number)).removeprefix(prefix).lower()
