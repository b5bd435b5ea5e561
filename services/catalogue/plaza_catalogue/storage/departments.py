"""Table `departments`."""

from __future__ import annotations

from datetime import datetime

from plaza.catalogue.v1 import catalogue_pb2 as pb
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


async def find(connection: AsyncConnection, department: DepartmentId) -> pb.Department | None:
    found = await connection.execute(
        text(f"{_SELECT} WHERE department = :department"), {"department": department}
    )
    row = found.first()
    return rows.department_of(row._mapping) if row is not None else None


async def page(connection: AsyncConnection, after: str, limit: int) -> list[pb.Department]:
    """By id, those behind `after`."""
    found = await connection.execute(
        text(f"{_SELECT} WHERE department > :after ORDER BY department LIMIT :limit"),
        {"after": after, "limit": limit},
    )
    return [rows.department_of(row._mapping) for row in found]
