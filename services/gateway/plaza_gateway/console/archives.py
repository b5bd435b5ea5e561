"""What a ZIP archive holds, seen while it passes by; nothing is unpacked here, and ingestion alone judges it.

Whoever drops an archive with several tables chooses one of them before anything is read.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

MOST = 500
"""Files that a page lists."""
_TAIL = 2 * 1024 * 1024
"""Bytes at the end of an archive in which its directory is looked for: ten thousand names."""
_ZIP = b"PK\x03\x04"
_WORKBOOK = "[Content_Types].xml"
_FIELD = re.compile(r"entry\.(0|[1-9][0-9]{0,2})")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in an archive."""

    name: str
    """To the letter as ingestion knows it."""
    size: int | None = None
    """Bytes when unpacked; None: not known any more."""

    @property
    def title(self) -> str:
        """For people."""
        return readable(self.name)


@dataclass(frozen=True, slots=True)
class Choice:
    """An archive that was sent, and the table that somebody chose of it."""

    upload: str
    file_name: str
    entries: tuple[Entry, ...]
    left_out: int = 0
    """Files that are not listed."""
    picked: str | None = None
    """Name of a file; empty: all of them as one table; None: nothing was chosen."""

    @classmethod
    def of(cls, upload: str, file_name: str, entries: tuple[Entry, ...], picked: str | None = None) -> Choice:
        """Of the whole archive; what is picked counts when it is there."""
        if picked and picked not in {one.name for one in entries}:
            picked = None
        return cls(upload, file_name, entries[:MOST], max(len(entries) - MOST, 0), picked)

    @classmethod
    def of_form(cls, form: Mapping[str, str]) -> Choice:
        """As the page sent it back."""
        numbers = sorted(int(at[1]) for name in form if (at := _FIELD.fullmatch(name)))
        entries = {at: Entry(form[f"entry.{at}"], _number(form.get(f"size.{at}", ""))) for at in numbers}
        pick = form.get("pick", "")
        chosen = next((one for at, one in entries.items() if pick == str(at)), None)
        return cls(
            form.get("upload", ""),
            form.get("file_name", ""),
            tuple(entries.values()),
            _number(form.get("left_out", "")) or 0,
            "" if pick == "all" else chosen.name if chosen is not None else None,
        )


class Passing:
    """The bytes of a file on their way."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._start = b""
        self._tail = bytearray()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The same bytes; of an archive the end is kept."""
        async for piece in self._pieces:
            if len(self._start) < len(_ZIP):
                self._start += piece[: len(_ZIP)]
            if _ZIP.startswith(self._start[: len(_ZIP)]):
                self._tail += piece
                if len(self._tail) > 2 * _TAIL:
                    del self._tail[:-_TAIL]
            yield piece

    def entries(self) -> tuple[Entry, ...]:
        """The data files of an archive of several, when all of it has passed; else nothing: of what cannot be read
        ingestion says why."""
        if not self._start.startswith(_ZIP):
            return ()
        try:
            with zipfile.ZipFile(io.BytesIO(self._tail)) as archive:
                found = archive.infolist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
            return ()
        if any(one.filename == _WORKBOOK for one in found):
            return ()
        entries = tuple(Entry(one.filename, one.file_size) for one in found if _is_data(one.filename))
        return entries if len(entries) > 1 else ()


def readable(name: str) -> str:
    """A name that was packed under a Chinese Windows, which does not say its encoding and so comes out as box drawings
    (code page 437), as it was written; any other stays."""
    if not re.search("[\u2500-\u259f]", name):
        return name
    try:
        return name.encode("cp437").decode("gb18030")
    except UnicodeError:
        return name


def _number(text: str) -> int | None:
    """A number of the form, which anybody can write."""
    return int(text) if re.fullmatch("[0-9]{1,15}", text) else None


def _is_data(name: str) -> bool:
    """What ingestion does not pass over."""
    parts = PurePosixPath(name).parts
    return (
        not name.endswith("/") and "__MACOSX" not in parts and not any(part.startswith(".") for part in parts)
    )
