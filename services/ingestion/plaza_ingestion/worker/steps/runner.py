"""The steps of one load: what the judge asks before and behind the reading of types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plaza_ingestion.worker.convert import ARROW_TYPES, Column, convert
from plaza_ingestion.worker.plan import FieldSpec, LoadPlan
from plaza_ingestion.worker.refusal import StepFault
from plaza_ingestion.worker.steps.civil import ZoneOffsets
from plaza_ingestion.worker.steps.declared import (
    BuildKey,
    BuildTimestamp,
    ConvertUnit,
    MapCodes,
    MapMissing,
    ParseTime,
    Trim,
)
from plaza_ingestion.worker.steps.identifiers import build_key
from plaza_ingestion.worker.steps.texts import NoCode, Texts, run_texts
from plaza_ingestion.worker.steps.times import TimeReader
from plaza_ingestion.worker.steps.timestamps import Parts, build_timestamp, missing_part
from plaza_ingestion.worker.steps.units import convert_unit


class Steps:
    """Carries out the steps of a plan. Safe to call from several threads."""

    def __init__(self, plan: LoadPlan) -> None:
        self._types = {spec.name: spec.type for spec in plan.fields}
        self._missing = {spec.name: spec.missing for spec in plan.fields}
        self._text_steps = [step for step in plan.steps if isinstance(step, Trim | MapMissing | MapCodes)]
        self._readers = {
            step.field: TimeReader(step, self._types[step.field])
            for step in plan.steps
            if isinstance(step, ParseTime)
        }
        self._value_steps = [
            step for step in plan.steps if isinstance(step, ConvertUnit | BuildTimestamp | BuildKey)
        ]
        self._zones = {
            step.zone: ZoneOffsets(step.zone)
            for step in self._value_steps
            if isinstance(step, BuildTimestamp)
        }

    @property
    def by_text(self) -> frozenset[str]:
        """The fields whose texts a step changes or reads."""
        steps = [step.fields or self._types for step in self._text_steps if not isinstance(step, MapCodes)]
        codes = [step.field for step in self._text_steps if isinstance(step, MapCodes)]
        return frozenset(self._readers).union(codes, *steps)

    def texts(self, cells: Mapping[str, pa.StringArray]) -> Texts:
        """What the cells say behind the steps on texts."""
        return run_texts(self._text_steps, cells, self._missing)

    def read(self, spec: FieldSpec, texts: Texts) -> Column:
        """The values of a field of the file; bad as well where a step on texts refuses."""
        cells, reader = texts.cells[spec.name], self._readers.get(spec.name)
        column = reader.read(cells, spec.missing) if reader else convert(cells, spec.type, spec.missing)
        return _without_codeless(column, texts.refused.get(spec.name, []))

    def values(self, columns: Mapping[str, Column]) -> Mapping[str, Column]:
        """The columns behind the steps on values, with those that steps build."""
        if not self._value_steps:
            return columns
        found = dict(columns)
        for step in self._value_steps:
            match step:
                case ConvertUnit():
                    found[step.field] = convert_unit(step, found[step.field], self._types[step.field])
                case BuildTimestamp():
                    found[step.target] = _timestamp(step, found, self._zones[step.zone])
                case BuildKey():
                    found[step.target] = build_key(step, found)
        return found


def _without_codeless(column: Column, refused: list[NoCode]) -> Column:
    """The same with the rows bad that have no code."""
    if not refused:
        return column
    rows = reduce(np.logical_or, (one.rows for one in refused))

    def why(row: int) -> StepFault | None:
        for one in refused:
            if one.rows[row]:
                return StepFault(one.step.field, one.why(row), one.step.name)
        return column.why(row) if column.why else None

    values = column.values
    null = pa.scalar(None, values.type)
    return replace(
        column,
        values=pc.if_else(pa.array(rows), null, values),
        missing=column.missing & ~rows,
        bad=column.bad | rows,
        why=why,
    )


def _timestamp(step: BuildTimestamp, columns: Mapping[str, Column], zone: ZoneOffsets) -> Column:
    given = {name: columns[name] for _, name in step.parts()}
    parts = {
        name: Parts(
            values=column.values.fill_null(0).to_numpy(zero_copy_only=False),
            present=~(column.missing | column.bad),
        )
        for name, column in given.items()
    }
    built = build_timestamp(step, parts, zone)
    # A row whose part is bad is refused for the part itself; the step has nothing to say about it.
    part_is_bad = np.logical_or.reduce([column.bad for column in given.values()])
    bad = np.zeros(len(built.absent), dtype=np.bool_)
    bad[list(built.faults)] = True

    def why(row: int) -> StepFault | None:
        fault = built.faults.get(row)
        return replace(fault, step=step.name) if fault else None

    return Column(
        values=pa.array(built.micros, mask=built.absent | bad).view(ARROW_TYPES["timestamp"]),
        missing=built.absent & ~part_is_bad,
        bad=bad,
        why=why,
        why_missing=lambda row: missing_part(step, parts, row),
    )
