"""The tree, gradings, agreements; outbox, inbox and jobs."""

from alembic import op
from plaza_kit.db.jobs import create_tables
from plaza_kit.db.schema import INBOX, OUTBOX, create

revision = "0001"
down_revision = None

LEDGER = (
    """CREATE TABLE ledger_entries (
        index bigint PRIMARY KEY,
        event_id uuid NOT NULL UNIQUE,
        type text NOT NULL,
        subject text NOT NULL,
        event_time timestamptz NOT NULL,
        leaf text NOT NULL,
        leaf_hash bytea NOT NULL
    )""",
    "CREATE INDEX ledger_entries_subject ON ledger_entries (subject, index)",
    # Complete subtrees above the leaves; written once, never changed.
    """CREATE TABLE ledger_nodes (
        level smallint NOT NULL CHECK (level > 0),
        index bigint NOT NULL,
        hash bytea NOT NULL,
        PRIMARY KEY (level, index)
    )""",
    """CREATE TABLE ledger_checkpoints (
        tree_size bigint PRIMARY KEY,
        note text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )""",
)
PROJECTIONS = (
    """CREATE TABLE gradings (
        dataset text PRIMARY KEY,
        city_level text NOT NULL,
        sharing_class text NOT NULL,
        confirmed_by text NOT NULL,
        confirmed_at timestamptz NOT NULL
    )""",
    """CREATE TABLE agreements (
        name text PRIMARY KEY,
        dataset text NOT NULL,
        provider text NOT NULL,
        consumer text NOT NULL,
        state text NOT NULL,
        signed_at timestamptz NOT NULL
    )""",
)


def upgrade() -> None:
    create(op, OUTBOX, INBOX, LEDGER, PROJECTIONS)
    create_tables(op.get_bind())
