"""Reading refused rows: only through the one read path, under a grant that security signs for the caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from google.api import httpbody_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.identity import Principal
from plaza_kit.names import DatasetName
from plaza_kit.paging import Page
from plaza_kit.policy import Resource
from plaza_kit.streams import in_thread
from plaza_lake.ir import ColumnRef, Compare, Count, Expr, Literal, Op
from plaza_lake.read import RowQuery, RowStream, aggregate, read_rows
from plaza_lake.tables import TableNotFound

from plaza_ingestion.storage import batches, runs
from plaza_ingestion.usecases.ports import World, unknown_run

CSV: Final = "text/csv"
"""RFC 7111; no charset is said: a record that is refused for its encoding is no UTF-8."""
_ORDER: Final = (("batch_id", False), ("line", False))
_RENEW_SECONDS: Final = 20.0
_PIECE_BYTES: Final = 256 * 1024
_PAGE_BYTES: Final = 1024 * 1024
"""Of originals on one page: a record has up to 1 MiB, a gRPC message few of them (as bytes and as text)."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which refused rows."""

    dataset: DatasetName
    principal: Principal
    batch: str
    """Empty: of all batches."""

    @property
    def filter(self) -> Expr | None:
        return Compare(Op.EQ, ColumnRef("batch_id"), Literal(self.batch)) if self.batch else None


class Quarantine:
    """Use cases about refused rows."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def page(self, request: pb.ListQuarantinedRowsRequest) -> pb.ListQuarantinedRowsResponse:
        """Raises NotPermitted, UnknownRun, BadPageToken."""
        filters = (request.parent, request.run)
        page = Page.of("quarantine", filters, request.page_size, request.page_token, ("", ""))
        asked = await self._asked(request.parent, request.run)
        grant = await self._world.security.quarantine_grant(request.parent)
        try:
            rows, total = await asyncio.to_thread(self._read, asked, grant, page)
        except TableNotFound:
            return pb.ListQuarantinedRowsResponse()
        items, more = page.cut(rows)
        fitting = _fitting(items)
        items, more = items[:fitting], more or fitting < len(items)
        token = page.token((items[-1]["batch_id"], str(items[-1]["line"]))) if more else ""
        return pb.ListQuarantinedRowsResponse(
            rows=[_message(asked.dataset, row) for row in items], next_page_token=token, total_size=total
        )

    def _read(self, asked: _Asked, grant: str, page: Page) -> tuple[list[dict[str, Any]], int]:
        batch, line = str(page.start[0]), str(page.start[1])
        after = (batch, int(line), f"{batch}-{line}") if line.isascii() and line.isdigit() else None
        query = RowQuery(filter=asked.filter, order_by=_ORDER, limit=page.size + 1, after=after)
        with read_rows(self._world.lake, self._world.grants, grant, query) as stream:
            rows = [row for found in stream.batches for row in found.to_pylist()]
        counted = aggregate(
            self._world.lake, self._world.grants, grant, {"total": Count()}, filter=asked.filter
        )
        total = counted.values["total"]
        assert isinstance(total, int)
        return rows, total

    async def export(self, request: pb.ExportQuarantineRequest) -> AsyncIterator[httpbody_pb2.HttpBody]:
        """The records' bytes in pieces. Raises NotPermitted, UnknownRun before the first piece."""
        asked = await self._asked(request.parent, request.run)
        grant = await self._world.security.quarantine_grant(request.parent)
        query = RowQuery(columns=("original",), filter=asked.filter, order_by=_ORDER)
        try:
            stream = await asyncio.to_thread(read_rows, self._world.lake, self._world.grants, grant, query)
        except TableNotFound:
            yield httpbody_pb2.HttpBody(content_type=CSV)
            return
        piece = bytearray(await self._heading(asked))
        async with aclosing(self._records(stream, request.parent)) as records:
            async for record in records:
                piece += record + b"\n"
                if len(piece) >= _PIECE_BYTES:
                    yield httpbody_pb2.HttpBody(content_type=CSV, data=bytes(piece))
                    piece.clear()
        yield httpbody_pb2.HttpBody(content_type=CSV, data=bytes(piece))

    async def _records(self, stream: RowStream, dataset: str) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        async with aclosing(in_thread(lambda: stream.batches)) as found:
            async for batch in found:
                for value in batch.column("original"):
                    yield value.as_py()
                if loop.time() - renewed > _RENEW_SECONDS:
                    # The reader may be slow; the next batch is looked at under the grant of that moment.
                    stream.renew(await self._world.security.quarantine_grant(dataset))
                    renewed = loop.time()

    async def _heading(self, asked: _Asked) -> bytes:
        """The heading line, where all records stood under the same one; else nothing."""
        async with self._world.database.transaction(Scope.of(asked.principal)) as connection:
            found = await batches.headings(connection, str(asked.dataset), asked.batch)
        return found[0] + b"\n" if len(found) == 1 else b""

    async def _asked(self, dataset: str, run: str) -> _Asked:
        name = DatasetName.parse(dataset)
        principal = self._world.policy.authorize("quarantine.read", Resource.of_dataset(dataset))
        if not run:
            return _Asked(name, principal, "")
        _, department, _, run_id = run.split("/")
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            found = await runs.find(connection, department, run_id)
        if found is None or found.dataset != dataset:
            raise unknown_run(f"{run} of {dataset}")
        return _Asked(name, principal, found.batch)


def _fitting(rows: Sequence[dict[str, Any]]) -> int:
    """How many rows a page holds, at least one if there is one."""
    size = 0
    for number, row in enumerate(rows):
        size += len(row["original"])
        if number and size > _PAGE_BYTES:
            return number
    return len(rows)


def _message(dataset: DatasetName, row: dict[str, Any]) -> pb.QuarantinedRow:
    original: bytes = row["original"]
    return pb.QuarantinedRow(
        name=f"{dataset}/quarantine/{row['id']}",
        batch=row["batch_id"],
        file_name=row["file"],
        line=row["line"],
        field=row["field"] or "",
        reason=row["reason"],
        detail=row["detail"],
        original_text=original.decode("utf-8", errors="replace"),
        original=original,
    )
