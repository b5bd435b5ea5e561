"""Agreements, deliveries, the key of page tokens; events and jobs."""

from __future__ import annotations

from alembic import op
from plaza_kit.db.jobs import create_tables
from plaza_kit.db.schema import INBOX, OUTBOX, create

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    """CREATE TABLE agreements (
        agreement uuid PRIMARY KEY,
        dataset text NOT NULL,
        provider text NOT NULL,
        consumer text NOT NULL,
        basis text NOT NULL,
        state text NOT NULL,
        clauses text[] NOT NULL,
        purpose text NOT NULL,
        content_sha256 text NOT NULL,
        event_id text NOT NULL DEFAULT '',
        create_time timestamptz NOT NULL
    )""",
    # Whoever is first makes it; the others wait at this index and then find it.
    """CREATE UNIQUE INDEX agreement_in_force ON agreements (dataset, consumer) WHERE state = 'in_force'""",
    """CREATE TABLE deliveries (
        delivery uuid PRIMARY KEY,
        agreement uuid NOT NULL REFERENCES agreements,
        dataset text NOT NULL,
        version int NOT NULL,
        columns text[] NOT NULL,
        filter text NOT NULL,
        purpose text NOT NULL,
        principal text NOT NULL,
        "rows" bigint NOT NULL DEFAULT 0,
        content_sha256 text NOT NULL DEFAULT '',
        create_time timestamptz NOT NULL
    )""",
    "CREATE INDEX deliveries_of_agreement ON deliveries (agreement, delivery)",
    # One key for all replicas, so that any of them opens the token of any other.
    """CREATE TABLE page_key (
        only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
        key bytea NOT NULL
    )""",
    """INSERT INTO page_key (key) VALUES
        (sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')))
    """,
)

_ALL = "current_setting('plaza.scope', true) = 'all'"
_MINE = "ANY (string_to_array(current_setting('plaza.departments', true), ','))"

# An agreement has two sides: both see it. It is made, and its deliveries are written, for the consumer.
# What a delivery's own policy looks up in `agreements` is held to the policy there.
_POLICIES = (
    f"""CREATE POLICY both_sides ON agreements
        USING ({_ALL} OR provider = {_MINE} OR consumer = {_MINE})
        WITH CHECK ({_ALL} OR consumer = {_MINE})""",
    """CREATE POLICY as_their_agreement ON deliveries
        USING (EXISTS (SELECT FROM agreements a WHERE a.agreement = deliveries.agreement))""",
)


def upgrade() -> None:
    create(op, _TABLES, OUTBOX, INBOX)
    for table in ("agreements", "deliveries"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        # The service's role owns its tables; without FORCE the owner would walk past the policies.
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    create(op, _POLICIES)
    create_tables(op.get_bind())
