"""Uploads, runs, batches; outbox, request ids and jobs."""

from __future__ import annotations

from alembic import op
from plaza_kit.db.jobs import create_tables
from plaza_kit.db.schema import OUTBOX, REQUESTS, create, secure_rows

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Ids are texts, compared byte by byte: names come from callers, and UUIDv7 sorts by time in this form too.
_TABLES = (
    """CREATE TABLE uploads (
        upload text COLLATE "C" PRIMARY KEY,
        department text COLLATE "C" NOT NULL,
        file_name text NOT NULL,
        path text NOT NULL,
        size_bytes bigint NOT NULL,
        sha256 text NOT NULL,
        principal text NOT NULL,
        create_time timestamptz NOT NULL
    )""",
    """CREATE TABLE batches (
        batch text COLLATE "C" PRIMARY KEY,
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        sha256 text NOT NULL,
        contract_version int NOT NULL,
        nonce text NOT NULL,
        reload_reason text NOT NULL,
        run text NOT NULL,
        state text NOT NULL,
        version int NOT NULL DEFAULT 0,
        decision jsonb,
        heading bytea,
        create_time timestamptz NOT NULL
    )""",
    # The primary key is made of the same parts; this says it without trusting the way it is made.
    """CREATE UNIQUE INDEX one_live_batch ON batches (dataset, sha256, contract_version, nonce)
        WHERE state <> 'refused'""",
    """CREATE TABLE runs (
        run text COLLATE "C" PRIMARY KEY,
        department text COLLATE "C" NOT NULL,
        kind text NOT NULL,
        state text NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        upload text COLLATE "C" NOT NULL REFERENCES uploads,
        batch text COLLATE "C" REFERENCES batches,
        contract jsonb,
        contract_version int NOT NULL DEFAULT 0,
        principal text NOT NULL,
        started_by text NOT NULL,
        run_grant text NOT NULL DEFAULT '',
        attempts int NOT NULL DEFAULT 0,
        lease text,
        lease_until timestamptz,
        manifest jsonb,
        commit_failures int NOT NULL DEFAULT 0,
        bytes_done bigint NOT NULL DEFAULT 0,
        rows_read bigint NOT NULL DEFAULT 0,
        rows_accepted bigint NOT NULL DEFAULT 0,
        rows_refused bigint NOT NULL DEFAULT 0,
        refused_by_reason jsonb NOT NULL DEFAULT '{}',
        version int NOT NULL DEFAULT 0,
        error jsonb,
        proposal jsonb,
        warnings text[] NOT NULL DEFAULT '{}',
        revision bigint NOT NULL DEFAULT 1,
        create_time timestamptz NOT NULL,
        end_time timestamptz
    )""",
    "CREATE UNIQUE INDEX runs_lease ON runs (lease) WHERE lease IS NOT NULL",
    "CREATE INDEX runs_of_department ON runs (department, run)",
    """CREATE INDEX runs_open ON runs (department, run) WHERE state IN ('queued', 'leased', 'running')""",
    "CREATE INDEX batches_of_dataset ON batches (dataset)",
)


def upgrade() -> None:
    create(op, _TABLES, OUTBOX, REQUESTS)
    for table in ("uploads", "batches", "runs", "requests"):
        secure_rows(op, table)
    create_tables(op.get_bind())
