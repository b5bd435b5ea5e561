"""What is counted for a rule."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows a rule judges how; together all rows. Of a rule over the whole table there is one: the table."""

    passed: int
    failed: int
    not_applicable: int


@dataclass(frozen=True, slots=True)
class Measure:
    """What a rule over the whole table found."""

    value: float
    unit: str
    """`hours`, `rows` or `psi`."""
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What was counted for one rule."""

    counts: Counts
    absent_fields: tuple[str, ...] = ()
    """Fields that the version does not have, or not of a type that the check is for: no row was judged."""
    reason: str = ""
    """Why no row was judged: a word of `Silence`, perhaps with a colon and what the engine says."""
    measure: Measure | None = None
    compared_with: tuple[str, ...] = ()
    """Versions of code lists and datasets."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted in a version."""

    rows: int
    rows_passed: int
    """Rows that break no rule."""
    findings: tuple[Finding, ...]
    """In the order of the rules."""
    broken_together: tuple[tuple[tuple[int, ...], int], ...] = ()
    """Rules that rows break together, by number, and how many rows; the most frequent first."""
