"""How each column of a Parquet file is best written, told from its first rows.

Places, counters and times grow from row to row: as differences (DELTA_BINARY_PACKED, Apache Parquet format,
"Encodings") they take a fraction of the room and of the time. A dictionary is for values that come again. What
neither suits is written plain. Every choice is readable everywhere; it decides size and speed alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_GROWING: Final = "DELTA_BINARY_PACKED"
_SAMPLE_ROWS: Final = 122_880
_MINIBLOCK: Final = 32
_SELDOM: Final = 0.5
"""With more different values than this part of the rows a dictionary is a waste."""


@dataclass(frozen=True, slots=True)
class ColumnEncodings:
    """As `pyarrow.parquet.ParquetWriter` takes it."""

    use_dictionary: list[str]
    column_encoding: dict[str, str] | None


def encodings_for(first: pa.Table) -> ColumnEncodings:
    """The choice for each column; the same for the same rows."""
    sample = first.slice(0, _SAMPLE_ROWS)
    dictionary, growing = [], []
    for name, column in zip(sample.column_names, sample.columns, strict=True):
        different = pc.count_distinct(column, mode="only_valid").as_py()
        # Twice as good, because the numbers of a dictionary are compressed further and differences hardly.
        if _is_counted(column.type) and 2 * _bits_as_differences(column) < _bits_by_dictionary(
            different, column
        ):
            growing.append(name)
        elif different <= _SELDOM * len(column):
            dictionary.append(name)
    return ColumnEncodings(dictionary, dict.fromkeys(growing, _GROWING) or None)


def _is_counted(type_: pa.DataType) -> bool:
    return bool(pa.types.is_int64(type_) or pa.types.is_timestamp(type_))


def _bits_by_dictionary(different: int, column: pa.ChunkedArray) -> float:
    """A value, about: its number in the dictionary, and its part of the dictionary."""
    return float(np.log2(max(different, 1)) + 64 * different / max(len(column), 1))


def _bits_as_differences(column: pa.ChunkedArray) -> float:
    """A value, about: in each miniblock as many bits as its widest difference from its smallest one needs."""
    values = column.drop_null().cast(pa.int64()).to_numpy().astype(np.float64)
    steps = np.diff(values)
    blocks = steps[: len(steps) // _MINIBLOCK * _MINIBLOCK].reshape(-1, _MINIBLOCK)
    if not blocks.size:
        return 64.0
    return float(np.log2(1 + blocks.max(axis=1) - blocks.min(axis=1)).mean())
