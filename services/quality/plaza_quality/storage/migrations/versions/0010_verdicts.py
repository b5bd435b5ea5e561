"""Versions that are assessed again: the number of the assessment, and what it took the place of."""

from __future__ import annotations

from alembic import op
from plaza_kit.db.schema import create, secure_rows

revision = "0010"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES = (
    "ALTER TABLE assessments ADD COLUMN number int NOT NULL DEFAULT 1",
    """CREATE TABLE past_assessments (
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        version int NOT NULL,
        number int NOT NULL,
        assessment jsonb NOT NULL,
        PRIMARY KEY (department, dataset, version, number)
    )""",
)


def upgrade() -> None:
    create(op, _TABLES)
    secure_rows(op, "past_assessments")
