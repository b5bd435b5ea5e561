"""A metadata version knows the contract that was in force with it."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Until now every dataset had its first contract only.
    op.execute("ALTER TABLE metadata_versions ADD COLUMN contract_version int NOT NULL DEFAULT 1")
