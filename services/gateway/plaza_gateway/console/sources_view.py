"""What the pages of sources show, as plain values; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from plaza.ingestion.v1 import ingestion_pb2 as ing
from plaza.ingestion.v1 import sources_pb2 as src

from plaza_gateway.console.schedules import Rhythm
from plaza_gateway.console.views import Light, RunView, last, moment, run_view, word

CLASSES = ("government", "public_service", "company", "iot", "internet", "citizen")
STATES = ("active", "paused", "failing")
TLS = ("verify_full", "require", "disable")
_LIGHTS: Mapping[str, Light] = {"active": "green", "failing": "red"}


@dataclass(frozen=True, slots=True)
class SourceView:
    """A source in a list, or on its page."""

    id: str
    title: str
    kind: str
    """`http` or `postgres`."""
    class_: str
    state: str
    dataset: str
    mode: str
    address: str
    """Where it is, on one line; no credential is in it."""
    table: str
    query: str
    system: str
    owner: str
    basis: str
    justification: str
    credential: str
    """Name of the secret that the worker keeps; empty: none is needed."""
    credential_header: str
    user: str
    tls: str
    watermark_column: str
    lateness: int
    """Seconds."""
    key_order: tuple[str, ...]
    headers: Mapping[str, str]
    rhythm: Rhythm
    next_pull: datetime | None
    last_success: datetime | None
    last_run: str
    """Id; empty: never pulled."""
    watermark: str
    """How far it was pulled."""
    file_etag: str
    file_modified: str
    contract: int
    error: tuple[str, str] | None
    """Message and remedy."""
    etag: str

    @property
    def light(self) -> Light:
        return _LIGHTS.get(self.state, "none")


@dataclass(frozen=True, slots=True)
class Pull:
    """A source with its last pull."""

    source: SourceView
    run: RunView | None


def source_view(found: src.Source) -> SourceView:
    """From ingestion's message."""
    http, database = found.http, found.postgres
    of_web = found.HasField("http")
    table = f"{database.table.schema or 'public'}.{database.table.table}"
    return SourceView(
        id=last(found.name),
        title=found.display_name,
        kind="http" if of_web else "postgres",
        class_=word(src.SourceClass, getattr(found, "class"), "SOURCE_CLASS_"),
        state=word(src.SourceState, found.state, "SOURCE_STATE_") or "active",
        dataset=last(found.dataset),
        mode=word(ing.LoadMode, found.mode, "LOAD_MODE_") or "append",
        address=http.url if of_web else f"{database.host}:{database.port or 5432}/{database.database}",
        table=table if database.HasField("table") else "",
        query=database.query,
        system=last(found.source_system),
        owner=found.owner,
        basis=found.lawful_basis,
        justification=found.justification,
        credential=http.credential if of_web else database.credential,
        credential_header=http.credential_header or "Authorization",
        user=database.user,
        tls=word(src.TlsMode, database.tls, "TLS_MODE_") or "verify_full",
        watermark_column=database.watermark_column,
        lateness=database.lateness.seconds,
        key_order=tuple(database.key_order),
        headers=dict(sorted(http.headers.items())),
        rhythm=Rhythm.of_cron(found.schedule.cron, found.schedule.zone),
        next_pull=moment(found, "next_pull_time"),
        last_success=moment(found, "last_success_time"),
        last_run=last(found.last_run),
        watermark=found.cursor.watermark,
        file_etag=found.cursor.etag,
        file_modified=found.cursor.last_modified,
        contract=found.cursor.contract_version,
        error=(found.last_error.message, found.last_error.remedy) if found.HasField("last_error") else None,
        etag=found.etag,
    )


def pull_of(found: src.Source, run: ing.Run | None) -> Pull:
    """A source beside its last run, when that can be told."""
    return Pull(source_view(found), run_view(run) if run is not None else None)
