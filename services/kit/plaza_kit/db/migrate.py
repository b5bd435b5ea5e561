"""Migrations: each service's Alembic versions, under an advisory lock, with lock and statement timeouts.

Expand and contract: a migration must work beside the version of the code that runs now.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from plaza_kit import telemetry
from plaza_kit.db.engine import psycopg_url

_log = telemetry.log("migrate")


def migrate(url: str, schema: str, package: str) -> None:
    """Bring a schema to the newest version of `<package>/storage/migrations/versions`.

    Safe to run from several processes at once: the others wait for the advisory lock and find nothing to do.
    """
    versions = Path(str(resources.files(package))) / "storage" / "migrations" / "versions"
    engine = create_engine(
        psycopg_url(url),
        connect_args={"options": f"-c search_path={schema} -c lock_timeout=5000 -c statement_timeout=300000"},
    )
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "alembic"))
    config.set_main_option("version_locations", str(versions))
    config.set_main_option("path_separator", "newline")
    try:
        with engine.connect() as holder, engine.begin() as connection:
            # Held on its own connection, so that the lock outlives the migration's transaction.
            holder.execute(text("SET lock_timeout = 0"))
            holder.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _lock_key(schema)})
            config.attributes["connection"] = connection
            config.attributes["schema"] = schema
            command.upgrade(config, "head")
        _log.info("schema is current", schema=schema)
    finally:
        engine.dispose()


def _lock_key(schema: str) -> int:
    digest = hashlib.sha256(f"plaza-migrate-{schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
