"""Giving work to departments' workers, and taking it back from those that are silent."""

from __future__ import annotations

import asyncio
import secrets
from datetime import datetime, timedelta
from typing import Final

from plaza.common.v1 import contract_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza.ingestion.v1 import worker_pb2
from plaza_kit import telemetry
from plaza_kit.db import Scope
from plaza_kit.db.jobs import defer_in
from plaza_kit.db.reads import DatabaseAway
from plaza_kit.errors import InvalidArgument
from plaza_kit.names import parse_department
from plaza_kit.policy import Resource
from plaza_kit.rpc.context import caller
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_ingestion.domain.batches import BatchState
from plaza_ingestion.domain.manifest import check_manifest, output_path
from plaza_ingestion.domain.quarantine import replay_contract
from plaza_ingestion.domain.runs import (
    MAX_ATTEMPTS,
    LeaseLost,
    LeaseToken,
    RunKind,
    RunState,
    Standing,
)
from plaza_ingestion.domain.sources import cursor_for_pull, pull_order
from plaza_ingestion.storage import batches, quarantined_rows, runs, sources
from plaza_ingestion.storage.runs import StoredRun
from plaza_ingestion.storage.staging import StagedFileChanged
from plaza_ingestion.usecases.ports import World
from plaza_ingestion.usecases.pull_ends import pull_failed, source_of
from plaza_ingestion.usecases.pulling import Pulling

_log = telemetry.log("leases")

COMMIT_JOB: Final = "commit-load"
MAX_WAIT_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.3
SWEEP_SECONDS: Final = 5.0


class WrongKind(InvalidArgument):
    """A result of a load was handed in for an inference, or the other way round."""


