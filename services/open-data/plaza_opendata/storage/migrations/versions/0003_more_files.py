"""A release has several files, each with its event; SM3 beside SHA-256; open datasets are narrowed down by keyword."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SELECT set_config('plaza.scope', 'all', true)")
    # Without an event of its own it is the file that the release's event is about.
    op.execute("ALTER TABLE release_files ADD COLUMN sm3 text NOT NULL DEFAULT '', ADD COLUMN event_id uuid")
    op.execute("ALTER TABLE portal ADD COLUMN keywords text[] NOT NULL DEFAULT '{}'")
    op.execute(
        "UPDATE portal p SET keywords = ARRAY(SELECT DISTINCT word"
        " FROM jsonb_array_elements_text(coalesce(r.snapshot->'keywords', '[]')) word)"
        " FROM releases r WHERE r.department = p.department AND r.dataset = p.dataset AND r.number = p.number"
    )
