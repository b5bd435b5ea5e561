"""One batch of records, judged by the contract alone: accepted rows and refused ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from plaza_ingestion.worker.batches import Batch
from plaza_ingestion.worker.convert import ARROW_TYPES, Column, explain
from plaza_ingestion.worker.direct import DirectColumns
from plaza_ingestion.worker.header import Header
from plaza_ingestion.worker.plan import FieldSpec, LoadPlan
from plaza_ingestion.worker.records import Bools, Fault, Ints
from plaza_ingestion.worker.refusal import Reason, RefusedRow
from plaza_ingestion.worker.refusing import Refusing
from plaza_ingestion.worker.steps.runner import Steps

POSITIONS_SCHEMA: Final = pa.schema(
    [pa.field(name, pa.int64(), nullable=False) for name in ("line", "byte_offset", "byte_length")]
)
"""Of `positions.parquet`: where row i of `accepted.parquet` stands in the source file."""
ORIGINALS_SCHEMA: Final = POSITIONS_SCHEMA.append(pa.field("original", pa.binary(), nullable=False))
"""The same for a source whose records are no pieces of the file: the place is 0, 0 and the original is here."""

_FAULT_REASONS: Final = {
    Fault.TOO_LONG: Reason.TOO_LONG,
    Fault.QUOTING: Reason.QUOTING,
    Fault.ENCODING: Reason.ENCODING,
    Fault.SYNTAX: Reason.SYNTAX,
}


def accepted_schema(plan: LoadPlan) -> pa.Schema:
    """Of `accepted.parquet`: the plan's fields in order; required ones are not nullable."""
    return pa.schema(
        [
            pa.field(spec.name, ARROW_TYPES[spec.type], nullable=not plan.is_required(spec))
            for spec in plan.fields
        ]
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """The outcome for one window; rows keep the file's order."""

    accepted: pa.Table
    positions: pa.Table
    refused: list[RefusedRow]


@dataclass(frozen=True, slots=True)
class _Evidence:
    """Everything known about the structurally good rows of a batch."""

    cells: Mapping[str, pa.StringArray]
    """The texts that were read as values: behind the steps on texts. None where no cell is bad (`direct`)."""
    columns: Mapping[str, Column]
    """Of every field, those included that steps build."""


class Judge:
    """Judges batches of one file. Safe to call from several threads."""

    def __init__(self, plan: LoadPlan, header: Header, *, places: bool = True) -> None:
        """`places`: whether a record's place in the file holds its original (`batches.Reader`)."""
        self._plan = plan
        self._places = places
        self._width = len(header.headings)
        self._with_source = tuple(spec for spec in plan.fields if spec.source)
        self._wanted = header.columns_of(plan)
        self._field_of_column = dict(
            zip(self._wanted, (spec.name for spec in self._with_source), strict=True)
        )
        self._steps = Steps(plan)
        self._refusing = Refusing(plan.refusing, {spec.name: spec.type for spec in plan.fields})
        columns = dict(zip((spec.name for spec in self._with_source), self._wanted, strict=True))
        self._direct = DirectColumns(plan, self._width, columns, self._steps.by_text)
        self._schema = accepted_schema(plan)

    def judge(self, batch: Batch) -> Judged:
        """Every record of the batch is in exactly one of the two results."""
        sound = self._sound(batch)
        direct = self._direct.read_unchecked(batch) if sound.all() else None
        if direct is None:
            batch = batch.checked()
            sound = self._sound(batch)
        good = np.flatnonzero(sound)
        evidence = self._evidence(batch, good, direct or self._direct.read(batch, good))
        verdict = self._first_field_at_fault(evidence, len(good))
        broken = self._refusing.first_broken(evidence.columns, len(good))
        passed = (verdict < 0) & (broken < 0)

        by_record = [(int(at), self._misshapen(batch, int(at))) for at in np.flatnonzero(~sound)]
        for row in np.flatnonzero(~passed).tolist():
            at = int(good[row])
            if verdict[row] < 0:
                by_record.append((at, self._refused_by_rule(batch, at, int(broken[row]))))
                continue
            by_record.append((at, self._refused(batch, at, row, self._plan.fields[verdict[row]], evidence)))
        by_record.sort(key=lambda pair: pair[0])

        kept = good[passed]
        return Judged(
            accepted=self._accepted(evidence, passed),
            positions=self._positions(batch, kept),
            refused=[refused for _, refused in by_record],
        )

    def _positions(self, batch: Batch, kept: Ints) -> pa.Table:
        records = batch.records
        places = [pa.array(place[kept]) for place in (records.line, records.offset, records.length)]
        if self._places:
            return pa.table(places, schema=POSITIONS_SCHEMA)
        originals = pa.array([batch.original(index) for index in kept.tolist()], pa.binary())
        return pa.table([*places, originals], schema=ORIGINALS_SCHEMA)

    def _sound(self, batch: Batch) -> Bools:
        """The records whose cells can be looked at."""
        sound: Bools = (batch.records.fault == Fault.NONE) & (batch.records.fields == self._width)
        return sound

    def _evidence(self, batch: Batch, good: Ints, direct: Mapping[str, Column] | None) -> _Evidence:
        if direct is not None:
            return _Evidence({}, self._steps.values(direct))
        arrays = batch.cells(good, self._width, self._wanted, self._plan.dialect)
        texts = self._steps.texts(
            {spec.name: array for spec, array in zip(self._with_source, arrays, strict=True)}
        )
        read = {spec.name: self._steps.read(spec, texts) for spec in self._with_source}
        return _Evidence(texts.cells, self._steps.values(read))

    def _first_field_at_fault(self, evidence: _Evidence, rows: int) -> Ints:
        """Per row the place, in contract order, of the first field that refuses it; -1 where none does."""
        verdict = np.full(rows, -1, dtype=np.int64)
        for place, spec in enumerate(self._plan.fields):
            column = evidence.columns[spec.name]
            wrong = column.bad
            if self._plan.is_required(spec):
                wrong = wrong | column.missing
            if wrong.any():
                verdict[wrong & (verdict < 0)] = place
        return verdict

    def _accepted(self, evidence: _Evidence, passed: Bools) -> pa.Table:
        arrays = []
        for spec in self._plan.fields:
            array = evidence.columns[spec.name].values
            arrays.append(array if passed.all() else array.filter(pa.array(passed)))
        return pa.table(arrays, schema=self._schema)

    def _misshapen(self, batch: Batch, at: int) -> RefusedRow:
        """A record that is refused before anybody looks at its cells."""
        line, original = int(batch.records.line[at]), batch.original(at)
        fault, fields = Fault(batch.records.fault[at]), int(batch.records.fields[at])
        if fault is Fault.NONE:
            detail = (
                f"the record has {fields} {'field' if fields == 1 else 'fields'}, the header {self._width}"
            )
            return RefusedRow(line, None, Reason.RAGGED, batch.where(at) + detail, original)
        if fault is Fault.TOO_LONG:
            original = original[: self._plan.max_record_bytes]
        detail, column = batch.describe(at, self._plan.dialect)
        field = None if column is None or fields != self._width else self._field_of_column.get(column)
        return RefusedRow(line, field, _FAULT_REASONS[fault], batch.where(at) + detail, original)

    def _refused_by_rule(self, batch: Batch, at: int, number: int) -> RefusedRow:
        """A record whose cells are values, and one of them breaks a rule that refuses."""
        rule = self._refusing.rule(number)
        line, detail = int(batch.records.line[at]), batch.where(at) + rule.words
        return RefusedRow(line, rule.field, Reason.RULE, detail, batch.original(at))

    def _refused(self, batch: Batch, at: int, row: int, spec: FieldSpec, evidence: _Evidence) -> RefusedRow:
        """A record refused for the cell of one field, or for what a step made of it."""
        field, reason, column = spec.name, Reason.REQUIRED, evidence.columns[spec.name]
        if not column.bad[row]:
            why = column.why_missing
            detail = why(row) if why else f"{spec.name} is required and has no value"
        elif column.why and (fault := column.why(row)):
            field, reason, detail = fault.field, Reason.STEP, str(fault)
        else:
            reason, detail = Reason.TYPE, explain(evidence.cells[spec.name][row].as_py(), spec.type)
        line, detail = int(batch.records.line[at]), batch.where(at) + detail
        return RefusedRow(line, field, reason, detail, batch.original(at))
