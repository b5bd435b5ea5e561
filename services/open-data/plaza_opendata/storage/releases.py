"""Tables `open_datasets`, `releases`, `release_files`: what is published in which state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import orjson
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza_kit.names import DatasetName
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_opendata.domain.releases import ReleaseName, State
from plaza_opendata.storage import rows
from plaza_opendata.storage.rows import FileRecord, PreviewCells, Row, key_of

SHOWN = (
    "r.department, r.dataset, r.number, r.version, r.state, r.row_count, r.content_sha256, r.score, r.light,"
    " r.licence, r.ledger_index, r.publish_time, r.withdraw_reason, r.error, r.revision, f.files"
)
"""What `rows.release_of` needs, of the tables that `FROM` joins."""
FROM = (
    " FROM releases r LEFT JOIN LATERAL (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.file_name) AS files"
    " FROM release_files x WHERE x.department = r.department AND x.dataset = r.dataset"
    " AND x.number = r.number) f ON true"
)
DATASET = " WHERE r.department = :department AND r.dataset = :dataset"
_ONE = DATASET + " AND r.number = :number"


@dataclass(frozen=True, slots=True)
class NewRelease:
    """A release that passed its gates."""

    name: ReleaseName
    version: int
    row_count: int
    score: float | None
    light: str
    """`unspecified`, `green`, `yellow` or `red`."""
    licence: str
    snapshot: pb.OpenDataset
    principal: str
    now: datetime


def key(name: ReleaseName) -> dict[str, object]:
    return {**key_of(name.dataset), "number": name.number}


async def lock_dataset(connection: AsyncConnection, name: DatasetName) -> int:
    """Holds the releases of a dataset until the transaction ends; answers how many there are."""
    locked = await connection.execute(
        text(
            "INSERT INTO open_datasets (department, dataset) VALUES (:department, :dataset)"
            " ON CONFLICT (department, dataset) DO UPDATE SET releases = open_datasets.releases"
            " RETURNING releases"
        ),
        key_of(name),
    )
    return int(locked.scalar_one())


async def insert(connection: AsyncConnection, new: NewRelease) -> None:
    """The next release of a dataset that is locked."""
    await connection.execute(
        text(
            "UPDATE open_datasets SET releases = :number"
            " WHERE department = :department AND dataset = :dataset"
        ),
        key(new.name),
    )
    await connection.execute(
        text(
            "INSERT INTO releases (department, dataset, number, version, state, row_count, score, light, licence,"
            " snapshot, principal, create_time) VALUES (:department, :dataset, :number, :version, :state,"
            " :row_count, :score, :light, :licence, CAST(:snapshot AS jsonb), :principal, :now)"
        ),
        key(new.name)
        | {
            "version": new.version,
            "state": State.APPROVED,
            "row_count": new.row_count,
            "score": new.score,
            "light": new.light,
            "licence": new.licence,
            "snapshot": rows.json_of(new.snapshot),
            "principal": new.principal,
            "now": new.now,
        },
    )


async def of_version(connection: AsyncConnection, name: DatasetName, version: int) -> Row | None:
    """The newest release of a version that is being built or was published and not withdrawn."""
    found = await connection.execute(
        text(
            f"SELECT {SHOWN}{FROM}{DATASET} AND r.version = :version"
            " AND r.state IN ('approved', 'published', 'superseded') ORDER BY r.number DESC LIMIT 1"
        ),
        key_of(name) | {"version": version},
    )
    row = found.first()
    return row._mapping if row is not None else None


async def find(connection: AsyncConnection, name: ReleaseName, *, lock: bool = False) -> Row | None:
    """One release with its files; `lock` holds it until the transaction ends."""
    found = await connection.execute(
        text(f"SELECT {SHOWN}, r.event_id, r.principal{FROM}{_ONE}" + (" FOR UPDATE OF r" if lock else "")),
        key(name),
    )
    row = found.first()
    return row._mapping if row is not None else None


async def page(connection: AsyncConnection, name: DatasetName, before: int, limit: int) -> list[pb.Release]:
    """Newest first, those with a smaller number than `before`."""
    found = await connection.execute(
        text(f"SELECT {SHOWN}{FROM}{DATASET} AND r.number < :before ORDER BY r.number DESC LIMIT :limit"),
        key_of(name) | {"before": before, "limit": limit},
    )
    return [rows.release_of(row._mapping) for row in found]


async def record_file(
    connection: AsyncConnection, name: ReleaseName, file: FileRecord, event_id: str
) -> None:
    """A file that was built, and the event that tells of it."""
    await connection.execute(
        text(
            "INSERT INTO release_files (department, dataset, number, file_name, content_type, size_bytes, sha256,"
            " sm3, event_id) VALUES (:department, :dataset, :number, :file_name, :content_type, :size_bytes,"
            " :sha256, :sm3, CAST(:event_id AS uuid))"
        ),
        key(name)
        | {
            "file_name": file.file_name,
            "content_type": file.content_type,
            "size_bytes": file.size_bytes,
            "sha256": file.sha256,
            "sm3": file.sm3,
            "event_id": event_id,
        },
    )


async def record_build(
    connection: AsyncConnection, name: ReleaseName, content_sha256: str, preview: PreviewCells, event_id: str
) -> None:
    """What was found out by the way, and the event that tells of the release."""
    await connection.execute(
        text(
            "UPDATE releases r SET content_sha256 = :content_sha256, preview = CAST(:preview AS jsonb),"  # noqa: S608
            f" event_id = CAST(:event_id AS uuid), revision = revision + 1{_ONE}"
        ),
        key(name)
        | {
            "content_sha256": content_sha256,
            "preview": orjson.dumps(preview).decode(),
            "event_id": event_id,
        },
    )


async def record_proof(
    connection: AsyncConnection, name: ReleaseName, file_name: str, size_bytes: int, sha256: str
) -> None:
    """The proof that lies beside a file."""
    await connection.execute(
        text(
            "UPDATE release_files r SET proof_size_bytes = :size_bytes, proof_sha256 = :sha256"  # noqa: S608
            f"{_ONE} AND r.file_name = :file_name"
        ),
        key(name) | {"file_name": file_name, "size_bytes": size_bytes, "sha256": sha256},
    )


async def publish(connection: AsyncConnection, name: ReleaseName, ledger_index: int, now: datetime) -> None:
    """Opens a release of a dataset that is locked: the newest is published, all others are superseded."""
    bound = key(name) | {"ledger_index": ledger_index, "now": now}
    newest = await published(connection, name.dataset)
    if newest < name.number:
        await connection.execute(
            text(
                "UPDATE releases r SET state = 'superseded', revision = revision + 1"  # noqa: S608
                f"{DATASET} AND r.state = 'published'"
            ),
            bound,
        )
    await connection.execute(
        text(
            "UPDATE releases r SET state = :state, ledger_index = :ledger_index, publish_time = :now,"  # noqa: S608
            f" revision = revision + 1{_ONE}"
        ),
        bound | {"state": State.PUBLISHED if newest < name.number else State.SUPERSEDED},
    )


async def published(connection: AsyncConnection, name: DatasetName) -> int:
    """Number of the published release; 0 if there is none."""
    found = await connection.execute(
        text(f"SELECT r.number FROM releases r{DATASET} AND r.state = 'published'"),  # noqa: S608
        key_of(name),
    )
    return int(found.scalar() or 0)


async def close(connection: AsyncConnection, name: ReleaseName, state: State, *, words: str) -> int:
    """Ends a release of a dataset that is locked: withdrawn for a reason, or failed with an error. When nothing
    else is published the newest superseded release becomes published again. Answers the published number."""
    column = "withdraw_reason" if state is State.WITHDRAWN else "error"
    await connection.execute(
        text(
            f"UPDATE releases r SET state = :state, {column} = :words, revision = revision + 1{_ONE}"  # noqa: S608
        ),
        key(name) | {"state": state, "words": words},
    )
    newest = await published(connection, name.dataset)
    if newest:
        return newest
    back = await connection.execute(
        text(
            "UPDATE releases r SET state = 'published', revision = revision + 1"  # noqa: S608
            f"{DATASET} AND r.number = (SELECT max(s.number) FROM releases s WHERE s.department = :department"
            " AND s.dataset = :dataset AND s.state = 'superseded') RETURNING r.number"
        ),
        key_of(name.dataset),
    )
    return int(back.scalar() or 0)


async def file(connection: AsyncConnection, name: ReleaseName, file_name: str) -> FileRecord | None:
    """A file that the release has, by its exact name."""
    found = await connection.execute(
        text(f"SELECT * FROM release_files r{_ONE} AND r.file_name = :file_name"),  # noqa: S608
        key(name) | {"file_name": file_name},
    )
    row = found.first()
    return rows.record_of(row._mapping) if row is not None else None


async def files(connection: AsyncConnection, name: ReleaseName) -> list[tuple[str, FileRecord]]:
    """All files of a release that was recorded, each with the id of its event."""
    found = await connection.execute(
        text(
            "SELECT f.*, coalesce(f.event_id, r.event_id) AS event FROM releases r JOIN release_files f"  # noqa: S608
            f" USING (department, dataset, number){_ONE} AND r.event_id IS NOT NULL ORDER BY f.file_name"
        ),
        key(name),
    )
    return [(str(row.event), rows.record_of(row._mapping)) for row in found]
