"""The job `reconcile`: two versions compared for whoever started it, with no more than they may read now."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta
from typing import Final

import grpc
from plaza.quality.v1 import reconciliations_pb2 as pb
from plaza_kit import telemetry
from plaza_kit.db import Scope
from plaza_kit.db.outbox import NewEvent
from plaza_kit.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, PlazaError
from plaza_kit.names import DepartmentId
from plaza_lake.reconcile import Reconciled, reconcile

from plaza_quality.domain.reconciliations import ENDED, State
from plaza_quality.storage import reconciliations
from plaza_quality.storage.reconciliation_entries import packed
from plaza_quality.storage.reconciliation_messages import result_message
from plaza_quality.storage.reconciliations import RunName, StoredRun
from plaza_quality.usecases.ports import World
from plaza_quality.usecases.reconciliation_ports import Sources
from plaza_quality.usecases.reconciliations import Compared, found_reconciliation, found_run, prepared

_log = telemetry.log("reconcile")

COMPLETED: Final = "city.plaza.quality.reconciliation.completed.v1"
MAX_ATTEMPTS: Final = 240
PATIENCE: Final = timedelta(hours=1)
"""So long a run is tried again when a peer or the lake is away; whoever started it may be waiting."""
MOST_LISTED: Final = 1_000_000
"""Differences that are kept one by one; all are counted."""
_FINAL: Final = (InvalidArgument, PermissionDenied, NotFound, FailedPrecondition)
"""What another try would meet again."""
_FINAL_CODES: Final = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
)


class Reconciling:
    """Runs in the service's own name, with the run grants of the person."""

    def __init__(self, world: World, sources: Sources, *, most: int = MOST_LISTED) -> None:
        self._world = world
        self._sources = sources
        self._most = most

    async def reconcile(self, run: str) -> None:
        """Compares, unless it is done. Cut off at any point, it may run again from the start: the versions were fixed
        when it was ordered, and result, differences and event are one transaction.

        Raises what another try may not meet.
        """
        name = RunName.parse(run)
        scope = Scope.department(name.department)
        async with self._world.database.transaction(scope) as connection:
            stored = await found_run(connection, name)
            if _state(stored) in ENDED:
                return
            await reconciliations.begin(connection, name)
            definition = await found_reconciliation(connection, name.department, name.reconciliation)
        try:
            ready, found = await self._compared(name, definition, stored)
        except Exception as error:
            age = self._world.now() - stored.message.create_time.ToDatetime(UTC)
            if not _is_final(error) and age < PATIENCE:
                raise
            await self._end(name, None, error=_said(error))
            return
        lists = iter(stored.code_lists.values())
        result = result_message(found, ready.comparison, definition.authority, lists)
        await self._end(name, found, result=result, definition=definition)

    async def _compared(
        self, name: RunName, definition: pb.Reconciliation, stored: StoredRun
    ) -> tuple[Compared, Reconciled]:
        definition = fixed(definition, stored)
        ready = await prepared(
            self._sources, DepartmentId(name.department), definition, dict(stored.code_lists)
        )
        left, right = [
            await self._sources.reconciling(side, grant)
            for side, grant in zip(ready.sides, stored.run_grants, strict=True)
        ]
        found = await asyncio.to_thread(
            reconcile, self._world.lake, self._world.grants, (left, right), ready.comparison, most=self._most
        )
        return ready, found

    async def _end(
        self,
        name: RunName,
        found: Reconciled | None,
        *,
        result: pb.ReconciliationResult | None = None,
        definition: pb.Reconciliation | None = None,
        error: str = "",
    ) -> None:
        snapshots = (0, 0) if found is None else (found.left_snapshot, found.right_snapshot)
        async with self._world.database.transaction(Scope.department(name.department)) as connection:
            first = await reconciliations.end(
                connection, name, self._world.now(), result=result, snapshots=snapshots, error=error
            )
            if not first:
                return
            if found is not None and result is not None and definition is not None:
                for chunk in packed(found.entries):
                    await reconciliations.keep(connection, name, chunk)
                event = self._event(name, definition, found, result)
                await self._world.outbox.write(connection, event)
        self._world.outbox.wake()
        _log.info("reconciliation ended", run=str(name), error=bool(error))

    def _event(
        self, name: RunName, definition: pb.Reconciliation, found: Reconciled, result: pb.ReconciliationResult
    ) -> NewEvent:
        data: dict[str, object] = {
            "left": f"{definition.left.dataset}/versions/{found.left_version}",
            "right": f"{definition.right.dataset}/versions/{found.right_version}",
            "agreed": found.agreed,
            "differences": {kind.name.lower(): rows for kind, rows in found.kinds.items()},
            "accuracy": f"{result.accuracy:.4f}" if result.HasField("accuracy") else "",
        }
        return NewEvent(COMPLETED, str(name), data, self._world.principal)


def fixed(definition: pb.Reconciliation, run: StoredRun) -> pb.Reconciliation:
    """With the versions of a run."""
    made = pb.Reconciliation()
    made.CopyFrom(definition)
    made.left.version, made.right.version = run.message.left_version, run.message.right_version
    return made


def _state(run: StoredRun) -> State:
    return State(pb.ReconciliationState.Name(run.message.state).removeprefix("RECONCILIATION_STATE_").lower())


def _is_final(error: Exception) -> bool:
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code() in _FINAL_CODES
    return isinstance(error, _FINAL)


def _said(error: Exception) -> str:
    """For people; what an engine or a driver says stays in the logs, because it may hold values."""
    if isinstance(error, grpc.aio.AioRpcError):
        return str(error.details())
    if isinstance(error, PlazaError):
        return f"{error.message}. {error.remedy}" if error.remedy else error.message
    return f"the comparison broke off ({type(error).__name__}). Run it again; tell the operators if that helps not."
