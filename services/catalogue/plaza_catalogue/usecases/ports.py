"""What the use cases need from outside, and the errors they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from plaza_kit.db import Database
from plaza_kit.db.outbox import Outbox
from plaza_kit.errors import Aborted, NotFound
from plaza_kit.identity import Principal
from plaza_kit.policy import Resource


class Authorizer(Protocol):
    """`plaza_kit.policy.PolicyFollower`, as far as it is used here."""

    def authorize(self, action: str, resource: Resource, facts: Mapping[str, Any] | None = None) -> Principal:
        """The caller, if they may do this; raises otherwise."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything around the use cases."""

    database: Database
    policy: Authorizer
    outbox: Outbox
    zone: ZoneInfo

    def now(self) -> datetime:
        """UTC."""
        return datetime.now(UTC)


NEWEST = (2**31 - 1,)
"""Behind every number, so that the first page starts with the newest."""


class UnknownDepartment(NotFound):
    """No department has this id."""


class UnknownDataset(NotFound):
    """The directory has no such dataset."""


class EtagMismatch(Aborted):
    """Somebody changed the resource since it was read."""


def unknown_department(department: str) -> UnknownDepartment:
    return UnknownDepartment(
        f"there is no department {department}", remedy="list departments to see the ids that exist"
    )


def unknown_dataset(name: object) -> UnknownDataset:
    return UnknownDataset(f"{name} is not in the directory", remedy="search the directory for its name")


def check_etag(name: object, given: str, current: str) -> None:
    """An etag that is given must be the current one. Raises EtagMismatch."""
    if given and given != current:
        raise EtagMismatch(
            f"{name} was changed since it was read",
            remedy="read it again, apply the change to what you read, and send it with the new etag",
        )
