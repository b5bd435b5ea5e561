"""Headers of bytes that leave: how a file is named, and what a header may hold."""

from __future__ import annotations

import re
from urllib.parse import quote

CACHING = "public, max-age=60, must-revalidate"
"""Of a release: it never changes, but may be withdrawn; a copy is given out for a minute, then asked about."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ ()-]*", re.ASCII)


def attachment(file_name: str) -> str:
    """`Content-Disposition` that saves the bytes under a name, any script (RFC 6266, RFC 8187)."""
    name = "".join(char if char.isprintable() and char not in '/\\"' else "_" for char in file_name)
    if _PLAIN.fullmatch(name):
        return f'attachment; filename="{name}"'
    plain = "".join(char if " " <= char <= "~" and char not in '%;"' else "_" for char in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def told(headers: dict[str, str]) -> dict[str, str]:
    """Only what a header can hold and says something: visible ASCII, not empty."""
    return {name: text for name, text in headers.items() if text and text.isascii() and text.isprintable()}
