"""The job `assess`: what the contract's rules say about a committed version."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from plaza_kit import telemetry
from plaza_kit.db import Scope
from plaza_kit.db.outbox import NewEvent
from plaza_kit.names import DatasetName
from plaza_lake import verdict_files
from plaza_lake.verdict_files import Verdicts

from plaza_quality.domain.around import Around
from plaza_quality.domain.checks import Check
from plaza_quality.domain.rules import Exit, rule_of
from plaza_quality.domain.scores import assessed, score_text
from plaza_quality.storage import assessments, gates, versions
from plaza_quality.storage.assessments import Made
from plaza_quality.storage.rows import Outcome, judged
from plaza_quality.storage.verdict_documents import document, known, sweep
from plaza_quality.usecases.ordering import Ordering
from plaza_quality.usecases.ports import Registered, World
from plaza_quality.usecases.surroundings import around

_log = telemetry.log("assess")

JOB: Final = "assess"
MAX_ATTEMPTS: Final = 240
"""About four hours, mostly a minute apart: a peer that is away for a while costs no assessment."""
_TOLD_RULES: Final = 50
ASSESSED: Final = "city.plaza.quality.version.assessed.v1"


class Assessing:
    """Runs in the service's own name; security's policy lets it read for the purpose `assess`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ordering = Ordering(world)

    async def assess(self, dataset: str, version: int, number: int = 1) -> None:
        """Assesses a version that has no assessment of this number or a greater one. Cut off at any point, it may run
        again from the start.

        Raises AioRpcError, GrantRefused, TableNotFound, VersionNotFound, LakeUnavailable, UnknownCheck,
        SparkUnavailable, SparkFailed; the job is then tried again.
        """
        name = DatasetName.parse(dataset)
        scope = Scope.department(name.department)
        async with self._world.database.transaction(scope) as connection:
            if await assessments.number_of(connection, name, version) >= number:
                return
        registered = await self._world.catalogue.dataset(name)
        made, verdicts = await self._made(name, version, number, registered)
        async with self._world.database.transaction(scope) as connection:
            await versions.grade(connection, name, registered.grading)
            if not await assessments.keep(connection, name, version, made, number):
                return
            opened = await self._ordering.judge(connection, name, version, made)
            good = await gates.last_good(connection, name, version, Exit.SHARING)
            await self._world.outbox.write(connection, self._event(name, version, made, opened, good))
            # By whoever holds the row, so that what readers find belongs to the assessment that is kept.
            await asyncio.to_thread(verdict_files.keep, self._world.lake, dataset, verdicts)
        self._world.outbox.wake()
        _log.info("version assessed", dataset=dataset, version=version, rows=made.assessment.rows)
        await asyncio.to_thread(sweep, self._world.lake, dataset, self._world.now())

    async def _made(
        self, name: DatasetName, version: int, number: int, registered: Registered
    ) -> tuple[Made, Verdicts]:
        moment = self._world.now()
        rules = [rule_of(rule, registered.code_lists) for rule in registered.rules]
        checks = [rule.check for rule in rules]
        found = await around(self._world, name, version, registered, checks, moment)
        grant = await self._world.granting.assessing(name, version)
        outcome = await asyncio.to_thread(self._judged, name, version, grant, checks, found)
        made = Made(
            assessment=assessed(rules, outcome.counted, self._world.profile),
            rules=registered.rules,
            contract_version=registered.contract_version,
            time=moment,
        )
        told = list(zip(registered.rules, checks, strict=True))
        rule_set = registered.contract_version
        return made, document(outcome, told, number=number, rule_set=rule_set, moment=moment)

    def _judged(
        self, name: DatasetName, version: int, grant: str, checks: Sequence[Check], around: Around
    ) -> Outcome:
        world = self._world
        before = known(world.lake, str(name), version)
        try:
            return judged(
                world.lake, world.grants, grant, checks, around, before, keep=True, spark=world.spark
            )
        except FileNotFoundError:
            # What was kept is not there any more: nothing is known.
            return judged(world.lake, world.grants, grant, checks, around, keep=True, spark=world.spark)

    def _event(
        self, name: DatasetName, version: int, made: Made, opened: Sequence[str], good: int
    ) -> NewEvent:
        data: dict[str, object] = {
            "dataset": str(name),
            "version": version,
            "score": score_text(made.assessment.score),
            "light": made.assessment.light or "",
            "rows": made.assessment.rows,
            "contract_version": made.contract_version,
            "failed_rules": _failed_rules(made),
            "work_orders": list(opened),
            "stopped_sharing": list(made.stopped(Exit.SHARING)),
            "stopped_opening": list(made.stopped(Exit.OPENING)),
            "last_shared_version": good,
        }
        subject = f"{name}/versions/{version}/assessment"
        return NewEvent(ASSESSED, subject, data, self._world.principal)


def _failed_rules(made: Made) -> list[dict[str, object]]:
    """Those that are not met first, then by how much failed; ids and counts only."""
    failed = [
        (result.met, -result.finding.counts.failed, rule.id, result)
        for rule, result in zip(made.rules, made.assessment.results, strict=True)
        if result.finding.counts.failed
    ]
    return [
        {
            "id": id,
            "failed": result.finding.counts.failed,
            "judged": result.finding.counts.failed + result.finding.counts.passed,
            "met": met,
        }
        for met, _, id, result in sorted(failed, key=lambda one: one[:3])[:_TOLD_RULES]
    ]
