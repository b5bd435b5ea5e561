"""The department's role and landing schema in the exchange database (前置库)."""

from __future__ import annotations

from typing import cast

from psycopg import sql

from plaza_operator import metrics
from plaza_operator.domain.spec import Department
from plaza_operator.external.postgres import Connection, Exchange

CONNECTION_LIMIT = 20
_FACTS = """
SELECT r.rolcanlogin AND r.rolconnlimit = %(limit)s,
       array_remove(ARRAY[
           CASE WHEN r.rolsuper THEN 'SUPERUSER' END,
           CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
           CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
           CASE WHEN r.rolreplication THEN 'REPLICATION' END,
           CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END
       ], NULL),
       (SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace n WHERE n.nspname = %(name)s),
       has_database_privilege(r.oid, current_database(), 'CONNECT'),
       has_database_privilege(r.oid, current_database(), 'CREATE'),
       EXISTS (SELECT FROM pg_db_role_setting s WHERE s.setrole = r.oid AND s.setdatabase = 0
               AND s.setconfig @> ARRAY['search_path=' || quote_ident(%(name)s)]),
       pg_has_role(current_user, r.oid, 'USAGE')
FROM pg_roles r WHERE r.rolname = %(name)s
"""


async def ensure(exchange: Exchange, department: Department, password: str) -> list[str]:
    """Puts right what stands otherwise; answers what that was. Raises DatabaseUnavailable, DatabaseRefused.

    The role can log in, owns the schema of its name, sees no other, and can create neither roles nor databases.
    """
    name = department.database_role
    changes: list[str] = []
    async with exchange.connection() as connection:
        found = await (await connection.execute(_FACTS, {"name": name, "limit": CONNECTION_LIMIT})).fetchone()
        if found is None:
            await _run(
                connection,
                "CREATE ROLE {role} LOGIN CONNECTION LIMIT {limit} PASSWORD {password}",
                name,
                password,
            )
            changes.append(f"role {name} made")
            found = await (
                await connection.execute(_FACTS, {"name": name, "limit": CONNECTION_LIMIT})
            ).fetchone()
        assert found is not None
        opens, mighty, owner, connects, creates, path, member = found
        if mighty:
            # Only these: PostgreSQL lets none but superusers so much as name SUPERUSER. What only they can take away it
            # refuses, and the condition tells it.
            rights = tuple(str(right) for right in cast("list[object]", mighty))
            await _run(connection, f"ALTER ROLE {{role}} {' '.join(f'NO{one}' for one in rights)}", name)
            changes.append(f"{', '.join(rights)} of {name} taken away")
        if not opens:
            await _run(connection, "ALTER ROLE {role} LOGIN CONNECTION LIMIT {limit}", name)
            changes.append(f"role {name} put right")
        if not member:
            # To make a schema for a role one must be able to become it (PostgreSQL 16 no longer grants that by itself).
            await _run(connection, "GRANT {role} TO CURRENT_USER", name)
        if owner is None:
            await _run(connection, "CREATE SCHEMA {role} AUTHORIZATION {role}", name)
            changes.append(f"schema {name} made")
        elif owner != name:
            await _run(connection, "ALTER SCHEMA {role} OWNER TO {role}", name)
            changes.append(f"owner of the schema {name} put right")
        if not path:
            await _run(connection, "ALTER ROLE {role} SET search_path TO {role}", name)
            changes.append("search path set")
        database = await (await connection.execute("SELECT current_database()")).fetchone()
        assert database is not None
        if not connects:
            await connection.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                    sql.Identifier(str(database[0])), sql.Identifier(name)
                )
            )
            changes.append("right to connect given")
        if creates:
            # By a grant to the role or to everybody: both would let a tenant make schemas.
            await connection.execute(
                sql.SQL("REVOKE CREATE ON DATABASE {} FROM PUBLIC, {}").format(
                    sql.Identifier(str(database[0])), sql.Identifier(name)
                )
            )
            changes.append("right to create schemas taken away")
    if not await exchange.opens_with(name, password):
        async with exchange.connection() as connection:
            await _run(connection, "ALTER ROLE {role} PASSWORD {password}", name, password)
        changes.append(f"password of {name} set")
    if changes:
        metrics.WRITES.labels("postgresql").inc(len(changes))
    return changes


async def remove(exchange: Exchange, department: Department) -> None:
    """Destroys the schema with all that is in it, then the role."""
    name = department.database_role
    async with exchange.connection() as connection:
        known = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
        if await known.fetchone() is None:
            return
        await _run(connection, "ALTER ROLE {role} NOLOGIN", name)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [name]
        )
        await _run(connection, "GRANT {role} TO CURRENT_USER", name)
        await _run(connection, "DROP SCHEMA IF EXISTS {role} CASCADE", name)
        await _run(connection, "DROP OWNED BY {role} CASCADE", name)
        await _run(connection, "DROP ROLE {role}", name)


async def _run(connection: Connection, statement: str, role: str, password: str = "") -> None:
    # Hashed on our side: the server's log of statements must not hold it.
    hashed = (
        connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
        if password
        else ""
    )
    await connection.execute(
        sql.SQL(statement).format(
            role=sql.Identifier(role), password=sql.Literal(hashed), limit=sql.Literal(CONNECTION_LIMIT)
        )
    )
