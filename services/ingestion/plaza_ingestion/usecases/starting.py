"""Asking for work: an inference, or a load as one batch."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import uuid_utils.compat as uuid
from google.protobuf.message import Message
from plaza.ingestion.v1 import corrections_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.db.requests import is_first, made_by
from plaza_kit.errors import InvalidArgument
from plaza_kit.identity import Principal
from plaza_kit.names import DatasetName, DepartmentId, parse_department
from plaza_kit.policy import Resource
from plaza_lake.evolution import check_evolution
from plaza_lake.overwrite import LoadMode, UpsertWithoutKey
from plaza_lake.schema import TableSchema
from plaza_lake.tables import Lake, TableNotFound
from plaza_lake.tables import table_schema as schema_of
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_ingestion.domain.batches import AlreadyIngested, BatchIdentity
from plaza_ingestion.domain.corrections import NoKey, WorkOrderClosed
from plaza_ingestion.domain.pulled_times import TimesAmbiguous, contract_of_database
from plaza_ingestion.domain.quarantine import replay_contract
from plaza_ingestion.domain.runs import RunId, RunKind
from plaza_ingestion.domain.table_schema import table_schema
from plaza_ingestion.storage import batches, runs, sources, uploads
from plaza_ingestion.usecases.ports import ContractInForce, UnknownUpload, UploadExpired, World, unknown_run


class UploadElsewhere(InvalidArgument):
    """The upload belongs to another department than the dataset."""


_MODES: Final = {
    pb.LOAD_MODE_UNSPECIFIED: LoadMode.APPEND,
    pb.LOAD_MODE_APPEND: LoadMode.APPEND,
    pb.LOAD_MODE_REPLACE: LoadMode.REPLACE,
    pb.LOAD_MODE_UPSERT: LoadMode.UPSERT,
}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A load that somebody asks for."""

    dataset: DatasetName
    upload: str
    request_id: str
    request: Message
    """As it came: what a repetition must be equal to."""
    mode: LoadMode = LoadMode.APPEND
    replay: bool = False
    reload_reason: str = ""
    entry: str = ""
    """Of an archive: the file in it to load."""
    work_order: str = ""
    """Whose rows it corrects."""
    closed: bool = False
    """That work order; a repetition of what was asked before still has its answer."""

    @property
    def has_names(self) -> bool:
        """Whether its rows name others: a repair, or a correction."""
        return self.replay or bool(self.work_order)


