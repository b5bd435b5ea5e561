"""What the use cases need from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from plaza_kit.db import Database
from plaza_kit.db.outbox import Outbox
from plaza_kit.grants import GrantVerifier
from plaza_kit.identity import Principal
from plaza_kit.names import DatasetName, DepartmentId
from plaza_kit.policy import Resource
from plaza_lake.tables import Lake

from plaza_sharing.domain.gates import Gate
from plaza_sharing.domain.sharing import Dataset

PAGE_THREADS: Final = 32
"""More than the lake lets work at a time: who waits for a slow page must not keep a quick one waiting."""


class Authorizer(Protocol):
    """`plaza_kit.policy.PolicyFollower`, as far as it is used here."""

    def authorize(self, action: str, resource: Resource, facts: Mapping[str, Any] | None = None) -> Principal:
        """The caller, if they may do this; raises otherwise."""


class Catalogue(Protocol):
    """The directory."""

    async def dataset(self, name: DatasetName) -> Dataset:
        """On behalf of the caller. Raises what the catalogue answers."""


@dataclass(frozen=True, slots=True)
class ReadRight:
    """What a read grant is asked for: always the same in one reading, so that it can be renewed."""

    dataset: DatasetName
    version: int
    columns: tuple[str, ...]
    """Empty: all."""
    purpose: str
    """`own` or `share`."""
    agreement: str
    """Resource name; empty for purpose `own`."""
    reader: DepartmentId


class Security(Protocol):
    """Where grants come from."""

    async def read_grant(self, right: ReadRight) -> str:
        """A signed grant, on behalf of the caller. Raises `plaza_kit.errors.Unavailable` when security is
        away, and what it answers when it refuses."""


class Quality(Protocol):
    """What assessments let through."""

    async def gate(self, name: DatasetName, version: int) -> Gate:
        """In the service's own name. Raises `plaza_kit.errors.Unavailable` when quality is away."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class World:
    """Everything around the use cases."""

    database: Database
    policy: Authorizer
    outbox: Outbox
    lake: Lake
    grants: GrantVerifier
    catalogue: Catalogue
    security: Security
    quality: Quality
    now: Callable[[], datetime] = _utc_now
    """UTC."""
    pages: Executor = field(default_factory=lambda: ThreadPoolExecutor(PAGE_THREADS, "pages"))
    """Where pages are read: threads of their own, because the loop's are few and others need them."""
