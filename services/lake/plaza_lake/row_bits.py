"""A bit for each row of a file, eight to a byte, the first row in the lowest bit: Arrow's own layout of booleans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Bits: TypeAlias = NDArray[np.uint8]
Flags: TypeAlias = NDArray[np.bool_]
Rows: TypeAlias = NDArray[np.int64]


def packed(flags: Flags) -> Bits:
    """The bits of some rows."""
    return np.packbits(flags, bitorder="little")


def unpacked(bits: Bits, rows: int) -> Flags:
    """The inverse."""
    return np.unpackbits(bits, count=rows, bitorder="little").view(np.bool_)


def of_rows(rows: Rows, count: int) -> Bits:
    """Bits of a file with so many rows, set for these."""
    flags = np.zeros(count, np.bool_)
    flags[rows] = True
    return packed(flags)


def rows_in(bits: Bits, count: int) -> Rows:
    """The rows whose bit is set, in order."""
    return np.flatnonzero(unpacked(bits, count))


def at(bits: Bits, rows: Rows) -> Flags:
    """The bits of these rows."""
    return np.asarray(bits[rows >> 3] >> (rows & 7).astype(np.uint8) & 1, np.bool_)


def part(bits: Bits, first: int, rows: int) -> Bits:
    """The bits of rows that follow each other."""
    return packed(unpacked(bits, first + rows)[first:])


def joined(parts: Sequence[tuple[Bits | None, int]]) -> Bits | None:
    """Bits of parts with so many rows each, one behind the other. None: no bit is set."""
    if all(bits is None for bits, _ in parts):
        return None
    whole = [(np.zeros(-(-rows // 8), np.uint8) if bits is None else bits, rows) for bits, rows in parts]
    if len(whole) == 1:
        return whole[0][0]
    if all(rows % 8 == 0 for _, rows in whole[:-1]):
        return np.concatenate([bits for bits, _ in whole])
    return packed(np.concatenate([unpacked(bits, rows) for bits, rows in whole]))


def as_arrow(bits: Bits, rows: int) -> pa.BooleanArray:
    """Without a copy."""
    return pa.BooleanArray.from_buffers(pa.bool_(), rows, [None, pa.py_buffer(bits)])


def from_arrow(array: pa.BooleanArray) -> Bits:
    """Without a copy, where the array begins with its buffer."""
    if array.offset:
        return packed(np.asarray(array.to_numpy(zero_copy_only=False), np.bool_))
    return np.frombuffer(array.buffers()[1], np.uint8, count=-(-len(array) // 8))
