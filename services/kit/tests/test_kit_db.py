"""Transactions, row-level security, outbox and inbox, and jobs, on the embedded PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from opentelemetry import context as otel_context
from plaza.common.v1 import events_pb2
from plaza_kit import telemetry
from plaza_kit.db import Database, Scope
from plaza_kit.db.engine import psycopg_url
from plaza_kit.db.jobs import Jobs, create_tables, defer_in
from plaza_kit.db.outbox import NewEvent, Outbox
from plaza_kit.db.reads import DatabaseAway
from plaza_kit.db.schema import INBOX, OUTBOX, create, secure_rows
from plaza_kit.identity import ServiceTokens
from plaza_kit.rpc.client import Peers
from plaza_testing.postgres import Postgres
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError

pytestmark = pytest.mark.integration


class Statements:
    """The part of `alembic.op` that the schema functions use."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, sqltext: str) -> object:
        return self._connection.execute(text(sqltext))


@pytest.fixture(scope="module")
def address(postgres: Postgres) -> str:
    """A role `tenant` that owns the schema `tenant`: not a superuser, whom row-level security does not hold."""
    url = postgres.role("tenant")
    _create_tables(url)
    return url


def _create_tables(url: str) -> None:
    engine = create_engine(psycopg_url(url), connect_args={"options": "-c search_path=tenant"})
    with engine.begin() as connection:
        operations = Statements(connection)
        create(operations, OUTBOX, INBOX)
        operations.execute("CREATE TABLE things (department text NOT NULL, name text NOT NULL)")
        secure_rows(operations, "things")
        create_tables(connection)
    engine.dispose()


@pytest.fixture
async def database(address: str) -> AsyncIterator[Database]:
    database = Database(address, "tenant")
    yield database
    await database.close()


async def test_a_lost_connection_is_no_fault_of_ours_and_the_next_transaction_has_a_new_one(
    database: Database, postgres: Postgres
) -> None:
    killed = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s"
    with pytest.raises(DatabaseAway):
        async with database.transaction(Scope.everything()) as connection:
            pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
                admin.execute(killed, [pid])
            await connection.execute(text("SELECT 1"))
    async with database.transaction(Scope.everything()) as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def test_a_transaction_without_a_database_says_so_and_a_wrong_statement_does_not(
    database: Database,
) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none", "tenant")
    with pytest.raises(DatabaseAway):
        async with away.transaction(Scope.everything()):
            pass
    await away.close()
    with pytest.raises(ProgrammingError):
        async with database.transaction(Scope.everything()) as connection:
            await connection.execute(text("SELECT nothing"))


async def test_a_transaction_sees_and_writes_only_its_departments(database: Database) -> None:
    insert = text("INSERT INTO things VALUES (:d, 'x')")
    for department in ("ecology", "health"):
        async with database.transaction(Scope.department(department)) as connection:
            await connection.execute(insert, {"d": department})
    async with database.transaction(Scope.department("ecology")) as connection:
        seen = (await connection.execute(text("SELECT department FROM things"))).scalars().all()
    assert seen == ["ecology"]
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with database.transaction(Scope.department("ecology")) as connection:
            await connection.execute(insert, {"d": "health"})
    async with database.transaction(Scope.everything()) as connection:
        count = (await connection.execute(text("SELECT count(*) FROM things"))).scalar_one()
    assert count == 2


async def test_an_event_lives_and_dies_with_its_transaction(database: Database) -> None:
    tokens = ServiceTokens("http://127.0.0.1:1/realms/plaza", "c", "s")
    routes = {
        "security": ["*"],
        "quality": ["city.plaza.kit.thing.made.v1"],
        "other": ["city.plaza.x.y.z.v1"],
    }
    outbox = Outbox(database, "kit", routes, Peers({}), tokens)
    event = NewEvent("city.plaza.kit.thing.made.v1", "things/1", {"n": 1}, "people/1")
    with pytest.raises(RuntimeError, match="undone"):
        async with database.transaction(Scope.everything()) as connection:
            await outbox.write(connection, event)
            raise RuntimeError("undone")
    async with database.transaction(Scope.everything()) as connection:
        event_id = await outbox.write(connection, event)
    async with database.transaction(Scope.everything()) as connection:
        waiting = await connection.execute(text("SELECT sink FROM outbox_pending ORDER BY sink"))
        assert waiting.scalars().all() == ["quality", "security"]
        row = (await connection.execute(text("SELECT * FROM outbox"))).one()
    assert str(row.id) == event_id
    assert events_pb2.Event(id=event_id, data=row.data).data == '{"n":1}'
    await tokens.aclose()


async def test_a_job_runs_if_and_only_if_its_transaction_commits(address: str, database: Database) -> None:
    seen: list[tuple[int, str]] = []
    enough = asyncio.Event()

    async def work(number: int) -> None:
        seen.append((number, telemetry.current_trace_id()))
        enough.set()

    jobs = Jobs(address, "tenant")
    jobs.register("work", work)
    with pytest.raises(RuntimeError, match="undone"):
        async with database.transaction(Scope.everything()) as connection:
            await defer_in(connection, "work", {"number": 1})
            raise RuntimeError("undone")
    cause = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    token = otel_context.attach(telemetry.extract(cause))
    async with database.transaction(Scope.everything()) as connection:
        await defer_in(connection, "work", {"number": 2})
    otel_context.detach(token)
    running = asyncio.create_task(jobs.run())
    await asyncio.wait_for(enough.wait(), 20)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert seen == [(2, "0af7651916cd43dd8448eb211c80319c")]
