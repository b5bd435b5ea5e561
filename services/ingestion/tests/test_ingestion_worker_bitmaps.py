"""Bitmaps of places: each operation is what it says, across words."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from plaza_ingestion.worker.bitmaps import (
    _BLOCK,
    Ranks,
    bitmap,
    first_of,
    next_places,
    odd_places,
    positions,
    previous_places,
)

marks = st.integers(1, 400).flatmap(
    lambda size: st.one_of(
        st.lists(st.booleans(), min_size=size, max_size=size),
        st.sets(st.integers(0, size - 1), max_size=3).map(lambda at: [i in at for i in range(size)]),
    )
)


@given(marks)
def test_each_operation_across_words(members: list[bool]) -> None:
    size = len(members)
    words = bitmap(np.array(members, dtype=np.uint8), 1)
    at = [i for i, member in enumerate(members) if member]
    assert positions(words, size).tolist() == at
    assert first_of(words) == (at[0] if at else None)
    assert positions(next_places(words), size).tolist() == [i + 1 for i in at if i + 1 < size]
    assert positions(previous_places(words), size).tolist() == [i - 1 for i in at if i]
    odd = [i for i in range(size) if sum(members[: i + 1]) % 2]
    assert positions(odd_places(words), size).tolist() == odd
    before = Ranks.of(words).before(np.arange(size + 1))
    assert before.tolist() == [sum(members[:i]) for i in range(size + 1)]


def test_places_in_several_blocks() -> None:
    signs = np.zeros(2 * _BLOCK + 1, dtype=np.uint8)
    at = [0, _BLOCK - 1, _BLOCK, _BLOCK + 65, 2 * _BLOCK]
    signs[at] = 7
    assert positions(bitmap(signs, 7), len(signs)).tolist() == at
