"""Load modes, cancelled runs, progress over time, and what became of quarantined rows."""

from __future__ import annotations

from alembic import op
from plaza_kit.db.schema import create, secure_rows

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE batches ADD COLUMN mode text NOT NULL DEFAULT 'append'",
    "ALTER TABLE batches ADD COLUMN replay boolean NOT NULL DEFAULT false",
    # Wider than `one_live_batch`: the same file may be appended once and replace everything once.
    """CREATE UNIQUE INDEX one_live_batch_a_mode ON batches
        (dataset, sha256, contract_version, nonce, mode, replay) WHERE state <> 'refused'""",
    "DROP INDEX one_live_batch",
    "ALTER TABLE runs ADD COLUMN mode text NOT NULL DEFAULT 'append'",
    "ALTER TABLE runs ADD COLUMN replay boolean NOT NULL DEFAULT false",
    "ALTER TABLE runs ADD COLUMN rows_removed bigint NOT NULL DEFAULT 0",
    "ALTER TABLE runs ADD COLUMN start_time timestamptz",
    "ALTER TABLE runs ADD COLUMN progress_time timestamptz",
    "ALTER TABLE runs ADD COLUMN rows_a_second double precision NOT NULL DEFAULT 0",
    "ALTER TABLE runs ADD COLUMN bytes_a_second double precision NOT NULL DEFAULT 0",
    # Of rows that somebody did something about; a quarantined row without an entry is held. No text of a row
    # stands here: that is read through the lake's one read path only.
    """CREATE TABLE quarantined_rows (
        batch text COLLATE "C" NOT NULL,
        line bigint NOT NULL,
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        state text NOT NULL,
        run text COLLATE "C" NOT NULL DEFAULT '',
        version int NOT NULL DEFAULT 0,
        field text NOT NULL DEFAULT '',
        reason text NOT NULL DEFAULT '',
        detail text NOT NULL DEFAULT '',
        discard_reason text NOT NULL DEFAULT '',
        principal text NOT NULL DEFAULT '',
        change_time timestamptz NOT NULL,
        PRIMARY KEY (batch, line)
    )""",
    "CREATE INDEX quarantined_rows_of_dataset ON quarantined_rows (dataset, batch, line)",
    "CREATE INDEX quarantined_rows_of_run ON quarantined_rows (run) WHERE state = 'replaying'",
)


def upgrade() -> None:
    create(op, _STATEMENTS)
    secure_rows(op, "quarantined_rows")
