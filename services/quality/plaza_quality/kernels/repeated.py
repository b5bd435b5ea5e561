"""Which rows repeat the key of an earlier one, by 128-bit hashes that were taken while scanning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

from plaza_quality.kernels.columns import Flags
from plaza_quality.kernels.hashing import Hashes, Keys

Positions = NDArray[np.int64]
_BITS_A_KEY: Final = 6
"""Of the filter, as a power of two: one of 64 strange keys passes it."""
_BITS_A_PLACE: Final = 4
"""Of the places that keys take among themselves, likewise: every eighth key shares its place by chance, at most."""


def repetitions(parts: Sequence[tuple[Positions, Hashes, Hashes]]) -> Positions:
    """Positions of all rows with a key, except the first of each key; in order. The parts are in order too."""
    size = sum(len(part[0]) for part in parts)
    if not size:
        return np.empty(0, np.int64)
    # Nothing is sorted but the few rows whose place another one has taken too.
    shift = 64 - min(max(size.bit_length() + _BITS_A_PLACE, 16), 32)
    taken, shared = (np.zeros(1 << (61 - shift), np.uint8) for _ in range(2))
    for _, one, _ in parts:
        _share(taken, shared, one, shift)
    del taken
    chosen = [np.flatnonzero(_marked(shared, one, shift)) for _, one, _ in parts]
    positions, one, two = (
        np.concatenate([part[member][rows] for part, rows in zip(parts, chosen, strict=True)])
        for member in range(3)
    )
    order = np.lexsort((positions, two, one))
    same = (one[order][1:] == one[order][:-1]) & (two[order][1:] == two[order][:-1])
    return np.sort(positions[order][1:][same])


def present(keys: Keys, positions: Positions) -> tuple[Positions, Hashes, Hashes]:
    """The rows that have a key, as `repetitions` takes them."""
    there = (keys.one != 0) | (keys.two != 0)
    if there.all():
        return positions, keys.one, keys.two
    return positions[there], keys.one[there], keys.two[there]


def repeats_after(before: Iterable[Keys], parts: Sequence[tuple[Positions, Hashes, Hashes]]) -> Positions:
    """Of the parts' rows those whose key is in `before`, or in an earlier one of them; in order.

    Looks once at the first half of each hash in `before`, and further only where it may be one of the parts'.
    """
    size = sum(len(part[0]) for part in parts)
    if not size:
        return np.empty(0, np.int64)
    shift = 64 - min(max(size.bit_length() + _BITS_A_KEY, 16), 32)
    marks = np.zeros(1 << (61 - shift), np.uint8)
    for _, one, _ in parts:
        _mark(marks, one, shift)
    found = [_old(marks, keys, shift) for keys in before]
    # Rows of before stand in front of all others, under a number that no position is.
    repeated = repetitions([*found, *parts])
    return repeated[repeated >= 0]


def _old(marks: NDArray[np.uint8], keys: Keys, shift: int) -> tuple[Positions, Hashes, Hashes]:
    rows = np.flatnonzero(_marked(marks, keys.one, shift))
    one, two = keys.one[rows], keys.two[rows]
    there = (one != 0) | (two != 0)
    return np.full(np.count_nonzero(there), -1, np.int64), one[there], two[there]


@njit(nogil=True, cache=True)
def _mark(marks: NDArray[np.uint8], hashes: Hashes, shift: int) -> None:
    for row in range(len(hashes)):
        place = hashes[row] >> uint64(shift)
        marks[place >> uint64(3)] |= np.uint8(1) << np.uint8(place & uint64(7))


@njit(nogil=True, cache=True)
def _share(taken: NDArray[np.uint8], shared: NDArray[np.uint8], hashes: Hashes, shift: int) -> None:
    for row in range(len(hashes)):
        place = hashes[row] >> uint64(shift)
        byte, bit = place >> uint64(3), np.uint8(1) << np.uint8(place & uint64(7))
        if taken[byte] & bit:
            shared[byte] |= bit
        else:
            taken[byte] |= bit


@njit(nogil=True, cache=True)
def _marked(marks: NDArray[np.uint8], hashes: Hashes, shift: int) -> Flags:
    found = np.zeros(len(hashes), np.bool_)
    for row in range(len(hashes)):
        place = hashes[row] >> uint64(shift)
        found[row] = marks[place >> uint64(3)] >> np.uint8(place & uint64(7)) & np.uint8(1)
    return found
