"""What may become of a refused row, and how it is named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from plaza.common.v1 import contract_pb2
from plaza_kit.errors import FailedPrecondition, InvalidArgument

ROW_COLUMN: Final = "plaza_row"
"""Column of a repair file that names the held row."""
REASON_COLUMN: Final = "plaza_reason"
DETAIL_COLUMN: Final = "plaza_detail"
RECORD_COLUMN: Final = "plaza_record"
"""Holds a record that cannot be split into cells, whole. Not one of the source's columns: there, handed back
as it is, it could pass for a value of the first field."""
OWN_COLUMNS: Final = (ROW_COLUMN, REASON_COLUMN, DETAIL_COLUMN, RECORD_COLUMN)

NOT_HELD: Final = "not_held"
"""Reason of a repaired row whose quarantined row is replayed or discarded already, or not there."""
NOT_REPAIRED: Final = "not_repaired"
"""Reason of a repaired row in which every cell is empty."""

_ROW_ID: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-([1-9][0-9]{0,17})")
# From the first quote to the last: a cell may hold quotes itself.
_QUOTED: Final = re.compile(r'".*"', re.DOTALL)


class RowState(StrEnum):
    """Where a quarantined row stands (model.md), and one state in between."""

    HELD = "held"
    REPLAYING = "replaying"
    """Taken by a replay that is being committed; shown as held, because it may still fail."""
    REPLAYED = "replayed"
    DISCARDED = "discarded"


class RowId(NamedTuple):
    """A record has one first line and is refused once."""

    batch: str
    line: int

    def __str__(self) -> str:
        return f"{self.batch}-{self.line}"

    @classmethod
    def parse(cls, text: str) -> RowId | None:
        """None for what is no row's id."""
        match = _ROW_ID.fullmatch(text.strip())
        return cls(match[1], int(match[2])) if match else None


@dataclass(frozen=True, slots=True)
class RefusedAgain:
    """A held row whose repaired form was refused."""

    row: RowId
    field: str
    reason: str
    detail: str


class RowNotHeld(FailedPrecondition):
    """The row was replayed or discarded, or is on its way into the table."""

    def __init__(self, row: RowId, state: RowState) -> None:
        super().__init__(
            f"quarantined row {row} is {state}, not held",
            remedy="possible in this state: nothing"
            if state is not RowState.REPLAYING
            else "wait for the replay",
            facts={"row": str(row), "state": state.value},
        )


class ReservedColumn(InvalidArgument):
    """A contract's field reads a column that repair files need for themselves."""


def replay_contract(contract: contract_pb2.Contract) -> contract_pb2.Contract:
    """The contract in force as a repair file is judged by it: a table as a spreadsheet program saves it, whatever
    the source is, and the row's name as one more required field. Raises ReservedColumn."""
    for field in contract.fields:
        if ROW_COLUMN in (field.name, field.source_name):
            raise ReservedColumn(
                f"field {field.name} of the contract reads column {ROW_COLUMN}, which repair files need",
                remedy="name the source's column differently, or load corrected rows as a new file",
            )
    wanted = contract_pb2.Contract()
    wanted.CopyFrom(contract)
    wanted.format.Clear()
    wanted.format.delimiter = ","
    wanted.format.missing_values.extend(contract.format.missing_values)
    wanted.fields.add(
        name=ROW_COLUMN, source_name=ROW_COLUMN, type=contract_pb2.FIELD_TYPE_STRING, required=True
    )
    return wanted


def without_cells(detail: str) -> str:
    """A refusal's words without the quoted text of cells: this service's database keeps no row's content."""
    return _QUOTED.sub('"…"', detail)
