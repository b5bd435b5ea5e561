"""Releases, their files and builds, and what the portal finds; events and jobs."""

from __future__ import annotations

from alembic import op
from plaza_kit.db.jobs import create_tables
from plaza_kit.db.schema import INBOX, OUTBOX, REQUESTS, create, secure_rows

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Ids are compared byte by byte: the order of a page must not depend on the cluster's locale.
_TABLES = (
    # Counts the releases of a dataset; its row is locked while their states change.
    """CREATE TABLE open_datasets (
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        releases int NOT NULL DEFAULT 0,
        PRIMARY KEY (department, dataset)
    )""",
    """CREATE TABLE releases (
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        number int NOT NULL,
        version int NOT NULL,
        state text NOT NULL,
        row_count bigint NOT NULL,
        content_sha256 text NOT NULL DEFAULT '',
        score double precision,
        light text NOT NULL,
        licence text NOT NULL,
        ledger_index bigint,
        publish_time timestamptz,
        withdraw_reason text NOT NULL DEFAULT '',
        error text NOT NULL DEFAULT '',
        snapshot jsonb NOT NULL,
        preview jsonb,
        event_id uuid,
        revision int NOT NULL DEFAULT 1,
        principal text NOT NULL,
        create_time timestamptz NOT NULL,
        PRIMARY KEY (department, dataset, number),
        FOREIGN KEY (department, dataset) REFERENCES open_datasets
    )""",
    "CREATE UNIQUE INDEX one_published ON releases (department, dataset) WHERE state = 'published'",
    """CREATE TABLE release_files (
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        number int NOT NULL,
        file_name text COLLATE "C" NOT NULL,
        content_type text NOT NULL,
        size_bytes bigint NOT NULL,
        sha256 text NOT NULL,
        proof_size_bytes bigint,
        proof_sha256 text,
        PRIMARY KEY (department, dataset, number, file_name),
        FOREIGN KEY (department, dataset, number) REFERENCES releases
    )""",
    # The right that a build works with; gone when the build has ended.
    """CREATE TABLE builds (
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        number int NOT NULL,
        run text NOT NULL,
        run_grant text NOT NULL,
        failures int NOT NULL DEFAULT 0,
        PRIMARY KEY (department, dataset, number),
        FOREIGN KEY (department, dataset, number) REFERENCES releases
    )""",
    # One row for each dataset with a published release.
    """CREATE TABLE portal (
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        number int NOT NULL,
        title text NOT NULL,
        title_en text NOT NULL,
        title_tokens text[] NOT NULL,
        tokens text[] NOT NULL,
        content text NOT NULL,
        PRIMARY KEY (department, dataset),
        FOREIGN KEY (department, dataset, number) REFERENCES releases
    )""",
    "CREATE INDEX portal_tokens ON portal USING gin (tokens)",
)
_OPEN = ("open_datasets", "releases", "release_files", "portal")


def upgrade() -> None:
    create(op, _TABLES, OUTBOX, INBOX, REQUESTS)
    for table in _OPEN:
        secure_rows(op, table, readable_by_all=True)
    secure_rows(op, "builds")
    secure_rows(op, "requests")
    create_tables(op.get_bind())
