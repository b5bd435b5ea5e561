"""What a signed-in person does at the services, each call with that person's own token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza.ingestion.v1 import ingestion_pb2 as ing
from plaza.opendata.v1 import opendata_pb2 as opn
from plaza.security.v1 import security_pb2 as sec

from plaza_gateway.console.contracts_desk import ContractDesk
from plaza_gateway.console.quality_desk import QualityDesk
from plaza_gateway.console.sources_desk import SourceDesk
from plaza_gateway.console.standards_desk import StandardDesk

Answer = TypeVar("Answer")


class Directory(Protocol):
    """The catalogue."""

    async def department(self, name: str) -> cat.Department: ...
    async def datasets(self, department: str) -> list[cat.Dataset]: ...
    async def dataset(self, name: str) -> cat.Dataset: ...
    async def register(
        self, department: str, dataset_id: str, dataset: cat.Dataset, request_id: str
    ) -> cat.Dataset: ...
    async def update(self, dataset: cat.Dataset, fields: tuple[str, ...]) -> cat.Dataset: ...
    async def versions(self, dataset: str) -> list[cat.Version]: ...
    async def history(self, dataset: str) -> list[cat.MetadataVersion]: ...
    async def differences(self, dataset: str, older: int, newer: int) -> cat.DiffMetadataVersionsResponse: ...
    async def restore(self, version: str, etag: str) -> cat.Dataset: ...


@dataclass(frozen=True, slots=True)
class Load:
    """A file that is to be loaded."""

    upload: str
    mode: ing.LoadMode.ValueType = ing.LOAD_MODE_APPEND
    entry: str = ""
    """Of an archive: the one file of it; empty: all, as one."""
    reason: str = ""
    """Why it is loaded once more."""


@dataclass(frozen=True, slots=True)
class Which:
    """Which refused rows; what is empty does not choose."""

    run: str = ""
    """Resource name."""
    state: ing.QuarantineState.ValueType = ing.QUARANTINE_STATE_HELD
    reason: str = ""
    """As the load said it, whatever a correction was refused for later."""
    field: str = ""


class Intake(Protocol):
    """Ingestion."""

    async def runs(self, department: str, dataset: str = "") -> list[ing.Run]: ...
    async def run(self, name: str) -> ing.Run: ...
    def watch(self, name: str) -> AsyncIterator[ing.Run]: ...
    async def cancel(self, run: str) -> ing.Run: ...
    async def upload(self, department: str, file_name: str, pieces: AsyncIterator[bytes]) -> ing.Upload: ...
    async def infer(self, upload: str, entry: str = "") -> ing.Run: ...
    async def ingest(self, dataset: str, load: Load, request_id: str = "") -> ing.Run: ...
    async def quarantine(
        self, dataset: str, which: Which, size: int, token: str = ""
    ) -> ing.ListQuarantinedRowsResponse: ...
    async def held_rows(self, department: str) -> dict[str, int]: ...
    def export(self, dataset: str, which: Which, form: ing.ExportForm.ValueType) -> AsyncIterator[bytes]: ...
    async def repair(self, row: str, values: dict[str, str], request_id: str) -> ing.Run: ...
    async def replay(self, dataset: str, upload: str, request_id: str) -> ing.Run: ...
    async def discard(self, row: str, reason: str) -> ing.QuarantinedRow: ...


class Desk(Directory, Intake, Protocol):
    """Names are full resource names. What a service refuses is raised as a Problem."""

    @property
    def contracts(self) -> ContractDesk: ...
    @property
    def quality(self) -> QualityDesk: ...
    @property
    def sources(self) -> SourceDesk: ...
    @property
    def standards(self) -> StandardDesk: ...
    async def caller(self) -> sec.Caller: ...
    async def releases(self, dataset: str) -> list[opn.Release]: ...
    async def release(self, dataset: str, version: int, request_id: str) -> opn.Release: ...


async def each(calls: list[Awaitable[Answer]], at_once: int = 8) -> list[Answer]:
    """All answers in order, a few calls at a time."""
    gate = asyncio.Semaphore(at_once)

    async def one(call: Awaitable[Answer]) -> Answer:
        async with gate:
            return await call

    return list(await asyncio.gather(*(one(call) for call in calls)))
