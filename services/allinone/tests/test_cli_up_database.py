"""Roles of the one-machine mode: ingestion writes the lake's catalog, the others read it, catalogue does not see it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psycopg
import pytest
from plaza_cli.home import LAKE_OWNER, LAKE_READERS
from plaza_cli.postgres import provision, provision_lake, start
from plaza_cli.postgres_watch import PostgresWatch
from plaza_testing.postgres import Postgres

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def urls(postgres: Postgres) -> dict[str, str]:
    """A database of its own, provisioned twice as at a second start."""
    with psycopg.connect(postgres.admin_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE plaza_up")
    admin = postgres.url("postgres", database="plaza_up")
    for _ in range(2):
        roles = {name: provision(admin, name, f"secret {name}") for name in (LAKE_OWNER, *LAKE_READERS)}
        roles["catalogue"] = provision(admin, "catalogue", "secret")
        provision_lake(admin, LAKE_OWNER, LAKE_READERS)
    return roles


def ask(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def test_the_owner_writes_and_the_others_read_tables_made_later(urls: dict[str, str]) -> None:
    ask(urls["ingestion"], "CREATE TABLE lake.iceberg_tables (name text)")
    ask(urls["ingestion"], "INSERT INTO lake.iceberg_tables VALUES ('a')")
    for reader in LAKE_READERS:
        ask(urls[reader], "SELECT * FROM lake.iceberg_tables")
        for forbidden in (
            "INSERT INTO lake.iceberg_tables VALUES ('b')",
            "DELETE FROM lake.iceberg_tables",
            "CREATE TABLE lake.other (name text)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                ask(urls[reader], forbidden)


def test_others_do_not_see_the_lake(urls: dict[str, str]) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(urls["catalogue"], "SELECT * FROM lake.iceberg_tables")


def test_the_server_stops_although_the_user_before_was_killed(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    data.mkdir()
    (data / ".handle_pids.json").write_text("[4194303]")
    server = start(data)
    pid_file = data / "postmaster.pid"
    assert pid_file.exists()
    server.cleanup()
    assert not pid_file.exists()


async def test_a_server_that_is_killed_is_started_again_with_what_was_committed(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    data.mkdir()
    server = start(data)
    address = server.get_uri()
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    watch = PostgresWatch(server)
    watching = asyncio.create_task(watch.run())
    killed = watch.status()["pid"]
    os.kill(killed, signal.SIGKILL)
    for _ in range(600):
        if watch.status()["restarts"]:
            break
        await asyncio.sleep(0.1)
    watching.cancel()
    assert watch.status()["pid"] != killed
    assert watch.status()["state"] == "running"
    assert server.get_uri() == address
    with psycopg.connect(address) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
    server.cleanup()
