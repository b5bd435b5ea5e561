"""Identifiers with check characters, and texts of a fixed form: byte by byte over Arrow's string buffers."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from plaza_quality.kernels.columns import Flags

Bytes = NDArray[np.uint8]
Offsets = NDArray[np.int32]

_NONE: Final = 255


def _table(signs: str) -> Bytes:
    """The value of each sign, by its byte; 255: not one of them."""
    found = np.full(256, _NONE, np.uint8)
    for value, sign in enumerate(signs):
        found[ord(sign)] = value
    return found


_DIGITS: Final = _table("0123456789")
_CREDIT: Final = _table("0123456789ABCDEFGHJKLMNPQRTUWXY")
"""The 31 signs of GB 32100-2015."""
_WEIGHTS_11: Final = np.array([pow(2, 17 - place, 11) for place in range(18)], np.int64)
"""ISO 7064 MOD 11-2: with the check character the weighted sum leaves 1."""
_WEIGHTS_31: Final = np.array([*(pow(3, place, 31) for place in range(17)), 1], np.int64)
"""GB 32100-2015, 5.5."""
_PROVINCES: Final = np.zeros(100, np.bool_)
_PROVINCES[[*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47)]] = True
_PROVINCES[[*range(50, 55), *range(61, 66), 71, 81, 82, 83]] = True


def buffers(array: pa.Array) -> tuple[Bytes, Offsets]:
    """Data and offsets of an array of texts; row `i` is data[offsets[i]:offsets[i + 1]]."""
    _, places, data = array.buffers()
    offsets = np.frombuffer(places, np.int32, count=array.offset + len(array) + 1)[array.offset :]
    return np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8), offsets


def resident_id(array: pa.Array) -> Flags:
    """GB 11643-1999: division's province, day of birth that the calendar has, check character."""
    data, offsets = buffers(array)
    return _resident_ids(data, offsets, _DIGITS, _WEIGHTS_11, _PROVINCES)


def social_credit_code(array: pa.Array) -> Flags:
    """GB 32100-2015."""
    data, offsets = buffers(array)
    return _credit_codes(data, offsets, _CREDIT, _WEIGHTS_31)


def plain_mobile(array: pa.Array) -> Flags:
    """Eleven digits that begin with 13 to 19: how nearly every mobile number is written."""
    data, offsets = buffers(array)
    return _plain_mobiles(data, offsets)


@njit(nogil=True, cache=True)
def _plain_mobiles(data: Bytes, offsets: Offsets) -> Flags:
    found = np.zeros(len(offsets) - 1, np.bool_)
    for row in range(len(found)):
        start = offsets[row]
        if offsets[row + 1] - start != 11 or data[start] != 49 or data[start + 1] < 51:
            continue
        good = True
        for place in range(1, 11):
            if data[start + place] < 48 or data[start + place] > 57:
                good = False
                break
        found[row] = good
    return found


@njit(nogil=True, cache=True)
def _resident_ids(
    data: Bytes, offsets: Offsets, digits: Bytes, weights: NDArray[np.int64], provinces: Flags
) -> Flags:
    found = np.zeros(len(offsets) - 1, np.bool_)
    for row in range(len(found)):
        start = offsets[row]
        if offsets[row + 1] - start != 18:
            continue
        total = 0
        good = True
        for place in range(17):
            value = digits[data[start + place]]
            if value == 255:
                good = False
                break
            total += value * weights[place]
        if not good:
            continue
        last = data[start + 17]
        if last == 88:  # X is ten
            total += 10
        elif digits[last] == 255:
            continue
        else:
            total += digits[last]
        if total % 11 != 1 or not provinces[digits[data[start]] * 10 + digits[data[start + 1]]]:
            continue
        year = 0
        for place in range(6, 10):
            year = year * 10 + digits[data[start + place]]
        month = digits[data[start + 10]] * 10 + digits[data[start + 11]]
        day = digits[data[start + 12]] * 10 + digits[data[start + 13]]
        if year < 1 or month < 1 or month > 12 or day < 1:
            continue
        longest = 31
        if month == 4 or month == 6 or month == 9 or month == 11:
            longest = 30
        elif month == 2:
            longest = 29 if (year % 4 == 0 and year % 100 != 0) or year % 400 == 0 else 28
        found[row] = day <= longest
    return found


@njit(nogil=True, cache=True)
def _credit_codes(data: Bytes, offsets: Offsets, signs: Bytes, weights: NDArray[np.int64]) -> Flags:
    found = np.zeros(len(offsets) - 1, np.bool_)
    for row in range(len(found)):
        start = offsets[row]
        if offsets[row + 1] - start != 18:
            continue
        total = 0
        good = True
        for place in range(18):
            value = signs[data[start + place]]
            # Places 3 to 8 are a division: digits only.
            if value == 255 or (2 <= place < 8 and value > 9):
                good = False
                break
            total += value * weights[place]
        found[row] = good and total % 31 == 0
    return found
