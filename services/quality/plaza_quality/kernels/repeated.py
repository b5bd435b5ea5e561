"""Which rows repeat the key of an earlier one, by 128-bit hashes that were taken while scanning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

from plaza_quality.kernels.hashing import Hashes, Keys

Positions = NDArray[np.int64]
_BEFORE: Final = -(1 << 62)
_BITS_A_KEY: Final = 6
"""Of the filter, as a power of two: one of 64 strange keys passes it."""
_BITS_A_PLACE: Final = 4
"""Of the places that keys take among themselves, likewise: every eighth key shares its place by chance, at most."""


@dataclass(frozen=True, slots=True)
class KeyedRows:
    """Rows that follow each other. One without a key has the hash of zeros."""

    first: int
    """Position of the first."""
    keys: Keys


def repetitions(parts: Sequence[KeyedRows]) -> Positions:
    """Positions of all rows with a key, except the first of each key; in order. The parts are in order too."""
    # Nothing is sorted but the few rows whose place another one has taken too, by either half of the hash.
    chosen = _sharing([part.keys.one for part in parts], [part.keys for part in parts])
    if not chosen:
        return np.empty(0, np.int64)
    positions = np.concatenate([part.first + rows for part, rows in zip(parts, chosen, strict=True)])
    one = np.concatenate([part.keys.one[rows] for part, rows in zip(parts, chosen, strict=True)])
    two = np.concatenate([part.keys.two[rows] for part, rows in zip(parts, chosen, strict=True)])
    (left,) = _sharing([two], [Keys(one, two)]) or (np.empty(0, np.int64),)
    positions, one, two = positions[left], one[left], two[left]
    order = np.lexsort((two, one))  # stable: equal keys stay in the order of positions
    same = (one[order][1:] == one[order][:-1]) & (two[order][1:] == two[order][:-1])
    return np.sort(positions[order][1:][same])


def repeats_after(before: Iterable[Keys], parts: Sequence[KeyedRows]) -> Positions:
    """Of the parts' rows those whose key is in `before`, or in an earlier one of them; in order.

    Looks once at the first half of each hash in `before`, and further only where it may be one of the parts'.
    """
    size = sum(len(part.keys.one) for part in parts)
    if not size:
        return np.empty(0, np.int64)
    shift = _shift(size, _BITS_A_KEY)
    marks = _no_marks(shift)
    for part in parts:
        _mark(marks, part.keys.one, shift)
    # Rows of before stand in front of all others, under numbers that no position is.
    found = [KeyedRows(_BEFORE, _old(marks, keys, shift)) for keys in before]
    repeated = repetitions([*found, *parts])
    return repeated[repeated >= 0]


def _sharing(halves: Sequence[Hashes], keys: Sequence[Keys]) -> list[Positions]:
    """By part: the rows with a key whose place, by these halves, another row has too. Empty: there are no rows."""
    size = sum(len(half) for half in halves)
    if not size:
        return []
    shift = _shift(size, _BITS_A_PLACE)
    taken, shared = _no_marks(shift), _no_marks(shift)
    for half, whole in zip(halves, keys, strict=True):
        _share(taken, shared, half, whole.one, whole.two, shift)
    del taken
    return [
        _rows_of(shared, half, whole.one, whole.two, shift) for half, whole in zip(halves, keys, strict=True)
    ]


def _shift(keys: int, bits: int) -> int:
    """How far hashes are shifted to their places, of which there are two to the power of `bits` for each key."""
    return 64 - min(max(keys.bit_length() + bits, 16), 32)


def _no_marks(shift: int) -> NDArray[np.uint8]:
    """A bit for each place."""
    return np.zeros(1 << (61 - shift), np.uint8)


def _old(marks: NDArray[np.uint8], keys: Keys, shift: int) -> Keys:
    rows = _rows_of(marks, keys.one, keys.one, keys.two, shift)
    return Keys(keys.one[rows], keys.two[rows])


@njit(nogil=True, cache=True)
def _mark(marks: NDArray[np.uint8], hashes: Hashes, shift: int) -> None:
    for row in range(len(hashes)):
        place = hashes[row] >> uint64(shift)
        marks[place >> uint64(3)] |= np.uint8(1) << np.uint8(place & uint64(7))


@njit(nogil=True, cache=True)
def _share(
    taken: NDArray[np.uint8],
    shared: NDArray[np.uint8],
    half: Hashes,
    one: Hashes,
    two: Hashes,
    shift: int,
) -> None:
    for row in range(len(half)):
        if one[row] == 0 and two[row] == 0:
            continue
        place = half[row] >> uint64(shift)
        byte, bit = place >> uint64(3), np.uint8(1) << np.uint8(place & uint64(7))
        if taken[byte] & bit:
            shared[byte] |= bit
        else:
            taken[byte] |= bit


@njit(nogil=True, cache=True)
def _rows_of(marks: NDArray[np.uint8], half: Hashes, one: Hashes, two: Hashes, shift: int) -> Positions:
    """Rows with a key whose place is marked."""
    found = np.empty(len(half), np.int64)
    count = 0
    for row in range(len(half)):
        place = half[row] >> uint64(shift)
        if marks[place >> uint64(3)] >> np.uint8(place & uint64(7)) & np.uint8(1) and (one[row] or two[row]):
            found[count] = row
            count += 1
    return found[:count].copy()
