"""Tables `source_systems` and `source_system_versions`."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import ParseDict
from plaza.catalogue.v1 import source_systems_pb2 as pb
from plaza_kit.db import Reader, within
from plaza_kit.names import DepartmentId
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_catalogue.domain.source_systems import UPDATABLE, SourceSystemName
from plaza_catalogue.domain.updates import part
from plaza_catalogue.storage.datasets import Change
from plaza_catalogue.storage.rows import Row, json_of, moment

_ONE = "SELECT * FROM source_systems WHERE department = :department AND source_system = :source_system"
_INSERT_VERSION = text(
    "INSERT INTO source_system_versions (department, source_system, version, metadata, state, principal, author,"
    " create_time, changed_fields) VALUES (:department, :source_system, :version, CAST(:metadata AS jsonb), :state,"
    " :principal, :author, :now, :changed_fields)"
)


def _key(name: SourceSystemName) -> dict[str, Any]:
    return {"department": name.department, "source_system": name.source_system}


def _row(name: SourceSystemName, system: pb.SourceSystem, change: Change) -> dict[str, Any]:
    return _key(name) | {
        "metadata": json_of(part(system, UPDATABLE)),
        "state": pb.SourceSystemState.Name(system.state).removeprefix("SOURCE_SYSTEM_STATE_").lower(),
        "version": change.version,
        "etag": change.etag,
        "principal": change.principal,
        "author": change.author,
        "now": change.now,
        "changed_fields": change.changed_fields,
    }


async def insert(
    connection: AsyncConnection, name: SourceSystemName, system: pb.SourceSystem, change: Change
) -> bool:
    """The first version of a source system. Answers False when the id is taken."""
    row = _row(name, system, change)
    inserted = await connection.execute(
        text(
            "INSERT INTO source_systems (department, source_system, metadata, state, metadata_version, etag,"
            " create_time, update_time) VALUES (:department, :source_system, CAST(:metadata AS jsonb), :state,"
            " :version, :etag, :now, :now) ON CONFLICT DO NOTHING RETURNING 1"
        ),
        row,
    )
    if inserted.first() is None:
        return False
    await connection.execute(_INSERT_VERSION, row)
    return True


async def update(
    connection: AsyncConnection, name: SourceSystemName, system: pb.SourceSystem, change: Change
) -> None:
    """The next version of a source system that `find_to_change` found in this transaction."""
    row = _row(name, system, change)
    await connection.execute(
        text(
            "UPDATE source_systems SET metadata = CAST(:metadata AS jsonb), state = :state,"
            " metadata_version = :version, etag = :etag, update_time = :now"
            " WHERE department = :department AND source_system = :source_system"
        ),
        row,
    )
    await connection.execute(_INSERT_VERSION, row)


async def find(reader: Reader, name: SourceSystemName) -> pb.SourceSystem | None:
    found = await reader.rows(_ONE, _key(name))
    return _system_of(found[0]) if found else None


async def find_to_change(connection: AsyncConnection, name: SourceSystemName) -> pb.SourceSystem | None:
    """One source system, held until the transaction ends; finds only what the scope may write."""
    found = await within(connection).rows(_ONE + " FOR UPDATE", _key(name))
    return _system_of(found[0]) if found else None


async def of_department(reader: Reader, department: DepartmentId) -> list[pb.SourceSystem]:
    """All of a department's, by id."""
    found = await reader.rows(
        "SELECT * FROM source_systems WHERE department = :department ORDER BY source_system",
        {"department": department},
    )
    return [_system_of(row) for row in found]


async def page(reader: Reader, department: str, after: tuple[str, str], limit: int) -> list[pb.SourceSystem]:
    """By department and id, those behind `after`; an empty department means all."""
    found = await reader.rows(
        "SELECT * FROM source_systems WHERE (:department = '' OR department = :department)"
        " AND (department, source_system) > (:after_department, :after_system)"
        " ORDER BY department, source_system LIMIT :limit",
        {
            "department": department,
            "after_department": after[0],
            "after_system": after[1],
            "limit": limit,
        },
    )
    return [_system_of(row) for row in found]


async def versions(
    reader: Reader, name: SourceSystemName, before: int, limit: int
) -> list[tuple[pb.SourceSystemVersion, pb.SourceSystem]]:
    """Newest first, those with a smaller number than `before`, each with what it said."""
    found = await reader.rows(
        "SELECT * FROM source_system_versions WHERE department = :department"
        " AND source_system = :source_system AND version < :before"
        " ORDER BY version DESC LIMIT :limit",
        _key(name) | {"before": before, "limit": limit},
    )
    return [(_version_of(name, row), _content_of(row)) for row in found]


def _content_of(row: Row) -> pb.SourceSystem:
    system: pb.SourceSystem = ParseDict(row["metadata"], pb.SourceSystem(), ignore_unknown_fields=True)
    system.state = pb.SourceSystemState.Value(f"SOURCE_SYSTEM_STATE_{row['state'].upper()}")
    return system


def _system_of(row: Row) -> pb.SourceSystem:
    system = _content_of(row)
    system.name = f"departments/{row['department']}/sourceSystems/{row['source_system']}"
    system.metadata_version = row["metadata_version"]
    system.etag = row["etag"]
    system.create_time.CopyFrom(moment(row["create_time"]))
    system.update_time.CopyFrom(moment(row["update_time"]))
    return system


def _version_of(name: SourceSystemName, row: Row) -> pb.SourceSystemVersion:
    return pb.SourceSystemVersion(
        name=f"{name}/metadataVersions/{row['version']}",
        version=row["version"],
        author=row["author"],
        create_time=moment(row["create_time"]),
        changed_fields=row["changed_fields"],
    )
