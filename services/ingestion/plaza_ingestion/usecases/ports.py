"""What the use cases need from outside, and the errors they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from plaza.common.v1 import contract_pb2
from plaza_kit.db import Database
from plaza_kit.db.outbox import Outbox
from plaza_kit.errors import FailedPrecondition, NotFound
from plaza_kit.grants import GrantVerifier
from plaza_kit.identity import Principal
from plaza_kit.policy import Resource
from plaza_lake.tables import Lake

from plaza_ingestion.domain.load_step import LoadStep, PullStep
from plaza_ingestion.storage.staging_area import StagingArea


class Deciding(Protocol):
    """`plaza_kit.policy.Decider`, as far as it is used here."""

    def authorize(
        self, principal: Principal, action: str, resource: Resource, facts: Mapping[str, Any] | None = None
    ) -> object:
        """Raises NotPermitted or PersonRemoved unless the principal may do this."""


class Policy(Protocol):
    """`plaza_kit.policy.PolicyFollower`, as far as it is used here."""

    def authorize(self, action: str, resource: Resource, facts: Mapping[str, Any] | None = None) -> Principal:
        """The caller, if they may do this; raises otherwise."""

    def decider(self) -> Deciding:
        """The policies in force, for those who are not calling just now."""


@dataclass(frozen=True, slots=True)
class ContractInForce:
    """What a dataset promises at this moment."""

    contract: contract_pb2.Contract
    version: int


class SystemState(StrEnum):
    """Of a source system (model.md)."""

    ACTIVE = "active"
    RETIRED = "retired"


class Catalogue(Protocol):
    """Asked on behalf of the caller."""

    async def contract(self, dataset: str) -> ContractInForce:
        """Raises what the catalogue answers, for example that there is no such dataset."""

    async def source_system(self, name: str) -> SystemState | None:
        """Where it stands; None: there is none of this name."""


class Security(Protocol):
    """Asked on behalf of the caller."""

    async def run_grant(self, run: str, dataset: str) -> str:
        """The signed right of a load."""

    async def quarantine_grant(self, dataset: str) -> str:
        """The signed right to read a dataset's refused rows, for a minute."""

    async def rows_grant(self, dataset: str, version: int) -> str:
        """The signed right to read a version of one's own dataset, for a minute."""


@dataclass(frozen=True, slots=True)
class OrderRule:
    """A rule of a work order."""

    id: str
    title: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failing:
    """The rows that a work order is about, by their places in one version."""

    dataset: str
    version: int
    rules: tuple[OrderRule, ...]
    files: tuple[str, ...]
    places: list[tuple[int, int, tuple[int, ...]]]
    """Number of the file, row in it, numbers of the rules that it breaks; in the order in which they lie."""


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """As far as a correction asks."""

    dataset: str
    closed: bool


class Quality(Protocol):
    """Asked on behalf of the caller. What it refuses is raised as it comes."""

    async def work_order(self, name: str) -> WorkOrder:
        """By its resource name."""

    async def failing(self, work_order: str, most: int) -> Failing:
        """At most so many rows."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class World:
    """Everything around the use cases."""

    database: Database
    policy: Policy
    outbox: Outbox
    grants: GrantVerifier
    lake: Lake
    staging: StagingArea
    catalogue: Catalogue
    security: Security
    quality: Quality
    lease_seconds: float
    upload_limit_bytes: int
    on_step: Callable[[LoadStep], None] = lambda _: None
    on_pull_step: Callable[[PullStep], None] = lambda _: None
    now: Callable[[], datetime] = _utc_now


class UnknownRun(NotFound):
    """There is no such run, or not for this caller."""


class UnknownUpload(NotFound):
    """There is no such upload, or not for this caller."""


class UploadExpired(FailedPrecondition):
    """The file was removed by rule; the row of the upload tells of it."""

    def __init__(self, name: str, file_name: str, when: datetime) -> None:
        super().__init__(
            f"the file {file_name} of {name} was removed on {when:%Y-%m-%d}: uploads are kept for a time after their"
            " last run",
            remedy="upload the file again; if it was loaded before, say why it is loaded again (reload_reason)",
            facts={"upload": name, "expired": when.isoformat()},
        )


def unknown_run(name: str) -> UnknownRun:
    return UnknownRun(f"there is no {name}", remedy="list the department's runs")
