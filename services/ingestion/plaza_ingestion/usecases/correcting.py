"""The rows of a work order out as a file; how they come in again is a load like others (`starting`, `commit`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from google.api import httpbody_pb2
from plaza.common.v1 import contract_pb2
from plaza.ingestion.v1 import corrections_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.errors import Aborted, FailedPrecondition
from plaza_kit.names import DatasetName, parse_department
from plaza_kit.policy import Resource
from plaza_lake.judged import Position
from plaza_lake.judged_rows import rows_at

from plaza_ingestion.domain.pulled_times import TimesAmbiguous, contract_of_database
from plaza_ingestion.domain.quarantine import replay_contract
from plaza_ingestion.domain.repair_form import Source
from plaza_ingestion.storage import batches, sources
from plaza_ingestion.storage.correction_form import BrokenRule, CorrectionForm
from plaza_ingestion.usecases.ports import Failing, World

WORK: Final = "work-order.work"
MOST_ROWS: Final = 100_000
"""In one file; a spreadsheet and a person can do no more with it."""
_AT_ONCE: Final = 5000
_RENEW_SECONDS: Final = 20.0


class RowsMoved(Aborted):
    """The version's files were written together while its rows were looked for; they say the same as before."""


class TooManyRows(FailedPrecondition):
    """More rows fail than one file is made of."""


@dataclass(slots=True)
class _Right:
    """A read grant that is renewed while a slow reader reads."""

    world: World
    dataset: str
    version: int
    token: str = ""
    since: float = 0.0

    async def now(self) -> str:
        if not self.token or time.monotonic() - self.since > _RENEW_SECONDS:
            self.token = await self.world.security.rows_grant(self.dataset, self.version)
            self.since = time.monotonic()
        return self.token


class Correcting:
    """Use cases about correction files."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def export(self, request: pb.ExportCorrectionFileRequest) -> AsyncIterator[httpbody_pb2.HttpBody]:
        """In pieces. Raises NotPermitted, ReservedColumn, TooManyRows, RowsMoved, and what quality and security
        refuse; most of it before the first piece."""
        department = parse_department("/".join(request.work_order.split("/")[:2]))
        self._world.policy.authorize(WORK, Resource.of_department(department))
        failing = await self._world.quality.failing(request.work_order, MOST_ROWS + 1)
        if len(failing.places) > MOST_ROWS:
            raise TooManyRows(
                f"more than {MOST_ROWS} rows of {failing.dataset} fail: too many for one file",
                remedy="correct them where they come from and load them again",
            )
        form = await self._form(request, failing)
        right = _Right(self._world, failing.dataset, failing.version)
        piece = form.heading()
        for start in range(0, len(failing.places), _AT_ONCE):
            places = failing.places[start : start + _AT_ONCE]
            rows = await asyncio.to_thread(self._rows, await right.now(), failing, places)
            if start:
                yield httpbody_pb2.HttpBody(content_type="text/csv", data=piece)
                piece = b""
            piece += b"".join(form.record(row, broken) for row, broken in rows)
        yield httpbody_pb2.HttpBody(content_type="text/csv", data=piece)

    async def _form(self, request: pb.ExportCorrectionFileRequest, failing: Failing) -> CorrectionForm:
        name = DatasetName.parse(failing.dataset)
        force = await self._world.catalogue.contract(failing.dataset)
        replay_contract(force.contract)  # that a field of the contract is not in our way
        contract: contract_pb2.Contract = force.contract
        async with self._world.database.transaction(Scope.department(name.department)) as connection:
            newest = await batches.newest_form(connection, failing.dataset)
            if await sources.pulls_database(connection, name):
                with suppress(TimesAmbiguous):
                    contract = contract_of_database(contract)
        source = Source.of(newest.heading, newest.contract) if newest is not None else Source((), named=True)
        return CorrectionForm(
            request.work_order,
            failing.version,
            contract,
            () if source.named else source.headings,
            [BrokenRule(rule.id, rule.title, rule.fields) for rule in failing.rules],
            english=request.language == pb.LANGUAGE_EN,
        )

    def _rows(
        self, token: str, failing: Failing, places: Sequence[tuple[int, int, tuple[int, ...]]]
    ) -> list[tuple[dict[str, object], tuple[int, ...]]]:
        """The rows at these places, each with the rules that it breaks."""
        broken = {(failing.files[file], row): rules for file, row, rules in places}
        found: pa.Table = rows_at(
            self._world.lake, self._world.grants, token, [Position(*place) for place in broken]
        )
        if found.num_rows != len(places):
            raise RowsMoved(
                f"rows of version {failing.version} of {failing.dataset} lie in other files by now",
                remedy="ask for the file again",
            )
        # The place stands in the first two columns; a field of the table may have any name.
        files, numbers = found.column(0).to_pylist(), found.column(1).to_pylist()
        rows = found.select(list(range(2, found.num_columns))).to_pylist()
        return [(row, broken[file, number]) for row, file, number in zip(rows, files, numbers, strict=True)]
