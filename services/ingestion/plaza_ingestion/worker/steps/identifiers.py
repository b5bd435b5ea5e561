"""`BuildKey`: the texts of several values, joined so that different values never give the same text."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plaza_ingestion.worker.convert import Column, quoted
from plaza_ingestion.worker.records import Bools
from plaza_ingestion.worker.refusal import StepFault
from plaza_ingestion.worker.steps.declared import BuildKey


def build_key(step: BuildKey, columns: Mapping[str, Column]) -> Column:
    """The texts of one window. A row whose part is bad is refused for the part; the text has no fault then.

    Injective: no part holds the separator, so that cutting the text at each one gives the parts back.
    """
    parts = [columns[name] for name in step.parts]
    texts = [as_text(column.values) for column in parts]
    part_is_bad = np.logical_or.reduce([column.bad for column in parts])
    holds = [_true(pc.match_substring(text, step.separator)) for text in texts]
    lacks = [column.missing for column in parts]
    bad = np.logical_or.reduce([*holds, *lacks]) & ~part_is_bad
    joined = pc.binary_join_element_wise(*texts, step.separator, null_handling="emit_null")
    values = pc.if_else(pa.array(bad), pa.scalar(None, pa.string()), joined)

    def why(row: int) -> StepFault:
        for name, text, missing in zip(step.parts, texts, lacks, strict=True):
            if missing[row]:
                return StepFault(name, f"{name} is missing, so {step.target} cannot be built", step.name)
            shown = text[row].as_py()
            if step.separator in shown:
                detail = f"{quoted(shown)} holds {quoted(step.separator)}, which separates the parts of "
                return StepFault(name, detail + step.target, step.name)
        raise LookupError(row)

    return Column(values, np.zeros(len(bad), dtype=np.bool_), bad, why)


def as_text(values: pa.Array) -> pa.StringArray:
    """Each value in its one written form; null stays null."""
    if not pa.types.is_timestamp(values.type):
        return pc.cast(values, pa.string())
    micros = values.view(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    seconds = np.datetime_as_string(micros.view("datetime64[us]").astype("datetime64[s]"))
    rest = micros % 1_000_000
    if rest.any():
        exact = np.datetime_as_string(micros.view("datetime64[us]"))
        seconds = np.where(rest == 0, seconds, exact)
    texts = pc.binary_join_element_wise(pa.array(seconds.tolist(), pa.string()), "Z", "")
    return pc.if_else(values.is_null(), pa.scalar(None, pa.string()), texts)


def _true(values: pa.Array) -> Bools:
    return np.asarray(values.fill_null(False).to_numpy(zero_copy_only=False), dtype=np.bool_)
