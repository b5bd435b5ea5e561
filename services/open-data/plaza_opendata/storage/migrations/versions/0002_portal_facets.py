"""What open datasets are narrowed down by, beside the words they are found by."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SELECT set_config('plaza.scope', 'all', true)")
    op.execute(
        "ALTER TABLE portal ADD COLUMN category text NOT NULL DEFAULT '',"
        " ADD COLUMN update_cycle text NOT NULL DEFAULT '',"
        " ADD COLUMN licence text NOT NULL DEFAULT '',"
        " ADD COLUMN formats text[] NOT NULL DEFAULT '{}'"
    )
    op.execute(
        "UPDATE portal p SET category = coalesce(r.snapshot->>'category', ''),"
        " update_cycle = replace(coalesce(r.snapshot->>'update_cycle', ''), 'UPDATE_CYCLE_UNSPECIFIED', ''),"
        " licence = r.licence,"
        " formats = ARRAY(SELECT DISTINCT upper(substring(f.file_name FROM '[^.]*$')) FROM release_files f"
        " WHERE f.department = r.department AND f.dataset = r.dataset AND f.number = r.number ORDER BY 1)"
        " FROM releases r WHERE r.department = p.department AND r.dataset = p.dataset AND r.number = p.number"
    )
