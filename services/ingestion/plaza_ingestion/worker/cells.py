"""From good records to columns of text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv

from plaza_ingestion.worker.plan import Dialect
from plaza_ingestion.worker.records import Ints
from plaza_ingestion.worker.source import BOM, Window


def read_cells(
    window: Window, good: Ints, width: int, wanted: Sequence[int], dialect: Dialect
) -> list[pa.StringArray]:
    """The unquoted cells of the records `good` (indexes into the window), one array for each column `wanted`.

    The records must be without fault and of `width` fields each. No cell is null; an absent value is "".
    """
    if not len(good):
        return [pa.array([], pa.string()) for _ in wanted]
    table = _read(_joined(window, good), width, wanted, dialect, pa.string())
    if table.num_rows != len(good):
        raise AssertionError(f"two readers of one file disagree: {len(good)} records, {table.num_rows} rows")
    return [table.column(i).combine_chunks() for i in range(len(wanted))]


def split_record(original: bytes, fields: int, dialect: Dialect) -> list[bytes]:
    """The fields of one record without wrong quotes, unquoted; its bytes need not be UTF-8."""
    row = _read(original, fields, range(fields), dialect, pa.binary())
    return [column[0].as_py() for column in row.columns]


def _read(text: bytes, width: int, wanted: Sequence[int], dialect: Dialect, as_type: pa.DataType) -> pa.Table:
    names = [str(i) for i in range(width)]
    # The reader drops a byte order mark at the start of what it is given; in the middle of a file it is text.
    text = BOM + text if text.startswith(BOM) else text
    return pa.csv.read_csv(
        pa.BufferReader(text),
        read_options=pa.csv.ReadOptions(column_names=names, block_size=len(text) + 1, use_threads=False),
        parse_options=pa.csv.ParseOptions(
            delimiter=dialect.delimiter, quote_char=dialect.quote, double_quote=True, newlines_in_values=True
        ),
        convert_options=pa.csv.ConvertOptions(
            column_types={names[i]: as_type for i in wanted},
            include_columns=[names[i] for i in wanted],
            strings_can_be_null=False,
            check_utf8=False,  # checked already
        ),
    )


def _joined(window: Window, good: Ints) -> bytes:
    """The bytes of the good records alone; in one piece, and uncopied, when there is nothing between them."""
    offset, length = window.records.offset - window.start, window.records.length
    breaks = np.flatnonzero(np.diff(good) != 1) + 1
    first = good[np.concatenate(([0], breaks))]
    last = good[np.concatenate((breaks - 1, [len(good) - 1]))]
    pieces = [
        window.data[begin:end]
        for begin, end in zip(offset[first].tolist(), (offset[last] + length[last]).tolist(), strict=True)
    ]
    return pieces[0] if len(pieces) == 1 else b"\n".join(pieces)
