"""What the page of refused rows shows, as plain values; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from plaza.common.v1 import contract_pb2
from plaza.ingestion.v1 import ingestion_pb2 as ing

from plaza_gateway.console.repair_table import RepairTable, corrected
from plaza_gateway.console.views import RunView, last

STATES = ("held", "replayed", "discarded")
_SHOWN = 400
"""Characters of an original."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a person made of the table."""

    cells: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """Text by the number of the column, by row."""
    picked: frozenset[str] = frozenset()
    reason: str = ""
    mark: str = ""
    """Of the columns that the form was made for."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell to correct."""

    number: int
    value: str
    wrong: bool
    changed: bool

    @property
    def long(self) -> bool:
        """Needs more than one line."""
        return "\n" in self.value or "\r" in self.value


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A refused row."""

    id: str
    line: int
    file_name: str
    field: str
    reason: str
    detail: str
    original: str
    again: bool
    """A correction of it was refused; reason and detail are the correction's."""
    guessed: bool
    picked: bool
    cells: tuple[Cell, ...]
    """Empty: it cannot be corrected here."""
    version: int
    run: str
    """The run that replayed it, or tried to."""
    given_up: str


@dataclass(frozen=True, slots=True)
class QuarantineView:
    """One page of refused rows."""

    headings: tuple[str, ...]
    mark: str
    rows: tuple[HeldRow, ...]
    total: int
    next_page: str
    replay: RunView | None

    @property
    def editable(self) -> bool:
        """Can any row be corrected here?"""
        return any(row.cells for row in self.rows)


def quarantine_view(
    page: ing.ListQuarantinedRowsResponse,
    table: RepairTable,
    contract: contract_pb2.Contract,
    sent: Sent,
    replay: RunView | None,
) -> QuarantineView:
    """The rows of a page with their cells; what somebody wrote into them and is not in the table stays."""
    headings = {each.name: each.source_name or each.name for each in contract.fields}
    rows = tuple(_row(row, table, headings, sent) for row in page.rows)
    return QuarantineView(table.headings, table.mark, rows, page.total_size, page.next_page_token, replay)


def _row(row: ing.QuarantinedRow, table: RepairTable, headings: Mapping[str, str], sent: Sent) -> HeldRow:
    id_ = last(row.name)
    found = table.rows.get(id_)
    cells: tuple[Cell, ...] = ()
    if found is not None:
        now = corrected(found, sent.cells.get(id_, {}))
        at_fault = headings.get(row.field, row.field)
        cells = tuple(
            Cell(number, value, bool(at_fault) and table.headings[number] == at_fault, value != before)
            for number, (value, before) in enumerate(zip(now, found.cells, strict=True))
        )
    text = row.original_text
    return HeldRow(
        id=id_,
        line=row.line,
        file_name=row.file_name,
        field=row.field,
        reason=row.reason,
        detail=row.detail,
        original=text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…",
        again=bool(row.replay_run) and row.state == ing.QUARANTINE_STATE_HELD,
        guessed=found is not None and found.guessed,
        picked=id_ in sent.picked,
        cells=cells,
        version=row.replayed_version,
        run=last(row.replay_run),
        given_up=row.discard_reason,
    )
