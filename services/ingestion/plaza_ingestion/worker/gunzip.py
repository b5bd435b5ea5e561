"""Gzip bodies (RFC 1952) piece by piece: every member, to the last byte, without ever holding much."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

_AT_ONCE: Final = 1 << 20
_GZIP: Final = 16 + zlib.MAX_WBITS


class BrokenGzip(ValueError):
    """The stream is no gzip, or ends in the middle."""


class Gunzip:
    """Fed with pieces, gives decoded ones of at most 1 MiB."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False
        """Whether the present member has a byte."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Raises BrokenGzip."""
        rest = piece
        while rest:
            self._begun = True
            try:
                decoded = self._member.decompress(rest, _AT_ONCE)
            except zlib.error as error:
                raise BrokenGzip(str(error)) from error
            if decoded:
                yield decoded
            if self._member.eof:
                rest = self._member.unused_data
                self._member, self._begun = zlib.decompressobj(_GZIP), False
            else:
                rest = self._member.unconsumed_tail

    def end(self) -> None:
        """Raises BrokenGzip unless the last member is whole."""
        if self._begun:
            raise BrokenGzip("it ends in the middle")
