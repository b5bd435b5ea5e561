"""The job `build`: files, events, proofs, publication. It may be killed anywhere and run again from the start:
what is recorded is taken up, what is not is done again and comes out the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from plaza_kit import telemetry
from plaza_kit.db import Scope
from plaza_kit.db.outbox import NewEvent
from plaza_kit.errors import DataLoss, Unavailable
from plaza_kit.streams import in_thread
from plaza_kit.tlog.proof import FileProof
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_opendata.domain.proofs import check_proof
from plaza_opendata.domain.releases import ReleaseName, State, csv_name, parquet_name
from plaza_opendata.storage import builds, portal, releases, rows
from plaza_opendata.storage.file_build import BuiltFiles, FileBuild
from plaza_opendata.storage.files import FileDamaged
from plaza_opendata.storage.rows import FileRecord, Row
from plaza_opendata.usecases.failures import is_permanent, words
from plaza_opendata.usecases.ports import FILE_PUBLISHED, PUBLISHED, World
from plaza_opendata.usecases.releases import withdrawn_event

_log = telemetry.log("build")

MAX_FAILURES: Final = 20
"""So often may a build fail before its event is written. What the ledger knows already is never given up."""
RENEW_SECONDS: Final = 20.0
"""A read grant lives for a minute at most."""
_PAUSE: Final = 2.0
_LEDGER: Final = "security"
KEEPER: Final = "ingestion"
"""Keeps the versions that others depend on."""


class RowsMissing(DataLoss):
    """The lake has not as many rows of the version as the directory says."""


class NotInLedgerYet(Unavailable):
    """The event was delivered and the ledger does not show it yet."""


@dataclass(frozen=True, slots=True)
class _Work:
    """A build under way."""

    name: ReleaseName
    row: Row
    run_grant: str


@dataclass(frozen=True, slots=True)
class _Proof:
    """A file with its proof beside it."""

    file: FileRecord
    ledger_index: int
    size_bytes: int
    sha256: str


Recorded = Sequence[tuple[str, FileRecord]]
"""Files as recorded, each with the id of its event; the first is the one that the release's event is about."""


