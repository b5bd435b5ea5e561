"""Departments have a state and a history."""

from __future__ import annotations

from alembic import op
from plaza_kit.db.schema import create, secure_rows

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_STATEMENTS = (
    # The code before this version writes rows without them.
    "ALTER TABLE departments ADD COLUMN state text NOT NULL DEFAULT 'active',"
    " ADD COLUMN metadata_version int NOT NULL DEFAULT 1, ADD COLUMN update_time timestamptz",
    """CREATE TABLE department_versions (
        department text COLLATE "C" NOT NULL REFERENCES departments ON DELETE CASCADE,
        version int NOT NULL,
        metadata jsonb NOT NULL,
        state text NOT NULL,
        principal text NOT NULL,
        author text NOT NULL,
        create_time timestamptz NOT NULL,
        changed_fields text[] NOT NULL,
        PRIMARY KEY (department, version)
    )""",
)


def upgrade() -> None:
    create(op, _STATEMENTS)
    secure_rows(op, "department_versions", readable_by_all=True)
