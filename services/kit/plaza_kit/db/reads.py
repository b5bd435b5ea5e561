"""Reads of one statement, for requests that are small and many.

A storage function that only reads takes a `Reader`: `Database.reader(scope)` outside of a transaction,
`within(connection)` inside of one. The statement is the same in both.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final, Protocol

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_kit.errors import Unavailable

Row = Mapping[str, Any]
"""A row by column name."""

_WAIT_SECONDS: Final = 5.0
# Without BEGIN all statements of a pipeline are one transaction, which ends with it whatever happens (PostgreSQL
# manual, "Pipeline Mode"): nothing that is set for it can be left behind for the next reader.
_ENTER: Final = (
    "SELECT set_config('plaza.scope', %s, true), set_config('plaza.departments', %s, true),"
    " set_config('transaction_read_only', 'on', true)"
)


class DatabaseAway(Unavailable):
    """PostgreSQL does not take connections, or has lost this one."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(
            f"the database does not answer: {type(cause).__name__}",
            remedy="repeat in a few seconds; if it lasts, look at PostgreSQL",
        )


class Reader(Protocol):
    """Where a read runs."""

    async def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """All rows of a statement with `:name` parameters."""
        ...


class ReadPool:
    """A few connections for reads. Each read is a read-only transaction under row-level security, in one round trip."""

    def __init__(self, url: str, options: str, *, size: int) -> None:
        """Connections are opened when first needed, at most `size`."""
        self._pool = AsyncConnectionPool(
            url,
            kwargs={"autocommit": True, "options": options},
            min_size=1,
            max_size=size,
            open=False,
            timeout=_WAIT_SECONDS,
        )

    async def rows(self, scope: tuple[str, str], sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Raises DatabaseAway, psycopg.Error.

        A read changes nothing, so one that lost its connection is repeated once, on a new one.
        """
        await self._pool.open()
        try:
            try:
                return await self._read(scope, sql, parameters)
            except psycopg.OperationalError:
                await self._pool.check()
                return await self._read(scope, sql, parameters)
        except (PoolTimeout, psycopg.OperationalError) as error:
            raise DatabaseAway(error) from error

    async def _read(self, scope: tuple[str, str], sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        for _ in range(self._pool.max_size):
            async with self._pool.connection() as connection:
                try:
                    return await _ask(connection, scope, sql, parameters)
                except psycopg.errors.FeatureNotSupported:
                    # A migration beside us gave a table a column, and a statement prepared before reads all columns
                    # ("cached plan must not change result type"). Every connection has its own; a new one has none.
                    await connection.close()
        async with self._pool.connection() as connection:
            return await _ask(connection, scope, sql, parameters)

    async def close(self) -> None:
        """End all connections."""
        await self._pool.close()


async def _ask(
    connection: psycopg.AsyncConnection[Any], scope: tuple[str, str], sql: str, parameters: Mapping[str, Any]
) -> list[Row]:
    cursor = connection.cursor(row_factory=dict_row)
    async with connection.pipeline():
        await connection.execute(_ENTER, scope)
        await cursor.execute(_pyformat(sql), dict(parameters))
    return list(await cursor.fetchall())


class _Within:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        found = await self._connection.execute(_clause(sql), dict(parameters))
        return [dict(row) for row in found.mappings()]


def within(connection: AsyncConnection) -> Reader:
    """Reads inside a transaction: they see what it has written, and its scope holds."""
    return _Within(connection)


_clause = functools.lru_cache(maxsize=512)(text)


@functools.lru_cache(maxsize=512)
def _pyformat(sql: str) -> bytes:
    """`:name` → `%(name)s`, by SQLAlchemy's own reading of the text."""
    dialect = PGDialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]  # SQLAlchemy's is untyped
    return text(sql).compile(dialect=dialect).string.encode()
