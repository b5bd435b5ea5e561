"""Receiving files: in chunks, hashed on the way, visible only when whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import uuid_utils.compat as uuid
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.identity import Principal
from plaza_kit.names import DepartmentId, parse_department
from plaza_kit.policy import Resource
from plaza_kit.rpc.file_stream import chunks_of, header_of

from plaza_ingestion.domain.uploads import safe_name
from plaza_ingestion.storage import uploads
from plaza_ingestion.storage.staging_area import Incoming
from plaza_ingestion.usecases.ports import World

_SMALLER: Final = "split the file, or ask the platform's administrators for a higher limit"


class Uploads:
    """Use cases about uploads."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def receive(self, messages: AsyncIterator[pb.UploadFileRequest]) -> pb.Upload:
        """The whole stream. Raises OutOfTurn, CutOff, EmptyFile, FileTooLarge, InvalidRequest, NotPermitted; then and
        when the sender breaks off, nothing stays."""
        header = await header_of(messages)
        department = parse_department(header.parent)
        principal = self._world.policy.authorize("upload.create", Resource.of_department(department))
        incoming = await asyncio.to_thread(self._world.staging.incoming, department)
        try:
            async for chunk in chunks_of(
                messages, file=header.file_name, limit=self._world.upload_limit_bytes, smaller=_SMALLER
            ):
                await asyncio.to_thread(incoming.write, chunk)
            upload = await self._keep(incoming, department, header.file_name, principal)
        finally:
            incoming.drop()
        return _message(upload)

    async def keep(
        self, department: DepartmentId, file_name: str, data: bytes, principal: Principal
    ) -> uploads.Upload:
        """A small file that was made here, for somebody who may upload one. Raises NotPermitted."""
        self._world.policy.authorize("upload.create", Resource.of_department(department))
        incoming = await asyncio.to_thread(self._world.staging.incoming, department)
        try:
            await asyncio.to_thread(incoming.write, data)
            return await self._keep(incoming, department, file_name, principal)
        finally:
            incoming.drop()

    async def _keep(
        self, incoming: Incoming, department: str, file_name: str, principal: Principal
    ) -> uploads.Upload:
        upload = str(uuid.uuid7())
        path = f"uploads/{upload}/{safe_name(file_name)}"
        received = await asyncio.to_thread(incoming.keep, path)
        kept = uploads.Upload(
            upload=upload,
            department=department,
            file_name=file_name,
            path=path,
            size_bytes=received.size_bytes,
            sha256=received.sha256,
            principal=principal.name,
            create_time=self._world.now(),
        )
        # Last: what has a row is whole. A file whose row was not written is in nobody's way.
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            await uploads.insert(connection, kept)
        return kept


def _message(upload: uploads.Upload) -> pb.Upload:
    message = pb.Upload(
        name=upload.name,
        file_name=upload.file_name,
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
    )
    message.create_time.FromDatetime(upload.create_time)
    return message
