"""Rows that came again, uploads that are removed by rule, one file of an archive."""

from __future__ import annotations

from alembic import op
from plaza_kit.db.schema import create, secure_rows

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE runs ADD COLUMN rows_held_already bigint NOT NULL DEFAULT 0",
    "ALTER TABLE runs ADD COLUMN entry text NOT NULL DEFAULT ''",
    "ALTER TABLE batches ADD COLUMN entry text NOT NULL DEFAULT ''",
    # Wider than `one_live_batch_a_mode`: of an archive each file may be loaded once.
    """CREATE UNIQUE INDEX one_live_batch_an_entry ON batches
        (dataset, sha256, contract_version, nonce, mode, replay, entry) WHERE state <> 'refused'""",
    "DROP INDEX one_live_batch_a_mode",
    # Decided first, then removed: a removal that is cut off is carried through.
    """CREATE TABLE upload_expirations (
        upload text COLLATE "C" PRIMARY KEY REFERENCES uploads,
        department text COLLATE "C" NOT NULL,
        expire_time timestamptz NOT NULL,
        remove_time timestamptz
    )""",
    "CREATE INDEX upload_expirations_open ON upload_expirations (expire_time) WHERE remove_time IS NULL",
    "CREATE INDEX uploads_by_age ON uploads (create_time)",
    "CREATE INDEX runs_of_upload ON runs (upload)",
    "CREATE INDEX runs_of_batch ON runs (batch)",
    "CREATE INDEX runs_of_source ON runs (department, source) WHERE source <> ''",
    """CREATE INDEX batches_with_refused_rows ON batches (department, dataset)
        WHERE decision->'refused' <> 'null'""",
)


def upgrade() -> None:
    create(op, _STATEMENTS)
    secure_rows(op, "upload_expirations")
