"""Tables `departments` and `department_versions`."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import ParseDict
from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit.db import Reader, within
from plaza_kit.names import DepartmentId
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_catalogue.domain.departments import UPDATABLE
from plaza_catalogue.domain.updates import part
from plaza_catalogue.storage import rows
from plaza_catalogue.storage.datasets import Change
from plaza_catalogue.storage.rows import Row, json_of, moment

_SELECT = (
    "SELECT d.*, (SELECT count(*) FROM datasets x WHERE x.department = d.department) AS dataset_count"
    " FROM departments d"
)
_INSERT_VERSION = text(
    "INSERT INTO department_versions (department, version, metadata, state, principal, author, create_time,"
    " changed_fields) VALUES (:department, :version, CAST(:metadata AS jsonb), :state, :principal, :author, :now,"
    " :changed_fields)"
)
# Nobody noted who made a department before versions were kept.
_KEEP_VERSION = text(
    "INSERT INTO department_versions (department, version, metadata, state, principal, author, create_time,"
    " changed_fields) SELECT department, metadata_version, jsonb_build_object('display_name', display_name,"
    " 'display_name_en', display_name_en, 'provider_code', provider_code), state, '', '',"
    " coalesce(update_time, create_time), '{}' FROM departments WHERE department = :department"
    " ON CONFLICT DO NOTHING"
)


def _row(department: DepartmentId, content: pb.Department, change: Change) -> dict[str, Any]:
    return {name: getattr(content, name) for name in UPDATABLE} | {
        "department": department,
        "metadata": json_of(part(content, UPDATABLE)),
        "state": pb.DepartmentState.Name(content.state).removeprefix("DEPARTMENT_STATE_").lower(),
        "version": change.version,
        "etag": change.etag,
        "principal": change.principal,
        "author": change.author,
        "now": change.now,
        "changed_fields": change.changed_fields,
    }


async def insert(
    connection: AsyncConnection, department: DepartmentId, given: pb.Department, change: Change
) -> bool:
    """The first version of a department. Answers False when the id is taken."""
    row = _row(department, given, change)
    inserted = await connection.execute(
        text(
            "INSERT INTO departments (department, display_name, display_name_en, provider_code, state,"
            " metadata_version, etag, create_time, update_time) VALUES (:department, :display_name,"
            " :display_name_en, :provider_code, :state, :version, :etag, :now, :now)"
            " ON CONFLICT DO NOTHING RETURNING 1"
        ),
        row,
    )
    if inserted.first() is None:
        return False
    await connection.execute(_INSERT_VERSION, row)
    return True


async def update(
    connection: AsyncConnection, department: DepartmentId, content: pb.Department, change: Change
) -> None:
    """The next version of a department that `find_to_change` found in this transaction."""
    row = _row(department, content, change)
    await connection.execute(_KEEP_VERSION, row)
    await connection.execute(
        text(
            "UPDATE departments SET display_name = :display_name, display_name_en = :display_name_en,"
            " provider_code = :provider_code, state = :state, metadata_version = :version, etag = :etag,"
            " update_time = :now WHERE department = :department"
        ),
        row,
    )
    await connection.execute(_INSERT_VERSION, row)


async def find(reader: Reader, department: DepartmentId) -> pb.Department | None:
    found = await reader.rows(_SELECT + " WHERE department = :department", {"department": department})
    return rows.department_of(found[0]) if found else None


async def find_to_change(connection: AsyncConnection, department: DepartmentId) -> pb.Department | None:
    """One department; until the transaction ends nobody else changes it or registers anything in it. Readers are
    not held up. Finds only what the scope may write."""
    return await _find_held(connection, department, "FOR UPDATE")


async def find_to_register(connection: AsyncConnection, department: DepartmentId) -> pb.Department | None:
    """One department; until the transaction ends nobody archives it. Others may register at the same time."""
    return await _find_held(connection, department, "FOR SHARE")


async def _find_held(
    connection: AsyncConnection, department: DepartmentId, strength: str
) -> pb.Department | None:
    # Read after the lock: the count beside a row that waited for one would be what it was before.
    held = await connection.execute(
        text(f"SELECT 1 FROM departments WHERE department = :department {strength}"),  # noqa: S608  # constant texts
        {"department": department},
    )
    return await find(within(connection), department) if held.first() is not None else None


async def page(reader: Reader, after: str, limit: int, *, archived: bool) -> list[pb.Department]:
    """By id, those behind `after`."""
    found = await reader.rows(
        f"{_SELECT} WHERE department > :after AND (:archived OR state = 'active')"
        " ORDER BY department LIMIT :limit",
        {"after": after, "archived": archived, "limit": limit},
    )
    return [rows.department_of(row) for row in found]


async def versions(
    reader: Reader, department: DepartmentId, before: int, limit: int
) -> list[tuple[pb.DepartmentVersion, pb.Department]]:
    """Newest first, those with a smaller number than `before`, each with what it said."""
    found = await reader.rows(
        "SELECT * FROM department_versions WHERE department = :department AND version < :before"
        " ORDER BY version DESC LIMIT :limit",
        {"department": department, "before": before, "limit": limit},
    )
    return [(_version_of(row), _content_of(row)) for row in found]


def _content_of(row: Row) -> pb.Department:
    content: pb.Department = ParseDict(row["metadata"], pb.Department(), ignore_unknown_fields=True)
    content.state = rows.department_state(row["state"])
    return content


def _version_of(row: Row) -> pb.DepartmentVersion:
    return pb.DepartmentVersion(
        name=f"departments/{row['department']}/metadataVersions/{row['version']}",
        version=row["version"],
        author=row["author"],
        create_time=moment(row["create_time"]),
        changed_fields=row["changed_fields"],
    )
