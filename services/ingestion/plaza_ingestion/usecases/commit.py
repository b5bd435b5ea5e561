"""The job that makes a version of a finished load: exactly once, wherever it is cut off.

One order holds it together: what a batch brings is decided and kept before anything of it is in the lake; the
lake knows the batch by its id; outcome and event are one transaction behind both. So a job that runs again
finds how far it came by looking, and nothing of a batch can be in without the rest following.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza.ingestion.v1 import worker_pb2
from plaza_kit import telemetry
from plaza_kit.db import Scope
from plaza_kit.db.outbox import NewEvent
from plaza_kit.errors import Aborted, DeadlineExceeded, PlazaError, ResourceExhausted, Unavailable
from plaza_kit.policy import Resource
from plaza_lake.overwrite import LoadMode
from plaza_lake.schema import QUARANTINE_SCHEMA, TableKind, TableSchema
from plaza_lake.tables import TableNotFound
from plaza_lake.versions import find_batch
from plaza_lake.write import CommitStep, CommittedVersion, StagedFile, commit_batch
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_ingestion.domain.batches import BatchState, Decision
from plaza_ingestion.domain.events import ROW_REPLAYED, Outcome
from plaza_ingestion.domain.load_step import LoadStep
from plaza_ingestion.domain.quarantine import RowState
from plaza_ingestion.domain.runs import RunState
from plaza_ingestion.domain.starter import starter
from plaza_ingestion.domain.table_schema import keep_latest, table_schema
from plaza_ingestion.storage import (
    batches,
    correction_files,
    final_files,
    quarantined_rows,
    replay_files,
    runs,
)
from plaza_ingestion.storage.quarantined_rows import Place
from plaza_ingestion.storage.rows_before import Earlier
from plaza_ingestion.storage.runs import StoredRun
from plaza_ingestion.usecases import replays
from plaza_ingestion.usecases.leases import end_failed
from plaza_ingestion.usecases.maintenance import after_commit
from plaza_ingestion.usecases.ports import World
from plaza_ingestion.usecases.pull_ends import pull_succeeded

_log = telemetry.log("commit")

MAX_FAILURES: Final = 20
"""Failed tries without anything in the lake; then the run fails. With the job's pauses about a quarter of an hour."""
MAX_JOB_ATTEMPTS: Final = 1_000_000
"""The job itself never gives up: what is in the lake must be told."""
_PASSING: Final = (Unavailable, DeadlineExceeded, ResourceExhausted, Aborted)
"""Kinds of errors that may be gone at the next try."""
_STEPS: Final = {
    CommitStep.COPIED: LoadStep.DATA_FILES,
    CommitStep.COMMITTED: LoadStep.CATALOGUE_COMMIT,
}
NOTHING_READ: Final = "the file has a heading and no rows: there is no new version"
ALL_REFUSED: Final = "every row was refused: there is no new version; look into quarantine"
NOTHING_CORRECTED: Final = "no line takes the place of a row: there is no new version"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Load:
    """A load whose manifest is durable."""

    run: StoredRun
    schema: TableSchema

    @property
    def manifest(self) -> worker_pb2.CompleteLoadRequest:
        return self.run.manifest


