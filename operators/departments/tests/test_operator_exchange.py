"""The exchange database with a real PostgreSQL, as an operator who may make roles and is no superuser.

Passwords are tried in a cluster: the server of the tests lets everybody in without.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
from plaza_operator.domain.errors import DatabaseRefused
from plaza_operator.domain.spec import Department
from plaza_operator.external.postgres import Exchange
from plaza_operator.owned import exchange_database
from plaza_testing.postgres import Postgres
from psycopg.conninfo import make_conninfo

pytestmark = pytest.mark.integration


class Server:
    """The server's administrator, a database for departments, and its owner."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self.name = f"exchange_{uuid.uuid4().hex[:8]}"
        self.do(f"CREATE ROLE {self.name} LOGIN CREATEROLE PASSWORD 'x'")
        self.do(f"CREATE DATABASE {self.name} OWNER {self.name}")
        self.do(f"REVOKE ALL ON DATABASE {self.name} FROM PUBLIC")

    def do(self, statement: str, *, inside: bool = False) -> None:
        """As superuser; `inside`: in that database."""
        url = make_conninfo(self._admin_url, dbname=self.name) if inside else self._admin_url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)

    @property
    def exchange(self) -> Exchange:
        return Exchange(make_conninfo(self._admin_url, dbname=self.name, user=self.name, password="x"))

    def opens(self, role: str) -> bool:
        url = make_conninfo(self._admin_url, dbname=self.name, user=role)
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture(scope="module")
def server(postgres: Postgres) -> Iterator[Server]:
    made = Server(postgres.admin_url)
    yield made
    made.do(f"DROP DATABASE {made.name} WITH (FORCE)")


@pytest.fixture
def one(server: Server, make_department: Callable[[str], Department]) -> Iterator[Department]:
    """A department of the test's own; roles belong to the whole server."""
    department = make_department(f"d{uuid.uuid4().hex[:8]}")
    yield department
    server.do(f"DROP SCHEMA IF EXISTS {department.database_role} CASCADE", inside=True)


async def test_made_once_and_removed(server: Server, one: Department) -> None:
    made = await exchange_database.ensure(server.exchange, one, "first")
    assert f"role {one.database_role} made" in made
    assert server.opens(one.database_role)
    assert await exchange_database.ensure(server.exchange, one, "first") == []
    await exchange_database.remove(server.exchange, one)
    assert not server.opens(one.database_role)
    await exchange_database.remove(server.exchange, one)


@pytest.mark.parametrize(
    ("drift", "told"),
    [
        ("ALTER ROLE {role} CREATEROLE", "CREATEROLE of {role} taken away"),
        ("ALTER ROLE {role} NOLOGIN", "role {role} put right"),
        ("ALTER ROLE {role} CONNECTION LIMIT 500", "role {role} put right"),
        ("ALTER ROLE {role} RESET search_path", "search path set"),
        ("ALTER SCHEMA {role} OWNER TO {operator}", "owner of the schema {role} put right"),
        ("DROP SCHEMA {role} CASCADE", "schema {role} made"),
        ("DROP SCHEMA {role} CASCADE; DROP OWNED BY {role}; DROP ROLE {role}", "role {role} made"),
        ("REVOKE CONNECT ON DATABASE {operator} FROM {role}", "right to connect given"),
        ("GRANT CREATE ON DATABASE {operator} TO {role}", "right to create schemas taken away"),
    ],
)
async def test_what_somebody_changed_is_put_right(
    server: Server, one: Department, drift: str, told: str
) -> None:
    await exchange_database.ensure(server.exchange, one, "first")
    server.do(drift.format(role=one.database_role, operator=server.name), inside=True)
    assert told.format(role=one.database_role) in await exchange_database.ensure(
        server.exchange, one, "first"
    )
    assert await exchange_database.ensure(server.exchange, one, "first") == []
    assert server.opens(one.database_role)


async def test_what_only_a_superuser_can_take_away_is_told(server: Server, one: Department) -> None:
    await exchange_database.ensure(server.exchange, one, "first")
    server.do(f"ALTER ROLE {one.database_role} SUPERUSER")
    with pytest.raises(DatabaseRefused, match="SUPERUSER"):
        await exchange_database.ensure(server.exchange, one, "first")
    server.do(f"ALTER ROLE {one.database_role} NOSUPERUSER")
