"""The words for a refused row."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import pyarrow as pa


class Reason(StrEnum):
    """Why a row is refused. The codes are stable: they are stored, counted and translated."""

    TOO_LONG = "too_long"
    """The record has more bytes than the plan allows; its first bytes are kept, up to that limit."""
    QUOTING = "quoting"
    """A quote stands where RFC 4180 allows none, or a quoted field is not closed."""
    ENCODING = "encoding"
    """The record has bytes that are no characters in the file's encoding."""
    SYNTAX = "syntax"
    """The record is not of the form that its format asks: no JSON object, two values under one name …"""
    RAGGED = "ragged"
    """The record has another number of fields than the header."""
    TYPE = "type"
    """A cell's text is no value of its field's type."""
    REQUIRED = "required"
    """A required field has no value."""
    STEP = "step"
    """A declared step has no result for this row."""
    RULE = "rule"
    """A rule of the contract with the severity refuse is broken."""
    DUPLICATE_KEY = "duplicate_key"
    """Another row of the same file, itself acceptable, has the same key and stays: the first, or the latest
    where the contract says so."""


REFUSED_SCHEMA: Final = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),
        pa.field("field", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("original", pa.binary(), nullable=False),
    ]
)
"""Of `refused.parquet`, in file order."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """One refused row."""

    line: int
    """The record's first physical line; the header is line 1 (formats without lines: see `batches`)."""
    field: str | None
    """The contract's name of the first field at fault; None when the whole record is."""
    reason: Reason
    detail: str
    """In plain words, for the person who repairs the row."""
    original: bytes
    """The record as it stands in the file, in its encoding and without its line end; in a format without text
    the record as JSON."""


@dataclass(frozen=True, slots=True)
class StepFault:
    """Why a declared step has no result for a row."""

    field: str
    """The field at fault: the step's own, or the part that is wrong."""
    detail: str
    """In plain words."""
    step: str = ""
    """The step's name, if it has one."""

    def __str__(self) -> str:
        return in_step(self.detail, self.step)


def in_step(detail: str, step: str) -> str:
    """The words with the step's name, if it has one."""
    return f"{detail} (step {step})" if step else detail


def refused_table(rows: list[RefusedRow]) -> pa.Table:
    """The rows as a table of `REFUSED_SCHEMA`."""
    columns = [
        [row.line for row in rows],
        [row.field for row in rows],
        [row.reason.value for row in rows],
        [row.detail for row in rows],
        [row.original for row in rows],
    ]
    arrays = [pa.array(values, of.type) for values, of in zip(columns, REFUSED_SCHEMA, strict=True)]
    return pa.table(arrays, schema=REFUSED_SCHEMA)
