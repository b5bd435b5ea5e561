"""The exchange database (前置库): one connection at a time for each statement group, our own errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from plaza_operator import faults, metrics
from plaza_operator.domain.errors import DatabaseRefused, DatabaseUnavailable

Connection = psycopg.AsyncConnection[tuple[object, ...]]
_SYSTEM = "postgresql"
CONNECT_SECONDS = 5
STATEMENT_MS = 10_000


class Exchange:
    """The database as a role that may create roles and schemas in it."""

    def __init__(self, url: str, *, at_once: int = 4) -> None:
        self._url = url
        self._slots = asyncio.Semaphore(at_once)

    @property
    def place(self) -> tuple[str, int, str]:
        """Host, port and database, as a worker would connect."""
        known = conninfo_to_dict(self._url)
        return (
            str(known.get("host", "localhost")),
            int(known.get("port") or 5432),
            str(known.get("dbname", "postgres")),
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """One transaction. Raises DatabaseUnavailable, DatabaseRefused."""
        metrics.REQUESTS.labels(_SYSTEM, "transaction").inc()
        async with self._slots:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    self._url,
                    connect_timeout=CONNECT_SECONDS,
                    options=f"-c statement_timeout={STATEMENT_MS} -c lock_timeout={STATEMENT_MS}",
                )
                async with connection:
                    yield connection
            except (
                psycopg.errors.InsufficientPrivilege,
                psycopg.errors.InvalidAuthorizationSpecification,
            ) as error:
                raise DatabaseRefused(f"the exchange database refuses the operator: {error}"[:300]) from error
            # "tuple concurrently updated": two departments' rights on the database were written at once.
            except (psycopg.OperationalError, psycopg.InternalError) as error:
                raise DatabaseUnavailable(f"the exchange database does not answer: {error}"[:300]) from error
            except psycopg.Error as error:
                raise DatabaseRefused(
                    f"the exchange database: {type(error).__name__} {error}"[:300]
                ) from error
        faults.called()

    async def opens_with(self, role: str, password: str) -> bool:
        """Does the role get in with this password? Raises DatabaseUnavailable."""
        metrics.REQUESTS.labels(_SYSTEM, "login").inc()
        info = make_conninfo(self._url, user=role, password=password)
        async with self._slots:
            try:
                connection = await psycopg.AsyncConnection.connect(info, connect_timeout=CONNECT_SECONDS)
            except psycopg.OperationalError as error:
                # libpq gives refusals of the server no code here, but says FATAL; an unreachable one cannot.
                if "FATAL" in str(error):
                    return False
                raise DatabaseUnavailable(f"the exchange database does not answer: {error}"[:300]) from error
            await connection.close()
        faults.called()
        return True
