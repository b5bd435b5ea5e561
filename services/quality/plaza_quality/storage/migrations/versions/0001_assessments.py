"""Committed versions, their assessments with the counts of every rule; events and jobs."""

from __future__ import annotations

from alembic import op
from plaza_kit.db.jobs import create_tables
from plaza_kit.db.schema import INBOX, OUTBOX, create, secure_rows

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    # What ingestion committed: what is here and not in `assessments` is still to be assessed.
    """CREATE TABLE versions (
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        version int NOT NULL,
        commit_time timestamptz NOT NULL,
        PRIMARY KEY (department, dataset, version)
    )""",
    # The grade that decides who may see a dataset's assessments, as the catalogue said at the last of them.
    """CREATE TABLE gradings (
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        city_level text NOT NULL,
        sharing_class text NOT NULL,
        PRIMARY KEY (department, dataset)
    )""",
    """CREATE TABLE assessments (
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        version int NOT NULL,
        contract_version int NOT NULL,
        "rows" bigint NOT NULL,
        rules int NOT NULL,
        score numeric(7, 4),
        light text NOT NULL,
        create_time timestamptz NOT NULL,
        PRIMARY KEY (department, dataset, version)
    )""",
    """CREATE TABLE rule_results (
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        version int NOT NULL,
        position int NOT NULL,
        rule jsonb NOT NULL,
        passed bigint NOT NULL,
        failed bigint NOT NULL,
        not_applicable bigint NOT NULL,
        pass_rate numeric(7, 4),
        met boolean NOT NULL,
        absent_fields text[] NOT NULL,
        PRIMARY KEY (department, dataset, version, position),
        FOREIGN KEY (department, dataset, version) REFERENCES assessments
    )""",
    """CREATE TABLE dimension_scores (
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        version int NOT NULL,
        position int NOT NULL,
        dimension text NOT NULL,
        score numeric(7, 4) NOT NULL,
        PRIMARY KEY (department, dataset, version, position),
        FOREIGN KEY (department, dataset, version) REFERENCES assessments
    )""",
)
_SECURED = ("versions", "gradings", "assessments", "rule_results", "dimension_scores")


def upgrade() -> None:
    create(op, _TABLES, OUTBOX, INBOX)
    for table in _SECURED:
        secure_rows(op, table)
    create_tables(op.get_bind())
