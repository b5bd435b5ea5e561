"""A ZIP archive of files of one format with the same columns, as if they were one file.

Each entry is unpacked to disk before it is read (workbooks and Parquet need places), and gone when the next one
is. What is not data (folders, `__MACOSX`, names that begin with a dot) is passed over. Lines go on from file to
file, so that each record has its own; a refused record's detail names file and line.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

import pyarrow as pa
from plaza_kit.errors import InvalidArgument

from plaza_ingestion.worker import zip_limits
from plaza_ingestion.worker.batches import Batch, Joined, Reader, UnreadableFile
from plaza_ingestion.worker.header import HeaderMismatch
from plaza_ingestion.worker.plan import Dialect
from plaza_ingestion.worker.records import Ints, Records
from plaza_ingestion.worker.source import SourceFile

_BLOCK: Final = 1 << 20
_LISTED: Final = 50


class UnknownEntry(InvalidArgument):
    """A file of an archive is asked for that is not in it, or the file is no archive."""


@dataclass(frozen=True, slots=True)
class _Moved:
    """A batch of one entry, its lines counted through the archive and its places empty."""

    inner: Batch
    before: int
    """Lines of the entries before it."""
    entry: str
    end: int

    @property
    def records(self) -> Records:
        r = self.inner.records
        return Records(r.offset * 0, r.length * 0, r.line + self.before, r.fields, r.fault)

    def original(self, index: int) -> bytes:
        return self.inner.original(index)

    def where(self, index: int) -> str:
        return f"{self.entry}, line {int(self.inner.records.line[index])}: "

    def describe(self, index: int, dialect: Dialect) -> tuple[str, int | None]:
        return self.inner.describe(index, dialect)

    def checked(self) -> _Moved:
        return replace(self, inner=self.inner.checked())

    def cells_tell(self, dialect: Dialect) -> bool:
        return self.inner.cells_tell(dialect)

    def cells(self, good: Ints, width: int, wanted: Sequence[int], dialect: Dialect) -> list[pa.StringArray]:
        return self.inner.cells(good, width, wanted, dialect)

    def joined(self, good: Ints, dialect: Dialect) -> Joined | None:
        return self.inner.joined(good, dialect)


class ArchiveReader:
    """See `batches.Reader`. Raises `HeaderMismatch` when two files have different columns."""

    places = False

    def __init__(
        self,
        source: SourceFile,
        scratch: Path,
        open_entry: Callable[[SourceFile], Reader],
        stack: ExitStack,
        entry: str = "",
    ) -> None:
        """`stack`: closes what is still open at the end. `entry`: only this file of it. Raises `UnknownEntry`."""
        self._source = source
        self._scratch = scratch
        self._open_entry = open_entry
        self._stack = stack
        self._entries = chosen_entries(source, entry)
        self._file = stack.enter_context(unpacked(source, self._entries[0], scratch))
        self._reader = open_entry(self._file)
        self.headings = self._reader.headings
        self._others: dict[str, None] = {}

    def ignored(self) -> tuple[str, ...]:
        """Of all files."""
        return tuple(self._others)

    def batches(self) -> Iterator[Batch]:
        """The records of the files in the archive's order."""
        before = 0
        for number, entry in enumerate(self._entries):
            if number:
                self._next(entry)
            last = 1
            for batch in self._reader.batches():
                if len(batch.records):
                    last = int(batch.records.line[-1])
                share = (number + batch.end / max(self._file.size, 1)) / len(self._entries)
                yield _Moved(batch, before, entry, int(self._source.size * share))
            self._others.update(dict.fromkeys(self._reader.ignored()))
            before += last

    def _next(self, entry: str) -> None:
        self._file.close()
        self._file.path.unlink(missing_ok=True)
        self._file = self._stack.enter_context(unpacked(self._source, entry, self._scratch))
        self._reader = self._open_entry(self._file)
        if self._reader.headings != self.headings:
            raise HeaderMismatch(
                f"{entry} has other columns than {self._entries[0]}.",
                remedy=f"Load one of its files at a time, by its name (entry): {listed(self._entries)}.",
                facts={"expected": ",".join(self.headings), "found": ",".join(self._reader.headings)},
            )


def chosen_entries(source: SourceFile, entry: str) -> tuple[str, ...]:
    """That file of an archive; all of them when none is named. Raises `UnknownEntry`, and as `data_entries`."""
    names = data_entries(source)
    if not entry:
        return names
    if entry not in names:
        raise UnknownEntry(
            f"The archive has no file {entry!r}.", remedy=f"Name one of its files: {listed(names)}."
        )
    return (entry,)


def listed(names: Sequence[str]) -> str:
    """For people; of very many the first."""
    shown = ", ".join(names[:_LISTED])
    return shown + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def data_entries(source: SourceFile) -> tuple[str, ...]:
    """The names of the data files of an archive. Raises `UnreadableFile` when it has none."""
    with source.path.open("rb") as file, zip_limits.opened(file, source.path.name) as archive:
        names = tuple(entry.filename for entry in archive.infolist() if _is_data(entry.filename))
    if not names:
        raise UnreadableFile("The archive holds no file.", remedy="Send an archive with at least one.")
    if len(set(names)) != len(names):
        raise UnreadableFile("The archive holds two files of one name.", remedy="Pack it again.")
    return names


def _is_data(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return not name.endswith("/") and "__MACOSX" not in parts and not any(p.startswith(".") for p in parts)


def unpacked(source: SourceFile, entry: str, scratch: Path) -> SourceFile:
    """An entry of an archive as a file of its own in `scratch`; it replaces the one before it."""
    target = scratch / "entry"
    with (
        source.path.open("rb") as file,
        zip_limits.opened(file, source.path.name) as archive,
        target.open("wb") as out,
        archive.open(entry) as stream,
    ):
        shutil.copyfileobj(stream, out, _BLOCK)
    return SourceFile(target)
