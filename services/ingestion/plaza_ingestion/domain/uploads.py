"""A name under which a file may lie, whatever it was called."""

from __future__ import annotations

import unicodedata
from typing import Final

_MAX_BYTES: Final = 200
"""Of the name; file systems take 255."""
_PATTERN_SIGNS: Final = frozenset("*?[]/\\:")
"""Parts of a path, or read as a pattern by engines."""


def safe_name(file_name: str) -> str:
    """The last part of a path without signs that mean something to a file system; never empty or hidden."""
    last = file_name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    kept = "".join(
        "_" if sign in _PATTERN_SIGNS or unicodedata.category(sign).startswith("C") else sign for sign in last
    )
    short = kept.encode()[-_MAX_BYTES:].decode(errors="ignore")  # the end holds what tells files apart
    return short.lstrip(". ").rstrip(" ") or "file"
