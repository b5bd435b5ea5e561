"""Loads that correct rows of a work order; what quality found in a load's version."""

from __future__ import annotations

from alembic import op
from plaza_kit.db.schema import create

revision = "0013"
down_revision = "0005"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE runs ADD COLUMN work_order text NOT NULL DEFAULT ''",
    "ALTER TABLE runs ADD COLUMN assessment jsonb",
    "ALTER TABLE sources ADD COLUMN last_assessment jsonb",
    "CREATE INDEX runs_of_version ON runs (dataset, version) WHERE version > 0",
)


def upgrade() -> None:
    create(op, _STATEMENTS)
