"""Health reports with the numbers that they are written from; the months that were seen to; rows of versions."""

from __future__ import annotations

from alembic import op
from plaza_kit.db.schema import create, secure_rows

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None

_TABLES = (
    # The city's own have the department `-`, which is nobody's.
    """CREATE TABLE health_reports (
        id uuid PRIMARY KEY,
        department text COLLATE "C" NOT NULL,
        month text COLLATE "C" NOT NULL,
        origin text NOT NULL,
        author text NOT NULL,
        create_time timestamptz NOT NULL,
        as_of_time timestamptz NOT NULL,
        score numeric(7, 4),
        light text NOT NULL,
        figures jsonb NOT NULL,
        figures_sha256 text NOT NULL
    )""",
    "CREATE INDEX health_reports_newest ON health_reports (department, month DESC, id DESC)",
    # Whatever happens at the same time, and however often a job begins again.
    """CREATE UNIQUE INDEX health_reports_monthly ON health_reports (department, month)
        WHERE origin = 'monthly'""",
    # For which month whose job is in the queue, or was.
    """CREATE TABLE health_months (
        department text COLLATE "C" NOT NULL,
        month text COLLATE "C" NOT NULL,
        PRIMARY KEY (department, month)
    )""",
)
# Absent in versions that were noted before: what came in was not counted here.
_MORE = "ALTER TABLE versions ADD COLUMN rows_added bigint, ADD COLUMN rows_refused bigint"


def upgrade() -> None:
    create(op, _TABLES, (_MORE,))
    for table in ("health_reports", "health_months"):
        secure_rows(op, table)
