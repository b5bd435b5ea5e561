"""CSV and TSV as batches: the windows of `source`, behind the heading."""

from __future__ import annotations

from collections.abc import Iterator

from plaza_ingestion.worker.batches import Batch
from plaza_ingestion.worker.header import read_header
from plaza_ingestion.worker.plan import Dialect
from plaza_ingestion.worker.source import SourceFile, Window, unchecked_windows


class CsvReader:
    """See `batches.Reader`. Raises `HeaderMismatch` when there is no heading that can be read."""

    places = True

    def __init__(self, source: SourceFile, dialect: Dialect) -> None:
        self._windows = unchecked_windows(source, dialect)
        found = next((window for window in self._windows if len(window.records)), None)
        first = None if found is None else found.checked()
        self.headings = read_header(first, dialect).headings
        assert first is not None  # an empty file has no heading
        self._first: Window = first

    def batches(self) -> Iterator[Batch]:
        """The records behind the heading, once."""
        yield self._first.without_first()
        yield from self._windows

    def ignored(self) -> tuple[str, ...]:
        """Nothing: all columns stand in the heading."""
        return ()
