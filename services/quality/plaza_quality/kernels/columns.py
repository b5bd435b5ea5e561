"""Columns of a part as kernels take them, and verdicts as they give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Verdict: TypeAlias = NDArray[np.uint8]
"""Of each row one of `SILENT`, `PASSES`, `FAILS`."""
SILENT: Final = 0
PASSES: Final = 1
FAILS: Final = 2
Flags: TypeAlias = NDArray[np.bool_]
_NOWHERE: Final = -1


def verdict(holds: Flags, present: Flags | None) -> Verdict:
    """Passes where it holds, fails where it does not, silent where nothing is present (None: present everywhere)."""
    found = np.where(holds, np.uint8(PASSES), np.uint8(FAILS))
    if present is not None:
        found *= present
    return found


def present_in(column: pa.ChunkedArray) -> Flags | None:
    """Where there is a value; None: everywhere."""
    if column.null_count == 0:
        return None
    return np.asarray(column.is_valid().to_numpy(), np.bool_)


def numbers(column: pa.ChunkedArray) -> tuple[NDArray[np.generic], Flags | None]:
    """Integers, floats, or days and microseconds as integers, whatever they are where nothing is present."""
    present = present_in(column)
    kind = column.type
    if pa.types.is_date32(kind):
        column = column.cast(pa.int32())
    elif pa.types.is_timestamp(kind):
        column = column.cast(pa.int64())
    parts = [_values(chunk) for chunk in column.chunks]
    return (parts[0] if len(parts) == 1 else np.concatenate(parts)) if parts else np.empty(0), present


def _values(chunk: pa.Array) -> NDArray[np.generic]:
    # The buffer itself, nulls and all: a filled copy would cost as much as the check.
    kind = chunk.type.to_pandas_dtype()
    return np.frombuffer(chunk.buffers()[1], kind, count=chunk.offset + len(chunk))[chunk.offset :]


def texts(column: pa.ChunkedArray, judge: Callable[[pa.Array], Flags]) -> Verdict:
    """What `judge` says of each text; of a text that many rows share it is asked once."""
    found = [_of_chunk(chunk, judge) for chunk in column.chunks]
    return (found[0] if len(found) == 1 else np.concatenate(found)) if found else np.empty(0, np.uint8)


def _of_chunk(chunk: pa.Array, judge: Callable[[pa.Array], Flags]) -> Verdict:
    if not isinstance(chunk, pa.DictionaryArray):
        present = None if chunk.null_count == 0 else np.asarray(chunk.is_valid().to_numpy(False), np.bool_)
        return verdict(judge(chunk), present)
    by_code = np.empty(len(chunk.dictionary) + 1, np.uint8)
    by_code[:-1] = verdict(judge(chunk.dictionary), None)
    by_code[_NOWHERE] = SILENT
    return np.asarray(by_code[codes(chunk)], np.uint8)


def codes(chunk: pa.DictionaryArray) -> NDArray[np.int32]:
    """The place of each row's text in the dictionary; -1 without one."""
    places = chunk.indices.fill_null(_NOWHERE) if chunk.indices.null_count else chunk.indices
    return np.asarray(places.to_numpy(zero_copy_only=False), np.int32)
