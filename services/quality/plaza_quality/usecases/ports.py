"""What the use cases need from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from plaza.common.v1 import contract_pb2
from plaza_kit.db import Database
from plaza_kit.db.outbox import Outbox
from plaza_kit.grants import GrantVerifier
from plaza_kit.identity import Principal
from plaza_kit.names import DatasetName
from plaza_kit.policy import Resource
from plaza_kit.working_days import ZONE
from plaza_lake.tables import Lake

from plaza_quality.domain.scores import LightProfile
from plaza_quality.domain.work_orders import WorkOrderProfile
from plaza_quality.spark.server import Spark
from plaza_quality.storage.failing_rows import FailingRows
from plaza_quality.storage.versions import Grading


class Authorizer(Protocol):
    """`plaza_kit.policy.PolicyFollower`, as far as it is used here."""

    def authorize(self, action: str, resource: Resource, facts: Mapping[str, Any] | None = None) -> Principal:
        """The caller, if they may do this; raises otherwise."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A dataset as the directory has it now."""

    contract_version: int
    contract: contract_pb2.Contract
    grading: Grading
    cycle: timedelta | None = None
    """How often new data are promised, counted generously; None: not promised."""
    code_lists: Mapping[str, str] = field(default_factory=dict)
    """Of the fields that have one, by name of the field."""

    @property
    def rules(self) -> tuple[contract_pb2.QualityRule, ...]:
        """In the contract's order."""
        return tuple(self.contract.rules)


@dataclass(frozen=True, slots=True)
class ListedCode:
    """A code and when it is valid, `YYYY`, `YYYY-MM` or `YYYY-MM-DD`; empty: always was, still is."""

    code: str
    valid_from: str
    valid_to: str
    name: str = ""


class Catalogue(Protocol):
    """The directory, asked in the service's own name."""

    async def dataset(self, name: DatasetName) -> Registered:
        """Raises AioRpcError."""

    async def grading(self, name: DatasetName) -> Grading | None:
        """Of a dataset that a rule names; None when there is none of this name. Raises AioRpcError."""

    async def codes(self, code_list: str) -> tuple[str, Sequence[ListedCode]] | None:
        """The version (`codeLists/…/versions/…`) and all codes of a list or of one version of it; None when it is
        not there. Raises AioRpcError."""

    async def names(self, department: str) -> Mapping[str, tuple[str, str]]:
        """Chinese and English names, by resource name, of a department and its datasets, of all for `-`. Raises
        AioRpcError."""


class Granting(Protocol):
    """Security, asked in the service's own name."""

    async def assessing(self, name: DatasetName, version: int) -> str:
        """A read grant for all rows and fields of a version, 0 for the newest. Raises AioRpcError."""

    async def own(self, name: DatasetName, version: int) -> str:
        """On behalf of the caller: a read grant for what they may read of a version of their own department's."""


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
    failing: FailingRows
    profile: LightProfile
    principal: str
    """The service itself, `services/plaza-quality`: who causes its events."""
    zone: ZoneInfo = ZONE
    """In which the city's days begin."""
    ordering: WorkOrderProfile = field(default_factory=WorkOrderProfile)
    spark: Spark | None = None
    """Judges large tables."""

    def now(self) -> datetime:
        """UTC."""
        return datetime.now(UTC)

    def today(self) -> date:
        """The day that deadlines count."""
        return self.now().astimezone(ZONE).date()
