"""When and why a version expired."""

from __future__ import annotations

from alembic import op
from plaza_kit.db.schema import create

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE versions ADD COLUMN expire_time timestamptz",
    "ALTER TABLE versions ADD COLUMN expire_rule text NOT NULL DEFAULT ''",
)


def upgrade() -> None:
    create(op, _STATEMENTS)
