"""Asking for work: an inference, or a load as one batch."""

from __future__ import annotations

from dataclasses import replace

import uuid_utils.compat as uuid
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.db.requests import is_first, made_by
from plaza_kit.errors import InvalidArgument
from plaza_kit.identity import Principal
from plaza_kit.names import DatasetName, DepartmentId, parse_department
from plaza_kit.policy import Resource
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_ingestion.domain.batches import AlreadyIngested, BatchIdentity
from plaza_ingestion.domain.runs import RunId, RunKind
from plaza_ingestion.domain.table_schema import table_schema
from plaza_ingestion.storage import batches, runs, uploads
from plaza_ingestion.usecases.ports import ContractInForce, UnknownUpload, World, unknown_run


class UploadElsewhere(InvalidArgument):
    """The upload belongs to another department than the dataset."""


class Starting:
    """Use cases that make runs."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def infer(self, request: pb.InferContractRequest) -> pb.Run:
        """Raises UnknownUpload, NotPermitted."""
        department = _department_of(request.upload)
        principal = self._world.policy.authorize("infer.start", Resource.of_department(department))
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            upload = await _upload(connection, request.upload)
            run = RunId(str(uuid.uuid7()))
            await runs.insert(connection, self._new(run, department, RunKind.INFER, upload.upload, principal))
            return await _found(connection, department, run)

    async def ingest(self, request: pb.IngestUploadRequest) -> pb.Run:
        """Raises UnknownUpload, UploadElsewhere, AlreadyIngested, NotPermitted, RequestIdReused, and what
        catalogue and security refuse."""
        dataset = DatasetName.parse(request.dataset)
        if _department_of(request.upload) != dataset.department:
            raise UploadElsewhere(
                f"upload: {request.upload} is not of the department of {dataset}",
                remedy="upload the file for the dataset's own department",
            )
        principal = self._world.policy.authorize("load.start", Resource.of_dataset(str(dataset)))
        force = await self._world.catalogue.contract(str(dataset))
        table_schema(force.contract)  # said now, not after the worker has read the whole file
        run = RunId(str(uuid.uuid7()))
        name = f"departments/{dataset.department}/runs/{run}"
        grant = await self._world.security.run_grant(name, str(dataset))
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            place = (dataset.department, name)
            if not await is_first(connection, principal, request.request_id, request, place):
                made = await made_by(connection, principal, request.request_id)
                return await _found(connection, dataset.department, made.rpartition("/")[2])
            await self._insert(connection, request, dataset, run, principal, force, grant)
            return await _found(connection, dataset.department, run)

    async def _insert(
        self,
        connection: AsyncConnection,
        request: pb.IngestUploadRequest,
        dataset: DatasetName,
        run: RunId,
        principal: Principal,
        force: ContractInForce,
        grant: str,
    ) -> None:
        upload = await _upload(connection, request.upload)
        nonce = str(run) if request.reload_reason else ""
        identity = BatchIdentity(str(dataset), upload.sha256, force.version, nonce)
        known = await batches.claim(
            connection,
            identity,
            department=dataset.department,
            run=run,
            reload_reason=request.reload_reason,
            now=self._world.now(),
        )
        if known is not None:
            raise AlreadyIngested(
                f"departments/{dataset.department}/runs/{known.run}", identity.id, known.version
            )
        new = self._new(run, dataset.department, RunKind.LOAD, upload.upload, principal)
        await runs.insert(
            connection,
            replace(
                new,
                dataset=str(dataset),
                batch=identity.id,
                contract=force.contract,
                contract_version=force.version,
                run_grant=grant,
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


def _department_of(upload: str) -> DepartmentId:
    return parse_department("/".join(upload.split("/")[:2]))


async def _upload(connection: AsyncConnection, name: str) -> uploads.Upload:
    found = await uploads.find(connection, name)
    if found is None:
        raise UnknownUpload(f"there is no {name}", remedy="upload the file first")
    return found


async def _found(connection: AsyncConnection, department: str, run: str) -> pb.Run:
    found = await runs.find(connection, department, run)
    if found is None:
        raise unknown_run(f"departments/{department}/runs/{run}")
    return found.pb
