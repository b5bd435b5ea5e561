"""Tables `datasets`, `contracts` and `metadata_versions`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit.db import Reader, within
from plaza_kit.grade_words import city_level_word, sharing_class_word
from plaza_kit.names import DatasetName
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_catalogue.domain.datasets import (
    contract_sha256,
    directory_part,
)
from plaza_catalogue.storage import rows
from plaza_catalogue.storage.rows import json_of

SELECT = (
    "SELECT d.*, p.display_name AS provider, p.provider_code, c.contract, v.latest,"
    " o.metadata->>'display_name' AS source_system_title"
    " FROM datasets d"
    " JOIN departments p ON p.department = d.department"
    " JOIN contracts c ON c.department = d.department AND c.dataset = d.dataset"
    " AND c.version = d.contract_version"
    " LEFT JOIN source_systems o ON o.department = d.department"
    " AND o.source_system = split_part(d.metadata->>'source_system', '/', 4)"
    " LEFT JOIN LATERAL (SELECT to_jsonb(n) AS latest FROM versions n"
    " WHERE n.department = d.department AND n.dataset = d.dataset AND n.commit_time IS NOT NULL"
    " ORDER BY n.version DESC LIMIT 1) v ON true"
)
_INSERT = (
    "INSERT INTO datasets (department, dataset, metadata, code, city_level, sharing_class,"
    " metadata_version, contract_version, etag, publication_date, create_time, update_time)"
    " VALUES (:department, :dataset, CAST(:metadata AS jsonb), :code, :city_level, :sharing_class,"
    " :version, 1, :etag, :published, :now, :now)"
)
_INSERT_CONTRACT = text(
    "INSERT INTO contracts (department, dataset, version, contract, sha256, principal, create_time)"
    " VALUES (:department, :dataset, :contract_version, CAST(:contract AS jsonb), :sha256, :principal, :now)"
)
_INSERT_METADATA = text(
    "INSERT INTO metadata_versions (department, dataset, version, metadata, contract_version, principal, author,"
    " create_time, changed_fields) VALUES (:department, :dataset, :version, CAST(:metadata AS jsonb),"
    " :contract_version, :principal, :author, :now, :changed_fields)"
)
_ONE = " WHERE d.department = :department AND d.dataset = :dataset"
_LOCK = "SELECT 1 FROM datasets WHERE department = :department"


@dataclass(frozen=True, slots=True)
class Change:
    """Who changed a dataset's metadata, when, to which version."""

    principal: str
    author: str
    now: datetime
    version: int
    changed_fields: list[str]
    etag: str


@dataclass(frozen=True, slots=True)
class New:
    """A dataset to register."""

    name: DatasetName
    dataset: pb.Dataset
    change: Change
    published: date


def _key(name: DatasetName) -> dict[str, Any]:
    return {"department": name.department, "dataset": name.dataset}


async def next_code(connection: AsyncConnection) -> int:
    """A number that no other dataset's made code has."""
    return int((await connection.execute(text("SELECT nextval('dataset_code')"))).scalar_one())


async def next_codes(connection: AsyncConnection, count: int) -> list[int]:
    """`next_code`, for many at once."""
    found = await connection.execute(
        text("SELECT nextval('dataset_code') FROM generate_series(1, :count)"), {"count": count}
    )
    return [int(number) for number in found.scalars()]


async def insert(
    connection: AsyncConnection, name: DatasetName, dataset: pb.Dataset, change: Change, published: date
) -> bool:
    """A dataset with its first contract. Answers False when its id or its code is taken."""
    inserted = await connection.execute(
        text(_INSERT + " ON CONFLICT DO NOTHING RETURNING 1"),
        _dataset_row(name, dataset, change, published),
    )
    if inserted.first() is None:
        return False
    await connection.execute(_INSERT_CONTRACT, _contract_row(name, dataset, change))
    await connection.execute(_INSERT_METADATA, _metadata_row(name, dataset, change))
    return True


async def insert_many(connection: AsyncConnection, new: Sequence[New]) -> None:
    """`insert`, for many at once. Raises sqlalchemy's IntegrityError when an id or code is taken."""
    if not new:
        return
    await connection.execute(
        text(_INSERT), [_dataset_row(n.name, n.dataset, n.change, n.published) for n in new]
    )
    await connection.execute(_INSERT_CONTRACT, [_contract_row(n.name, n.dataset, n.change) for n in new])
    await connection.execute(_INSERT_METADATA, [_metadata_row(n.name, n.dataset, n.change) for n in new])


async def update(connection: AsyncConnection, name: DatasetName, dataset: pb.Dataset, change: Change) -> None:
    """The next metadata version of a dataset that `find(…, lock=True)` found in this transaction."""
    await update_many(connection, [(name, dataset, change)])


async def update_many(
    connection: AsyncConnection, changed: Sequence[tuple[DatasetName, pb.Dataset, Change]]
) -> None:
    """`update`, for many at once. Raises sqlalchemy's IntegrityError when a code is taken."""
    if not changed:
        return
    await connection.execute(
        text(
            "UPDATE datasets SET metadata = CAST(:metadata AS jsonb), code = :code, metadata_version = :version,"
            " etag = :etag, update_time = :now WHERE department = :department AND dataset = :dataset"
        ),
        [_metadata_row(*each) | {"code": each[1].code, "etag": each[2].etag} for each in changed],
    )
    await connection.execute(_INSERT_METADATA, [_metadata_row(*each) for each in changed])


