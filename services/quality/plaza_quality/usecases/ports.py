"""What the use cases need from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from plaza.common.v1 import contract_pb2
from plaza_kit.db import Database
from plaza_kit.db.outbox import Outbox
from plaza_kit.grants import GrantVerifier
from plaza_kit.identity import Principal
from plaza_kit.names import DatasetName
from plaza_kit.policy import Resource
from plaza_lake.tables import Lake

from plaza_quality.domain.scores import LightProfile
from plaza_quality.storage.versions import Grading


class Authorizer(Protocol):
    """`plaza_kit.policy.PolicyFollower`, as far as it is used here."""

    def authorize(self, action: str, resource: Resource, facts: Mapping[str, Any] | None = None) -> Principal:
        """The caller, if they may do this; raises otherwise."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A dataset as the directory has it now."""

    contract_version: int
    rules: tuple[contract_pb2.QualityRule, ...]
    grading: Grading


class Catalogue(Protocol):
    """The directory, asked in the service's own name."""

    async def dataset(self, name: DatasetName) -> Registered:
        """Raises AioRpcError."""


class Granting(Protocol):
    """Security, asked in the service's own name."""

    async def assessing(self, name: DatasetName, version: int) -> str:
        """A read grant for all rows and fields of a version. Raises AioRpcError."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything around the use cases."""

    database: Database
    policy: Authorizer
    outbox: Outbox
    lake: Lake
    grants: GrantVerifier
    catalogue: Catalogue
    granting: Granting
    profile: LightProfile
    principal: str
    """The service itself, `services/plaza-quality`: who causes its events."""

    def now(self) -> datetime:
        """UTC."""
        return datetime.now(UTC)
