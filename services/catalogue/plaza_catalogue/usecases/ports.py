"""What the use cases need from outside, and the errors they share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from google.protobuf.message import Message
from plaza_kit.db import Database
from plaza_kit.db.outbox import Outbox
from plaza_kit.errors import Aborted, AlreadyExists, InvalidArgument, NotFound
from plaza_kit.identity import Principal
from plaza_kit.policy import Resource
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_catalogue.storage import requests


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


class UnknownDepartment(NotFound):
    """No department has this id."""


class UnknownDataset(NotFound):
    """The directory has no such dataset."""


class RequestIdReused(AlreadyExists):
    """The request id belongs to another request."""


class NulCharacter(InvalidArgument):
    """A text holds U+0000, which PostgreSQL cannot store."""


class EtagMismatch(Aborted):
    """Somebody changed the resource since it was read."""


def unknown_department(department: str) -> UnknownDepartment:
    return UnknownDepartment(
        f"there is no department {department}", remedy="list departments to see the ids that exist"
    )


def unknown_dataset(name: object) -> UnknownDataset:
    return UnknownDataset(f"{name} is not in the directory", remedy="search the directory for its name")


def digest(message: Message) -> str:
    """Hex SHA-256 of a message; equal messages have equal hashes within one version of the service."""
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()


async def is_first(
    connection: AsyncConnection,
    principal: Principal,
    request_id: str,
    request: Message,
    place: tuple[str, str],
) -> bool:
    """False for a repetition of a request that was carried out; `place`: department id and resource name.

    Raises RequestIdReused when the id was used for something else.
    """
    if not request_id:
        return True
    sha256 = digest(request)
    if await requests.reserve(
        connection,
        principal=principal.name,
        request_id=request_id,
        department=place[0],
        name=place[1],
        sha256=sha256,
    ):
        return True
    if await requests.hash_of(connection, principal=principal.name, request_id=request_id) != sha256:
        raise RequestIdReused(
            f"request_id {request_id} was used for a different request",
            remedy="make a new UUID for each new request",
        )
    return False


def refuse_nul(message: Message, place: str) -> None:
    """Raises NulCharacter naming the first text with U+0000 in it."""
    for field, value in message.ListFields():
        where = f"{place}.{field.name}"
        for item in value if field.is_repeated else [value]:
            if isinstance(item, Message):
                refuse_nul(item, where)
            elif isinstance(item, str) and "\x00" in item:
                raise NulCharacter(f"{where}: holds the character U+0000", remedy="remove it")
