"""Work orders with their histories; used request ids."""

from __future__ import annotations

from alembic import op
from plaza_kit.db.schema import REQUESTS, create, secure_rows

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = (
    """CREATE TABLE work_orders (
        id uuid PRIMARY KEY,
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        dimension text NOT NULL,
        state text NOT NULL,
        opened_by_version int NOT NULL,
        judged_version int NOT NULL,
        score numeric(7, 4) NOT NULL,
        target numeric(7, 4) NOT NULL,
        failed_rules jsonb NOT NULL,
        assignee text NOT NULL DEFAULT '',
        due_date date NOT NULL,
        due_provisional boolean NOT NULL,
        working_days int NOT NULL,
        due_from timestamptz NOT NULL,
        create_time timestamptz NOT NULL,
        update_time timestamptz NOT NULL,
        close_time timestamptz,
        revision int NOT NULL DEFAULT 1
    )""",
    # Whatever happens at the same time: one at a time for each dataset and dimension.
    """CREATE UNIQUE INDEX work_orders_active ON work_orders (department, dataset, dimension)
        WHERE state <> 'closed'""",
    "CREATE INDEX work_orders_newest ON work_orders (department, dataset, dimension, create_time DESC)",
    "CREATE INDEX work_orders_due ON work_orders (due_date, id) WHERE state <> 'closed'",
    """CREATE TABLE work_order_history (
        work_order uuid NOT NULL REFERENCES work_orders (id),
        position int NOT NULL,
        department text COLLATE "C" NOT NULL,
        time timestamptz NOT NULL,
        principal text NOT NULL,
        username text NOT NULL,
        state text NOT NULL,
        text text NOT NULL,
        version int NOT NULL,
        score numeric(7, 4),
        PRIMARY KEY (work_order, position)
    )""",
)


def upgrade() -> None:
    create(op, _TABLES, REQUESTS)
    for table in ("work_orders", "work_order_history"):
        secure_rows(op, table)
