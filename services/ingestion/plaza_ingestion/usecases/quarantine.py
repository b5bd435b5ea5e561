"""Reading refused rows: only through the one read path, under a grant that security signs for the caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa
from google.api import httpbody_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.db.outbox import NewEvent
from plaza_kit.errors import NotFound
from plaza_kit.identity import Principal
from plaza_kit.names import DatasetName, parse_department
from plaza_kit.paging import Page
from plaza_kit.policy import Resource
from plaza_kit.streams import in_thread
from plaza_lake.ir import And, ColumnRef, Compare, Count, Expr, In, Literal, Op
from plaza_lake.read import RowQuery, RowStream, aggregate, read_rows
from plaza_lake.tables import TableNotFound

from plaza_ingestion.domain.events import ROW_DISCARDED
from plaza_ingestion.domain.quarantine import RowId, RowNotHeld, RowState
from plaza_ingestion.domain.repair_form import Held, RepairForm, Source, one_row
from plaza_ingestion.storage import batches, quarantined_rows, runs
from plaza_ingestion.storage.quarantined_rows import Entry, Place
from plaza_ingestion.usecases.ports import World, unknown_run

CSV: Final = "text/csv"
"""RFC 7111; no charset is said: a record that is refused for its encoding is no UTF-8."""
_ORDER: Final = (("batch_id", False), ("line", False))
_RENEW_SECONDS: Final = 20.0
_PIECE_BYTES: Final = 256 * 1024
_PAGE_BYTES: Final = 1024 * 1024
"""Of originals on one page: a record has up to 1 MiB, a gRPC message few of them (as bytes and as text)."""


_LOOKED_AT: Final = 5000
"""Rows looked at at once while those of one state are sought; of them only their places are read."""
_PLACE: Final = ("batch_id", "line")
_FOR_REPAIR: Final = ("batch_id", "line", "reason", "detail", "original")
_STATES: Final = {
    pb.QUARANTINE_STATE_HELD: RowState.HELD,
    pb.QUARANTINE_STATE_REPLAYED: RowState.REPLAYED,
    pb.QUARANTINE_STATE_DISCARDED: RowState.DISCARDED,
}
_Found = tuple[dict[str, Any], Entry | None]


class UnknownRow(NotFound):
    """There is no such quarantined row, or not for this caller."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which refused rows."""

    dataset: DatasetName
    principal: Principal
    batch: str
    """Empty: of all batches."""

    reason: str = ""
    """As the load said it; empty: all."""
    field: str = ""
    """Empty: all."""
    state: RowState | None = None
    """None: in all states."""

    @property
    def chooses(self) -> bool:
        """Whether it says more than the database knows of a row."""
        return bool(self.reason or self.field)

    @property
    def filter(self) -> Expr | None:
        said = {"batch_id": self.batch, "reason": self.reason, "field": self.field}
        wanted = [Compare(Op.EQ, ColumnRef(name), Literal(value)) for name, value in said.items() if value]
        return And(tuple(wanted)) if len(wanted) > 1 else next(iter(wanted), None)

    def among(self, rows: Sequence[RowId]) -> Expr:
        """The filter, and that it is one of these rows."""
        named = In(ColumnRef("id"), tuple(Literal(str(row)) for row in rows))
        return And((self.filter, named)) if self.filter is not None else named