class Starting:
    """Use cases that make runs."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def infer(self, request: pb.InferContractRequest) -> pb.Run:
        """Raises UnknownUpload, UploadExpired, NotPermitted."""
        department = _department_of(request.upload)
        principal = self._world.policy.authorize("infer.start", Resource.of_department(department))
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            upload = await _upload(connection, request.upload)
            run = RunId(str(uuid.uuid7()))
            new = self._new(run, department, RunKind.INFER, upload.upload, principal)
            await runs.insert(
                connection,
                replace(new, missing_values=tuple(request.missing_values), entry=request.entry),
            )
            return await _found(connection, department, run)

    async def ingest(self, request: pb.IngestUploadRequest) -> pb.Run:
        """Raises UnknownUpload, UploadExpired, UploadElsewhere, AlreadyIngested, UpsertWithoutKey, SchemaConflict,
        NotPermitted, RequestIdReused, and what catalogue and security refuse."""
        return await self._start(
            _Wanted(
                DatasetName.parse(request.dataset),
                request.upload,
                request.request_id,
                request,
                _MODES[request.mode],
                reload_reason=request.reload_reason,
                entry=request.entry,
            )
        )

    async def replay(self, request: pb.ReplayQuarantineRequest) -> pb.Run:
        """Raises as `ingest`, and ReservedColumn."""
        dataset = DatasetName.parse(request.dataset)
        return await self._start(_Wanted(dataset, request.upload, request.request_id, request, replay=True))

    async def correct(self, request: corrections_pb2.CorrectRowsRequest) -> pb.Run:
        """Raises as `ingest`, ReservedColumn, WorkOrderClosed, NoKey, and what quality refuses."""
        order = await self._world.quality.work_order(request.work_order)
        return await self._start(
            _Wanted(
                DatasetName.parse(order.dataset),
                request.upload,
                request.request_id,
                request,
                LoadMode.UPSERT,
                work_order=request.work_order,
                closed=order.closed,
            )
        )

    async def repair(
        self, dataset: DatasetName, upload: str, request: pb.RepairQuarantinedRowRequest
    ) -> pb.Run:
        """The replay of a file that was made for one row. Raises as `replay`."""
        return await self._start(_Wanted(dataset, upload, request.request_id, request, replay=True))

    async def _start(self, wanted: _Wanted) -> pb.Run:
        dataset = wanted.dataset
        if _department_of(wanted.upload) != dataset.department:
            raise UploadElsewhere(
                f"upload: {wanted.upload} is not of the department of {dataset}",
                remedy="upload the file for the dataset's own department",
            )
        principal = self._world.policy.authorize("load.start", Resource.of_dataset(str(dataset)))
        force = await self._world.catalogue.contract(str(dataset))
        if wanted.work_order and not force.contract.key:
            raise NoKey(str(dataset))
        # Said now, not after the worker has read the whole file.
        await asyncio.to_thread(check_table, self._world.lake, str(dataset), table_schema(force.contract))
        if wanted.mode is LoadMode.UPSERT and not force.contract.key:
            raise UpsertWithoutKey(str(dataset))
        if wanted.has_names:
            replay_contract(force.contract)
        run = RunId(str(uuid.uuid7()))
        name = f"departments/{dataset.department}/runs/{run}"
        grant = await self._world.security.run_grant(name, str(dataset))
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            place = (dataset.department, name)
            if not await is_first(connection, principal, wanted.request_id, wanted.request, place):
                made = await made_by(connection, principal, wanted.request_id)
                return await _found(connection, dataset.department, made.rpartition("/")[2])
            await self._insert(connection, wanted, run, principal, force, grant)
            return await _found(connection, dataset.department, run)

    async def _insert(
        self,
        connection: AsyncConnection,
        wanted: _Wanted,
        run: RunId,
        principal: Principal,
        force: ContractInForce,
        grant: str,
    ) -> None:
        if wanted.closed:
            raise WorkOrderClosed(
                f"{wanted.work_order} is closed",
                remedy="load the rows as any others, if they must be changed",
            )
        upload = await _upload(connection, wanted.upload)
        dataset, nonce = wanted.dataset, str(run) if wanted.reload_reason else wanted.work_order
        identity = BatchIdentity(
            str(dataset), upload.sha256, force.version, nonce, wanted.mode, wanted.replay, wanted.entry
        )
        known = await batches.claim(
            connection,
            identity,
            department=dataset.department,
            run=run,
            reload_reason=wanted.reload_reason,
            now=self._world.now(),
        )
        if known is not None:
            raise AlreadyIngested(
                f"departments/{dataset.department}/runs/{known.run}",
                identity.id,
                known.version,
                again="get the work order's correction file anew, and correct that"
                if wanted.work_order
                else "",
                replay=wanted.replay,
            )
        contract = force.contract
        if wanted.has_names and await sources.pulls_database(connection, dataset):
            with suppress(TimesAmbiguous):  # then no pull of it has come in under this contract
                contract = contract_of_database(contract)
        new = self._new(run, dataset.department, RunKind.LOAD, upload.upload, principal)
        await runs.insert(
            connection,
            replace(
                new,
                dataset=str(dataset),
                batch=identity.id,
                contract=contract,
                contract_version=force.version,
                run_grant=grant,
                mode=wanted.mode,
                replay=wanted.replay,
                entry=wanted.entry,
                work_order=wanted.work_order,
            ),
        )

    def _new(
        self, run: RunId, department: DepartmentId, kind: RunKind, upload: str, principal: Principal
    ) -> runs.NewRun:
        return runs.NewRun(
            run=run,
            department=department,
            kind=kind,
            upload=upload,
            principal=principal.name,
            started_by=principal.display_name,
            create_time=self._world.now(),
        )


def check_table(lake: Lake, dataset: str, wanted: TableSchema) -> None:
    """That the table can follow the contract in force. Raises SchemaConflict. Blocking."""
    try:
        table = lake.load(dataset)
    except TableNotFound:
        return
    check_evolution(schema_of(table), wanted)


def _department_of(upload: str) -> DepartmentId:
    return parse_department("/".join(upload.split("/")[:2]))


async def _upload(connection: AsyncConnection, name: str) -> uploads.Upload:
    found = await uploads.find(connection, name)
    if found is None:
        raise UnknownUpload(f"there is no {name}", remedy="upload the file first")
    gone = await uploads.expire_time(connection, found.upload)
    if gone is not None:
        raise UploadExpired(name, found.file_name, gone)
    return found


async def _found(connection: AsyncConnection, department: str, run: str) -> pb.Run:
    found = await runs.find(connection, department, run)
    if found is None:
        raise unknown_run(f"departments/{department}/runs/{run}")
    return found.pb
