"""Reads in one round trip: row-level security holds, nothing is left behind, and a lost connection is not felt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from plaza_kit.db import Database, Scope, within
from plaza_kit.db.engine import READ_CONNECTIONS, psycopg_url
from plaza_kit.db.reads import DatabaseAway
from plaza_kit.db.schema import secure_rows
from plaza_testing.postgres import Postgres
from sqlalchemy import create_engine, text

pytestmark = pytest.mark.integration

ECOLOGY, HEALTH, ALL = Scope.department("ecology"), Scope.department("health"), Scope.everything()


class Statements:
    """The part of `alembic.op` that `secure_rows` uses."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, sqltext: str) -> object:
        return self._connection.execute(text(sqltext))


@pytest.fixture(scope="module")
def address(postgres: Postgres) -> str:
    url = postgres.role("reader")
    engine = create_engine(psycopg_url(url), connect_args={"options": "-c search_path=reader"})
    with engine.begin() as connection:
        operations = Statements(connection)
        operations.execute("CREATE TABLE things (department text NOT NULL, name text NOT NULL, facts jsonb)")
        secure_rows(operations, "things")
        operations.execute("SELECT set_config('plaza.scope', 'all', true)")
        operations.execute(
            "INSERT INTO things VALUES ('ecology', 'air', '{\"n\": [1, null]}'), ('ecology', 'water', NULL),"
            " ('health', 'beds', NULL)"
        )
    engine.dispose()
    return url


@pytest.fixture
async def database(address: str) -> AsyncIterator[Database]:
    database = Database(address, "reader")
    yield database
    await database.close()


async def names(database: Database, scope: Scope) -> list[str]:
    return [
        row["name"] for row in await database.reader(scope).rows("SELECT name FROM things ORDER BY name", {})
    ]


async def backend(database: Database) -> int:
    """The server's process behind the connection that the next reader gets."""
    return int((await database.reader(ALL).rows("SELECT pg_backend_pid() AS pid", {}))[0]["pid"])


async def terminate(database: Database, pid: int) -> None:
    async with database.transaction(ALL) as connection:
        await connection.execute(text("SELECT pg_terminate_backend(:pid, 2000)"), {"pid": pid})


async def test_a_reader_sees_its_departments_whoever_read_before(database: Database) -> None:
    for _ in range(3):
        assert await names(database, ECOLOGY) == ["air", "water"]
        assert await names(database, HEALTH) == ["beds"]
        assert await names(database, Scope(frozenset())) == []
        assert await names(database, ALL) == ["air", "beds", "water"]


async def test_many_readers_at_once_see_each_their_own(database: Database) -> None:
    seen = await asyncio.gather(*(names(database, (ECOLOGY, HEALTH)[n % 2]) for n in range(100)))
    assert seen == [["air", "water"], ["beds"]] * 50
    pids = await asyncio.gather(*(backend(database) for _ in range(50)))
    assert len(set(pids)) <= READ_CONNECTIONS


async def test_the_scope_ends_with_the_read(database: Database) -> None:
    await names(database, ALL)
    async with database._reads._pool.connection() as connection:
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        left = await (await connection.execute("SELECT current_setting('plaza.scope', true)")).fetchone()
        assert left in ((None,), ("",))
        assert await (await connection.execute("SELECT name FROM things")).fetchall() == []


async def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        await database.reader(ALL).rows("INSERT INTO things VALUES ('ecology', 'x', NULL) RETURNING 1", {})
    assert await names(database, ECOLOGY) == ["air", "water"]


async def test_values_come_and_go_as_in_a_transaction(database: Database) -> None:
    sql = (
        "SELECT CAST(:text AS text) AS text, CAST(:number AS bigint) AS number, CAST(:list AS text[]) AS list,"
        " CAST(:time AS timestamptz) AS time, CAST(:nothing AS int) AS nothing, :text || 'x' AS twice,"
        " (SELECT facts FROM things WHERE name = 'air') AS facts, 1.50::numeric AS exact"
    )
    given = {
        "text": "空气 ' \" :x",
        "number": 2**40,
        "list": ["医保", "a,b"],
        "time": datetime(2026, 1, 2, tzinfo=UTC),
        "nothing": None,
    }
    async with database.transaction(ECOLOGY) as connection:
        inside = await within(connection).rows(sql, given)
    outside = await database.reader(ECOLOGY).rows(sql, given)
    assert outside == inside
    assert outside[0]["facts"] == {"n": [1, None]}
    assert outside[0]["text"] == given["text"]


async def test_numbers_of_any_size_under_one_statement(database: Database) -> None:
    reader = database.reader(ALL)
    for number in (1, 2**20, 2**40, -1):
        assert await reader.rows("SELECT CAST(:n AS bigint) AS n", {"n": number}) == [{"n": number}]


