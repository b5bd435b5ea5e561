"""Tables `uploads` and `upload_expirations`: an upload's row stays when its file goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_COLUMNS: Final = "upload, department, file_name, path, size_bytes, sha256, principal, create_time"
_USED: Final = (
    "SELECT 1 FROM runs r WHERE r.upload = u.upload AND (r.end_time IS NULL OR r.end_time >= :before)"
)
_NEEDED: Final = (
    # Of a record that was too long quarantine has the first bytes only.
    "SELECT 1 FROM runs r JOIN batches b ON b.batch = r.batch WHERE r.upload = u.upload"
    " AND b.decision->'refused_by_reason' ? 'too_long' AND CAST(b.decision->'refused'->>'rows' AS bigint) >"
    " (SELECT count(*) FROM quarantined_rows q WHERE q.batch = b.batch AND q.state IN ('replayed', 'discarded'))"
)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was received whole."""

    upload: str
    department: str
    file_name: str
    path: str
    """Relative to the department's prefix."""
    size_bytes: int
    sha256: str
    principal: str
    create_time: datetime

    @property
    def name(self) -> str:
        return f"departments/{self.department}/uploads/{self.upload}"


async def insert(connection: AsyncConnection, upload: Upload) -> None:
    await connection.execute(
        text(
            "INSERT INTO uploads (upload, department, file_name, path, size_bytes, sha256, principal,"
            " create_time) VALUES (:upload, :department, :file_name, :path, :size_bytes, :sha256, :principal,"
            " :create_time)"
        ),
        asdict(upload),
    )


async def find(connection: AsyncConnection, name: str) -> Upload | None:
    """By resource name. It does not expire before the transaction ends."""
    _, department, _, upload = name.split("/")
    found = await connection.execute(
        text(f"SELECT {_COLUMNS} FROM uploads WHERE upload = :upload AND department = :department FOR SHARE"),  # noqa: S608
        {"upload": upload, "department": department},
    )
    row = found.first()
    return Upload(**row._mapping) if row is not None else None


async def expire_time(connection: AsyncConnection, upload: str) -> datetime | None:
    """When its file was given up. None: it is there."""
    found = await connection.execute(
        text("SELECT expire_time FROM upload_expirations WHERE upload = :upload"), {"upload": upload}
    )
    return found.scalar_one_or_none()


async def expire(
    connection: AsyncConnection, now: datetime, before: datetime, after: str, limit: int
) -> tuple[list[Upload], str]:
    """Decides for the uploads behind `after`, oldest first, at most `limit` of those from before a moment: which of
    them expire, and the last that was looked at (empty: there are no more).

    One stays while a run of it goes on or ended since then, and while quarantine holds a row of it of which it has
    not all bytes. Candidates are locked first and looked at by a second statement, so that no run can start on one
    that expires.
    """
    locked = await connection.execute(
        text(
            "SELECT upload FROM uploads u WHERE create_time < :before AND upload > :after AND NOT EXISTS"
            " (SELECT 1 FROM upload_expirations e WHERE e.upload = u.upload)"
            " ORDER BY upload LIMIT :limit FOR UPDATE SKIP LOCKED"
        ),
        {"before": before, "after": after, "limit": limit},
    )
    looked = [row.upload for row in locked]
    found = await connection.execute(
        text(
            f"WITH gone AS (INSERT INTO upload_expirations (upload, department, expire_time)"  # noqa: S608
            f" SELECT upload, department, :now FROM uploads u"
            f" WHERE upload = ANY (CAST(:looked AS text[])) AND NOT EXISTS ({_USED}) AND NOT EXISTS ({_NEEDED})"
            f" ON CONFLICT DO NOTHING RETURNING upload)"
            f" SELECT {_COLUMNS} FROM uploads JOIN gone USING (upload) ORDER BY upload"
        ),
        {"now": now, "before": before, "looked": looked},
    )
    return [Upload(**row._mapping) for row in found], looked[-1] if len(looked) == limit else ""


async def expiring(connection: AsyncConnection, limit: int) -> list[Upload]:
    """Uploads that expired and whose file may still be there, held."""
    found = await connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM uploads JOIN (SELECT upload FROM upload_expirations"  # noqa: S608
            " WHERE remove_time IS NULL ORDER BY expire_time LIMIT :limit FOR UPDATE SKIP LOCKED) e"
            " USING (upload) ORDER BY upload"
        ),
        {"limit": limit},
    )
    return [Upload(**row._mapping) for row in found]


async def removed(connection: AsyncConnection, gone: Sequence[str], now: datetime) -> None:
    """Their files are gone."""
    await connection.execute(
        text("UPDATE upload_expirations SET remove_time = :now WHERE upload = ANY (CAST(:gone AS text[]))"),
        {"gone": list(gone), "now": now},
    )
