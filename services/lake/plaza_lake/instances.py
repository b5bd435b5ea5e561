"""DuckDB instances that are kept for the next query over the same files.

Opening one costs as much as a small query. What an instance may open never changes, so that a query over the same
files, and no other, may use it again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb


@dataclass
class _Instance:
    connection: duckdb.DuckDBPyConnection
    users: int = 0


class Instances:
    """Keeps so many; closes the one that was not used for the longest time once nobody uses it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._guard = threading.Lock()
        self._kept: OrderedDict[tuple[str, ...], _Instance] = OrderedDict()

    @contextmanager
    def cursor(
        self, paths: tuple[str, ...], make: Callable[[], duckdb.DuckDBPyConnection]
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own to the instance for these paths; its end is the end of what runs on it."""
        instance = self._take(paths, make)
        try:
            with instance.connection.cursor() as cursor:
                yield cursor
        finally:
            self._give_back(instance)

    def _take(self, paths: tuple[str, ...], make: Callable[[], duckdb.DuckDBPyConnection]) -> _Instance:
        with self._guard:
            instance = self._kept.get(paths)
            if instance is None:
                instance = self._kept[paths] = _Instance(make())
            self._kept.move_to_end(paths)
            instance.users += 1
        return instance

    def _give_back(self, instance: _Instance) -> None:
        with self._guard:
            instance.users -= 1
            idle = [paths for paths, one in self._kept.items() if not one.users]
            for paths in idle[: max(0, len(self._kept) - self._size)]:
                self._kept.pop(paths).connection.close()

    def close(self) -> None:
        """Ends them all."""
        with self._guard:
            while self._kept:
                self._kept.popitem()[1].connection.close()
