"""Starting pulls: by hand, and those whose time has come on behalf of the department's own machine."""

from __future__ import annotations

import asyncio

import grpc
import uuid_utils.compat as uuid
from google.rpc import error_details_pb2
from plaza.ingestion.v1 import ingestion_pb2
from plaza.ingestion.v1 import sources_pb2 as pb
from plaza_kit import telemetry
from plaza_kit.db import Scope
from plaza_kit.db.requests import is_first, made_by
from plaza_kit.errors import Aborted, PlazaError
from plaza_kit.identity import Principal
from plaza_kit.policy import Resource
from plaza_kit.rpc.context import caller
from plaza_kit.rpc.status import REMEDY, status_of
from plaza_lake.overwrite import LoadMode, UpsertWithoutKey
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_ingestion.domain.runs import RunId, RunKind
from plaza_ingestion.domain.schedules import next_time
from plaza_ingestion.domain.sources import MODES, SourceName, SourceState, pulled_contract
from plaza_ingestion.domain.table_schema import table_schema
from plaza_ingestion.storage import runs, sources
from plaza_ingestion.storage.sources import StoredSource
from plaza_ingestion.usecases import source_words as words
from plaza_ingestion.usecases.ports import World, unknown_run
from plaza_ingestion.usecases.pull_ends import mark_failing
from plaza_ingestion.usecases.sources import found
from plaza_ingestion.usecases.starting import check_table

_log = telemetry.log("pulling")


class SourceChangedMeanwhile(Aborted):
    """Somebody changed the source, or its time was taken, while its pull was being started."""


class Pulling:
    """Use cases that make runs of pulls."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def pull(self, request: pb.PullSourceRequest) -> ingestion_pb2.Run:
        """By hand. While a pull is under way, that one. Raises UnknownSource, SourcePaused,
        SourceChangedMeanwhile, UpsertWithoutKey, SchemaConflict, NotPermitted, RequestIdReused, and what
        catalogue and security refuse."""
        name = SourceName.parse(request.name)
        reader = self._world.policy.authorize("source.read", Resource.of_department(name.department))
        async with self._world.database.transaction(Scope.of(reader)) as connection:
            source = await found(connection, name)
        return await self._start(source, request)

    async def start_due(self, department: str) -> None:
        """Every pull of a department whose time has come, with the right of the calling machine: the one who
        started it is asked for again when it commits. What hinders one is written on its source."""
        while True:
            now, scope = self._world.now(), Scope.of(caller())
            async with self._world.database.transaction(scope) as connection:
                name = await sources.due(connection, department, now)
                source = await sources.find(connection, name) if name is not None else None
            if source is None:
                return
            try:
                await self._start(source, None)
            except SourceChangedMeanwhile:
                return
            except (PlazaError, grpc.aio.AioRpcError) as error:
                said = _run_error(error)
                _log.warning("a due pull could not be started", source=str(source.name), reason=said.reason)
                async with self._world.database.transaction(scope) as connection:
                    current = await found(connection, source.name, lock=True)
                    await mark_failing(connection, current, said, now)

    async def _start(self, source: StoredSource, request: pb.PullSourceRequest | None) -> ingestion_pb2.Run:
        """`request`: None when its time has come."""
        wanted, name = source.definition, source.name
        principal = self._world.policy.authorize("load.start", Resource.of_dataset(wanted.dataset))
        if source.state is SourceState.PAUSED:
            raise words.SourcePaused(f"{name} is paused", remedy="resume it, then pull it")
        force = await self._world.catalogue.contract(wanted.dataset)
        schema = table_schema(force.contract)
        # Said now, not after the worker has fetched the whole file.
        await asyncio.to_thread(check_table, self._world.lake, wanted.dataset, schema)
        if MODES[wanted.mode] is LoadMode.UPSERT and not force.contract.key:
            raise UpsertWithoutKey(wanted.dataset)
        run = RunId(str(uuid.uuid7()))
        grant = await self._world.security.run_grant(
            f"departments/{name.department}/runs/{run}", wanted.dataset
        )
        new = runs.NewRun(
            run=run,
            department=name.department,
            kind=RunKind.LOAD,
            upload=None,
            principal=principal.name,
            started_by=principal.display_name,
            create_time=self._world.now(),
            dataset=wanted.dataset,
            contract=pulled_contract(wanted, force.contract),
            contract_version=force.version,
            run_grant=grant,
            mode=MODES[wanted.mode],
            source=name.source,
        )
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            return await self._insert(connection, source, request, principal, new)

    async def _insert(
        self,
        connection: AsyncConnection,
        source: StoredSource,
        request: pb.PullSourceRequest | None,
        principal: Principal,
        new: runs.NewRun,
    ) -> ingestion_pb2.Run:
        name, now = source.name, new.create_time
        current = await found(connection, name, lock=True)
        under_way = await runs.open_pull(connection, name.department, name.source)
        if request is not None:
            answer = under_way.run if under_way is not None else new.run
            place = (name.department, f"departments/{name.department}/runs/{answer}")
            if not await is_first(connection, principal, request.request_id, request, place):
                made = await made_by(connection, principal, request.request_id)
                return await _found_run(connection, name.department, made.rpartition("/")[2])
        if under_way is not None:
            return under_way.pb
        taken = request is None and (current.next_pull_time is None or current.next_pull_time > now)
        if current.revision != source.revision or taken:
            raise SourceChangedMeanwhile(f"{name} was changed just now", remedy="pull it again")
        await runs.insert(connection, new)
        scheduled = current.definition.HasField("schedule")
        await sources.save(
            connection,
            name,
            last_run=new.run,
            next_pull_time=next_time(current.definition.schedule, now) if scheduled else None,
        )
        return await _found_run(connection, name.department, new.run)


async def _found_run(connection: AsyncConnection, department: str, run: str) -> ingestion_pb2.Run:
    made = await runs.find(connection, department, run)
    if made is None:
        raise unknown_run(f"departments/{department}/runs/{run}")
    return made.pb


def _run_error(error: PlazaError | grpc.aio.AioRpcError) -> ingestion_pb2.RunError:
    """The words of an error, as they stand on a run."""
    if isinstance(error, PlazaError):
        return ingestion_pb2.RunError(reason=error.reason, message=error.message, remedy=error.remedy)
    status, info = status_of(error), error_details_pb2.ErrorInfo()
    for detail in status.details:
        detail.Unpack(info)
    return ingestion_pb2.RunError(
        reason=info.reason or error.code().name, message=status.message, remedy=info.metadata.get(REMEDY, "")
    )
