"""From the bytes of good CSV records to columns of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.csv

from plaza_ingestion.worker.encodings import UTF8
from plaza_ingestion.worker.plan import Dialect


def split_record(original: bytes, fields: int, dialect: Dialect) -> list[bytes]:
    """The fields of one record without wrong quotes, unquoted; its bytes need not be UTF-8."""
    row = _read(original, fields, dict.fromkeys(range(fields), pa.binary()), dialect)
    return [column[0].as_py() for column in row.columns]


def read_joined(text: bytes, width: int, wanted: Sequence[int], dialect: Dialect) -> pa.Table:
    """The records of `text` (UTF-8, without fault, of `width` fields each) as columns of text; no cell is null."""
    return _read(text, width, dict.fromkeys(wanted, pa.string()), dialect)


def read_typed(
    data: bytes, width: int, types: Mapping[int, pa.DataType], missing: Sequence[str] | None, dialect: Dialect
) -> pa.Table | None:
    """The records as columns of these types, null where a cell is one of `missing` (None: nowhere in texts); None
    where Arrow refuses a cell."""
    try:
        return _read(data, width, types, dialect, missing)
    except pa.ArrowInvalid:
        return None


def _read(
    text: bytes,
    width: int,
    types: Mapping[int, pa.DataType],
    dialect: Dialect,
    missing: Sequence[str] | None = None,
) -> pa.Table:
    names = [str(i) for i in range(width)]
    # The reader drops a byte order mark at the start of what it is given; in the middle of a file it is text.
    text = UTF8.bom + text if text.startswith(UTF8.bom) else text
    return pa.csv.read_csv(
        pa.BufferReader(text),
        read_options=pa.csv.ReadOptions(column_names=names, block_size=len(text) + 1, use_threads=False),
        parse_options=pa.csv.ParseOptions(
            delimiter=dialect.delimiter, quote_char=dialect.quote, double_quote=True, newlines_in_values=True
        ),
        convert_options=pa.csv.ConvertOptions(
            column_types={names[i]: as_type for i, as_type in types.items()},
            include_columns=[names[i] for i in types],
            null_values=missing,
            strings_can_be_null=missing is not None,
            check_utf8=False,  # checked already
        ),
    )
