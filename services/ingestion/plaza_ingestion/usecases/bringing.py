"""Taking over the file that a worker fetched from a source."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

from plaza.ingestion.v1 import worker_pb2
from plaza_kit.db import Scope
from plaza_kit.errors import FailedPrecondition
from plaza_kit.rpc.context import caller
from plaza_kit.rpc.file_stream import EmptyFile, FileTooLarge
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_ingestion.domain.batches import BatchIdentity
from plaza_ingestion.domain.load_step import PullStep
from plaza_ingestion.domain.manifest import check_pulled_path, output_path
from plaza_ingestion.domain.runs import LeaseToken, RunKind
from plaza_ingestion.domain.sources import is_unchanged
from plaza_ingestion.domain.uploads import safe_name
from plaza_ingestion.storage import batches, runs, sources, uploads
from plaza_ingestion.storage.runs import StoredRun
from plaza_ingestion.storage.staging import LookedAt, StagedFileChanged
from plaza_ingestion.usecases.leases import held
from plaza_ingestion.usecases.ports import World
from plaza_ingestion.usecases.pull_ends import pull_succeeded, source_of

_SLOWEST_BYTES_A_SECOND: Final = 50_000_000
_LONGEST_LOOK_SECONDS: Final = 900.0


class NoPull(FailedPrecondition):
    """The run has its file already, or was never a pull."""


class Bringing:
    """The use case of workers that fetch."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def complete(self, request: worker_pb2.CompletePullRequest) -> None:
        """The file becomes an upload, the run's batch is claimed, and the run waits for its load, in one
        transaction; or the run ends as unchanged. Raises LeaseLost, NoPull, WrongKind, PathOutsideLease,
        StagedFileMissing, NotAPlainFile, StagedFileChanged, EmptyFile, FileTooLarge. The same again is harmless.
        """
        scope = Scope.of(caller())
        async with self._world.database.transaction(scope) as connection:
            run = await self._held(connection, request.lease)
            if _has_taken(run, request):
                return
            _check(run, request)
            # Hashing takes its time, and meanwhile nobody renews the lease.
            standing = run.standing.renew(LeaseToken(request.lease), self._until(request))
            await runs.save(connection, run.run, standing)
        looked = await self._look(run, request) if request.HasField("file") else None
        async with self._world.database.transaction(scope) as connection:
            run = await self._held(connection, request.lease)
            if _has_taken(run, request):
                return
            ended = await self._take(connection, run, request, looked)
        self._world.on_pull_step(PullStep.ADOPTED)
        if ended:
            await asyncio.to_thread(self._world.staging.forget, run.department, run.run)

    def _until(self, request: worker_pb2.CompletePullRequest) -> datetime:
        seconds = self._world.lease_seconds + request.file.size_bytes / _SLOWEST_BYTES_A_SECOND
        return self._world.now() + timedelta(seconds=min(seconds, _LONGEST_LOOK_SECONDS))

    async def _held(self, connection: AsyncConnection, lease: str) -> StoredRun:
        return await held(self._world, connection, lease, RunKind.LOAD)

    async def _look(self, run: StoredRun, request: worker_pb2.CompletePullRequest) -> LookedAt:
        """Raises StagedFileChanged, EmptyFile, FileTooLarge, and as `Staging.look`."""
        file = request.file
        check_pulled_path(file.path, output_path(run.run, request.lease))
        staging, limit = self._world.staging, self._world.upload_limit_bytes
        looked = await asyncio.to_thread(
            staging.look, run.department, file.path, _upload_path(run, request.file_name)
        )
        found = looked.received
        if (found.size_bytes, found.sha256) != (file.size_bytes, file.sha256):
            raise StagedFileChanged(
                f"{file.path} has {found.size_bytes} bytes with SHA-256 {found.sha256}, the worker says"
                f" {file.size_bytes} with {file.sha256}",
                remedy="pull it again",
            )
        if not found.size_bytes:
            raise EmptyFile("the source gave no bytes", remedy="see what its address answers")
        if found.size_bytes > limit:
            less = "let the source give less at once, or ask the platform's administrators for a higher limit"
            raise FileTooLarge("what the source gave", limit, less)
        return looked

    async def _take(
        self,
        connection: AsyncConnection,
        run: StoredRun,
        request: worker_pb2.CompletePullRequest,
        looked: LookedAt | None,
    ) -> bool:
        """Whether the run has ended with it."""
        source = await sources.find(connection, source_of(run), lock=True)
        assert source is not None, "sources are not removed"
        news = looked is not None and not is_unchanged(
            source.cursor, run.contract_version, looked.received.sha256
        )
        if looked is not None and news:
            await self._adopt(connection, run, request, looked)
            return False
        now = self._world.now()
        await runs.save(
            connection,
            run.run,
            run.standing.finish(LeaseToken(request.lease)),
            pulled=request,
            unchanged=True,
            warnings=list(request.warnings),
            end_time=now,
        )
        await pull_succeeded(connection, run, request.cursor, now)
        return True

    async def _adopt(
        self,
        connection: AsyncConnection,
        run: StoredRun,
        request: worker_pb2.CompletePullRequest,
        looked: LookedAt,
    ) -> None:
        """While the run is held, so that no other lease's file can come between. What is cut off here is found
        again by the next try: the place of the upload is the run's."""
        path, now = _upload_path(run, request.file_name), self._world.now()
        path = await asyncio.to_thread(
            self._world.staging.adopt, run.department, request.file.path, path, looked
        )
        self._world.on_pull_step(PullStep.MOVED)
        upload = uploads.Upload(
            upload=run.run,
            department=run.department,
            file_name=request.file_name or "file",
            path=path,
            size_bytes=looked.received.size_bytes,
            sha256=looked.received.sha256,
            principal=run.principal,
            create_time=now,
        )
        await uploads.insert(connection, upload)
        # The run itself tells pulls apart: the same bytes may rightly come again after others.
        identity = BatchIdentity(run.dataset, upload.sha256, run.contract_version, run.run, run.mode)
        known = await batches.claim(
            connection, identity, department=run.department, run=run.run, reload_reason="", now=now
        )
        assert known is None, "the batch of a pull is its run's alone"
        await runs.save(
            connection,
            run.run,
            run.standing.bring(LeaseToken(request.lease)),
            pulled=request,
            upload=upload.upload,
            batch=identity.id,
            bytes_done=0,
            warnings=list(request.warnings),
        )


def _has_taken(run: StoredRun, request: worker_pb2.CompletePullRequest) -> bool:
    return run.pulled.lease == request.lease


def _check(run: StoredRun, request: worker_pb2.CompletePullRequest) -> None:
    """Raises LeaseLost, NoPull."""
    run.standing.bring(LeaseToken(request.lease))
    if not run.fetches:
        raise NoPull(f"{run.name} waits for no file to be fetched", remedy="hand it back as a load")


def _upload_path(run: StoredRun, file_name: str) -> str:
    return f"uploads/{run.run}/{safe_name(file_name)}"
