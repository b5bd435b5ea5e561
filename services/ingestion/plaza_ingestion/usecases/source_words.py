"""Errors and events about sources."""

from __future__ import annotations

from typing import Final

from plaza.ingestion.v1 import sources_pb2 as pb
from plaza_kit.db.outbox import NewEvent
from plaza_kit.errors import Aborted, AlreadyExists, FailedPrecondition, NotFound
from plaza_kit.identity import Principal

from plaza_ingestion.domain.sources import SourceName

CREATED: Final = "created"
UPDATED: Final = "updated"
PAUSED: Final = "paused"
RESUMED: Final = "resumed"


class UnknownSource(NotFound):
    """There is no such source, or not for this caller."""


class SourceExists(AlreadyExists):
    """The id is taken."""


class EtagMismatch(Aborted):
    """Somebody changed the source since it was read."""


class SourcePaused(FailedPrecondition):
    """A paused source is not pulled."""


class UnknownSourceSystem(FailedPrecondition):
    """A source names a source system that is not in the directory, or gives no data any more."""

    def __init__(self, name: str, retired: bool) -> None:
        department, _, system = name.removeprefix("departments/").partition("/sourceSystems/")
        super().__init__(
            f"source.source_system: {name} {'is retired' if retired else 'is not registered'}",
            remedy="name one that is active: plaza source-system list"
            if retired
            else f"register it first (plaza source-system add {department}/{system}), or leave it empty",
            facts={"source_system": name},
        )


class SourceBusy(FailedPrecondition):
    """What a source pulls cannot change while it is being pulled."""


def unknown_source(name: SourceName) -> UnknownSource:
    return UnknownSource(f"there is no {name}", remedy="list the department's sources")


def etag_mismatch(name: SourceName) -> EtagMismatch:
    return EtagMismatch(
        f"{name} was changed since it was read",
        remedy="read it again, apply the change to what you read, and send it with the new etag",
    )


def source_event(what: str, source: pb.Source, principal: Principal) -> NewEvent:
    """What happened to a registration: names and the lawful side of it, no address."""
    data: dict[str, object] = {
        "source": source.name,
        "dataset": source.dataset,
        "class": pb.SourceClass.Name(getattr(source, "class")).removeprefix("SOURCE_CLASS_").lower(),
        "owner": source.owner,
        "lawful_basis": source.lawful_basis,
        "connector": source.WhichOneof("connector") or "",
        "etag": source.etag,
    }
    return NewEvent(f"city.plaza.ingestion.source.{what}.v1", source.name, data, principal.name)
