"""The directory: departments, datasets, contracts, versions, search; events and jobs."""

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
    """CREATE TABLE departments (
        department text COLLATE "C" PRIMARY KEY,
        display_name text NOT NULL,
        display_name_en text NOT NULL,
        provider_code text NOT NULL,
        etag text NOT NULL,
        create_time timestamptz NOT NULL
    )""",
    """CREATE TABLE datasets (
        department text COLLATE "C" NOT NULL REFERENCES departments,
        dataset text COLLATE "C" NOT NULL,
        metadata jsonb NOT NULL,
        code text NOT NULL UNIQUE,
        city_level text NOT NULL,
        sharing_class text NOT NULL,
        metadata_version int NOT NULL,
        contract_version int NOT NULL,
        latest_release int NOT NULL DEFAULT 0,
        etag text NOT NULL,
        publication_date date NOT NULL,
        create_time timestamptz NOT NULL,
        update_time timestamptz NOT NULL,
        PRIMARY KEY (department, dataset)
    )""",
    "CREATE SEQUENCE dataset_code",
    """CREATE TABLE metadata_versions (
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        version int NOT NULL,
        metadata jsonb NOT NULL,
        principal text NOT NULL,
        author text NOT NULL,
        create_time timestamptz NOT NULL,
        changed_fields text[] NOT NULL,
        PRIMARY KEY (department, dataset, version),
        FOREIGN KEY (department, dataset) REFERENCES datasets
    )""",
    """CREATE TABLE contracts (
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        version int NOT NULL,
        contract jsonb NOT NULL,
        sha256 text NOT NULL,
        principal text NOT NULL,
        create_time timestamptz NOT NULL,
        PRIMARY KEY (department, dataset, version),
        FOREIGN KEY (department, dataset) REFERENCES datasets
    )""",
    # A projection of events from two services that may come in either order: an assessment can be here before
    # the commit that it is about. A version is shown once its commit_time is known.
    """CREATE TABLE versions (
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        version int NOT NULL,
        "rows" bigint NOT NULL DEFAULT 0,
        rows_added bigint NOT NULL DEFAULT 0,
        rows_refused bigint NOT NULL DEFAULT 0,
        batch text NOT NULL DEFAULT '',
        contract_version int NOT NULL DEFAULT 0,
        commit_time timestamptz,
        score numeric,
        light text NOT NULL DEFAULT '',
        PRIMARY KEY (department, dataset, version)
    )""",
    """CREATE TABLE search (
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        title text NOT NULL,
        title_en text NOT NULL,
        title_tokens text[] NOT NULL,
        tokens text[] NOT NULL,
        content text NOT NULL,
        PRIMARY KEY (department, dataset),
        FOREIGN KEY (department, dataset) REFERENCES datasets
    )""",
    "CREATE INDEX search_tokens ON search USING gin (tokens)",
)
_DIRECTORY = ("departments", "datasets", "metadata_versions", "contracts", "versions", "search")


def upgrade() -> None:
    create(op, _TABLES, OUTBOX, INBOX, REQUESTS)
    for table in _DIRECTORY:
        secure_rows(op, table, readable_by_all=True)
    secure_rows(op, "requests")
    create_tables(op.get_bind())
