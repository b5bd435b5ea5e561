"""Table `page_key`: the one key that seals page tokens."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


async def page_key(connection: AsyncConnection) -> bytes:
    """32 bytes, made by the first migration."""
    found = await connection.execute(text("SELECT key FROM page_key"))
    return bytes(found.scalar_one())
