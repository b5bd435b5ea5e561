"""Which rows repeat the key of an earlier one, by 128-bit hashes that were taken while scanning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plaza_quality.kernels.hashing import Hashes

Positions = NDArray[np.int64]


def repetitions(parts: Sequence[tuple[Positions, Hashes, Hashes]]) -> Positions:
    """Positions of all rows with a key, except the first of each key; in order. The parts are in order too."""
    if not parts:
        return np.empty(0, np.int64)
    first = np.concatenate([part[1] for part in parts])
    ordered = np.sort(first)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    if not len(twice):
        return np.empty(0, np.int64)
    # Few rows are left in most tables: only for these the whole hash is looked at.
    at = np.searchsorted(twice, first)
    candidates = np.flatnonzero(twice[np.minimum(at, len(twice) - 1)] == first)
    del at
    positions = np.concatenate([part[0] for part in parts])[candidates]
    one, two = first[candidates], np.concatenate([part[2] for part in parts])[candidates]
    order = np.lexsort((positions, two, one))
    same = (one[order][1:] == one[order][:-1]) & (two[order][1:] == two[order][:-1])
    return np.sort(positions[order][1:][same])
