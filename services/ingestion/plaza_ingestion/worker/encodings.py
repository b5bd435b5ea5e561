"""How the text of a file is written as bytes, and how it is cut into records without decoding it first.

Records are found on *signs*: one byte for each code unit of the file, in which every byte that is part of a
character beyond ASCII cannot be mistaken for a delimiter, a quote or a line end. So the splitter is one for all
encodings, places are those of the file itself, and a byte that is no character spoils its own record only.

- UTF-8: the bytes are their own signs.
- GB18030 (2005, as Python's codec reads it; GBK and GB2312 are subsets): trail bytes are 0x30–0x39, 0x40–0x7E and
  0x80–0xFE, so line ends, the double quote, comma, semicolon and tab are never part of a character; for the few
  delimiters that can be (`|`), trail bytes are masked.
- UTF-16: one sign for two bytes.

glibc's iconv was measured beside Python's codec: not faster, and it disagrees with it (and with its own other
versions) about 44 characters. A load must give the same rows everywhere, so the codec is Python's.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from plaza_ingestion.worker.bitmaps import Ints, bitmap_from, next_places, odd_places, positions

ENCODINGS: Final = ("utf-8", "gb18030", "utf-16", "utf-16-le", "utf-16-be")
"""What a contract may declare. `utf-16` needs a byte order mark; the others may have theirs."""

_ALIASES: Final = {
    "": "utf-8",
    "utf8": "utf-8",
    "utf-8-sig": "utf-8",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "cp936": "gb18030",
    "utf16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
_NAMES: Final = {"utf-8": "UTF-8", "gb18030": "GB18030", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}
_BOMS: Final = {
    "utf-8": codecs.BOM_UTF8,
    "gb18030": b"\x84\x31\x95\x33",
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
}
_HIGH: Final = 0x80


def normal_name(name: str) -> str:
    """The name of `ENCODINGS` that is meant; what is unknown stays as it is."""
    plain = name.strip().lower().replace("_", "-")
    return _ALIASES.get(plain, plain)


def encoding_of_bom(start: bytes) -> str | None:
    """The encoding that the first bytes of a file declare, None when they declare none."""
    for name, bom in _BOMS.items():
        if start.startswith(bom):
            return "utf-16" if name.startswith("utf-16") else name
    return None


@dataclass(frozen=True, slots=True)
class Encoding:
    """One encoding with its byte order."""

    name: str
    """A codec's name: one of `utf-8`, `gb18030`, `utf-16-le`, `utf-16-be`."""

    @property
    def label(self) -> str:
        """The name for people."""
        return _NAMES[self.name]

    @property
    def unit(self) -> int:
        """Bytes of a code unit."""
        return 2 if self.name.startswith("utf-16") else 1

    @property
    def bom(self) -> bytes:
        """The byte order mark."""
        return _BOMS[self.name]

    def signs(self, data: bytes, special: bytes) -> bytes:
        """One byte for each code unit of `data`, which begins with a character; a unit cut off at the end counts.

        `special`: the ASCII bytes that the caller looks for; none of them occurs in the signs but as itself.
        """
        if self.unit == 2:
            units = np.frombuffer(
                data, dtype="<u2" if self.name == "utf-16-le" else ">u2", count=len(data) // 2
            )
            signs = np.where(units < _HIGH, units, _HIGH).astype(np.uint8).tobytes()
            return signs + b"\x80" if len(data) % 2 else signs
        if self.name == "gb18030" and any(_may_trail(sign) for sign in special):
            return _without_trails(data, bytes(sign for sign in special if _may_trail(sign)))
        return data

    def is_valid(self, data: bytes) -> bool:
        """Whether every byte is part of a character."""
        if self.unit == 1 and data.isascii():
            return True
        try:
            data.decode(self.name)
        except UnicodeDecodeError:
            return False
        return True

    def is_plainly_valid(self, data: bytes) -> bool:
        """Whether every byte is part of a character, as far as a quick look can tell: False decides nothing."""
        if self.unit == 1 and data.isascii():
            return True
        if self.name == "utf-8":
            return _is_utf8(data)
        return self.name == "gb18030" and _is_ascii_and_pairs(data)

    def ascii_is_itself(self, special: bytes) -> bool:
        """Whether none of these ASCII bytes, and no line end, can be part of another character."""
        if self.name == "gb18030":
            return not any(_may_trail(sign) for sign in special)
        return self.unit == 1

    def to_utf8(self, data: bytes) -> bytes:
        """The same text in UTF-8. Raises `UnicodeDecodeError`."""
        if self.name == "utf-8" or (self.unit == 1 and data.isascii()):
            return data
        return data.decode(self.name).encode()

    def first_wrong_byte(self, data: bytes) -> int | None:
        """Where the first byte stands that is no character; None without one."""
        try:
            data.decode(self.name)
        except UnicodeDecodeError as error:
            return error.start
        return None


