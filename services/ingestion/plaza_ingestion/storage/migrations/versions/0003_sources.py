"""Sources and their pulls; what an inference was told about missing values."""

from __future__ import annotations

from alembic import op
from plaza_kit.db.schema import create, secure_rows

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """CREATE TABLE sources (
        department text COLLATE "C" NOT NULL,
        source text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        definition jsonb NOT NULL,
        state text NOT NULL,
        failures int NOT NULL DEFAULT 0,
        last_run text COLLATE "C" NOT NULL DEFAULT '',
        last_success_time timestamptz,
        last_error jsonb,
        next_pull_time timestamptz,
        cursor jsonb NOT NULL DEFAULT '{}',
        revision int NOT NULL DEFAULT 1,
        principal text NOT NULL,
        create_time timestamptz NOT NULL,
        update_time timestamptz NOT NULL,
        PRIMARY KEY (department, source)
    )""",
    "CREATE INDEX sources_due ON sources (next_pull_time) WHERE state <> 'paused' AND next_pull_time IS NOT NULL",
    # A pull starts without a file; the worker brings it.
    "ALTER TABLE runs ALTER COLUMN upload DROP NOT NULL",
    "ALTER TABLE runs ADD COLUMN source text COLLATE \"C\" NOT NULL DEFAULT ''",
    "ALTER TABLE runs ADD COLUMN pulled jsonb",
    "ALTER TABLE runs ADD COLUMN unchanged boolean NOT NULL DEFAULT false",
    "ALTER TABLE runs ADD COLUMN missing_values text[] NOT NULL DEFAULT '{}'",
    """CREATE UNIQUE INDEX one_open_pull ON runs (department, source)
        WHERE source <> '' AND state NOT IN ('succeeded', 'failed', 'cancelled')""",
)


def upgrade() -> None:
    create(op, _STATEMENTS)
    secure_rows(op, "sources")
