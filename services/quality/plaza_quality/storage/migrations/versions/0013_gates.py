"""What an assessment stops: for each way out the rules that do not let the version through."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0010"
branch_labels = None
depends_on = None

# Versions that were assessed before anybody asked have passed: what stops is decided at the assessment.
_MORE = (
    """ALTER TABLE assessments
        ADD COLUMN stopped_sharing text[] NOT NULL DEFAULT '{}',
        ADD COLUMN stopped_opening text[] NOT NULL DEFAULT '{}'""",
)


def upgrade() -> None:
    for statement in _MORE:
        op.execute(statement)
