"""The job `assess`: what the contract's rules say about a committed version."""

from __future__ import annotations

import asyncio
from typing import Final

from plaza_kit import telemetry
from plaza_kit.db import Scope
from plaza_kit.db.outbox import NewEvent
from plaza_kit.names import DatasetName

from plaza_quality.domain.rules import rule_of
from plaza_quality.domain.scores import assessed, score_text
from plaza_quality.storage import assessments, versions
from plaza_quality.storage.assessments import Made
from plaza_quality.storage.rows import count
from plaza_quality.usecases.ordering import Ordering
from plaza_quality.usecases.ports import Registered, World
from plaza_quality.usecases.surroundings import around

_log = telemetry.log("assess")

JOB: Final = "assess"
MAX_ATTEMPTS: Final = 240
"""About four hours, mostly a minute apart: a peer that is away for a while costs no assessment."""
ASSESSED: Final = "city.plaza.quality.version.assessed.v1"


class Assessing:
    """Runs in the service's own name; security's policy lets it read for the purpose `assess`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ordering = Ordering(world)

    async def assess(self, dataset: str, version: int) -> None:
        """Assesses a version that has not been. Cut off at any point, it may run again from the start.

        Raises AioRpcError, GrantRefused, TableNotFound, VersionNotFound, LakeUnavailable, UnknownCheck; the job
        is then tried again.
        """
        name = DatasetName.parse(dataset)
        scope = Scope.department(name.department)
        async with self._world.database.transaction(scope) as connection:
            if await assessments.exists(connection, name, version):
                return
        registered = await self._world.catalogue.dataset(name)
        made = await self._made(name, version, registered)
        async with self._world.database.transaction(scope) as connection:
            await versions.grade(connection, name, registered.grading)
            if not await assessments.insert(connection, name, version, made):
                return
            await self._ordering.judge(connection, name, version, made)
            await self._world.outbox.write(connection, self._event(name, version, made))
        self._world.outbox.wake()
        _log.info("version assessed", dataset=dataset, version=version, rows=made.assessment.rows)

    async def _made(self, name: DatasetName, version: int, registered: Registered) -> Made:
        moment = self._world.now()
        rules = [rule_of(rule, registered.code_lists) for rule in registered.rules]
        checks = [rule.check for rule in rules]
        found = await around(self._world, name, version, registered, checks, moment)
        grant = await self._world.granting.assessing(name, version)
        counted = await asyncio.to_thread(count, self._world.lake, self._world.grants, grant, checks, found)
        return Made(
            assessment=assessed(rules, counted, self._world.profile),
            rules=registered.rules,
            contract_version=registered.contract_version,
            time=moment,
        )

    def _event(self, name: DatasetName, version: int, made: Made) -> NewEvent:
        data: dict[str, object] = {
            "dataset": str(name),
            "version": version,
            "score": score_text(made.assessment.score),
            "light": made.assessment.light or "",
            "rows": made.assessment.rows,
            "contract_version": made.contract_version,
        }
        subject = f"{name}/versions/{version}/assessment"
        return NewEvent(ASSESSED, subject, data, self._world.principal)