async def adopt(connection: AsyncConnection, name: DatasetName, dataset: pb.Dataset, change: Change) -> None:
    """Puts `dataset.contract` in force under the number `dataset.contract_version`, with the next metadata version
    of a dataset that `find_to_change` found in this transaction."""
    await connection.execute(_INSERT_CONTRACT, _contract_row(name, dataset, change))
    await connection.execute(
        text(
            "UPDATE datasets SET contract_version = :contract_version"
            " WHERE department = :department AND dataset = :dataset"
        ),
        _key(name) | {"contract_version": dataset.contract_version},
    )
    await update(connection, name, dataset, change)


def _dataset_row(name: DatasetName, dataset: pb.Dataset, change: Change, published: date) -> dict[str, Any]:
    return _metadata_row(name, dataset, change) | {
        "code": dataset.code,
        "city_level": city_level_word(dataset.city_level),
        "sharing_class": sharing_class_word(getattr(dataset.sharing, "class")),
        "etag": change.etag,
        "published": published,
    }


def _contract_row(name: DatasetName, dataset: pb.Dataset, change: Change) -> dict[str, Any]:
    return _key(name) | {
        "contract": json_of(dataset.contract),
        "contract_version": dataset.contract_version or 1,
        "sha256": contract_sha256(dataset.contract),
        "principal": change.principal,
        "now": change.now,
    }


def _metadata_row(name: DatasetName, dataset: pb.Dataset, change: Change) -> dict[str, Any]:
    return _key(name) | {
        "version": change.version,
        "metadata": json_of(directory_part(dataset)),
        "contract_version": dataset.contract_version or 1,
        "principal": change.principal,
        "author": change.author,
        "now": change.now,
        "changed_fields": change.changed_fields,
    }


async def find(reader: Reader, name: DatasetName) -> pb.Dataset | None:
    found = await reader.rows(SELECT + _ONE, _key(name))
    return rows.dataset_of(found[0]) if found else None


async def find_to_change(connection: AsyncConnection, name: DatasetName) -> pb.Dataset | None:
    """One dataset, held until the transaction ends; finds only what the scope may write."""
    # Read after the lock: a row that waited for one is joined with what it was before (PostgreSQL manual, "Read
    # Committed Isolation Level"), so that a dataset with a new contract would not be found at all.
    held = await connection.execute(text(_LOCK + " AND dataset = :dataset FOR UPDATE"), _key(name))
    return await find(within(connection), name) if held.first() is not None else None


async def code_taken(connection: AsyncConnection, name: DatasetName, code: str) -> bool:
    """Whether another dataset has this directory code."""
    found = await connection.execute(
        text(
            "SELECT 1 FROM datasets WHERE code = :code AND (department, dataset) <> (:department, :dataset)"
        ),
        _key(name) | {"code": code},
    )
    return found.first() is not None


async def page(reader: Reader, department: str, after: tuple[str, str], limit: int) -> list[pb.Dataset]:
    """By department and id, those behind `after`; an empty department means all."""
    found = await reader.rows(
        SELECT + " WHERE (:department = '' OR d.department = :department)"
        " AND (d.department, d.dataset) > (:after_department, :after_dataset)"
        " ORDER BY d.department, d.dataset LIMIT :limit",
        {
            "department": department,
            "after_department": after[0],
            "after_dataset": after[1],
            "limit": limit,
        },
    )
    return [rows.dataset_of(row) for row in found]


async def metadata_versions(
    reader: Reader, name: DatasetName, before: int, limit: int
) -> list[pb.MetadataVersion]:
    """Newest first, those with a smaller number than `before`."""
    found = await reader.rows(
        "SELECT * FROM metadata_versions WHERE department = :department AND dataset = :dataset"
        " AND version < :before ORDER BY version DESC LIMIT :limit",
        _key(name) | {"before": before, "limit": limit},
    )
    return [rows.metadata_version_of(row) for row in found]


async def naming_system(reader: Reader, department: str, source_system: str) -> list[pb.Dataset]:
    """A department's datasets that name a source system, given by its full name."""
    found = await reader.rows(
        SELECT + " WHERE d.department = :department AND d.metadata->>'source_system' = :source_system",
        {"department": department, "source_system": source_system},
    )
    return [rows.dataset_of(row) for row in found]


async def owners_of(reader: Reader, codes: Sequence[str], department: str) -> dict[str, str]:
    """Those of some directory codes that other departments' datasets have, and the departments."""
    found = await reader.rows(
        "SELECT code, department FROM datasets WHERE code = ANY(CAST(:codes AS text[]))"
        " AND department <> :department",
        {"codes": list(codes), "department": department},
    )
    return {row["code"]: row["department"] for row in found}


async def of_department(reader: Reader, department: str, *, lock: bool = False) -> list[pb.Dataset]:
    """All datasets of a department by id; `lock`, in a transaction: nobody changes them until it ends."""
    if lock:
        await reader.rows(_LOCK + " ORDER BY dataset FOR UPDATE", {"department": department})
    found = await reader.rows(
        SELECT + " WHERE d.department = :department ORDER BY d.dataset", {"department": department}
    )
    return [rows.dataset_of(row) for row in found]