class Leases:
    """Use cases of workers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pulling = Pulling(world)

    async def lease(self, request: worker_pb2.LeaseWorkRequest) -> worker_pb2.LeaseWorkResponse:
        """Waits for work, at most `wait` and 30 s; pulls whose time has come are started first. Raises
        NotPermitted."""
        department = parse_department(request.department)
        wait = min(max(request.wait.ToTimedelta().total_seconds(), 0.0), MAX_WAIT_SECONDS)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            # Each time again: a right that ends while somebody waits is not given work.
            self._world.policy.authorize("work.lease", Resource.of_department(department))
            await self._pulling.start_due(department)
            work = await self._take(department)
            left = deadline - loop.time()
            if work is not None or left <= 0:
                return worker_pb2.LeaseWorkResponse(work=work)
            await asyncio.sleep(min(POLL_SECONDS, left))

    async def _take(self, department: str) -> worker_pb2.Work | None:
        now = self._world.now()
        async with self._world.database.transaction(Scope.of(caller())) as connection:
            while (run := await runs.next_waiting(connection, department, now)) is not None:
                if run.standing.attempts >= MAX_ATTEMPTS:
                    await self._bury(connection, run, now)
                    continue
                lease = LeaseToken(secrets.token_hex(16))
                standing = run.standing.take(lease, now, self._until(now))
                first = {} if run.started else {"start_time": now}
                # Another worker begins at the first byte: what the one before read says nothing.
                anew = {"progress_time": now, "rows_read": 0, "bytes_done": 0}
                pace = {"rows_a_second": 0.0, "bytes_a_second": 0.0}
                await runs.save(connection, run.run, standing, **first, **anew, **pace)
                work = _work(run, standing)
                if run.fetches:
                    work.pull.CopyFrom(await self._order(connection, run))
                return work
        return None

    async def _order(self, connection: AsyncConnection, run: StoredRun) -> worker_pb2.PullOrder:
        source = await sources.find(connection, source_of(run))
        assert source is not None, "sources are not removed"
        cursor = cursor_for_pull(source.cursor, run.contract_version)
        return pull_order(source.name, source.definition, cursor, self._world.upload_limit_bytes)

    async def renew(self, request: worker_pb2.RenewLeaseRequest) -> worker_pb2.RenewLeaseResponse:
        """Raises LeaseLost."""
        now = self._world.now()
        until = self._until(now)
        async with self._world.database.transaction(Scope.of(caller())) as connection:
            run = await held(self._world, connection, request.lease)
            standing = run.standing.renew(LeaseToken(request.lease), until)
            progress, before = request.progress, run.pb.progress
            read, done = max(0, progress.rows_read), max(0, progress.bytes_done)
            if not run.fetches:  # how much a source has to give nobody knows before
                done = min(done, run.upload_bytes)
            seconds = (now - (run.progress_time or now)).total_seconds()
            pace = run.pace.after(seconds, read - before.rows_read, done - before.bytes_done)
            await runs.save(
                connection,
                run.run,
                standing,
                bytes_done=done,
                rows_read=read,
                progress_time=now,
                rows_a_second=pace.rows_a_second,
                bytes_a_second=pace.bytes_a_second,
                rows_accepted=max(0, progress.rows_accepted),
                rows_refused=max(0, progress.rows_refused),
            )
        answer = worker_pb2.RenewLeaseResponse()
        answer.expire_time.FromDatetime(until)
        return answer

    async def complete_inference(self, request: worker_pb2.CompleteInferenceRequest) -> None:
        """Raises LeaseLost, WrongKind. The same again is harmless."""
        async with self._world.database.transaction(Scope.of(caller())) as connection:
            run = await held(self._world, connection, request.lease, RunKind.INFER)
            if run.standing.state is RunState.SUCCEEDED:
                return
            await runs.save(
                connection,
                run.run,
                run.standing.finish(LeaseToken(request.lease)),
                proposal=request.proposal,
                bytes_done=run.upload_bytes,
                rows_read=request.proposal.rows,
                end_time=self._world.now(),
            )

    async def complete_load(self, request: worker_pb2.CompleteLoadRequest) -> None:
        """Keeps the manifest and orders the commit, in one transaction. Raises LeaseLost, WrongKind,
        ManifestContradicts, PathOutsideLease, StagedFileMissing, NotAPlainFile. The same again is harmless."""
        async with self._world.database.transaction(Scope.of(caller())) as connection:
            run = await held(self._world, connection, request.lease, RunKind.LOAD)
        if run.manifest.lease == request.lease:
            return
        if run.fetches:
            raise WrongKind(f"{run.name} has no file yet", remedy="fetch it first, and complete the pull")
        run.standing.hand_over(LeaseToken(request.lease))  # of a lost lease no file need be there
        check_manifest(request, output_path(run.run, request.lease))
        await asyncio.to_thread(self._look_at_files, run.department, request)
        async with self._world.database.transaction(Scope.of(caller())) as connection:
            run = await held(self._world, connection, request.lease, RunKind.LOAD)
            if run.manifest.lease == request.lease:
                return
            await runs.save(
                connection,
                run.run,
                run.standing.hand_over(LeaseToken(request.lease)),
                manifest=request,
                bytes_done=run.upload_bytes,
                rows_read=request.rows_read,
                rows_accepted=request.accepted.rows,
                rows_refused=request.refused.rows,
                refused_by_reason=dict(request.refused_by_reason),
                warnings=[*run.pulled.warnings, *request.warnings],
            )
            arguments = {"department": run.department, "run": run.run}
            await defer_in(connection, COMMIT_JOB, arguments, lock=run.dataset)

    async def fail(self, request: worker_pb2.FailWorkRequest) -> None:
        """The run ends with the worker's words. Raises LeaseLost. The same again is harmless."""
        async with self._world.database.transaction(Scope.of(caller())) as connection:
            run = await held(self._world, connection, request.lease)
            if run.standing.state is RunState.FAILED:
                return
            await end_failed(
                connection,
                run,
                run.standing.give_up(LeaseToken(request.lease)),
                request.error,
                self._world.now(),
            )
        await asyncio.to_thread(self._world.staging.forget, run.department, run.run)

    async def queues(self) -> list[worker_pb2.DepartmentQueue]:
        """By department's name, those with work only. Raises NotPermitted."""
        principal = self._world.policy.authorize("work.list", Resource.system())
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            now = self._world.now()
            known = await runs.queues(connection, now)
            due = await sources.due_counts(connection, now)
        found = []
        for department in sorted({*known, *due}):
            waiting, leased = known.get(department, (0, 0))
            found.append(
                worker_pb2.DepartmentQueue(
                    department=f"departments/{department}",
                    waiting=waiting + due.get(department, 0),
                    leased=leased,
                )
            )
        return [one for one in found if one.waiting or one.leased]

    async def sweep(self) -> None:
        """For ever: ends runs that were lost too often, also where no worker asks any more."""
        while True:
            try:
                await self.bury_lost()
            except (DatabaseAway, SQLAlchemyError, OSError) as error:
                _log.warning("cannot look for lost runs", error=repr(error)[:300])
            await asyncio.sleep(SWEEP_SECONDS)

    async def bury_lost(self) -> None:
        """Ends the runs that were lost too often."""
        now = self._world.now()
        async with self._world.database.transaction(Scope.everything()) as connection:
            while (run := await runs.next_lost(connection, now)) is not None:
                await self._bury(connection, run, now)

    async def _bury(self, connection: AsyncConnection, run: StoredRun, now: datetime) -> None:
        error = pb.RunError(
            reason="WORKER_LOST",
            message=f"{run.standing.attempts} workers took this run and none of them finished it",
            remedy="look at the worker's log and memory, then load the file again",
        )
        await end_failed(connection, run, run.standing.fail(), error, now)
        await asyncio.to_thread(self._world.staging.forget, run.department, run.run)

    def _look_at_files(self, department: str, manifest: worker_pb2.CompleteLoadRequest) -> None:
        """They are there, plain and of the right size; their hashes are the commit's to check."""
        for name in ("accepted", "positions", "refused"):
            if manifest.HasField(name):
                file: worker_pb2.StagedFile = getattr(manifest, name)
                size = self._world.staging.size(department, file.path)
                if size != file.size_bytes:
                    raise StagedFileChanged(
                        f"{name}: {file.path} has {size} bytes, the manifest says {file.size_bytes}"
                    )

    def _until(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self._world.lease_seconds)


