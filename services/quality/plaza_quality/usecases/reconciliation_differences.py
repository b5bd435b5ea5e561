"""Reading what a run found, with the values of both sides: under the caller's rights at this moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from google.api import httpbody_pb2
from plaza.quality.v1 import reconciliations_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.db.outbox import NewEvent
from plaza_kit.errors import FailedPrecondition, InvalidArgument
from plaza_kit.names import DepartmentId
from plaza_kit.paging import Page
from plaza_kit.policy import Resource
from plaza_kit.rpc import context
from plaza_kit.streams import in_thread
from plaza_lake.reconcile import explain

from plaza_quality.storage import reconciliation_files as files
from plaza_quality.storage import reconciliations
from plaza_quality.storage.reconciliation_entries import CHUNK, NOTHING, unpacked
from plaza_quality.storage.reconciliation_messages import differences, kind_of
from plaza_quality.storage.reconciliations import RunName, StoredRun
from plaza_quality.usecases.ports import World
from plaza_quality.usecases.reconciliation_ports import Sources
from plaza_quality.usecases.reconciliations import READ, Compared, found_reconciliation, found_run, prepared
from plaza_quality.usecases.reconciling import fixed

READ_OUT: Final = "city.plaza.quality.differences.read.v1"
"""Another department's values were handed out under an agreement: the ledger has it, as it has every delivery."""
_FIRST: Final = (1,)
_EXPORTED: Final = 20_000
"""Differences whose values are read at once."""


class NotCompared(FailedPrecondition):
    """The run has no result: it goes on, or failed."""


class UnknownField(InvalidArgument):
    """The field is none of those that were compared."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A run with a result, and which of its differences are wanted."""

    name: RunName
    run: StoredRun
    ready: Compared
    kinds: int
    """Bits; 0: all."""
    fields: int

    def narrowed(self, entries: pa.Table) -> pa.Table:
        if self.kinds:
            bits = pc.shift_left(pa.scalar(1), entries.column("kind").cast(pa.int64()))
            entries = entries.filter(pc.not_equal(pc.bit_wise_and(bits, self.kinds), 0))
        if self.fields:
            differs = entries.column("differs").cast(pa.int64())
            entries = entries.filter(pc.not_equal(pc.bit_wise_and(differs, self.fields), 0))
        return entries


