"""The rows of a version, counted where they lie."""

from __future__ import annotations

from collections.abc import Sequence

from plaza_kit.grants import GrantVerifier
from plaza_lake.access import open_grant
from plaza_lake.read import aggregate
from plaza_lake.tables import Lake

from plaza_quality.domain.counting import Finding, findings, questions
from plaza_quality.domain.rules import Check


def count(
    lake: Lake, verifier: GrantVerifier, grant: str, checks: Sequence[Check]
) -> tuple[int, tuple[Finding, ...]]:
    """The number of rows that the grant opens, and what was counted for each check; one scan for all.

    Blocking. Raises `GrantRefused`, `TableNotFound`, `VersionNotFound`, `LakeUnavailable`.
    """
    schema = open_grant(lake, verifier, grant).granted
    answers = aggregate(lake, verifier, grant, questions(checks, schema)).values
    return findings(checks, schema, answers)
