"""Connections and transactions. Each transaction says for whom it works; row-level security holds it to that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import event, text
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as SQLAlchemyTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from plaza_kit.db.reads import DatabaseAway, Reader, ReadPool, Row
from plaza_kit.identity import Principal, PrincipalKind

SEES_ALL = frozenset({"city-administrator", "auditor"})
"""Roles that row-level security lets see every department; the policy decides what they may do."""
READ_CONNECTIONS = 4
"""Of one process, for `Database.reader`: a small read holds one for less than a millisecond."""


@dataclass(frozen=True, slots=True)
class Scope:
    """For whom a transaction works: some departments, or all of them (`departments is None`)."""

    departments: frozenset[str] | None

    @classmethod
    def of(cls, principal: Principal) -> Scope:
        """A person or machine works for its departments; services and those who audit see all."""
        if principal.kind is PrincipalKind.SERVICE or principal.roles & SEES_ALL:
            return cls.everything()
        return cls(principal.departments)

    @classmethod
    def everything(cls) -> Scope:
        """For a service's own work: migrations, outbox, jobs."""
        return cls(None)

    @classmethod
    def department(cls, department: str) -> Scope:
        """One department, by its id."""
        return cls(frozenset({department}))

    @property
    def settings(self) -> tuple[str, str]:
        """Values of `plaza.scope` and `plaza.departments`, which the row-level policies read."""
        return "all" if self.departments is None else "departments", ",".join(sorted(self.departments or ()))


@dataclass(frozen=True, slots=True)
class _ScopedReader:
    pool: ReadPool
    scope: tuple[str, str]

    async def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        return await self.pool.rows(self.scope, sql, parameters)


class Database:
    """One service's schema."""

    def __init__(self, url: str, schema: str, *, pool_size: int = 8) -> None:
        """`url`: `postgresql://…`; `schema`: the service's own, first and only on the search path."""
        self.url = url
        self.schema = schema
        options = f"-c search_path={schema} -c statement_timeout=60000"
        self._reads = ReadPool(url, options, size=READ_CONNECTIONS)
        self.engine = create_async_engine(
            psycopg_url(url),
            pool_size=pool_size,
            max_overflow=8,
            pool_pre_ping=True,
            connect_args={"options": options},
        )
        event.listen(self.engine.sync_engine, "handle_error", _leave_old_plans)

    @asynccontextmanager
    async def transaction(self, scope: Scope) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees and writes only what the scope allows; committed when the block ends well.

        Raises DatabaseAway when the connection is lost: nothing was written, unless it was lost while the commit
        was answered. Who repeats must be able to (AIP-155).
        """
        with _lost_connections():
            async with self.engine.begin() as connection:
                word, departments = scope.settings
                await connection.execute(
                    text(
                        "SELECT set_config('plaza.scope', :scope, true),"
                        " set_config('plaza.departments', :departments, true)"
                    ),
                    {"scope": word, "departments": departments},
                )
                yield connection

    def reader(self, scope: Scope) -> Reader:
        """Reads that see only what the scope allows, each in a read-only transaction of its own (one snapshot per
        statement) and in one round trip. What must agree with other statements belongs into `transaction`."""
        return _ScopedReader(self._reads, scope.settings)

    async def close(self) -> None:
        """Close all connections."""
        await self._reads.close()
        await self.engine.dispose()


_AWAY = frozenset({"57P01", "57P02", "57P03"})
"""PostgreSQL is going down, has crashed, is coming up (PostgreSQL manual, appendix A)."""


def _leave_old_plans(context: ExceptionContext) -> None:
    """A migration beside us gave a table a column, and a statement prepared before reads all columns ("cached plan
    must not change result type"): connections with such statements are as good as lost, and the caller may repeat."""
    if isinstance(context.original_exception, psycopg.errors.FeatureNotSupported):
        context.is_disconnect = True


@contextmanager
def _lost_connections() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyTimeout as error:
        raise DatabaseAway(error) from error
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        refused = isinstance(error.orig, psycopg.OperationalError) and state is None
        if error.connection_invalidated or refused or state in _AWAY:
            raise DatabaseAway(error) from error
        raise


def psycopg_url(url: str) -> URL:
    """The same address for SQLAlchemy with psycopg 3."""
    return make_url(url).set(drivername="postgresql+psycopg")
