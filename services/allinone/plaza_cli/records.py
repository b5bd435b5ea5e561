"""The first records of a stream of CSV (RFC 4180) or JSON lines, byte for byte."""

from __future__ import annotations

import re

_MARK = re.compile(rb'["\n]')


class Cut:
    """Lets the first `limit` records through. A line feed between quotes does not end a record.

    In JSON lines quotes come in pairs or escaped (`\\"`) within one line, and a line feed is never between them:
    for those (`heading` is false) quotes are not looked at.
    """

    def __init__(self, limit: int, *, heading: bool) -> None:
        self._left = limit + heading
        self._csv = heading
        self._quoted = False

    @property
    def complete(self) -> bool:
        """Whether the last record that was wanted is through."""
        return self._left == 0

    def __call__(self, piece: bytes) -> bytes:
        """What of the next piece belongs to the records wanted."""
        for mark in _MARK.finditer(piece):
            if mark[0] == b'"':
                self._quoted = self._csv and not self._quoted
            elif not self._quoted:
                self._left -= 1
                if self.complete:
                    return piece[: mark.end()]
        return piece
