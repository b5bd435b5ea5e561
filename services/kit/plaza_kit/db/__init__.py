"""PostgreSQL as every service uses it: own role and schema, row-level security, migrations, outbox, inbox."""

from plaza_kit.db.engine import Database, Scope
from plaza_kit.db.reads import Reader, Row, within

__all__ = ["Database", "Reader", "Row", "Scope", "within"]