class Differences:
    """Use cases of people who may read both sides."""

    def __init__(self, world: World, sources: Sources) -> None:
        self._world = world
        self._sources = sources

    async def list(self, request: pb.ListDifferencesRequest) -> pb.ListDifferencesResponse:
        """Raises UnknownReconciliation, NotCompared, UnknownField, PositionsMoved, SideRefused, NotPermitted,
        BadPageToken, and those of the lake."""
        filters = (request.parent, str(request.kind), request.field)
        page = Page.of("differences", filters, request.page_size, request.page_token, _FIRST)
        asked = await self._asked(request.parent, request.kind, request.field)
        entries = await self._entries(asked, int(page.start[0]), page.size + 1)
        found = await self._explained(asked, entries.slice(0, page.size))
        await self._tell(asked, "page", int(page.start[0]))
        more = entries.num_rows > page.size
        token = page.token((entries.column("number")[page.size].as_py(),)) if more else ""
        return pb.ListDifferencesResponse(differences=found, next_page_token=token)

    async def export(self, request: pb.ExportDifferencesRequest) -> AsyncIterator[httpbody_pb2.HttpBody]:
        """In pieces. What can be refused is, before the first one. Raises as `list`, and TooManyForASheet."""
        asked = await self._asked(request.parent, request.kind, request.field)
        heading = files.heading([pair.left for pair in asked.ready.comparison.key])
        if request.format == "xlsx":
            sheet = files.Sheet("differences")
            sheet.add([heading])
            async for found in self._all(asked):
                await asyncio.to_thread(sheet.add, files.lines(found))
            await self._tell(asked, "xlsx", 1)
            async with aclosing(in_thread(sheet.pieces)) as pieces:
                async for piece in pieces:
                    yield httpbody_pb2.HttpBody(content_type=files.XLSX, data=piece)
            return
        before: bytes | None = None
        async for found in self._all(asked):
            if before is None:
                await self._tell(asked, "csv", 1)
                before = files.csv_lines([heading])
            yield httpbody_pb2.HttpBody(content_type=files.CSV, data=before)
            before = await asyncio.to_thread(files.csv_lines, files.lines(found))
        yield httpbody_pb2.HttpBody(
            content_type=files.CSV, data=files.csv_lines([heading]) if before is None else before
        )

    async def _all(self, asked: _Asked) -> AsyncIterator[Sequence[pb.Difference]]:
        start = 1
        while True:
            entries = await self._entries(asked, start, _EXPORTED)
            found = await self._explained(asked, entries)
            if entries.num_rows:
                yield found
            if entries.num_rows < _EXPORTED:
                return
            start = entries.column("number")[-1].as_py() + 1

    async def _tell(self, asked: _Asked, form: str, first: int) -> None:
        """Of every file and every page, before a value goes out: a token that says where to go on is anybody's."""
        others = [side for side in asked.ready.sides if not side.own]
        if not others:
            return
        async with self._world.database.transaction(Scope.department(asked.name.department)) as connection:
            for side in others:
                data: dict[str, object] = {
                    "dataset": str(side.dataset),
                    "version": side.version,
                    "agreement": side.agreement,
                    "reader": f"departments/{side.reader}",
                    "columns": list(side.columns),
                    "form": form,
                    "first": first,
                }
                event = NewEvent(READ_OUT, str(asked.name), data, context.caller().name)
                await self._world.outbox.write(connection, event)
        self._world.outbox.wake()

    async def _asked(self, parent: str, kind: pb.DifferenceKind.ValueType, field: str) -> _Asked:
        name = RunName.parse(parent)
        department = DepartmentId(name.department)
        self._world.policy.authorize(READ, Resource.of_department(department))
        async with self._world.database.transaction(Scope.department(department)) as connection:
            run = await found_run(connection, name)
            definition = await found_reconciliation(connection, department, name.reconciliation)
        if not run.message.HasField("result"):
            raise NotCompared(
                f"{name} has no result: {run.message.error or 'it has not ended'}",
                remedy="wait for its end" if not run.message.error else "run the reconciliation again",
            )
        ready = await prepared(self._sources, department, fixed(definition, run), dict(run.code_lists))
        wanted = kind_of(kind)
        names = [pair.left for pair in ready.comparison.fields]
        if field and field not in names:
            raise UnknownField(f"field: {field} was not compared", remedy=f"compared were {', '.join(names)}")
        fields = sum(1 << at for at, each in enumerate(names) if each == field)
        return _Asked(name, run, ready, 0 if wanted is None else 1 << wanted, fields)

    async def _entries(self, asked: _Asked, start: int, limit: int) -> pa.Table:
        """At most so many from the numbered one on."""
        found: list[pa.Table] = []
        rows = 0
        async with self._world.database.transaction(Scope.department(asked.name.department)) as connection:
            at = start
            while rows < limit:
                chunk = await reconciliations.next_chunk(
                    connection, asked.name, at, kinds=asked.kinds, fields=asked.fields
                )
                if chunk is None:
                    break
                part = asked.narrowed(unpacked(chunk))
                part = part.filter(pc.greater_equal(part.column("number"), start))
                found.append(part.slice(0, limit - rows))
                rows += found[-1].num_rows
                at = chunk.first + CHUNK
        return pa.concat_tables(found) if found else NOTHING

    async def _explained(self, asked: _Asked, entries: pa.Table) -> Sequence[pb.Difference]:
        """Also of none the right is asked for."""
        left, right = [await self._sources.reading(side) for side in asked.ready.sides]
        numbers = entries.column("number").to_pylist()

        def read() -> Sequence[pb.Difference]:
            found = explain(
                self._world.lake,
                self._world.grants,
                (left, right),
                asked.ready.comparison,
                entries.drop_columns(["number"]),
                asked.run.snapshots,
            )
            return tuple(differences(found, numbers, asked.ready.comparison))

        return await asyncio.to_thread(read)
