"""Profiles of versions, with the rules that they suggest."""

from __future__ import annotations

from alembic import op
from plaza_kit.db.schema import create, secure_rows

revision = "0011"
down_revision = "0013"
branch_labels = None
depends_on = None

_TABLES = (
    # Messages as they are written, not JSON: a text of a file may hold U+0000.
    """CREATE TABLE profiles (
        department text COLLATE "C" NOT NULL,
        dataset text COLLATE "C" NOT NULL,
        version int NOT NULL,
        state text NOT NULL,
        error text NOT NULL DEFAULT '',
        request_time timestamptz NOT NULL,
        create_time timestamptz,
        "rows" bigint,
        profile bytea,
        suggestions bytea,
        -- By column: rows without a value, and the mean; for comparing versions without reading each profile.
        figures jsonb,
        PRIMARY KEY (department, dataset, version)
    )""",
)


def upgrade() -> None:
    create(op, _TABLES)
    secure_rows(op, "profiles")
