"""What rules of all kinds find: reasons, measures, versions compared with, indicators, rows that break no rule."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MORE = (
    # Absent in what was assessed before: rows were not counted so.
    "ALTER TABLE assessments ADD COLUMN rows_passed bigint",
    """ALTER TABLE assessments
        ADD COLUMN indicators jsonb NOT NULL DEFAULT '[]',
        ADD COLUMN broken_together jsonb NOT NULL DEFAULT '[]',
        ADD COLUMN size bigint NOT NULL DEFAULT 0""",
    """ALTER TABLE rule_results
        ADD COLUMN reason text NOT NULL DEFAULT '',
        ADD COLUMN measure jsonb,
        ADD COLUMN compared_with text[] NOT NULL DEFAULT '{}',
        ADD COLUMN indicator text NOT NULL DEFAULT ''""",
)


def upgrade() -> None:
    for statement in _MORE:
        op.execute(statement)
