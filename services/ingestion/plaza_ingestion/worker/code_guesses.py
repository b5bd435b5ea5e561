"""Columns that look like the codes of a list that comes with Plaza.

The worker does not have the lists of the city; it knows a few short ones by heart, and asks the heading as well: a
column of 1 and 2 alone is no evidence. A proposal says what it rests on; the lists themselves are catalogue's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

_PROVINCES: Final = """
11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82
"""
"""First two digits of GB/T 2260."""
_DIVISION: Final = re.compile(r"[0-9]{6}")


@dataclass(frozen=True, slots=True)
class CodeGuess:
    """A code list that a column seems to follow."""

    code_list: str
    """Its name in the catalogue."""
    because: str


@dataclass(frozen=True, slots=True)
class _Known:
    code_list: str
    standard: str
    heading: re.Pattern[str]
    is_code: Callable[[str], bool]
    codes: str
    """In words."""


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _is_division(text: str) -> bool:
    return bool(_DIVISION.fullmatch(text)) and text[:2] in _PROVINCES.split()


_LISTS: Final = (
    _Known(
        "codeLists/gb-t-2261-1",
        "GB/T 2261.1",
        _words(r"性别|(^|[_ ])(sex|gender)([_ ]|$)"),
        frozenset("0129").__contains__,
        "0, 1, 2 or 9",
    ),
    _Known(
        "codeLists/gb-t-2261-2",
        "GB/T 2261.2",
        _words(r"婚姻|(^|[_ ])marital([_ ]|$)"),
        frozenset(("10", "20", "21", "22", "23", "30", "40", "90")).__contains__,
        "10, 20 to 23, 30, 40 or 90",
    ),
    _Known(
        "codeLists/gb-t-3304",
        "GB/T 3304",
        _words(r"民族|(^|[_ ])(ethnic|nationality)"),
        frozenset(f"{number:02}" for number in range(1, 57)).__contains__,
        "two digits from 01 to 56",
    ),
    _Known(
        "codeLists/gb-t-2260",
        "GB/T 2260",
        _words(r"区划|行政区|区县|(^|[_ ])(adcode|division|county|district)"),
        _is_division,
        "six digits that begin with a province's",
    ),
)


def guess_code_list(heading: str, values: Collection[str] | None) -> CodeGuess | None:
    """`values`: the different values of a column; None when they are too many to have been kept."""
    if not values:
        return None
    for known in _LISTS:
        if known.heading.search(heading) and all(known.is_code(value) for value in values):
            return CodeGuess(
                known.code_list,
                f"looks like {known.standard}, because the heading says so and every value is {known.codes}: "
                "compare it with the list",
            )
    return None


CODE_HEADING: Final = _words(r"(^|[_ ]|[a-z])code$|代码|编码|邮编|区划|(^|[_ ])(zip|postal|postcode)")
"""Headings under which digits are names, not quantities."""
