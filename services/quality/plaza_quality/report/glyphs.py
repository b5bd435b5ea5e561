"""What the font of a PDF can show. A file with a character that its font lacks is no PDF/UA, and names come from
outside."""

from __future__ import annotations

import struct
import unicodedata
from bisect import bisect_right
from functools import cache
from pathlib import Path
from typing import Any, Final

MISSING: Final = "〓"
"""The printers' mark for a sort that they do not have."""
_SEGMENTS: Final = 12
"""Format of a `cmap` subtable that covers all planes (OpenType 1.9, 5.2.1)."""
_SILENT: Final = frozenset(("Cc", "Cf"))
"""Controls and marks of direction: nothing is lost where nothing is seen."""


def showable(value: Any, font: Path) -> Any:
    """The same texts, in lists and mappings too, with a mark for each character that the font lacks; line ends and
    tabs are blanks, other controls and variation selectors go."""
    if isinstance(value, str):
        return "".join(_shown(char, font) for char in value)
    if isinstance(value, dict):
        return {key: showable(each, font) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [showable(each, font) for each in value]
    return value


def _shown(char: str, font: Path) -> str:
    if char in "\n\r\t":
        return " "
    if unicodedata.category(char) in _SILENT or "\ufe00" <= char <= "\ufe0f":
        return ""
    starts, ends = covered(font)
    place = bisect_right(starts, ord(char)) - 1
    return char if place >= 0 and ord(char) <= ends[place] else MISSING


@cache
def covered(font: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First and last code points of the runs that an OpenType font has glyphs for. Raises ValueError for a font that
    does not say so in the usual way."""
    data = font.read_bytes()
    tables = struct.unpack_from(">H", data, 4)[0]
    for number in range(tables):
        tag, _, cmap, _ = struct.unpack_from(">4sIII", data, 12 + 16 * number)
        if tag == b"cmap":
            break
    else:
        raise ValueError(f"{font.name} has no table cmap")
    for number in range(struct.unpack_from(">H", data, cmap + 2)[0]):
        at = cmap + struct.unpack_from(">I", data, cmap + 4 + 8 * number + 4)[0]
        if struct.unpack_from(">H", data, at)[0] == _SEGMENTS:
            count = struct.unpack_from(">I", data, at + 12)[0]
            runs = [struct.unpack_from(">II", data, at + 16 + 12 * each) for each in range(count)]
            return tuple(start for start, _ in runs), tuple(end for _, end in runs)
    raise ValueError(f"{font.name} has no cmap of format {_SEGMENTS}")
