"""Sets of places in a run of bytes, as bitmaps: one bit a place, 64 places a word, and one spare word behind them.

What a splitter asks ("which line ends are outside of quotes", "how many delimiters before here") are a few
operations on words, whatever the bytes are; the way is that of simdjson (Langdale and Lemire, 2019) and of
succinct rank structures (Jacobson, 1989).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

_WORD: Final = np.dtype("<u8")
_ONE: Final = np.uint64(1)
_SHIFT: Final = 6
_LAST_BIT: Final = np.uint64(63)
_NONE: Final = np.uint64(0)
_BLOCK: Final = 1 << 21
"""At least a window: few calls, because threads wait for each other at every one."""


class _Scratch(threading.local):
    """One byte a place, kept from call to call, so that the system need not clear pages for it each time."""

    def __init__(self) -> None:
        self.found = np.empty(_BLOCK, dtype=np.bool_)


_scratch: Final = _Scratch()


def bitmap(signs: Bytes, sign: int) -> Words:
    """The places where `sign` stands."""
    return _where(np.equal, signs, sign)


def bitmap_from(signs: Bytes, least: int) -> Words:
    """The places where `least` or a greater sign stands."""
    return _where(np.greater_equal, signs, least)


def _where(compare: np.ufunc, signs: Bytes, sign: int) -> Words:
    words = np.zeros((len(signs) >> _SHIFT) + 1, dtype=_WORD)
    target = words.view(np.uint8)
    for begin in range(0, len(signs), _BLOCK):
        block = signs[begin : begin + _BLOCK]
        packed = np.packbits(compare(block, sign, out=_scratch.found[: len(block)]), bitorder="little")
        target[begin >> 3 : (begin >> 3) + len(packed)] = packed
    return words


def next_places(words: Words) -> Words:
    """The places right behind those of the set."""
    moved = words << _ONE
    moved[1:] |= words[:-1] >> _LAST_BIT
    return moved


def previous_places(words: Words) -> Words:
    """The places right before those of the set."""
    moved = words >> _ONE
    moved[:-1] |= words[1:] << _LAST_BIT
    return moved


def odd_places(words: Words) -> Words:
    """The places with an odd number of members up to and including themselves."""
    odd, moved = words.copy(), np.empty_like(words)
    for step in (1, 2, 4, 8, 16, 32):
        np.left_shift(odd, np.uint64(step), out=moved)
        np.bitwise_xor(odd, moved, out=odd)
    # A word is turned round when the words before it hold an odd number of members: as many last bits are set.
    before = np.bitwise_xor.accumulate(odd)[:-1] >> _LAST_BIT
    odd[1:] ^= _NONE - before
    return odd


def positions(words: Words, size: int) -> Ints:
    """The members below `size`, in order."""
    members = np.unpackbits(words.view(np.uint8), count=size, bitorder="little")
    return np.flatnonzero(members.view(np.bool_))


def first_of(words: Words) -> int | None:
    """The first member."""
    filled = np.flatnonzero(words)
    if not filled.size:
        return None
    word = int(words[filled[0]])
    return (int(filled[0]) << _SHIFT) + (word & -word).bit_length() - 1


@dataclass(frozen=True, slots=True)
class Ranks:
    """How many members lie before a place."""

    _words: Words
    _before: Ints

    @classmethod
    def of(cls, words: Words) -> Ranks:
        """For any place up to the end of the bytes."""
        counts = np.bitwise_count(words)
        before = np.cumsum(counts, dtype=np.int64)
        before -= counts
        return cls(words, before)

    def before(self, places: Ints) -> Ints:
        """For each place."""
        at = places >> _SHIFT
        below = (_ONE << (places & 63).astype(np.uint64)) - _ONE
        counted: Ints = self._before[at] + np.bitwise_count(self._words[at] & below)
        return counted
