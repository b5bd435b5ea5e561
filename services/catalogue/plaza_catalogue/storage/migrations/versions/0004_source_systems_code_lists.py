"""Source systems with their history; code lists with their versions."""

from __future__ import annotations

from alembic import op
from plaza_kit.db.schema import create, secure_rows

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES = (
    """CREATE TABLE source_systems (
        department text COLLATE "C" NOT NULL REFERENCES departments,
        source_system text COLLATE "C" NOT NULL,
        metadata jsonb NOT NULL,
        state text NOT NULL DEFAULT 'active',
        metadata_version int NOT NULL,
        etag text NOT NULL,
        create_time timestamptz NOT NULL,
        update_time timestamptz NOT NULL,
        PRIMARY KEY (department, source_system)
    )""",
    """CREATE TABLE source_system_versions (
        department text COLLATE "C" NOT NULL,
        source_system text COLLATE "C" NOT NULL,
        version int NOT NULL,
        metadata jsonb NOT NULL,
        state text NOT NULL,
        principal text NOT NULL,
        author text NOT NULL,
        create_time timestamptz NOT NULL,
        changed_fields text[] NOT NULL,
        PRIMARY KEY (department, source_system, version),
        FOREIGN KEY (department, source_system) REFERENCES source_systems
    )""",
    # Code lists are the city's: no department owns their rows.
    """CREATE TABLE code_list_versions (
        code_list text COLLATE "C" NOT NULL,
        version text COLLATE "C" NOT NULL,
        number int NOT NULL,
        facts jsonb NOT NULL,
        sha256 text NOT NULL,
        code_count int NOT NULL,
        shipped boolean NOT NULL,
        principal text NOT NULL,
        author text NOT NULL,
        create_time timestamptz NOT NULL,
        PRIMARY KEY (code_list, version),
        UNIQUE (code_list, number)
    )""",
    """CREATE TABLE codes (
        code_list text COLLATE "C" NOT NULL,
        version text COLLATE "C" NOT NULL,
        position int NOT NULL,
        code text COLLATE "C" NOT NULL,
        name text NOT NULL,
        name_en text NOT NULL,
        parent text COLLATE "C" NOT NULL,
        valid_from text NOT NULL,
        valid_to text NOT NULL,
        words text NOT NULL,
        PRIMARY KEY (code_list, version, position),
        FOREIGN KEY (code_list, version) REFERENCES code_list_versions
    )""",
    "CREATE INDEX codes_code ON codes (code_list, version, code)",
)


def upgrade() -> None:
    create(op, _TABLES)
    for table in ("source_systems", "source_system_versions"):
        secure_rows(op, table, readable_by_all=True)
