"""On whose word a job works."""

from __future__ import annotations

from plaza_kit.errors import PermissionDenied
from plaza_kit.grants import RunGrant
from plaza_kit.identity import Principal

LOAD = "load"
"""Action of the run grant of a load."""


class RunGrantElsewhere(PermissionDenied):
    """A run grant was made for another job."""


def starter(grant: RunGrant, run: str, dataset: str) -> Principal:
    """The person or machine behind a load, with the rights they had when they started it. Raises
    RunGrantElsewhere unless the grant is of this very run."""
    if (grant.run, grant.dataset, grant.action) != (run, dataset, LOAD):
        raise RunGrantElsewhere(
            f"the run grant is for {grant.action} of {grant.dataset} by {grant.run}, not for {run}"
        )
    return grant.starter