UTF8: Final = Encoding("utf-8")


def settle(name: str, start: bytes) -> Encoding:
    """The encoding of a file that is declared as `name` and begins with `start`: decides the byte order."""
    if name == "utf-16":
        return Encoding("utf-16-be" if start.startswith(codecs.BOM_UTF16_BE) else "utf-16-le")
    return UTF8 if name == UTF8.name else Encoding(name)


def _may_trail(sign: int) -> bool:
    return 0x30 <= sign <= 0x39 or 0x40 <= sign <= 0x7E


def _is_utf8(data: bytes) -> bool:
    """As Python's codec, by Arrow's check: it makes no text and lets other threads work."""
    whole = pa.py_buffer(np.array([0, len(data)], dtype=np.int64))
    try:
        pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, [None, whole, pa.py_buffer(data)]).cast(
            pa.large_string()
        )
    except pa.ArrowInvalid:
        return False
    return True


@cache
def _pairs() -> npt.NDArray[np.bool_]:
    """Which two bytes (first × 256 + second) are one character of GB18030: Python's codec says so."""
    valid = np.zeros(1 << 16, dtype=np.bool_)
    for first in range(_HIGH, 256):
        for second in range(256):
            try:
                valid[first << 8 | second] = len(bytes((first, second)).decode("gb18030")) == 1
            except UnicodeDecodeError:
                continue
    return valid


def _is_ascii_and_pairs(data: bytes) -> bool:
    """Whether GB18030 text has ASCII and valid characters of two bytes only, as nearly all text has.

    Characters take a run of bytes from 0x80 on in pairs; of a run that is odd, the last one takes the next byte.
    """
    signs = np.frombuffer(data, dtype=np.uint8)
    high = bitmap_from(signs, _HIGH)
    first = high & odd_places(high)
    # Where no run is odd, as in all of GB2312, every other byte leads; else the runs are looked at one by one.
    leads = _leads_of_runs(signs) if (next_places(first) & ~high).any() else positions(first, len(signs))
    if not leads.size:
        return True
    if int(leads[-1]) + 1 >= len(signs):
        return False
    return bool(_pairs()[signs[leads].astype(np.uint16) << 8 | signs[leads + 1]].all())


def _leads_of_runs(signs: npt.NDArray[np.uint8]) -> Ints:
    """Where characters of two bytes begin, if all are of two."""
    high = np.flatnonzero(signs >= _HIGH)
    run_begins = np.zeros(len(high), dtype=np.int64)
    breaks = np.flatnonzero(np.diff(high) != 1) + 1
    run_begins[breaks] = breaks
    begins = np.maximum.accumulate(run_begins)
    leads: Ints = high[(np.arange(len(high)) - begins) % 2 == 0]
    return leads


def _without_trails(data: bytes, special: bytes) -> bytes:
    """GB18030 with those `special` bytes masked that are the second half of a character.

    In a run of bytes from 0x80 on, characters take two each; where the run is odd, its last byte leads and takes
    the next one. (Of a character of four bytes, the second and the fourth follow runs that are odd.)
    """
    if data.isascii():
        return data
    signs = np.frombuffer(data, dtype=np.uint8)
    at = np.flatnonzero(np.isin(signs, np.frombuffer(special, dtype=np.uint8)))
    low = np.flatnonzero(signs < _HIGH)
    before = np.searchsorted(low, at) - 1
    last_low = np.where(before >= 0, low[np.maximum(before, 0)], -1)
    trails = at[(at - last_low - 1) % 2 == 1]
    if not len(trails):
        return data
    masked = signs.copy()
    masked[trails] = _HIGH
    return masked.tobytes()
