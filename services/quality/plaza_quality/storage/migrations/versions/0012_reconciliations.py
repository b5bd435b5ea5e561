"""Reconciliations, their runs, and where differences stand: positions in files, no values."""

from __future__ import annotations

from alembic import op
from plaza_kit.db.schema import create, secure_rows

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TABLES = (
    """CREATE TABLE reconciliations (
        id uuid PRIMARY KEY,
        department text COLLATE "C" NOT NULL,
        definition jsonb NOT NULL,
        creator text NOT NULL,
        create_time timestamptz NOT NULL,
        archive_time timestamptz,
        runs int NOT NULL DEFAULT 0
    )""",
    "CREATE INDEX reconciliations_newest ON reconciliations (department, id DESC)",
    """CREATE TABLE reconciliation_runs (
        reconciliation uuid NOT NULL REFERENCES reconciliations (id),
        number int NOT NULL,
        department text COLLATE "C" NOT NULL,
        state text NOT NULL,
        left_version int NOT NULL,
        right_version int NOT NULL,
        code_lists jsonb NOT NULL,
        starter text NOT NULL,
        left_run_grant text NOT NULL,
        right_run_grant text NOT NULL,
        create_time timestamptz NOT NULL,
        end_time timestamptz,
        left_snapshot bigint,
        right_snapshot bigint,
        result jsonb,
        error text NOT NULL DEFAULT '',
        PRIMARY KEY (reconciliation, number)
    )""",
    """CREATE TABLE reconciliation_differences (
        reconciliation uuid NOT NULL,
        number int NOT NULL,
        department text COLLATE "C" NOT NULL,
        first bigint NOT NULL,
        kinds int NOT NULL,
        fields int NOT NULL,
        packed bytea NOT NULL,
        PRIMARY KEY (reconciliation, number, first),
        FOREIGN KEY (reconciliation, number) REFERENCES reconciliation_runs
    )""",
)


def upgrade() -> None:
    create(op, _TABLES)
    for table in ("reconciliations", "reconciliation_runs", "reconciliation_differences"):
        secure_rows(op, table)