class Quarantine:
    """Use cases about refused rows."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def page(self, request: pb.ListQuarantinedRowsRequest) -> pb.ListQuarantinedRowsResponse:
        """Raises NotPermitted, UnknownRun, BadPageToken."""
        filters = (request.parent, request.run, str(request.state), request.reason, request.field)
        page = Page.of("quarantine", filters, request.page_size, request.page_token, ("", ""))
        asked = replace(await self._asked(request), state=_STATES.get(request.state))
        grant = await self._world.security.quarantine_grant(request.parent)
        try:
            found, more, total = await self._select(asked, grant, page)
        except TableNotFound:
            return pb.ListQuarantinedRowsResponse()
        fitting = _fitting([row for row, _ in found])
        items, more = found[:fitting], more or fitting < len(found)
        last = items[-1][0] if items else {}
        token = page.token((last["batch_id"], str(last["line"]))) if more and items else ""
        return pb.ListQuarantinedRowsResponse(
            rows=[_message(asked.dataset, row, entry) for row, entry in items],
            next_page_token=token,
            total_size=total,
        )

    async def _select(self, asked: _Asked, grant: str, page: Page) -> tuple[list[_Found], bool, int]:
        """The rows of a page, whether more follow, and how many there are in all."""
        batch, line = str(page.start[0]), str(page.start[1])
        after = RowId(batch, int(line)) if line.isascii() and line.isdigit() else None
        total = await asyncio.to_thread(self._count, asked.filter, grant)
        if asked.state is None:
            rows = await asyncio.to_thread(self._behind, asked, grant, after, page.size + 1)
            all_known = await self._entries(asked, rows)
            return [(row, all_known.get(_id(row))) for row in rows[: page.size]], len(rows) > page.size, total
        if asked.state is not RowState.HELD:
            return await self._ended(asked, asked.state, grant, after or RowId("", 0), page.size)
        total -= await self._count_ended(asked, grant, (RowState.REPLAYED, RowState.DISCARDED))
        held: list[RowId] = []
        known: dict[RowId, Entry] = {}
        while len(held) <= page.size:
            rows = await asyncio.to_thread(self._behind, asked, grant, after, _LOOKED_AT, _PLACE)
            entries = await self._entries(asked, rows)
            known |= entries
            held += [row for row in map(_id, rows) if _is_held(entries.get(row))]
            if len(rows) < _LOOKED_AT:
                break
            after = _id(rows[-1])
        shown = await self._found(asked, grant, held[: page.size], known)
        return shown, len(held) > page.size, total

    async def _ended(
        self, asked: _Asked, state: RowState, grant: str, after: RowId, size: int
    ) -> tuple[list[_Found], bool, int]:
        """As `_select`, of rows that somebody did something about."""
        ended: list[RowId] = []
        known: dict[RowId, Entry] = {}
        more = True
        while more and len(ended) <= size:
            async with self._world.database.transaction(Scope.of(asked.principal)) as connection:
                some = await quarantined_rows.page(
                    connection, str(asked.dataset), asked.batch, state, after, _LOOKED_AT
                )
            if not some:
                break
            known |= {entry.row: entry for entry in some}
            wanted = asked.among([entry.row for entry in some])
            ended += map(_id, await asyncio.to_thread(self._named, grant, wanted, _PLACE))
            more, after = len(some) == _LOOKED_AT, some[-1].row
        shown = await self._found(asked, grant, ended[:size], known)
        return shown, len(ended) > size, await self._count_ended(asked, grant, (state,))

    async def _found(
        self, asked: _Asked, grant: str, rows: Sequence[RowId], known: Mapping[RowId, Entry]
    ) -> list[_Found]:
        """These rows, or the first of them when a page cannot hold all."""
        if not rows:
            return []
        found = await asyncio.to_thread(self._named, grant, asked.among(rows))
        return [(row, known.get(_id(row))) for row in found]

    async def _count_ended(self, asked: _Asked, grant: str, states: Sequence[RowState]) -> int:
        """The database counts; what was said of a row when it was refused stands in the lake only."""
        dataset = str(asked.dataset)
        async with self._world.database.transaction(Scope.of(asked.principal)) as connection:
            if not asked.chooses:
                return await quarantined_rows.count(connection, dataset, asked.batch, states)
            rows = [
                row for state in states for row in await quarantined_rows.names(connection, dataset, state)
            ]
        total = 0
        for begin in range(0, len(rows), _LOOKED_AT):
            among = asked.among(rows[begin : begin + _LOOKED_AT])
            total += await asyncio.to_thread(self._count, among, grant)
        return total

    def _behind(
        self,
        asked: _Asked,
        grant: str,
        after: RowId | None,
        limit: int,
        columns: tuple[str, ...] | None = None,
    ) -> list[dict[str, Any]]:
        position = (after.batch, after.line, str(after)) if after is not None else None
        query = RowQuery(columns=columns, filter=asked.filter, order_by=_ORDER, limit=limit, after=position)
        return self._rows(grant, query)

    def _named(
        self, grant: str, wanted: Expr, columns: tuple[str, ...] | None = None
    ) -> list[dict[str, Any]]:
        return self._rows(grant, RowQuery(columns=columns, filter=wanted, order_by=_ORDER))

    def _rows(self, grant: str, query: RowQuery) -> list[dict[str, Any]]:
        """Up to the first that a page cannot hold any more."""
        rows: list[dict[str, Any]] = []
        size = 0
        with read_rows(self._world.lake, self._world.grants, grant, query) as stream:
            for found in stream.batches:
                for row in found.to_pylist():
                    rows.append(row)
                    size += len(row.get("original", b""))
                    if len(rows) > 1 and size > _PAGE_BYTES:
                        return rows
        return rows

    def _count(self, wanted: Expr | None, grant: str) -> int:
        counted = aggregate(self._world.lake, self._world.grants, grant, {"total": Count()}, filter=wanted)
        total = counted.values["total"]
        assert isinstance(total, int)
        return total

    async def _entries(self, asked: _Asked, rows: Sequence[dict[str, Any]]) -> Mapping[RowId, Entry]:
        async with self._world.database.transaction(Scope.of(asked.principal)) as connection:
            return await quarantined_rows.entries(connection, str(asked.dataset), [_id(row) for row in rows])

    async def count_held(self, request: pb.CountHeldRowsRequest) -> pb.CountHeldRowsResponse:
        """Counts only, and those that runs tell as well: no row is read. Raises NotPermitted."""
        department = parse_department(request.parent)
        principal = self._world.policy.authorize("run.read", Resource.of_department(department))
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            held = await quarantined_rows.held_by_dataset(connection, department)
        return pb.CountHeldRowsResponse(
            datasets=[pb.HeldRows(dataset=dataset, rows=rows) for dataset, rows in held.items()],
            total_size=sum(held.values()),
        )

    async def discard(self, request: pb.DiscardQuarantinedRowRequest) -> pb.QuarantinedRow:
        """Row, reason and event in one transaction. Raises NotPermitted, UnknownRow, RowNotHeld."""
        dataset, row = _parse(request.name)
        principal = self._world.policy.authorize("load.start", Resource.of_dataset(str(dataset)))
        asked = await self._asked(pb.ListQuarantinedRowsRequest(parent=str(dataset)))
        found = await self._one(asked, row)
        place = Place(dataset.department, str(dataset))
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            first = await quarantined_rows.discard(
                connection, place, row, request.reason, principal.name, self._world.now()
            )
            entry = (await quarantined_rows.entries(connection, str(dataset), [row]))[row]
            if not first and entry.state is not RowState.DISCARDED:
                raise RowNotHeld(row, entry.state)
            if first:
                data: dict[str, object] = {"dataset": str(dataset), "row": str(row), "batch": row.batch}
                event = NewEvent(ROW_DISCARDED, request.name, data, principal.name)
                await self._world.outbox.write(connection, event)
        self._world.outbox.wake()
        return _message(dataset, found, entry)

    async def repaired(self, request: pb.RepairQuarantinedRowRequest) -> tuple[DatasetName, bytes]:
        """The repair file of one row. Raises NotPermitted, UnknownRow, RowNotHeld, UnknownHeading."""
        dataset, row = _parse(request.name)
        asked = await self._asked(pb.ListQuarantinedRowsRequest(parent=str(dataset)))
        asked = replace(asked, batch=row.batch)
        found = await self._one(asked, row)
        entry = (await self._entries(asked, [found])).get(row)
        if entry is not None and not _is_held(entry):
            raise RowNotHeld(row, entry.state)
        source = (await self._sources(asked)).get(row.batch, Source(()))
        return dataset, one_row(row, source, found["original"], request.values)

    async def _one(self, asked: _Asked, row: RowId) -> dict[str, Any]:
        grant = await self._world.security.quarantine_grant(str(asked.dataset))
        try:
            rows = await asyncio.to_thread(self._named, grant, asked.among([row]))
        except TableNotFound:
            rows = []
        if not rows:
            raise UnknownRow(f"there is no {asked.dataset}/quarantine/{row}", remedy="list the quarantine")
        return rows[0]

    async def _sources(self, asked: _Asked) -> dict[str, Source]:
        async with self._world.database.transaction(Scope.of(asked.principal)) as connection:
            forms = await batches.forms(connection, str(asked.dataset), asked.batch)
        return {batch: Source.of(form.heading, form.contract) for batch, form in forms.items()}

    async def export(self, request: pb.ExportQuarantineRequest) -> AsyncIterator[httpbody_pb2.HttpBody]:
        """In pieces: the records' bytes, or the held ones as a table. Raises NotPermitted, UnknownRun before the
        first piece."""
        asked = await self._asked(request)
        grant = await self._world.security.quarantine_grant(request.parent)
        repair = request.form == pb.EXPORT_FORM_REPAIR
        query = RowQuery(
            columns=_FOR_REPAIR if repair else ("original",), filter=asked.filter, order_by=_ORDER
        )
        try:
            stream = await asyncio.to_thread(read_rows, self._world.lake, self._world.grants, grant, query)
        except TableNotFound:
            yield httpbody_pb2.HttpBody(content_type=CSV)
            return
        form = RepairForm(await self._sources(asked)) if repair else None
        piece = bytearray(form.heading() if form is not None else await self._heading(asked))
        async with aclosing(self._batches(stream, request.parent)) as found:
            async for batch in found:
                lines = await self._repair_lines(asked, form, batch) if form is not None else _records(batch)
                for record in lines:
                    piece += record
                    if len(piece) >= _PIECE_BYTES:
                        yield httpbody_pb2.HttpBody(content_type=CSV, data=bytes(piece))
                        piece.clear()
        yield httpbody_pb2.HttpBody(content_type=CSV, data=bytes(piece))

    async def _repair_lines(self, asked: _Asked, form: RepairForm, batch: pa.RecordBatch) -> list[bytes]:
        rows = batch.to_pylist()
        known = await self._entries(asked, rows)
        lines = []
        for row in rows:
            entry = known.get(_id(row))
            if _is_held(entry):
                told = entry if entry is not None and entry.reason else None
                reason, detail = (told.reason, told.detail) if told else (row["reason"], row["detail"])
                lines.append(form.record(Held(_id(row), reason, detail, row["original"])))
        return lines

    async def _batches(self, stream: RowStream, dataset: str) -> AsyncGenerator[pa.RecordBatch, None]:
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        async with aclosing(in_thread(lambda: stream.batches)) as found:
            async for batch in found:
                yield batch
                if loop.time() - renewed > _RENEW_SECONDS:
                    # The reader may be slow; the next batch is looked at under the grant of that moment.
                    stream.renew(await self._world.security.quarantine_grant(dataset))
                    renewed = loop.time()

    async def _heading(self, asked: _Asked) -> bytes:
        """The heading line, where all records stood under the same one; else nothing."""
        async with self._world.database.transaction(Scope.of(asked.principal)) as connection:
            found = await batches.headings(connection, str(asked.dataset), asked.batch)
        return found[0] + b"\n" if len(found) == 1 and found[0] else b""

    async def _asked(self, request: pb.ListQuarantinedRowsRequest | pb.ExportQuarantineRequest) -> _Asked:
        """Raises NotPermitted, UnknownRun."""
        dataset, run = request.parent, request.run
        name = DatasetName.parse(dataset)
        principal = self._world.policy.authorize("quarantine.read", Resource.of_dataset(dataset))
        asked = _Asked(name, principal, "", request.reason, request.field)
        if not run:
            return asked
        _, department, _, run_id = run.split("/")
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            found = await runs.find(connection, department, run_id)
        if found is None or found.dataset != dataset:
            raise unknown_run(f"{run} of {dataset}")
        return replace(asked, batch=found.batch)


def _fitting(rows: Sequence[dict[str, Any]]) -> int:
    """How many rows a page holds, at least one if there is one."""
    size = 0
    for number, row in enumerate(rows):
        size += len(row["original"])
        if number and size > _PAGE_BYTES:
            return number
    return len(rows)


def _records(batch: pa.RecordBatch) -> Iterator[bytes]:
    for value in batch.column("original"):
        yield value.as_py() + b"\n"


def _id(row: Mapping[str, Any]) -> RowId:
    return RowId(row["batch_id"], row["line"])


def _is_held(entry: Entry | None) -> bool:
    return entry is None or entry.state in (RowState.HELD, RowState.REPLAYING)


def _parse(name: str) -> tuple[DatasetName, RowId]:
    dataset, _, row = name.rpartition("/quarantine/")
    parsed = RowId.parse(row)
    if parsed is None:
        raise UnknownRow(f"there is no {name}", remedy="list the quarantine")
    return DatasetName.parse(dataset), parsed


def _message(dataset: DatasetName, row: dict[str, Any], entry: Entry | None) -> pb.QuarantinedRow:
    original: bytes = row["original"]
    message = pb.QuarantinedRow(
        name=f"{dataset}/quarantine/{row['id']}",
        batch=row["batch_id"],
        file_name=row["file"],
        line=row["line"],
        field=row["field"] or "",
        reason=row["reason"],
        detail=row["detail"],
        original_text=original.decode("utf-8", errors="replace"),
        original=original,
        state=pb.QUARANTINE_STATE_HELD,
    )
    if entry is None:
        return message
    if entry.state is RowState.DISCARDED:
        message.state, message.discard_reason = pb.QUARANTINE_STATE_DISCARDED, entry.discard_reason
    elif entry.state is RowState.REPLAYED:
        message.state, message.replayed_version = pb.QUARANTINE_STATE_REPLAYED, entry.version
    elif entry.reason:
        message.field, message.reason, message.detail = entry.field, entry.reason, entry.detail
    if entry.run and (entry.reason or entry.state is RowState.REPLAYED):
        message.replay_run = f"departments/{dataset.department}/runs/{entry.run}"
    return message
