"""What a request for a grant must satisfy before policy is asked, and whose right a job uses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from plaza_kit.errors import InvalidArgument, PermissionDenied
from plaza_kit.grants import RunGrant
from plaza_kit.identity import Principal, PrincipalKind

READ_LIFETIME: Final = timedelta(seconds=60)
RUN_LIFETIME: Final = timedelta(hours=12)
"""Longest that a job may work on one person's word."""
AUDIENCES: Final = frozenset({"sharing", "ingestion", "quality", "open-data"})
RECONCILE: Final = "reconcile"
"""Action of a run, and purpose of its reading: the rows are read as the starter may read them."""
RUN_ACTIONS: Final = {
    "load": "load.start",
    RECONCILE: "reconciliation.manage",
    "release": "release.create",
}
"""Action of a run grant → the action that the person must be permitted."""


class UnknownReadingService(InvalidArgument):
    """No such service reads rows."""


class TableNeedsPurpose(InvalidArgument):
    """Quarantined rows are read for the purpose quarantine, and nothing else is."""


class RunElsewhere(InvalidArgument):
    """The run belongs to another department than the dataset."""


class RunGrantMisused(PermissionDenied):
    """A run grant is used by somebody or for something that it was not made for."""


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What is to be read, why and through whom."""

    dataset: str
    table: str
    version: int
    columns: tuple[str, ...]
    audience: str
    purpose: str
    agreement: str
    reader: str
    """Id of the department that reads; empty: the caller's own."""
    run_grant: str


def check_read(request: ReadRequest, caller: Principal) -> None:
    """Rules that hold whatever the policy. Raises UnknownReadingService, TableNeedsPurpose, RunGrantMisused."""
    if request.audience not in AUDIENCES:
        raise UnknownReadingService(
            f"audience: no service {request.audience!r} reads rows", remedy=f"one of {sorted(AUDIENCES)}"
        )
    if (request.table == "quarantine") != (request.purpose == "quarantine"):
        raise TableNeedsPurpose(
            f"table {request.table!r} is not read for purpose {request.purpose!r}",
            remedy="quarantined rows are read for the purpose quarantine only",
        )
    if caller.kind is PrincipalKind.SERVICE:
        if caller.client_id != f"plaza-{request.audience}":
            raise RunGrantMisused(
                f"{caller.client_id} may not ask for a grant that {request.audience} will use",
                remedy="a service asks for its own reading only",
            )
    elif request.run_grant:
        raise RunGrantMisused(
            "run_grant: only a service reads on somebody's behalf", remedy="leave run_grant empty"
        )
    if request.purpose == RECONCILE and not request.run_grant:
        raise RunGrantMisused(
            "rows are reconciled for somebody who may read them", remedy="bring the run grant of the run"
        )


def check_run(run: str, action: str, dataset: str) -> None:
    """That a run lies in its dataset's department, unless it compares datasets of several. Raises RunElsewhere."""
    if action != RECONCILE and not run.startswith(f"departments/{dataset.split('/')[1]}/"):
        raise RunElsewhere(f"run: {run!r} is not in the department of {dataset}", remedy="name its own run")


def starter(grant: RunGrant, dataset: str, purpose: str) -> tuple[Principal, str]:
    """Who started the job, and the action that they must still be permitted. Raises RunGrantMisused."""
    if (grant.action == RECONCILE) != (purpose == RECONCILE):
        raise RunGrantMisused(f"run_grant is for {grant.action}, not for the purpose {purpose}")
    if grant.dataset != dataset:
        raise RunGrantMisused(
            f"run_grant is for {grant.dataset}, not for {dataset}", remedy="use the grant of this run"
        )
    if grant.action not in RUN_ACTIONS:
        raise RunGrantMisused(f"run_grant is for the unknown action {grant.action!r}")
    return grant.starter, RUN_ACTIONS[grant.action]