async def test_a_value_larger_than_the_sockets_buffer(database: Database) -> None:
    large = "山" * 2_000_000
    [row] = await database.reader(ALL).rows("SELECT length(:t) AS n, CAST(:t AS text) AS t", {"t": large})
    assert (row["n"], row["t"]) == (2_000_000, large)


async def test_an_error_is_told_and_the_next_reader_goes_on(database: Database) -> None:
    reader = database.reader(ECOLOGY)
    for _ in range(2):
        with pytest.raises(psycopg.errors.UndefinedTable, match="nowhere"):
            await reader.rows("SELECT * FROM nowhere", {})
        with pytest.raises(psycopg.errors.DivisionByZero):
            await reader.rows("SELECT 1 / :n", {"n": 0})
        assert await names(database, HEALTH) == ["beds"]


async def test_a_value_that_cannot_be_sent_leaves_nothing_half_said(database: Database) -> None:
    with pytest.raises(psycopg.DataError):
        await database.reader(ALL).rows("SELECT CAST(:t AS text)", {"t": "a\x00b"})
    assert await names(database, HEALTH) == ["beds"]


async def test_connections_that_the_server_ended_are_not_felt(database: Database) -> None:
    for pause in (0.0, 0.05):
        await terminate(database, await backend(database))
        await asyncio.sleep(pause)
        assert await names(database, ECOLOGY) == ["air", "water"]


async def test_a_read_cut_off_is_read_again(database: Database) -> None:
    pid = await backend(database)
    reading = asyncio.create_task(
        database.reader(ALL).rows("SELECT count(*) AS n, pg_sleep(0.3) FROM things", {})
    )
    await asyncio.sleep(0.1)
    await terminate(database, pid)
    assert (await reading)[0]["n"] == 3


async def test_a_table_changed_under_a_prepared_read(database: Database, address: str) -> None:
    reader = database.reader(ECOLOGY)
    for _ in range(3):
        await reader.rows("SELECT * FROM things ORDER BY name", {})
    async with database.transaction(ALL) as connection:
        await connection.execute(text("ALTER TABLE things ADD COLUMN more int"))
    try:
        rows = await reader.rows("SELECT * FROM things ORDER BY name", {})
        assert [(row["name"], row["more"]) for row in rows] == [("air", None), ("water", None)]
    finally:
        async with database.transaction(ALL) as connection:
            await connection.execute(text("ALTER TABLE things DROP COLUMN more"))


async def test_who_leaves_stops_the_servers_work_and_frees_the_place(database: Database) -> None:
    reader = database.reader(ALL)
    slow = [
        asyncio.create_task(reader.rows("SELECT pg_sleep(50), 'left' AS mark", {}))
        for _ in range(READ_CONNECTIONS)
    ]
    await asyncio.sleep(0.3)
    for each in slow:
        each.cancel()
    assert all(
        isinstance(e, asyncio.CancelledError) for e in await asyncio.gather(*slow, return_exceptions=True)
    )
    assert await asyncio.wait_for(names(database, HEALTH), 5) == ["beds"]
    running = (
        "SELECT count(*) AS n FROM pg_stat_activity WHERE query LIKE '%''left'' AS mark' AND state = 'active'"
    )
    for _ in range(50):
        if (await reader.rows(running, {}))[0]["n"] == 0:
            break
        await asyncio.sleep(0.05)
    else:
        pytest.fail("the server still works for somebody who left")


async def test_without_a_database_it_says_so() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none", "reader")
    with pytest.raises(DatabaseAway):
        await names(database, ALL)
    await database.close()


async def test_a_column_that_a_migration_adds_beside_us(database: Database, address: str) -> None:
    """What was prepared before on every connection says `cached plan must not change result type`."""
    statement = "SELECT * FROM changing"
    engine = create_engine(psycopg_url(address), connect_args={"options": "-c search_path=reader"})
    with engine.begin() as migration:
        migration.execute(text("CREATE TABLE changing (a int)"))
        migration.execute(text("INSERT INTO changing VALUES (1)"))
    reader = database.reader(ALL)
    await asyncio.gather(*(reader.rows(statement, {}) for _ in range(20 * READ_CONNECTIONS)))
    async with database.transaction(ALL) as connection:
        for _ in range(10):
            await connection.execute(text(statement))
    with engine.begin() as migration:
        migration.execute(text("ALTER TABLE changing ADD COLUMN b int DEFAULT 2"))
    engine.dispose()
    for _ in range(2 * READ_CONNECTIONS):
        assert await reader.rows(statement, {}) == [{"a": 1, "b": 2}]
    # In a transaction nobody else may repeat: the caller is told that it can.
    with pytest.raises(DatabaseAway):
        async with database.transaction(ALL) as connection:
            await connection.execute(text(statement))
    async with database.transaction(ALL) as connection:
        assert (await connection.execute(text(statement))).one() == (1, 2)
