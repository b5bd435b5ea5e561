"""frictionless: every row judged by a Table Schema with primary key, with row numbers. It stores nothing."""

from __future__ import annotations

from typing import Any

from frictionless import Resource, Schema, system

from bench.peers.job import Job, Outcome, main

_NO_LIMIT = 1_000_000_000
_MONTH = {"minimum": 1, "maximum": 12}
"""It builds no timestamp; this is how its schema says that there is no month 13."""


def validate(job: Job) -> Outcome:
    """The whole file, every error."""
    fields: list[dict[str, Any]] = [
        {"name": heading, "type": kind.lower()} | ({"constraints": _MONTH} if heading == "month" else {})
        for heading, _, kind in job.fields
    ]
    schema = {"fields": fields, "missingValues": ["NA", ""], "primaryKey": list(job.key)}
    with system.use_context(trusted=True):  # the path is absolute
        resource = Resource(
            path=str(job.source), format="csv", encoding="utf-8", schema=Schema.from_descriptor(schema)
        )
        task = resource.validate(limit_errors=_NO_LIMIT).tasks[0]
    lines = {row for error in task.errors if (row := getattr(error, "row_number", None)) is not None}
    whole = next((error.message for error in task.errors if not hasattr(error, "row_number")), "")
    return Outcome(int(task.stats.get("rows") or 0), tuple(sorted(lines)), whole)


if __name__ == "__main__":
    main("frictionless", validate)
