"""The job `build`: file, event, proof, publication. It may be killed anywhere and run again from the start:
what is recorded is taken up, what is not is done again and comes out the same."""

from __future__ import annotations

import asyncio
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
from plaza_opendata.domain.releases import ReleaseName, State, csv_name
from plaza_opendata.storage import builds, portal, releases, rows
from plaza_opendata.storage.csv_build import BuiltFile, CsvBuild
from plaza_opendata.storage.files import FileDamaged
from plaza_opendata.storage.rows import FileRecord, Row
from plaza_opendata.usecases.failures import is_permanent, words
from plaza_opendata.usecases.ports import PUBLISHED, World
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
    path: Path


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
            event_id, file = await self._file(work)
            ledger_index, proof = await self._prove(work, event_id, file)
            await self._publish(work, file, ledger_index, proof)
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
        return _Work(name, row, run_grant, self._world.store.path(name, csv_name(name)))

    async def _gives_up(self, name: ReleaseName) -> bool:
        async with self._world.database.transaction(Scope.everything()) as connection:
            failures = await builds.count_failure(connection, name)
            row = await releases.find(connection, name)
        return failures >= MAX_FAILURES and row is not None and row["event_id"] is None

    # The file

    async def _file(self, work: _Work) -> tuple[str, FileRecord]:
        """The event's id and the file as recorded; after this both stay as they are."""
        recorded = await self._recorded(work)
        if recorded is None:
            recorded = await self._record(work, await self._write(work))
        file = recorded[1]
        held = await asyncio.to_thread(self._world.store.holds, work.path, file.size_bytes, file.sha256)
        if not held:
            again = (await self._write(work)).file
            if (again.size_bytes, again.sha256) != (file.size_bytes, file.sha256):
                raise FileDamaged(
                    f"{work.path.name} was lost, and what was built again has other bytes",
                    remedy="make a new release",
                )
        return recorded

    async def _recorded(self, work: _Work) -> tuple[str, FileRecord] | None:
        if work.row["event_id"] is None:
            return None
        async with self._world.database.transaction(Scope.everything()) as connection:
            file = await releases.file(connection, work.name, work.path.name)
        return None if file is None else (str(work.row["event_id"]), file)

    async def _write(self, work: _Work) -> BuiltFile:
        build = CsvBuild(self._world.lake, self._world.verifier, self._world.store, work.path)
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

    async def _renew(self, work: _Work, build: CsvBuild) -> None:
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

    async def _record(self, work: _Work, built: BuiltFile) -> tuple[str, FileRecord]:
        """File and event in one transaction: whoever comes second finds the event of the first."""
        async with self._world.database.transaction(Scope.everything()) as connection:
            row = await releases.find(connection, work.name, lock=True)
            assert row is not None, "releases are never deleted"
            if row["event_id"] is not None:
                first = await releases.file(connection, work.name, work.path.name)
                assert first is not None, "it was recorded with the event"
                return str(row["event_id"]), first
            event = _published_event(work, built)
            event_id = await self._world.outbox.write(connection, event)
            await releases.record_file(
                connection, work.name, built.file, built.content_sha256, built.preview, event_id
            )
        return event_id, built.file

    # The proof

    async def _prove(self, work: _Work, event_id: str, file: FileRecord) -> tuple[int, tuple[int, str]]:
        """The ledger's index, and size and SHA-256 of the proof beside the file. Only passing errors: what the
        ledger knows is not taken back because it could not be asked."""
        await self._world.outbox.delivered(event_id, [_LEDGER])
        try:
            found = await self._world.security.inclusion(event_id)
        except grpc.aio.AioRpcError as error:
            raise NotInLedgerYet(f"the ledger cannot be asked about event {event_id}") from error
        if found is None:
            raise NotInLedgerYet(f"event {event_id} is not in the ledger yet")
        proof = FileProof(found.leaf, found.index, found.tree_size, tuple(found.path), found.checkpoint)
        check_proof(proof, event_id, file.sha256)
        kept = await asyncio.to_thread(self._world.store.keep_proof, work.path, proof.to_json())
        return found.index, kept

    # The end

    async def _publish(
        self, work: _Work, file: FileRecord, ledger_index: int, proof: tuple[int, str]
    ) -> None:
        async with self._world.database.transaction(Scope.everything()) as connection:
            if not await self._still_approved(connection, work.name):
                return
            await releases.record_proof(connection, work.name, file.file_name, *proof)
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


def _published_event(work: _Work, built: BuiltFile) -> NewEvent:
    data: dict[str, object] = {
        "dataset": str(work.name.dataset),
        "release": str(work.name),
        "version": work.row["version"],
        "file_name": built.file.file_name,
        "sha256": built.file.sha256,
        "size_bytes": built.file.size_bytes,
        "rows": built.rows,
        "content_sha256": built.content_sha256,
        "licence": work.row["licence"],
    }
    return NewEvent(PUBLISHED, str(work.name), data, work.row["principal"])
