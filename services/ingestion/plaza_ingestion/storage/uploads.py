"""Table `uploads`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


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
    """By resource name."""
    _, department, _, upload = name.split("/")
    found = await connection.execute(
        text("SELECT * FROM uploads WHERE upload = :upload AND department = :department"),
        {"upload": upload, "department": department},
    )
    row = found.first()
    return Upload(**row._mapping) if row is not None else None
