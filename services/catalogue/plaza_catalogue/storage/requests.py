"""Table `requests`: which caller's request ids were used, and for what (AIP-155)."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


async def reserve(
    connection: AsyncConnection, *, principal: str, request_id: str, department: str, name: str, sha256: str
) -> bool:
    """Answers False when the caller used the id before. A request under way with the same id is waited for."""
    inserted = await connection.execute(
        text(
            "INSERT INTO requests (principal, request_id, department, name, sha256)"
            " VALUES (:principal, CAST(:request_id AS uuid), :department, :name, :sha256)"
            " ON CONFLICT DO NOTHING RETURNING 1"
        ),
        {
            "principal": principal,
            "request_id": request_id,
            "department": department,
            "name": name,
            "sha256": sha256,
        },
    )
    return inserted.first() is not None


async def hash_of(connection: AsyncConnection, *, principal: str, request_id: str) -> str:
    """The hash of the request that used the id; empty when it cannot be seen."""
    found = await connection.execute(
        text(
            "SELECT sha256 FROM requests WHERE principal = :principal AND request_id = CAST(:request_id AS uuid)"
        ),
        {"principal": principal, "request_id": request_id},
    )
    return str(found.scalar() or "")
