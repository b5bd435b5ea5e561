"""Table `requests`: which caller's request ids were used, and for what (AIP-155)."""

from __future__ import annotations

import hashlib

from google.protobuf.message import Message
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_kit.errors import AlreadyExists
from plaza_kit.identity import Principal


class RequestIdReused(AlreadyExists):
    """The request id belongs to another request."""


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

    A request under way with the same id is waited for. Raises RequestIdReused when the id was used for
    something else. Needs the table `plaza_kit.db.schema.REQUESTS`.
    """
    if not request_id:
        return True
    sha256 = digest(request)
    department, name = place
    inserted = await connection.execute(
        text(
            "INSERT INTO requests (principal, request_id, department, name, sha256)"
            " VALUES (:principal, CAST(:request_id AS uuid), :department, :name, :sha256)"
            " ON CONFLICT DO NOTHING RETURNING 1"
        ),
        {
            "principal": principal.name,
            "request_id": request_id,
            "department": department,
            "name": name,
            "sha256": sha256,
        },
    )
    if inserted.first() is not None:
        return True
    if (await _used(connection, principal, request_id))[0] != sha256:
        raise RequestIdReused(
            f"request_id {request_id} was used for a different request",
            remedy="make a new UUID for each new request",
        )
    return False


async def made_by(connection: AsyncConnection, principal: Principal, request_id: str) -> str:
    """The name of the resource that the request made; empty when there was no such request."""
    return (await _used(connection, principal, request_id))[1]


async def _used(connection: AsyncConnection, principal: Principal, request_id: str) -> tuple[str, str]:
    found = await connection.execute(
        text(
            "SELECT sha256, name FROM requests"
            " WHERE principal = :principal AND request_id = CAST(:request_id AS uuid)"
        ),
        {"principal": principal.name, "request_id": request_id},
    )
    row = found.first()
    return (str(row.sha256), str(row.name)) if row is not None else ("", "")
