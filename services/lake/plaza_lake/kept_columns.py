"""Decoded columns that are kept for the next page of the same rows: so many bytes, the least recently used go first.

A data file never changes and its name is never used again, so that its columns are the same for as long as they are
kept. What is kept opens nothing: `plaza_lake.read` alone looks here, after grant and version were checked.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

import pyarrow as pa

from plaza_lake.decoded import Decoded, Parts
from plaza_lake.schema import FieldType

Load: TypeAlias = Callable[[str, tuple[str, ...]], Iterator[pa.RecordBatch]]
"""Some columns of a data file, in the file's order."""

_SHARE: Final = 4
"""A column of one file may take one part of so many: while it is put together it is there twice."""
_REMEMBERED: Final = 256
"""Sets of files of which it is known that they were asked about, or do not fit."""
_LEAST_BYTES: Final = {
    FieldType.INTEGER: 8,
    FieldType.NUMBER: 8,
    FieldType.TIMESTAMP: 8,
    FieldType.DATE: 4,
    FieldType.BOOLEAN: 1,
    FieldType.STRING: 1,
    FieldType.BYTES: 1,
}
"""Of one value."""


class KeptColumns:
    """Safe to share between threads.

    Never keeps more than `limit` bytes, what is being loaded counted in. A query that is under way keeps hold of its
    columns until it ends, also of those that are put out meanwhile.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._guard = threading.Lock()
        self._loading = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], Decoded] = OrderedDict()
        self._asked = _Recent()
        self._refused = _Recent()
        self.nbytes = 0
        """What is kept, in bytes."""

    def files(
        self, paths: tuple[str, ...], types: Mapping[str, FieldType], rows: int, load: Load
    ) -> list[dict[str, Decoded]] | None:
        """Some columns of some files, which have so many rows together.

        None: these files are asked about for the first time (most are never asked about again), or do not fit. While
        one query loads, others that miss a column wait: they may need the same.
        """
        if sum(_LEAST_BYTES[each] for each in types.values()) * rows > self._limit:
            return None
        found = self._found(paths, types)
        if found is not None:
            return found
        question = (paths, *sorted(types))
        if not self._asked.knew(paths) or question in self._refused:
            return None
        with self._loading:
            if not self._load_missing(paths, types, load):
                self._refused.knew(question)
                return None
            return self._found(paths, types)

    def _found(
        self, paths: tuple[str, ...], names: Mapping[str, FieldType]
    ) -> list[dict[str, Decoded]] | None:
        with self._guard:
            if any((path, name) not in self._kept for path in paths for name in names):
                return None
            for path in paths:
                for name in names:
                    self._kept.move_to_end((path, name))
            return [{name: self._kept[path, name] for name in names} for path in paths]

    def _load_missing(self, paths: tuple[str, ...], types: Mapping[str, FieldType], load: Load) -> bool:
        wanted = {(path, name) for path in paths for name in types}
        for path in paths:
            with self._guard:
                missing = tuple(name for name in types if (path, name) not in self._kept)
            if missing and not self._load(path, {name: types[name] for name in missing}, load, wanted):
                return False
        return True

    def _load(
        self, path: str, types: Mapping[str, FieldType], load: Load, wanted: set[tuple[str, str]]
    ) -> bool:
        parts = {name: Parts(field_type) for name, field_type in types.items()}
        for batch in load(path, tuple(types)):
            for part, array in zip(parts.values(), batch.columns, strict=True):
                part.add(array)
            largest = max(part.nbytes for part in parts.values())
            coming = sum(part.nbytes for part in parts.values())
            if largest * _SHARE > self._limit or not self._make_room(coming, wanted):
                return False
        for name in types:
            column = parts.pop(name).together()
            coming = sum(part.nbytes for part in parts.values()) + column.nbytes
            if not self._make_room(coming, wanted):
                return False
            with self._guard:
                self._kept[path, name] = column
                self.nbytes += column.nbytes
        return True

    def _make_room(self, coming: int, wanted: set[tuple[str, str]]) -> bool:
        """Puts out what was not used for the longest time, but nothing that this query needs."""
        with self._guard:
            for key in [key for key in self._kept if key not in wanted]:
                if self.nbytes + coming <= self._limit:
                    break
                self.nbytes -= self._kept.pop(key).nbytes
            return self.nbytes + coming <= self._limit


class _Recent:
    """What was met lately."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._met: OrderedDict[tuple[object, ...], None] = OrderedDict()

    def __contains__(self, thing: tuple[object, ...]) -> bool:
        with self._guard:
            return thing in self._met

    def knew(self, thing: tuple[object, ...]) -> bool:
        """Whether it was met before; from now on it was."""
        with self._guard:
            knew = thing in self._met
            self._met[thing] = None
            self._met.move_to_end(thing)
            if len(self._met) > _REMEMBERED:
                self._met.popitem(last=False)
            return knew
