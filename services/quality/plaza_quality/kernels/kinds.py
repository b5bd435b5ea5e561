"""Rows counted by which judges they fail together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray
from plaza_lake.judgements import WORD
from plaza_lake.row_bits import Bits

Words = NDArray[np.int64]


def counted(
    failed: Mapping[int, Bits | None], rows: int
) -> tuple[int, tuple[tuple[tuple[int, ...], int], ...]]:
    """Rows that fail nowhere, and each kind of the others with how many they are."""
    judges = [judge for judge, bits in sorted(failed.items()) if bits is not None]
    if not judges:
        return rows, ()
    kinds: list[tuple[int, ...]] = [()]
    of_row: Words = np.zeros(0, np.int64)
    for first in range(0, len(judges), WORD):
        group = judges[first : first + WORD]
        words = np.zeros(-(-rows // 8) * 8, np.int64)
        for place, judge in enumerate(group):
            bits = failed[judge]
            assert bits is not None, "they were chosen"
            _spread(words, bits, place)
        found, places = _each_once(words[:rows])
        told = [tuple(j for place, j in enumerate(group) if word >> place & 1) for word in found.tolist()]
        if not len(of_row):
            kinds, of_row = told, places
            continue
        pairs, of_row = _each_once(of_row * len(told) + places)
        kinds = [kinds[pair // len(told)] + told[pair % len(told)] for pair in pairs.tolist()]
    counts = dict(zip(kinds, np.bincount(of_row, minlength=len(kinds)).tolist(), strict=True))
    return counts.pop((), 0), tuple(counts.items())


def _each_once(values: Words) -> tuple[Words, Words]:
    """The values, and for each row the place of its own among them; by hashes, not by sorting."""
    encoded = pa.array(values).dictionary_encode()
    return np.asarray(encoded.dictionary.to_numpy()), np.asarray(encoded.indices.to_numpy(), np.int64)


@njit(nogil=True, cache=True)
def _spread(words: Words, bits: Bits, place: int) -> None:
    for at in range(len(bits)):
        byte = bits[at]
        if byte:
            for row in range(8):
                words[8 * at + row] |= np.int64(byte >> row & 1) << place
