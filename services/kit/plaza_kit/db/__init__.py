"""PostgreSQL as every service uses it: own role and schema, row-level security, migrations, outbox, inbox."""

from plaza_kit.db.engine import Database, Scope

__all__ = ["Database", "Scope"]
