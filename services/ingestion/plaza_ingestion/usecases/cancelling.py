"""Ending a run that nobody wants any more."""

from __future__ import annotations

import asyncio

from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.db.outbox import NewEvent
from plaza_kit.policy import Resource

from plaza_ingestion.domain.events import RUN_CANCELLED
from plaza_ingestion.domain.runs import RunKind, RunState
from plaza_ingestion.storage import runs
from plaza_ingestion.storage.runs import StoredRun
from plaza_ingestion.usecases.leases import let_go
from plaza_ingestion.usecases.ports import World, unknown_run


class Cancelling:
    """The use case of people who change their mind."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def cancel(self, request: pb.CancelRunRequest) -> pb.Run:
        """A queued run ends at once; of a running one the worker hears at its next call that its lease is lost.
        Who may start it may cancel it. The same again is harmless. Raises UnknownRun, NotPermitted,
        IllegalTransition."""
        _, department, _, run_id = request.name.split("/")
        reader = self._world.policy.authorize("run.read", Resource.of_department(department))
        async with self._world.database.transaction(Scope.of(reader)) as connection:
            run = await runs.find(connection, department, run_id, lock=True)
            if run is None:
                raise unknown_run(request.name)
            principal = self._world.policy.authorize(*_right(run))
            if run.standing.state is RunState.CANCELLED:
                return run.pb
            await runs.save(connection, run.run, run.standing.cancel(), end_time=self._world.now())
            await let_go(connection, run)
            event = NewEvent(RUN_CANCELLED, run.name, _data(run), principal.name)
            await self._world.outbox.write(connection, event)
            ended = await runs.find(connection, department, run_id)
            assert ended is not None
        self._world.outbox.wake()
        await asyncio.to_thread(self._world.staging.forget, department, run_id)
        return ended.pb


def _right(run: StoredRun) -> tuple[str, Resource]:
    if run.kind is RunKind.LOAD:
        return "load.start", Resource.of_dataset(run.dataset)
    return "infer.start", Resource.of_department(run.department)


def _data(run: StoredRun) -> dict[str, object]:
    data: dict[str, object] = {
        "run": run.name,
        "kind": run.kind.value,
        "state_before": run.standing.state.value,
    }
    if run.kind is RunKind.LOAD:
        data |= {"dataset": run.dataset, "batch": run.batch, "source_sha256": run.upload_sha256}
    return data
