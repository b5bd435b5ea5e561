"""Table `departments`."""

from __future__ import annotations

from datetime import datetime

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit.db import Reader
from plaza_kit.names import DepartmentId
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_catalogue.storage import rows

_SELECT = (
    "SELECT d.*, (SELECT count(*) FROM datasets x WHERE x.department = d.department) AS dataset_count"
    " FROM departments d"
)


async def insert(
    connection: AsyncConnection, department: DepartmentId, given: pb.Department, etag: str, now: datetime
) -> bool:
    """Answers False when the id is taken."""
    inserted = await connection.execute(
        text(
            "INSERT INTO departments (department, display_name, display_name_en, provider_code, etag, create_time)"
            " VALUES (:department, :display_name, :display_name_en, :provider_code, :etag, :now)"
            " ON CONFLICT DO NOTHING RETURNING 1"
        ),
        {
            "department": department,
            "display_name": given.display_name,
            "display_name_en": given.display_name_en,
            "provider_code": given.provider_code,
            "etag": etag,
            "now": now,
        },
    )
    return inserted.first() is not None


async def find(reader: Reader, department: DepartmentId) -> pb.Department | None:
    found = await reader.rows(f"{_SELECT} WHERE department = :department", {"department": department})
    return rows.department_of(found[0]) if found else None


async def hold(connection: AsyncConnection, department: DepartmentId) -> None:
    """Until the transaction ends nobody else registers a dataset here; readers are not held up."""
    await connection.execute(
        text("SELECT 1 FROM departments WHERE department = :department FOR UPDATE"),
        {"department": department},
    )


async def page(reader: Reader, after: str, limit: int) -> list[pb.Department]:
    """By id, those behind `after`."""
    found = await reader.rows(
        f"{_SELECT} WHERE department > :after ORDER BY department LIMIT :limit",
        {"after": after, "limit": limit},
    )
    return [rows.department_of(row) for row in found]
