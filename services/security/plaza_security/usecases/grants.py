"""Signing permissions: the same decision as everywhere, written down for a minute or for a job."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import uuid_utils.compat as uuid
from plaza_kit.db import Database
from plaza_kit.db.engine import Scope
from plaza_kit.grants import GrantVerifier, ReadGrant, RunGrant, sign_read_grant, sign_run_grant
from plaza_kit.policy import Resource
from plaza_kit.rpc import context
from plaza_kit.signing import SigningKey

from plaza_security.domain.grants import (
    READ_LIFETIME,
    RECONCILE,
    RUN_ACTIONS,
    RUN_LIFETIME,
    ReadRequest,
    check_read,
    check_run,
    starter,
)
from plaza_security.storage import projections
from plaza_security.usecases.authority import Authority


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Grants:
    """Signs read grants and run grants."""

    def __init__(
        self,
        database: Database,
        authority: Authority,
        key: SigningKey,
        verifier: GrantVerifier,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        """`verifier` reads the run grants that services bring back."""
        self._database = database
        self._authority = authority
        self._key = key
        self._verifier = verifier
        self._clock = clock

    async def read(self, request: ReadRequest) -> tuple[str, datetime]:
        """A signed read grant and its end. Raises NotPermitted, PersonRemoved, GrantRefused and the errors of
        `check_read` and `starter`."""
        caller = context.caller()
        check_read(request, caller)
        resource, agreed = await self._look_up(request)
        facts = {"purpose": request.purpose, "agreement": agreed, "reader": request.reader}
        self._authority.authorize("rows.read", resource, facts)
        principal = caller.name
        if request.run_grant:
            # The job acts with no more than its starter has: the service's right alone is not enough.
            run = self._verifier.run(request.run_grant)
            person, action = starter(run, request.dataset, request.purpose)
            if request.purpose == RECONCILE:
                # Of a comparison everything that is told comes from the rows themselves.
                action, facts = "rows.read", facts | {"purpose": "share" if request.agreement else "own"}
                self._authority.decider().authorize(person, action, resource, facts)
            else:
                self._authority.decider().authorize(person, action, resource)
            principal = person.name
        now = self._clock().replace(microsecond=0)
        grant = ReadGrant(
            grant_id=str(uuid.uuid7()),
            principal=principal,
            audience=request.audience,
            dataset=request.dataset,
            table=request.table,
            version=request.version or None,
            columns=request.columns or None,
            row_filter="",
            masks=(),
            purpose=request.purpose,
            # Only an agreement that the decision rests on is named.
            agreement=request.agreement if agreed else "",
            issued_at=now,
            expires_at=now + READ_LIFETIME,
        )
        return sign_read_grant(grant, self._key), grant.expires_at

    async def run(self, run: str, action: str, dataset: str) -> tuple[str, datetime]:
        """A signed run grant of the calling person or machine and its end. Raises NotPermitted, PersonRemoved,
        RunElsewhere."""
        check_run(run, action, dataset)
        resource = (
            Resource.of_department(run.split("/")[1])
            if action == RECONCILE
            else await self._resource(dataset)
        )
        caller = self._authority.authorize(RUN_ACTIONS[action], resource)
        now = self._clock().replace(microsecond=0)
        grant = RunGrant(
            run=run,
            action=action,
            dataset=dataset,
            principal=caller.name,
            username=caller.username,
            departments=tuple(sorted(caller.departments)),
            roles=tuple(sorted(caller.roles)),
            issued_at=now,
            expires_at=now + RUN_LIFETIME,
        )
        return sign_run_grant(grant, self._key), grant.expires_at

    async def _look_up(self, request: ReadRequest) -> tuple[Resource, bool]:
        """The graded dataset, and whether the named agreement covers the reading."""
        resource = await self._resource(request.dataset)
        if not request.agreement or request.purpose not in ("share", RECONCILE):
            return resource, False
        async with self._database.transaction(Scope.everything()) as connection:
            found = await projections.agreement(connection, request.agreement)
        return resource, found is not None and found.covers(request.dataset, request.reader)

    async def _resource(self, dataset: str) -> Resource:
        async with self._database.transaction(Scope.everything()) as connection:
            found = await projections.grading(connection, dataset)
        if found is None:
            return Resource.of_dataset(dataset)
        return Resource.of_dataset(dataset, city_level=found.city_level, sharing_class=found.sharing_class)
