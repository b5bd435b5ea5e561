"""Where the rows of a file came from that was written together from others: told in the file's own footer.

What is kept by file and row (`verdict_files`) finds its rows by it after a compaction, without having been told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import orjson
import pyarrow.parquet as pq

KEY: Final = "plaza.rows-of"
"""Of the footer's key-value metadata."""


@dataclass(frozen=True, slots=True)
class Span:
    """Rows of a data file that follow each other."""

    file: str
    """Relative to the table's folder."""
    first: int
    rows: int


@dataclass(frozen=True, slots=True)
class Origins:
    """Of all rows of a file, in their order."""

    version: int
    """Whose files were written together."""
    spans: tuple[Span, ...]
    before: Mapping[str, tuple[Span, ...]]
    """Where rows of `spans` came from, if those files had been written together for the same version."""

    def written(self) -> bytes:
        """For the footer."""
        known = {file: _plain(spans) for file, spans in self.before.items()}
        return orjson.dumps({"version": self.version, "from": _plain(self.spans), "before": known})

    def within(self, first: int, rows: int) -> Origins:
        """Of some rows that follow each other."""
        spans = tuple(cut(self.spans, first, rows))
        files = {each.file for each in spans}
        return Origins(
            self.version, spans, {file: known for file, known in self.before.items() if file in files}
        )


def together(version: int, sources: Sequence[tuple[str, int, Origins | None]]) -> Origins:
    """Of files (name, rows, what their own footers say) that are written one behind the other."""
    before: dict[str, tuple[Span, ...]] = {}
    for name, _, origins in sources:
        if origins is not None and origins.version == version:
            before[name] = origins.spans
            before |= origins.before
    return Origins(version, tuple(Span(name, 0, rows) for name, rows, _ in sources), before)


def cut(spans: Iterable[Span], first: int, rows: int) -> Iterator[Span]:
    """Some of the rows, counted over all spans."""
    last, at = first + rows, 0
    for span in spans:
        low, high = max(first, at), min(last, at + span.rows)
        if low < high:
            yield Span(span.file, span.first + low - at, high - low)
        at += span.rows


@lru_cache(maxsize=256)
def origins_of(path: str) -> Origins | None:
    """What the footer of a data file says; None: nothing. A file of this name never changes."""
    found = (pq.read_metadata(path).metadata or {}).get(KEY.encode())
    return None if found is None else read(found)


def read(written: bytes) -> Origins:
    """The inverse of `Origins.written`."""
    found = orjson.loads(written)
    before = {file: _spans(spans) for file, spans in found["before"].items()}
    return Origins(found["version"], _spans(found["from"]), before)


def _plain(spans: Iterable[Span]) -> list[tuple[str, int, int]]:
    return [(each.file, each.first, each.rows) for each in spans]


def _spans(plain: Iterable[Sequence[object]]) -> tuple[Span, ...]:
    return tuple(Span(str(file), int(str(first)), int(str(rows))) for file, first, rows in plain)
