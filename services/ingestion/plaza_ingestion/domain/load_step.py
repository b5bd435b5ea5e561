"""The places between which a load may be cut off without harm."""

from __future__ import annotations

from enum import StrEnum


class PullStep(StrEnum):
    """How far a pulled file is on its way to being an upload; tests end the process there."""

    MOVED = "moved"
    """The file lies among the uploads, the database does not know."""
    ADOPTED = "adopted"
    """The run waits for its load, the worker has not heard of it."""


class LoadStep(StrEnum):
    """How far the commit of a load is; tests end the process there."""

    MANIFEST_TAKEN = "manifest_taken"
    """The worker's manifest is durable, nothing is committed."""
    DATA_FILES = "data_files"
    """The rows' files lie in the table's folder, still invisible."""
    CATALOGUE_COMMIT = "catalogue_commit"
    """The lake knows the new version, this service's database does not."""
    OUTBOX = "outbox"
    """Outcome and event are durable, the job is not yet acknowledged."""
