"""Kept differences: kind, positions and fields, packed by the thousand. No value is among them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from plaza_lake.reconcile import ENTRY

CHUNK: Final = 4096
_PACKED: Final = np.dtype([("kind", "u1"), ("left", "<i8"), ("right", "<i8"), ("differs", "<i4")])
_PLACES: Final = ("left", "right")
_NONE: Final = -1
"""The position of a side that has no row."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Differences that follow each other."""

    first: int
    """Number of the first one, from 1."""
    kinds: int
    """Bit of every kind that occurs."""
    fields: int
    """Bit of every field that differs in one of them."""
    packed: bytes


def packed(entries: pa.Table) -> Iterator[Chunk]:
    """The table (`ENTRY`) in chunks."""
    for first in range(0, entries.num_rows, CHUNK):
        part = entries.slice(first, CHUNK)
        rows = np.empty(part.num_rows, _PACKED)
        for name in _PACKED.names or ():
            column = part.column(name)
            rows[name] = (column.fill_null(_NONE) if name in _PLACES else column).to_numpy()
        kinds = int(np.bitwise_or.reduce(np.left_shift(1, rows["kind"].astype(np.int32))))
        fields = int(np.bitwise_or.reduce(rows["differs"]))
        yield Chunk(first + 1, kinds, fields, zlib.compress(rows.tobytes(), 1))


def unpacked(chunk: Chunk) -> pa.Table:
    """`ENTRY` and, before it, `number`."""
    rows = np.frombuffer(zlib.decompress(chunk.packed), _PACKED)
    columns = [pa.array(np.arange(chunk.first, chunk.first + len(rows), dtype=np.int64))]
    for each in ENTRY:
        values = rows[each.name]
        absent = values == _NONE if each.name in _PLACES else None
        columns.append(pa.array(values.copy(), each.type, mask=absent))
    return pa.table(columns, names=["number", *ENTRY.names])


NOTHING: Final = pa.schema([("number", pa.int64()), *ENTRY]).empty_table()
"""No difference, in the form of `unpacked`."""
