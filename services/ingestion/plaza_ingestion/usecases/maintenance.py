"""The job that keeps tables fast: small files together, manifests merged, versions that nobody needs let go.

Decide, do, tell, in that order: which versions expire is decided in PostgreSQL, where their pins are, and is final;
the lake carries it out in one commit; then the decision is marked and the event written. A job that is cut off
finds its decisions and carries them through. Loads are not held up: the lake sorts out who was first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from plaza_kit import telemetry
from plaza_kit.db import Scope
from plaza_kit.db.jobs import defer_in
from plaza_kit.db.outbox import NewEvent
from plaza_kit.names import DatasetName
from plaza_lake.compaction import Compacted
from plaza_lake.expiry import Expired, due
from plaza_lake.maintenance import Upkeep, maintain, tidy
from plaza_lake.retention import Retention
from plaza_lake.sweep import Swept, sweep
from plaza_lake.tables import TableNotFound
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_ingestion.domain.events import VERSION_EXPIRED
from plaza_ingestion.storage import versions_kept
from plaza_ingestion.usecases.ports import World

_log = telemetry.log("maintenance")

MAINTENANCE_JOB: Final = "maintain-table"
EVERY_COMMITS: Final = 50
"""So many versions, and a table is due: a commit costs more with each snapshot and each small file."""
EVERY: Final = timedelta(hours=24)
"""A table is looked after at least so often; only then are files removed."""
_LOOK_SECONDS: Final = 900.0
_QUARANTINE: Final = Retention(newest=2, daily=timedelta(0))
"""Refused rows are never shown by version; the newest holds them all."""


async def after_commit(connection: AsyncConnection, dataset: str, version: int) -> None:
    """Called in the transaction that tells of a new version."""
    if version and version % EVERY_COMMITS == 0:
        await defer(connection, dataset)


async def defer(connection: AsyncConnection, dataset: str, *, clean: bool = False) -> None:
    """Puts the job into the queue; those of one table run one after the other."""
    await defer_in(
        connection, MAINTENANCE_JOB, {"dataset": dataset, "clean": clean}, lock=f"{dataset}/maintenance"
    )


@dataclass(frozen=True, slots=True)
class Done:
    """What one run came to."""

    compacted: Compacted
    expired: Expired
    swept: Swept | None = None


class Maintenance:
    """The use case behind the job `maintain-table`."""

    def __init__(self, world: World, upkeep: Upkeep, principal: str) -> None:
        """`principal`: the service itself, in whose name versions expire."""
        self._world = world
        self._upkeep = upkeep
        self._principal = principal

    async def watch(self) -> None:
        """For ever: finds the tables that were not maintained for a day."""
        while True:
            try:
                await self.find_neglected()
            except Exception as error:  # whatever it is, the next look may succeed
                _log.warning("cannot look for neglected tables", error=repr(error)[:300])
            await asyncio.sleep(_LOOK_SECONDS)

    async def find_neglected(self) -> list[str]:
        """Puts a job into the queue for each."""
        async with self._world.database.transaction(Scope.everything()) as connection:
            found = await versions_kept.claim_neglected(connection, self._world.now(), EVERY)
            for _, dataset in found:
                await defer(connection, dataset, clean=True)
        return [dataset for _, dataset in found]

    async def job(self, dataset: str, clean: bool = False) -> None:
        """`run`, for the queue."""
        await self.run(dataset, clean)

    async def run(self, dataset: str, clean: bool = False) -> Done | None:
        """Maintains both tables of a dataset; removes files only when `clean`. Raises MaintenanceContended,
        LakeUnavailable, MergeOnRead."""
        name = DatasetName.parse(dataset)
        try:
            pinned, chosen = await self._decide(name)
            done = await asyncio.to_thread(self._in_lake, dataset, chosen, pinned, clean)
        except TableNotFound:  # all that came was refused so far
            await asyncio.to_thread(self._quarantine, dataset)
            return None
        await self._tell(name, chosen, done.expired)
        await asyncio.to_thread(self._quarantine, dataset)
        _log.info(
            "table maintained",
            dataset=dataset,
            files_removed=done.compacted.files_removed,
            versions_expired=len(done.expired.versions),
            files_swept=done.swept.removed if done.swept else 0,
        )
        return done

    async def _decide(self, name: DatasetName) -> tuple[frozenset[int], Mapping[int, str]]:
        """The versions that are pinned, and those that go with the rule for each."""
        dataset, retention, now = str(name), self._upkeep.retention, self._world.now()
        candidates = await asyncio.to_thread(due, self._world.lake, dataset, retention, (), now)
        async with self._world.database.transaction(Scope.department(name.department)) as connection:
            await versions_kept.alone(connection, dataset)
            await versions_kept.forget_pins(connection, dataset, now)
            pinned = await versions_kept.pinned(connection, dataset, now)
            going = {info.version for info in candidates} - pinned
            if going:
                await versions_kept.decide(connection, name, going, retention.words(), now)
            return pinned, await versions_kept.undone(connection, dataset)

    def _in_lake(self, dataset: str, chosen: Mapping[int, str], pinned: frozenset[int], clean: bool) -> Done:
        lake, now = self._world.lake, self._world.now()
        compacted, expired = tidy(lake, dataset, self._upkeep, chosen, pinned, now)
        swept = sweep(lake, dataset, now, grace=self._upkeep.grace) if clean else None
        return Done(compacted, expired, swept)

    async def _tell(self, name: DatasetName, chosen: Mapping[int, str], expired: Expired) -> None:
        """The mark and the event in one transaction; what the lake kept is decided anew some other time."""
        if not chosen:
            return
        dataset = str(name)
        async with self._world.database.transaction(Scope.department(name.department)) as connection:
            told = await versions_kept.told(connection, dataset, expired.versions, self._world.now())
            await versions_kept.withdraw(connection, dataset, set(chosen) - set(expired.versions))
            for rule in sorted({chosen[version] for version in told}):
                data: dict[str, object] = {
                    "department": f"departments/{name.department}",
                    "dataset": dataset,
                    "versions": [version for version in told if chosen[version] == rule],
                    "rule": rule,
                }
                event = NewEvent(VERSION_EXPIRED, dataset, data, self._principal)
                await self._world.outbox.write(connection, event)
        self._world.outbox.wake()

    def _quarantine(self, dataset: str) -> None:
        retention = replace(_QUARANTINE, young=self._upkeep.retention.young)
        try:
            upkeep = replace(self._upkeep, retention=retention)
            maintain(self._world.lake, dataset, upkeep, (), self._world.now(), "quarantine")
        except TableNotFound:
            pass  # no row was ever refused
