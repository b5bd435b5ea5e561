"""What a service's first migration creates: outbox, inbox, used request ids; and row-level security for its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

OUTBOX = (
    """CREATE TABLE outbox (
        id uuid PRIMARY KEY,
        seq bigint GENERATED ALWAYS AS IDENTITY,
        type text NOT NULL,
        subject text NOT NULL,
        time timestamptz NOT NULL,
        data text NOT NULL,
        principal text NOT NULL,
        traceparent text NOT NULL
    )""",
    # One row for each sink that has not taken the event yet, written in the event's own transaction: an event
    # that commits late cannot be overtaken by a cursor.
    """CREATE TABLE outbox_pending (
        event_id uuid NOT NULL REFERENCES outbox (id),
        sink text NOT NULL,
        PRIMARY KEY (sink, event_id)
    )""",
)
INBOX = (
    """CREATE TABLE inbox (
        event_id uuid PRIMARY KEY,
        received_at timestamptz NOT NULL DEFAULT now()
    )""",
)

REQUESTS = (
    """CREATE TABLE requests (
        principal text NOT NULL,
        request_id uuid NOT NULL,
        department text NOT NULL,
        name text NOT NULL,
        sha256 text NOT NULL,
        create_time timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (principal, request_id)
    )""",
)


class Operations(Protocol):
    """The part of `alembic.op` that is used here."""

    def execute(self, sqltext: str) -> object: ...


def create(op: Operations, *groups: Sequence[str]) -> None:
    """Run the statements of some groups (`OUTBOX`, `INBOX`, `REQUESTS`)."""
    for group in groups:
        for statement in group:
            op.execute(statement)


def secure_rows(
    op: Operations, table: str, *, column: str = "department", readable_by_all: bool = False
) -> None:
    """Hold a table to the transaction's scope by its department column (id, not resource name).

    `readable_by_all` is for the directory: every department reads it, each writes only its own part.
    """
    own = (
        "current_setting('plaza.scope', true) = 'all' OR "
        f"{column} = ANY (string_to_array(current_setting('plaza.departments', true), ','))"
    )
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    # The service's role owns its tables; without FORCE the owner would walk past the policy.
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_department ON {table} USING ({own}) WITH CHECK ({own})")
    if readable_by_all:
        op.execute(f"CREATE POLICY directory ON {table} FOR SELECT USING (true)")
