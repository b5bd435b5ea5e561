"""One scan over the rows of a version: a tally for each column, and rows drawn at random for what needs several."""

from __future__ import annotations

import threading
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from plaza_lake.fields import FieldType, TableSchema
from plaza_lake.scan import Part
from plaza_lake.schema import arrow_schema

from plaza_quality.kernels.tallies import LONGEST, ColumnFacts, Tally

SAMPLE_ROWS: Final = 100_000
"""Drawn from larger tables, about."""
_SAMPLE_CELLS: Final = 4_000_000
"""Of all columns together; wide tables are sampled with fewer rows."""
_VALUES: Final = 50_000
_VALUES_TOGETHER: Final = 2_000_000
"""Different values that are kept, of a column and of all."""
_HASHES: Final = 65_536
_HASHES_TOGETHER: Final = 8_000_000


class Profiler:
    """Takes the parts of a version, several at a time."""

    def __init__(self, schema: TableSchema, rows: int) -> None:
        """`rows`: of all parts together."""
        self.schema = schema.select(each.name for each in schema.columns if each.type is not FieldType.BYTES)
        many = len(self.schema.columns)
        values = max(200, min(_VALUES, _VALUES_TOGETHER // many))
        hashes = max(1024, min(_HASHES, _HASHES_TOGETHER // many))
        self._tallies = {
            each.name: Tally(each.type, values=values, hashes=hashes) for each in self.schema.columns
        }
        wanted = max(1000, min(SAMPLE_ROWS, _SAMPLE_CELLS // many))
        self._share = min(1.0, wanted / rows) if rows else 1.0
        self._lock = threading.Lock()
        self._sampled: dict[tuple[int, int], pa.Table] = {}

    def __call__(self, part: Part) -> None:
        place = part.file, part.first
        for name, tally in self._tallies.items():
            tally.add(place, part.columns.column(name))
        drawn = part.columns.select(self.schema.names)
        if self._share < 1.0:
            # By the part's own number: the same version gives the same sample.
            chance = np.random.default_rng(place).random(drawn.num_rows)
            drawn = drawn.filter(pa.array(chance < self._share))
        if drawn.num_rows:
            plain = pa.table([_plain(column) for column in drawn.columns], names=list(self.schema.names))
            with self._lock:
                self._sampled[place] = plain

    def facts(self) -> dict[str, ColumnFacts]:
        """By column, in the order of the table."""
        return {name: tally.facts() for name, tally in self._tallies.items()}

    def sample(self) -> pa.Table:
        """The drawn rows in the order of the table; all of them where they are few. Texts are cut."""
        parts = [self._sampled[place] for place in sorted(self._sampled)]
        schema = arrow_schema(self.schema)
        return pa.concat_tables(parts).cast(schema) if parts else schema.empty_table()


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    return pc.utf8_slice_codeunits(column, 0, LONGEST) if pa.types.is_string(column.type) else column
