"""The text of a JSON file, value by value, in bounded memory."""

from __future__ import annotations

import json
from typing import Any, Final

from plaza_ingestion.worker.batches import OversizedFile, UnreadableFile
from plaza_ingestion.worker.encodings import Encoding
from plaza_ingestion.worker.json_values import BLANK, DECODER, LENIENT, NotARecord
from plaza_ingestion.worker.source import SourceFile

BLOCK: Final = 2 << 20
"""Bytes read at once."""


class _Broken(Exception):
    """No JSON, or not all of it yet."""


class JsonText:
    """The decoded text of a file from a place on, in bounded memory."""

    def __init__(self, source: SourceFile, encoding: Encoding, at: int, limit: int) -> None:
        self._source = source
        self._codec = encoding.name
        self._label = encoding.label
        self._limit = limit
        self._text, self._place = "", 0
        self._read_to = at
        self._left = b""
        self.at = at
        """Place in the file of what is read next."""

    def peek(self) -> str:
        """The next sign that is not blank; empty at the end of the file."""
        while True:
            begin = self._place
            while self._place < len(self._text) and self._text[self._place] in BLANK:
                self._place += 1
            self._pass(begin, self._place)
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._more():
                return ""

    def skip(self, signs: int) -> None:
        """Passes signs that were peeked at."""
        self._place += signs
        self._pass(self._place - signs, self._place)

    def value(self) -> tuple[Any, str, bytes]:
        """(value, why it is refused, its bytes in the file) of the JSON value that begins here."""
        self.peek()
        while True:
            try:
                value, end, refused = self._decoded()
                if end < len(self._text) or not self._more():
                    break
            except _Broken as error:
                if len(self._text) - self._place > self._limit + BLOCK:
                    raise OversizedFile(
                        f"A value that begins at byte {self.at} has more than {self._limit} bytes, or is broken JSON.",
                        remedy="Send records of at most 1 MiB, for instance as JSONL.",
                    ) from None
                if not self._more():
                    raise self.broken(str(error)) from None
        original = self._text[self._place : end].encode(self._codec)
        self._pass(self._place, end)
        self._place = end
        return value, refused, original

    def broken(self, what: str) -> UnreadableFile:
        """The error that names the place."""
        return UnreadableFile(
            f"The JSON cannot be read at byte {self.at}: {what}.",
            remedy="Check that the file was written and sent completely, and correct this place.",
            facts={"byte": str(self.at)},
        )

    def _decoded(self) -> tuple[Any, int, str]:
        try:
            value, end = DECODER.raw_decode(self._text, self._place)
            return value, end, ""
        except NotARecord as error:
            refused = str(error)
        except RecursionError:
            raise self.broken("values are nested too deep") from None
        except json.JSONDecodeError as error:
            raise _Broken(error.msg) from None
        except ValueError:
            raise _Broken("no JSON") from None
        try:
            _, end = LENIENT.raw_decode(self._text, self._place)
        except ValueError:
            raise _Broken(refused) from None
        return None, end, refused

    def _pass(self, begin: int, end: int) -> None:
        piece = self._text[begin:end]
        self.at += (
            len(piece)
            if piece.isascii() and self._codec in ("utf-8", "gb18030")
            else len(piece.encode(self._codec))
        )

    def _more(self) -> bool:
        """Reads on; False at the end of the file. Raises `UnreadableFile` where bytes are no characters."""
        block = self._source.read(self._read_to, BLOCK)
        if not block:
            return False
        self._read_to += len(block)
        data = self._left + block
        final = self._read_to >= self._source.size
        try:
            decoded, used = data.decode(self._codec), len(data)
        except UnicodeDecodeError as error:
            # A character may be cut by the end of the block: at most four bytes of it are here.
            if final or error.start < len(data) - 4:
                at = self._read_to - len(data) + error.start
                raise UnreadableFile(
                    f"Byte {at} of the file is not {self._label}.",
                    remedy="Declare the file's encoding in the contract's format, or send the file again.",
                ) from None
            decoded, used = data[: error.start].decode(self._codec), error.start
        self._left = data[used:]
        self._text = self._text[self._place :] + decoded
        self._place = 0
        return True
