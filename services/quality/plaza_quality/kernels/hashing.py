"""128-bit hashes of rows, for finding repeated keys. Seeds are drawn anew for each table and known to the services
alone: nobody can make collisions beforehand, and by chance two of 100 million rows collide once in 10^22 scans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numba import njit, uint64
from numpy.typing import NDArray

from plaza_quality.kernels.columns import codes, numbers, present_in
from plaza_quality.kernels.identifiers import Bytes, Offsets, buffers

Hashes = NDArray[np.uint64]

_ABSENT: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Seeds:
    """Of the hashes that are compared with each other."""

    one: np.uint64
    two: np.uint64

    @classmethod
    def drawn(cls) -> Seeds:
        one, two = np.frombuffer(np.random.default_rng().bytes(16), np.uint64)
        return cls(one, two)


@dataclass(frozen=True, slots=True)
class Keys:
    """Both halves of the hash of each row of a file; twice 0 of a row that has no key."""

    one: Hashes
    two: Hashes


def hashed(columns: list[pa.ChunkedArray], seed: np.uint64) -> Hashes:
    """Of each row's values together; absent equals absent, and -0.0 equals 0.0, NaN equals NaN."""
    total = np.full(len(columns[0]), seed, np.uint64)
    for column in columns:
        _mixed_in(total, _of_column(column, seed))
    return total


def _of_column(column: pa.ChunkedArray, seed: np.uint64) -> Hashes:
    kind = column.type
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind):
        parts = [_of_texts(chunk, seed) for chunk in column.chunks]
        return np.concatenate(parts) if parts else np.empty(0, np.uint64)
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    values, present = numbers(column)
    if values.dtype.kind == "f":
        # One bit pattern for each value.
        floats = values.astype(np.float64) + 0.0
        floats[np.isnan(floats)] = np.nan
        found = floats.view(np.uint64)
    else:
        found = values.astype(np.int64).view(np.uint64)
    if present is not None:
        found[~present] = _ABSENT
    return found


def _of_texts(chunk: pa.Array, seed: np.uint64) -> Hashes:
    if isinstance(chunk, pa.DictionaryArray):
        by_code = np.empty(len(chunk.dictionary) + 1, np.uint64)
        by_code[:-1] = _of_buffers(*buffers(chunk.dictionary), seed)
        by_code[-1] = _ABSENT
        return np.asarray(by_code[codes(chunk)], np.uint64)
    found = _of_buffers(*buffers(chunk), seed)
    if (present := present_in(pa.chunked_array([chunk]))) is not None:
        found[~present] = _ABSENT
    return found


@njit(nogil=True, cache=True)
def _mix(value: np.uint64) -> np.uint64:
    # The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the input changes half of the output's.
    value = (value ^ (value >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> uint64(27))) * uint64(0x94D049BB133111EB)
    return value ^ (value >> uint64(31))


@njit(nogil=True, cache=True)
def _mixed_in(total: Hashes, more: Hashes) -> None:
    for row in range(len(total)):
        total[row] = _mix(total[row] * uint64(0x9E3779B97F4A7C15) + _mix(more[row] ^ total[row]))


@njit(nogil=True, cache=True)
def _of_buffers(data: Bytes, offsets: Offsets, seed: np.uint64) -> Hashes:
    found = np.empty(len(offsets) - 1, np.uint64)
    for row in range(len(found)):
        value = seed ^ uint64(offsets[row + 1] - offsets[row])
        word = uint64(0)
        filled = 0
        for at in range(offsets[row], offsets[row + 1]):
            word |= uint64(data[at]) << uint64(8 * filled)
            filled += 1
            if filled == 8:
                value = _mix(value ^ word) + seed
                word = uint64(0)
                filled = 0
        found[row] = _mix(_mix(value ^ word) + uint64(filled))
    return found