class Building:
    """Builds releases."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def build(self, release: str, approval: str = "") -> None:
        """One attempt at a release that is approved; nothing for any other. What is worth another try is
        raised; what is not is written on the release. `approval`: the event that pins the version; nothing is
        read before ingestion has it, so that the version cannot expire under a release."""
        work = await self._begin(ReleaseName.parse(release))
        if work is None:
            return
        if approval:
            await self._world.outbox.delivered(approval, [KEEPER])
        try:
            recorded = await self._files(work)
            await self._publish(work, [await self._prove(work, *each) for each in recorded])
        except Exception as error:
            if not (is_permanent(error) or await self._gives_up(work.name)):
                raise
            _log.error("release failed", release=release, exc_info=error)
            await self._fail(work, words(error))
        self._world.outbox.wake()

    async def _begin(self, name: ReleaseName) -> _Work | None:
        async with self._world.database.transaction(Scope.everything()) as connection:
            run_grant = await builds.run_grant(connection, name)
            row = await releases.find(connection, name)
        if run_grant is None or row is None or rows.state_of(row) is not State.APPROVED:
            return None
        return _Work(name, row, run_grant)

    def _path(self, work: _Work, file_name: str) -> Path:
        return self._world.store.path(work.name, file_name)

    async def _gives_up(self, name: ReleaseName) -> bool:
        async with self._world.database.transaction(Scope.everything()) as connection:
            failures = await builds.count_failure(connection, name)
            row = await releases.find(connection, name)
        return failures >= MAX_FAILURES and row is not None and row["event_id"] is None

    # The files

    async def _files(self, work: _Work) -> Recorded:
        """The files as recorded; after this they stay as they are."""
        async with self._world.database.transaction(Scope.everything()) as connection:
            recorded: Recorded = await releases.files(connection, work.name)
        if not recorded:
            recorded = await self._record(work, await self._write(work))
        files = [file for _, file in recorded]
        if not await asyncio.to_thread(self._all_held, work, files):
            again = {file.file_name: file.sha256 for file in (await self._write(work)).files}
            for file in files:
                if again[file.file_name] != file.sha256:
                    raise FileDamaged(
                        f"{file.file_name} was lost, and what was built again has other bytes",
                        remedy="make a new release",
                    )
        return recorded

    def _all_held(self, work: _Work, files: Sequence[FileRecord]) -> bool:
        holds = self._world.store.holds
        return all(holds(self._path(work, file.file_name), file.size_bytes, file.sha256) for file in files)

    async def _write(self, work: _Work) -> BuiltFiles:
        csv, parquet = (self._path(work, name_of(work.name)) for name_of in (csv_name, parquet_name))
        build = FileBuild(self._world.lake, self._world.verifier, self._world.store, csv, parquet)
        grant = await self._grant(work)
        renewing = asyncio.create_task(self._renew(work, build))
        try:
            async with aclosing(in_thread(lambda: build.run(grant))) as progress:
                async for _ in progress:
                    if renewing.done():
                        await renewing
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
        built = build.result
        assert built is not None, "the build came to its end"
        if built.rows != work.row["row_count"]:
            raise RowsMissing(
                f"version {work.row['version']} of {work.name.dataset} has {built.rows} rows in the lake,"
                f" {work.row['row_count']} in the directory",
                remedy="look for the reason in the runs of the dataset before releasing it",
            )
        return built

    async def _grant(self, work: _Work) -> str:
        return await self._world.security.read_grant(work.name.dataset, work.row["version"], work.run_grant)

    async def _renew(self, work: _Work, build: FileBuild) -> None:
        """Also while the first rows are still being sorted, which may take longer than a grant lives."""
        pause = RENEW_SECONDS
        while True:
            await asyncio.sleep(pause)
            try:
                build.renew(await self._grant(work))
                pause = RENEW_SECONDS
            except grpc.aio.AioRpcError as error:
                if is_permanent(error):
                    raise
                pause = _PAUSE

    async def _record(self, work: _Work, built: BuiltFiles) -> Recorded:
        """Files and events in one transaction: whoever comes second finds the events of the first."""
        async with self._world.database.transaction(Scope.everything()) as connection:
            row = await releases.find(connection, work.name, lock=True)
            assert row is not None, "releases are never deleted"
            if row["event_id"] is None:
                main, *others = built.files
                told = await self._world.outbox.write(connection, _published_event(work, built, main))
                await releases.record_build(connection, work.name, built.content_sha256, built.preview, told)
                await releases.record_file(connection, work.name, main, told)
                for file in others:
                    told = await self._world.outbox.write(connection, _file_event(work, file))
                    await releases.record_file(connection, work.name, file, told)
            return await releases.files(connection, work.name)

    # The proof

    async def _prove(self, work: _Work, event_id: str, file: FileRecord) -> _Proof:
        """Puts the proof beside the file. Only passing errors: what the ledger knows is not taken back because it
        could not be asked."""
        await self._world.outbox.delivered(event_id, [_LEDGER])
        try:
            found = await self._world.security.inclusion(event_id)
        except grpc.aio.AioRpcError as error:
            raise NotInLedgerYet(f"the ledger cannot be asked about event {event_id}") from error
        if found is None:
            raise NotInLedgerYet(f"event {event_id} is not in the ledger yet")
        proof = FileProof(found.leaf, found.index, found.tree_size, tuple(found.path), found.checkpoint)
        check_proof(proof, event_id, file.sha256)
        path = self._path(work, file.file_name)
        kept = await asyncio.to_thread(self._world.store.keep_proof, path, proof.to_json())
        return _Proof(file, found.index, *kept)

    # The end

    async def _publish(self, work: _Work, proofs: Sequence[_Proof]) -> None:
        ledger_index = proofs[0].ledger_index
        async with self._world.database.transaction(Scope.everything()) as connection:
            if not await self._still_approved(connection, work.name):
                return
            for proof in proofs:
                await releases.record_proof(
                    connection, work.name, proof.file.file_name, proof.size_bytes, proof.sha256
                )
            await releases.publish(connection, work.name, ledger_index, self._world.now())
            newest = await releases.published(connection, work.name.dataset)
            await portal.show(connection, work.name.dataset, newest)
            await builds.end(connection, work.name)
        _log.info("release published", release=str(work.name), ledger_index=ledger_index)

    async def _fail(self, work: _Work, error: str) -> None:
        async with self._world.database.transaction(Scope.everything()) as connection:
            if not await self._still_approved(connection, work.name):
                return
            row = await releases.find(connection, work.name, lock=True)
            latest = await releases.close(connection, work.name, State.FAILED, words=error)
            if row is not None and row["event_id"] is not None:
                # Others were told of a release that will never be: they are told the end of it too.
                event = withdrawn_event(work.name, error, latest, row["principal"])
                await self._world.outbox.write(connection, event)
            await builds.end(connection, work.name)

    async def _still_approved(self, connection: AsyncConnection, name: ReleaseName) -> bool:
        """Holds the dataset; another process may have ended the same build."""
        await releases.lock_dataset(connection, name.dataset)
        row = await releases.find(connection, name, lock=True)
        return row is not None and rows.state_of(row) is State.APPROVED


def _published_event(work: _Work, built: BuiltFiles, file: FileRecord) -> NewEvent:
    data: dict[str, object] = {
        **_told(work, file),
        "rows": built.rows,
        "content_sha256": built.content_sha256,
        "licence": work.row["licence"],
    }
    return NewEvent(PUBLISHED, str(work.name), data, work.row["principal"])


def _file_event(work: _Work, file: FileRecord) -> NewEvent:
    return NewEvent(FILE_PUBLISHED, str(work.name), _told(work, file), work.row["principal"])


def _told(work: _Work, file: FileRecord) -> dict[str, object]:
    return {
        "dataset": str(work.name.dataset),
        "release": str(work.name),
        "version": work.row["version"],
        "file_name": file.file_name,
        "sha256": file.sha256,
        "sm3": file.sm3,
        "size_bytes": file.size_bytes,
    }
