"""Which addresses a client may send people back to: Keycloak's rule, narrowed to what cannot be misread."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

_LOOPBACK = ("http://127.0.0.1", "http://localhost")
"""Keycloak's two names of this machine; a program there cannot know its port in advance (RFC 8252, 7.3)."""


def allows(registered: Iterable[str], asked: str) -> bool:
    """Is `asked` one of the registered addresses?

    Exactly, character by character (RFC 9700, 2.1), but for Keycloak's two rules: a final `*` stands for any
    rest of the path, and an address registered for loopback without a port is good for every port.
    """
    if not _is_plain(asked):
        return False
    return any(
        _matches(pattern, candidate) for pattern in registered for candidate in (asked, _without_port(asked))
    )


def _matches(pattern: str, asked: str) -> bool:
    if pattern.endswith("/*"):
        return asked.startswith(pattern[:-1])
    return asked == pattern


def _without_port(asked: str) -> str:
    for origin in _LOOPBACK:
        if asked.startswith(f"{origin}:"):
            port, slash, rest = asked.removeprefix(f"{origin}:").partition("/")
            if port.isascii() and port.isdigit():
                return f"{origin}{slash}{rest}"
    return asked


def _is_plain(asked: str) -> bool:
    """No fragment (RFC 6749, 3.1.2), no account, nothing that a browser reads otherwise than we do."""
    if len(asked) > 2000 or any(not "!" <= c <= "~" or c in '\\"<>' for c in asked):
        return False
    try:
        parts = urlsplit(asked)
    except ValueError:
        return False
    segments = unquote(parts.path).split("/")
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and "#" not in asked
        and not {".", ".."} & set(segments)
    )
