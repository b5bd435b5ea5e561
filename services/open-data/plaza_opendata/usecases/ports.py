"""What the use cases need from outside, and the errors they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from plaza.catalogue.v1 import catalogue_pb2
from plaza.common.v1 import contract_pb2
from plaza.quality.v1 import gates_pb2, quality_pb2
from plaza.security.v1 import security_pb2
from plaza_kit.db import Database
from plaza_kit.db.outbox import Outbox
from plaza_kit.errors import Aborted, AlreadyExists, FailedPrecondition, NotFound
from plaza_kit.grants import GrantVerifier
from plaza_kit.identity import Principal
from plaza_kit.names import DatasetName
from plaza_kit.policy import Resource
from plaza_lake.tables import Lake

from plaza_opendata.domain.releases import ReleaseName
from plaza_opendata.storage.files import ReleaseStore

APPROVED = "city.plaza.opendata.release.approved.v1"
PUBLISHED = "city.plaza.opendata.release.published.v1"
FILE_PUBLISHED = "city.plaza.opendata.release_file.published.v1"
"""Of each file but the one that `PUBLISHED` names: a ledger entry is about one file."""
WITHDRAWN = "city.plaza.opendata.release.withdrawn.v1"


class Authorizer(Protocol):
    """`plaza_kit.policy.PolicyFollower`, as far as it is used here."""

    def authorize(self, action: str, resource: Resource, facts: Mapping[str, Any] | None = None) -> Principal:
        """The caller, if they may do this; raises otherwise."""


class Facts(Protocol):
    """What other services say, asked on behalf of the caller. Their refusals are raised as they come."""

    async def dataset(self, name: DatasetName) -> catalogue_pb2.Dataset:
        """The dataset as the directory has it."""

    async def version(self, name: DatasetName, number: int) -> catalogue_pb2.Version | None:
        """None: never committed."""

    async def contract(self, name: DatasetName, number: int) -> contract_pb2.Contract:
        """One of the dataset's contracts, by its number."""

    async def department(self, name: DatasetName) -> catalogue_pb2.Department:
        """The dataset's department."""

    async def assessment(self, name: DatasetName, version: int) -> quality_pb2.Assessment | None:
        """None: not assessed."""

    async def opening(self, name: DatasetName, version: int) -> gates_pb2.ExitGate:
        """What the dataset's gate says of opening a version."""


class Security(Protocol):
    """What security signs and proves. Its refusals are raised as they come."""

    async def run_grant(self, name: DatasetName, run: str) -> str:
        """The right of a release's job, for the caller."""

    async def read_grant(self, name: DatasetName, version: int, run_grant: str) -> str:
        """The right to read all rows of a version, in this service's own name."""

    async def inclusion(self, event_id: str) -> security_pb2.InclusionProof | None:
        """None: the event is not in the ledger yet."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything around the use cases."""

    database: Database
    policy: Authorizer
    outbox: Outbox
    facts: Facts
    security: Security
    lake: Lake
    verifier: GrantVerifier
    """Of read grants for this service."""
    store: ReleaseStore

    def now(self) -> datetime:
        """UTC."""
        return datetime.now(UTC)


class UnknownRelease(NotFound):
    """No release has this name."""


class EtagMismatch(Aborted):
    """Somebody changed the release since it was read."""


class VersionGone(FailedPrecondition):
    """The version expired: its rows are kept no more."""


class VersionReleased(AlreadyExists):
    """The version has a release already."""


def unknown_release(name: ReleaseName) -> UnknownRelease:
    return UnknownRelease(f"there is no release {name}", remedy="list the releases of the dataset")