class Commit:
    """The use case behind the job `commit-load`."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def run(self, department: str, run: str) -> None:
        """Commits a load, or ends its run with an error. Raises what may be gone at the next try."""
        found = await self._find(department, run)
        if found is None:
            _log.error("a run to be committed is not there", run=run)
            return
        async with self._alone(found.dataset):
            await self._try(department, run)
        await self._in_thread(lambda: self._world.staging.forget(department, run))

    async def _try(self, department: str, run: str) -> None:
        found = await self._find(department, run)
        if found is None or found.standing.state is not RunState.COMMITTING:
            return  # an earlier try came to the end
        load = _Load(found, table_schema(found.contract))
        self._world.on_step(LoadStep.MANIFEST_TAKEN)
        try:
            outcome, decision = await self._commit(load)
        except Exception as error:
            if not await self._may_fail(load, error):
                raise
            await self._fail(load, error)
            return
        await self._tell(load, outcome, decision)
        self._world.outbox.wake()
        self._world.on_step(LoadStep.OUTBOX)

    async def _commit(self, load: _Load) -> tuple[Outcome, Decision]:
        if await self._in_thread(lambda: self._in_lake(load)):
            decision = await self._decision(load)
        else:
            self._check_right(load)
            decision = await self._decide(load)
        committed = await self._in_thread(lambda: self._write(load, decision))
        outcome = Outcome(
            dataset=load.run.dataset,
            batch=load.run.batch,
            run=load.run.name,
            contract_version=load.run.contract_version,
            source_sha256=load.run.upload_sha256,
            rows_refused=decision.rows_refused - decision.held_already,
            version=committed.version if committed else 0,
            rows=committed.total_rows if committed else 0,
            rows_added=committed.rows_added if committed else 0,
            mode=load.run.mode.value,
            work_order=load.run.work_order,
            rows_removed=committed.rows_removed if committed else 0,
        )
        return outcome, decision

    def _check_right(self, load: _Load) -> None:
        """That the person on whose word this happens may still say it. Raises GrantRefused, RunGrantElsewhere,
        NotPermitted, PersonRemoved, PolicyUnknown."""
        grant = self._world.grants.run(load.run.run_grant)
        who = starter(grant, load.run.name, load.run.dataset)
        self._world.policy.decider().authorize(who, "load.start", Resource.of_dataset(load.run.dataset))

    def _in_lake(self, load: _Load) -> bool:
        """Whether anything of the batch is committed: then its decision is final."""
        tables: tuple[TableKind, ...] = ("rows", "quarantine")
        for kind in tables:
            try:
                table = self._world.lake.load(load.run.dataset, kind)
            except TableNotFound:
                continue
            if find_batch(table, load.run.batch) is not None:
                return True
        return False

    async def _decision(self, load: _Load) -> Decision:
        async with self._world.database.transaction(Scope.department(load.run.department)) as connection:
            kept = await batches.decision(connection, load.run.batch)
        assert kept is not None, "nothing of a batch is committed before its decision is kept"
        return kept

    async def _decide(self, load: _Load) -> Decision:
        if load.run.replay:
            return await self._decide_replay(load)
        if load.run.work_order:
            return await self._decide_correction(load)
        earlier = await self._earlier(load.run)
        decided, heading = await self._in_thread(lambda: self._decide_files(load, earlier))
        async with self._world.database.transaction(Scope.department(load.run.department)) as connection:
            await batches.decide(connection, load.run.batch, decided, heading)
        return decided

    async def _decide_replay(self, load: _Load) -> Decision:
        """Decision and taken rows in one transaction: the rows that come in are exactly those taken."""
        run = load.run
        scope, place = Scope.department(run.department), Place(run.department, run.dataset)
        staged, target = await self._in_thread(lambda: self._copied(load))
        judged = await self._in_thread(lambda: self._judge_replay(load, staged, target))
        async with self._world.database.transaction(scope) as connection:
            await quarantined_rows.give_back(connection, run.run)  # of an earlier try
            known = await quarantined_rows.entries(connection, run.dataset, replays.rows_of(judged))
        verdict = replays.decide(judged, known, load.schema.key)
        accepted = None
        if staged.accepted is not None and verdict.taken:
            file, unwanted = staged.accepted, verdict.unwanted
            accepted = await self._in_thread(lambda: replay_files.write_accepted(file, unwanted, target))
        decided = await self._in_thread(lambda: self._kept(run, verdict.decision(accepted)))
        async with self._world.database.transaction(scope) as connection:
            await replays.take(connection, place, run.run, verdict, self._world.now())
            await batches.decide(connection, run.batch, decided, b"")
        return decided

    async def _decide_correction(self, load: _Load) -> Decision:
        """Nobody else commits to the dataset meanwhile: what the lines are held against stays as it is."""
        run = load.run
        staged, target = await self._in_thread(lambda: self._copied(load))
        judged = await self._in_thread(
            lambda: correction_files.judge(self._world.lake, staged, target, run.work_order)
        )
        accepted = None
        if (file := staged.accepted) is not None and len(judged.unwanted) < file.rows:
            accepted = await self._in_thread(
                lambda: replay_files.write_accepted(file, judged.unwanted, target)
            )
        decided = await self._in_thread(lambda: self._kept(run, judged.decision(accepted)))
        async with self._world.database.transaction(Scope.department(run.department)) as connection:
            await batches.decide(connection, run.batch, decided, b"")
        return decided

    def _judge_replay(
        self, load: _Load, staged: final_files.Staged, target: final_files.Target
    ) -> replay_files.Judged:
        with self._world.staging.opened(load.run.department, load.run.upload_path) as source:
            return replay_files.judge(self._world.lake, staged, target, source)

    def _copied(self, load: _Load) -> tuple[final_files.Staged, final_files.Target]:
        """The worker's files where only ingestion writes, and where they go."""
        run, staging = load.run, self._world.staging
        folder = staging.own(run.department, run.run)

        def copied(name: str) -> StagedFile | None:
            if not load.manifest.HasField(name):  # type: ignore[arg-type]  # one of three names
                return None
            file: worker_pb2.StagedFile = getattr(load.manifest, name)
            target = StagedFile(
                f"file://{folder}/{name}.parquet", int(file.rows), int(file.size_bytes), file.sha256
            )
            staging.copy(run.department, file.path, target)
            return target

        staged = final_files.Staged(copied("accepted"), copied("positions"), copied("refused"))
        target = final_files.Target(
            run.dataset, load.schema, run.batch, run.file_name, run.upload_sha256, folder, run.mode
        )
        return staged, target

    async def _earlier(self, run: StoredRun) -> Earlier | None:
        """The refused rows that a pull may bring again: one that appends reads each row once. What was repaired is
        known for ever, but where all rows are replaced its repair is gone, and it is held again."""
        if not run.source or run.mode is LoadMode.APPEND:
            return None
        async with self._world.database.transaction(Scope.department(run.department)) as connection:
            known = await batches.refused_of_source(connection, run.dataset, run.source)
            if run.mode is not LoadMode.REPLACE:
                return Earlier(known)
            replayed = await quarantined_rows.names(connection, run.dataset, RowState.REPLAYED)
        return Earlier(known, tuple(map(str, replayed)))

    def _decide_files(self, load: _Load, earlier: Earlier | None) -> tuple[Decision, bytes]:
        run, staging = load.run, self._world.staging
        staged, target = self._copied(load)
        target = replace(target, earlier=earlier, latest=keep_latest(run.contract))
        with staging.opened(run.department, run.upload_path) as source:
            decided = final_files.decide(self._world.lake, staged, target, source)
            return self._kept(run, decided), final_files.heading(source, run.contract.format)

    def _kept(self, run: StoredRun, decided: Decision) -> Decision:
        """Its files where any process finds them."""

        def kept(file: StagedFile | None) -> StagedFile | None:
            return file and self._world.staging.keep(run.department, run.run, file)

        return replace(decided, accepted=kept(decided.accepted), refused=kept(decided.refused))

    def _write(self, load: _Load, decision: Decision) -> CommittedVersion | None:
        """Both tables; what is in already stays. Answers the version of the rows."""
        committed = None
        if decision.accepted is not None:
            committed = self._write_table(load, load.schema, decision.accepted, "rows")
        if decision.refused is not None:
            self._write_table(load, QUARANTINE_SCHEMA, decision.refused, "quarantine")
        return committed

    def _write_table(
        self, load: _Load, schema: TableSchema, file: StagedFile, table: TableKind
    ) -> CommittedVersion:
        def step(reached: CommitStep) -> None:
            if table == "rows" and reached in _STEPS:
                self._world.on_step(_STEPS[reached])

        return commit_batch(
            self._world.lake,
            load.run.dataset,
            schema,
            load.run.batch,
            [file],
            properties={
                "contract-version": str(load.run.contract_version),
                "run": load.run.name,
                "source-sha256": load.run.upload_sha256,
            },
            table=table,
            mode=load.run.mode if table == "rows" else LoadMode.APPEND,
            settled=True,  # they lie in a folder of `Staging.own`
            on_step=step,
        )

    async def _tell(self, load: _Load, outcome: Outcome, decision: Decision) -> None:
        """Run, batch and event in one transaction."""
        run = load.run
        warnings = [*run.warnings, *decision.warnings]
        if not outcome.version:
            refused = NOTHING_CORRECTED if run.work_order else ALL_REFUSED
            warnings.append(refused if decision.rows_refused else NOTHING_READ)
        state = BatchState.COMMITTED if outcome.version else BatchState.REFUSED
        event = NewEvent(outcome.type, outcome.subject, outcome.data, run.principal)
        async with self._world.database.transaction(Scope.department(run.department)) as connection:
            await runs.save(
                connection,
                run.run,
                run.standing.succeed(),
                version=outcome.version,
                rows_removed=outcome.rows_removed,
                rows_read=decision.rows_accepted + decision.rows_refused,
                rows_accepted=decision.rows_accepted,
                rows_refused=decision.rows_refused,
                rows_held_already=decision.held_already,
                refused_by_reason=dict(decision.refused_by_reason),
                warnings=warnings,
                end_time=self._world.now(),
            )
            await batches.end(connection, run.batch, state, outcome.version)
            await pull_succeeded(connection, run, run.pulled.cursor, self._world.now())
            await self._world.outbox.write(connection, event)
            await after_commit(connection, run.dataset, outcome.version)
            if run.replay:
                await self._tell_replayed(connection, run, outcome.version)

    async def _tell_replayed(self, connection: AsyncConnection, run: StoredRun, version: int) -> None:
        rows = await quarantined_rows.finish(connection, run.run, version, self._world.now())
        if rows:
            data: dict[str, object] = {
                "dataset": run.dataset,
                "run": run.name,
                "batch": run.batch,
                "version": version,
                "rows": rows,
            }
            event = NewEvent(ROW_REPLAYED, f"{run.dataset}/versions/{version}", data, run.principal)
            await self._world.outbox.write(connection, event)

    async def _may_fail(self, load: _Load, error: Exception) -> bool:
        """Whether the run may end with this error. What has begun to be in the lake is carried through."""
        passing = not isinstance(error, PlazaError) or isinstance(error, _PASSING)
        if passing:
            _log.warning("commit failed, will be tried again", run=load.run.name, exc_info=error)
            if await self._count_failure(load) < MAX_FAILURES:
                return False
        return not await self._in_thread(lambda: self._in_lake(load))

    async def _count_failure(self, load: _Load) -> int:
        async with self._world.database.transaction(Scope.department(load.run.department)) as connection:
            count = load.run.commit_failures + 1
            await runs.save(connection, load.run.run, load.run.standing, commit_failures=count)
        return count

    async def _fail(self, load: _Load, error: Exception) -> None:
        if isinstance(error, PlazaError):
            said = pb.RunError(reason=error.reason, message=error.message, remedy=error.remedy)
        else:
            said = pb.RunError(
                reason="COMMIT_FAILED",
                message=f"the load could not be committed in {MAX_FAILURES} tries; nothing of it is in the table",
                remedy="ask the platform's administrators to look into ingestion's log, then load it again",
            )
        async with self._world.database.transaction(Scope.department(load.run.department)) as connection:
            await end_failed(connection, load.run, load.run.standing.fail(), said, self._world.now())

    async def _find(self, department: str, run: str) -> StoredRun | None:
        async with self._world.database.transaction(Scope.department(department)) as connection:
            return await runs.find(connection, department, run)

    @asynccontextmanager
    async def _alone(self, dataset: str) -> AsyncIterator[None]:
        """One commit for a dataset at a time, also when a job was taken over from a process that is only slow:
        between the look for duplicates and the commit nobody else may add rows."""
        async with self._world.database.transaction(Scope.everything()) as connection:
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended(:dataset, 0))"), {"dataset": dataset}
            )
            yield

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Blocking work. A cancelled job still waits for it: the lock must outlive what it protects."""
        task = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise
