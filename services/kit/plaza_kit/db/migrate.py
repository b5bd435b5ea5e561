"""Migrations: each service's Alembic versions, under an advisory lock, with lock and statement timeouts.

Expand and contract: a migration must work beside the version of the code that runs now, so a schema that is newer
than the code (after a rollback) is as good as one of its own version. Revisions are numbers of four digits.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from plaza_kit import telemetry
from plaza_kit.db.engine import psycopg_url
from plaza_kit.errors import FailedPrecondition

_log = telemetry.log("migrate")

OLDEST_SERVER: Final = 15
"""Major version of PostgreSQL."""
POLL_SECONDS: Final = 1.0
_SAY_AGAIN_SECONDS: Final = 15.0


class ServerTooOld(FailedPrecondition):
    """This PostgreSQL lacks what the schemas need."""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """What a schema is, and what the code needs."""

    found: str
    """Revision of the schema; empty when nothing was ever made in it."""
    needed: str
    """Newest revision that the code knows."""

    @property
    def serves(self) -> bool:
        """Whether the code can work: migrations only expand, so a newer schema serves too."""
        return self.found >= self.needed


def migrate(url: str, schema: str, package: str) -> None:
    """Bring a schema to the newest version of `<package>/storage/migrations/versions`.

    Safe to run from several processes at once: the others wait for the advisory lock and find nothing to do. A
    schema that is newer than the code stays as it is. Raises ServerTooOld.
    """
    engine = _engine(url, schema, "-c lock_timeout=5000 -c statement_timeout=300000")
    config = _config(package)
    try:
        with engine.connect() as holder, engine.begin() as connection:
            _require_server(holder)
            # Held on its own connection, so that the lock outlives the migration's transaction.
            holder.execute(text("SET lock_timeout = 0"))
            holder.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _lock_key(schema)})
            state = SchemaState(_revision(connection, schema), _needed(config))
            if not state.serves:
                config.attributes["connection"] = connection
                config.attributes["schema"] = schema
                command.upgrade(config, "head")
        _log.info("schema is current", schema=schema, found=state.found, needed=state.needed)
    finally:
        engine.dispose()


def schema_state(url: str, schema: str, package: str) -> SchemaState:
    """What the schema is now. Raises `sqlalchemy.exc.OperationalError` while the database is away."""
    engine = _engine(url, schema, "-c statement_timeout=10000")
    try:
        with engine.connect() as connection:
            return SchemaState(_revision(connection, schema), _needed(_config(package)))
    finally:
        engine.dispose()


async def until_schema_serves(url: str, schema: str, package: str) -> SchemaState:
    """Wait for whoever migrates the schema; says in the log, again and again, what it waits for."""
    told = -_SAY_AGAIN_SECONDS
    loop = asyncio.get_running_loop()
    while True:
        try:
            state = await asyncio.to_thread(schema_state, url, schema, package)
        except OperationalError as error:
            facts = {"database": str(error.orig).strip()}
        else:
            if state.serves:
                _log.info("schema serves", schema=schema, found=state.found, needed=state.needed)
                return state
            facts = {"found": state.found or "nothing", "needed": state.needed}
        if loop.time() - told >= _SAY_AGAIN_SECONDS:
            told = loop.time()
            _log.warning(
                f"waiting for the job that migrates the schema: python -m {package} migrate", **facts
            )
        await asyncio.sleep(POLL_SECONDS)


def _engine(url: str, schema: str, options: str) -> Engine:
    arguments = {"options": f"-c search_path={schema} {options}", "connect_timeout": 10}
    return create_engine(psycopg_url(url), connect_args=arguments)


def _config(package: str) -> Config:
    versions = Path(str(resources.files(package))) / "storage" / "migrations" / "versions"
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "alembic"))
    config.set_main_option("version_locations", str(versions))
    config.set_main_option("path_separator", "newline")
    return config


def _needed(config: Config) -> str:
    return ScriptDirectory.from_config(config).get_current_head() or ""


def _revision(connection: Connection, schema: str) -> str:
    table = f"{schema}.schema_version"
    if connection.execute(text("SELECT to_regclass(:table)"), {"table": table}).scalar() is None:
        return ""
    # The name is the service's own, never a stranger's.
    return str(connection.execute(text(f"SELECT version_num FROM {table}")).scalar() or "")  # noqa: S608


def _require_server(connection: Connection) -> None:
    number = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    if number < OLDEST_SERVER * 10_000:
        raise ServerTooOld(
            f"this is PostgreSQL {number // 10_000}, and {OLDEST_SERVER} is the oldest that serves",
            remedy=f"Give the address of a PostgreSQL {OLDEST_SERVER} or newer in PLAZA_DATABASE_URL.",
        )


def _lock_key(schema: str) -> int:
    digest = hashlib.sha256(f"plaza-migrate-{schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
