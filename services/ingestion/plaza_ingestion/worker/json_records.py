"""What readers of JSON and JSONL have in common: wanted names, and names that nobody wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plaza_ingestion.worker.batches import MOST_COLUMNS, RowsBuilder
from plaza_ingestion.worker.encodings import Encoding, settle
from plaza_ingestion.worker.json_values import NotARecord, flat
from plaza_ingestion.worker.plan import Dialect
from plaza_ingestion.worker.records import Fault
from plaza_ingestion.worker.source import SourceFile


class JsonRecords:
    """Takes decoded records; the base of both readers."""

    def __init__(self, source: SourceFile, dialect: Dialect, wanted: Sequence[str]) -> None:
        self.headings = tuple(wanted)
        self.places = True
        self._source = source
        self._encoding: Encoding = settle(dialect.encoding, source.read(0, 4))
        self._start = len(self._encoding.bom) if source.read(0, 4).startswith(self._encoding.bom) else 0
        self._limit = dialect.max_record_bytes
        self._others: dict[str, None] = {}
        self._builder = RowsBuilder(len(self.headings))

    def ignored(self) -> tuple[str, ...]:
        """Names that were met beside the wanted ones."""
        return tuple(self._others)

    def _take(self, line: int, decoded: Any, original: bytes, place: tuple[int, int]) -> None:
        """Adds a decoded record, or refuses it."""
        try:
            cells = flat(decoded)
            found = tuple(cells.pop(name, "") for name in self.headings)
            if cells and len(self._others) < MOST_COLUMNS:
                self._others.update(dict.fromkeys(cells))
            if not any(found):
                raise NotARecord("the record has a value for none of the contract's fields")
        except NotARecord as error:
            self._builder.refuse(line, Fault.SYNTAX, str(error), original, place)
        else:
            self._builder.add(line, found, original, place)