async def held(
    world: World, connection: AsyncConnection, lease: str, kind: RunKind | None = None
) -> StoredRun:
    """The run of a lease, held; of the caller's departments only. Raises LeaseLost, WrongKind, NotPermitted."""
    run = await runs.locked_by_lease(connection, lease)
    if run is None:
        raise LeaseLost
    world.policy.authorize("work.lease", Resource.of_department(run.department))
    if kind is not None and run.kind is not kind:
        raise WrongKind(f"{run.name} is of kind {run.kind}", remedy=f"complete it as {run.kind}")
    return run


async def end_failed(
    connection: AsyncConnection, run: StoredRun, standing: Standing, error: pb.RunError, now: datetime
) -> None:
    """The run with its words, and its batch refused, so that the file may come again; of a pull, its source."""
    await runs.save(connection, run.run, standing, error=error, end_time=now)
    await pull_failed(connection, run, error, now)
    await let_go(connection, run)


async def let_go(connection: AsyncConnection, run: StoredRun) -> None:
    """Of a run that brings nothing: its batch is refused, and quarantined rows that it took are held again."""
    if run.batch:
        await batches.end(connection, run.batch, BatchState.REFUSED)
    if run.replay:
        await quarantined_rows.give_back(connection, run.run)


def _contract(run: StoredRun) -> contract_pb2.Contract:
    return replay_contract(run.contract) if run.replay or run.work_order else run.contract


def _work(run: StoredRun, standing: Standing) -> worker_pb2.Work:
    assert standing.lease is not None
    assert standing.lease_until is not None
    work = worker_pb2.Work(
        lease=standing.lease,
        run=run.name,
        kind=run.pb.kind,
        upload_path=run.upload_path,
        upload_sha256=run.upload_sha256,
        output_path=output_path(run.run, standing.lease),
        contract=_contract(run) if run.kind is RunKind.LOAD and not run.fetches else None,
        missing_values=run.missing_values,
        entry=run.pb.entry,
    )
    work.expire_time.FromDatetime(standing.lease_until)
    return work
