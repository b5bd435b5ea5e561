"""Who depends on a version, which versions expire, when a table was last maintained; events of other services."""

from __future__ import annotations

from alembic import op
from plaza_kit.db.schema import INBOX, create, secure_rows

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_STATEMENTS = (
    # `until` NULL: for ever.
    """CREATE TABLE version_pins (
        dataset text COLLATE "C" NOT NULL,
        version int NOT NULL,
        holder text COLLATE "C" NOT NULL,
        department text COLLATE "C" NOT NULL,
        until timestamptz,
        create_time timestamptz NOT NULL,
        PRIMARY KEY (dataset, version, holder)
    )""",
    # Decided first, then done in the lake, then told: an expiry that is cut off is carried through.
    """CREATE TABLE expirations (
        dataset text COLLATE "C" NOT NULL,
        version int NOT NULL,
        department text COLLATE "C" NOT NULL,
        rule text NOT NULL,
        decide_time timestamptz NOT NULL,
        tell_time timestamptz,
        PRIMARY KEY (dataset, version)
    )""",
    "CREATE INDEX expirations_open ON expirations (dataset) WHERE tell_time IS NULL",
    """CREATE TABLE upkeep (
        dataset text COLLATE "C" PRIMARY KEY,
        department text COLLATE "C" NOT NULL,
        last_time timestamptz NOT NULL
    )""",
)


def upgrade() -> None:
    create(op, _STATEMENTS, INBOX)
    for table in ("version_pins", "expirations", "upkeep"):
        secure_rows(op, table)
