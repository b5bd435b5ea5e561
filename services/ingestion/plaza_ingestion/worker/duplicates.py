"""Rows of one load that have the key of another one, which stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlglot.expressions as exp

from plaza_ingestion.worker.records import Ints

_MEMORY: Final = "512MB"
_WHEN: Final = "latest by"
"""No field has a name with a blank."""
_SEVERAL: Final = "several"
_PASSING: Final = "passing by"
_HASHES_AT_ONCE: Final = 1 << 24
"""128 MiB of them, twice for a moment."""
_HASHES_READ: Final = 1 << 20
_SORTERS: Final = 2
_BATCH_ROWS: Final = 1 << 17

Hashes = npt.NDArray[np.uint64]


@contextmanager
def engine(directory: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with bounded memory that spills into `directory`, reads nothing else and downloads nothing."""
    spill = directory / "spill"
    connection = duckdb.connect(
        config={
            "memory_limit": _MEMORY,
            "temp_directory": str(spill),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "threads": "2",
        }
    )
    try:
        connection.execute("SET allowed_directories = ?", [[str(directory)]])
        connection.execute("SET enable_external_access = false")
        yield connection
    finally:
        connection.close()


class KeyHashes(AbstractContextManager["KeyHashes"]):
    """A hash of each row's key, taken while the rows pass by: 8 bytes a row, in a file."""

    def __init__(self, directory: Path, key: Sequence[str]) -> None:
        """`key`: names of columns that have no nulls."""
        self._path = directory / "keys"
        self._key = list(key)
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._rows = 0
        hashed = exp.select(_hashed(key).as_("h")).from_(exp.table_(_PASSING, quoted=True))
        self._query = hashed.sql(dialect="duckdb")
        with ExitStack() as stack:
            self._file = stack.enter_context(self._path.open("wb"))
            self._connection = stack.enter_context(engine(directory))
            self._connection.execute("SET threads = 1")  # it works in a thread that works beside others
            self._stack = stack.pop_all()

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, rows: pa.Table) -> None:
        """The next rows."""
        self._waiting.append(rows.select(self._key))
        self._waiting_rows += rows.num_rows
        if self._waiting_rows >= _BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting_rows:
            self._connection.register(_PASSING, pa.concat_tables(self._waiting))
            hashes: Hashes = self._connection.execute(self._query).fetchnumpy()["h"]
            self._file.write(hashes.data)
            self._connection.unregister(_PASSING)
        self._rows += self._waiting_rows
        self._waiting, self._waiting_rows = [], 0

    def of_several(self) -> Hashes:
        """The hashes that more than one row has: looked for in parts, two at a time, and in no more rows at once
        than may be held."""
        self._flush()
        self._file.flush()
        parts = _SORTERS * -(-self._rows // _HASHES_AT_ONCE)
        with ThreadPoolExecutor(_SORTERS, thread_name_prefix="sort") as sorters:
            found = sorters.map(lambda part: self._several_of(part, parts), range(parts))
            return np.concatenate([np.empty(0, np.uint64), *found])

    def _several_of(self, part: int, parts: int) -> Hashes:
        hashes = np.concatenate([some[some % np.uint64(parts) == part] for some in self._read()])
        hashes.sort()
        return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])

    def _read(self) -> Iterator[Hashes]:
        for first in range(0, self._rows, _HASHES_READ):
            yield np.fromfile(
                self._path, np.uint64, _HASHES_READ, offset=first * np.dtype(np.uint64).itemsize
            )


def find_duplicates(
    parquet: Path, key: Sequence[str], several: Hashes, latest_by: str | None = None
) -> tuple[Ints, Ints]:
    """(rows, rows that stay): each row of the file that is left out for another with its key, and that other.

    Of equal keys the first row stays; with `latest_by` that with the greatest value of this field, no value being
    smaller than any, and the first of several. Rows are counted from 0; the result is ordered by row. Keys are
    compared by value; `several` (`KeyHashes.of_several`) only picks the candidates, so that the memory needed for a
    file without duplicates does not depend on its keys.
    """
    if not len(several):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    with engine(parquet.parent) as connection:
        connection.register(_SEVERAL, pa.table({"h": several}))
        query = _duplicates(parquet, key, latest_by)
        found = connection.execute(query.sql(dialect="duckdb")).fetchnumpy()
    return found["this"].astype(np.int64), found["stays"].astype(np.int64)


def _hashed(key: Sequence[str]) -> exp.Func:
    return exp.func("hash", *(exp.column(name, quoted=True) for name in key))


def _duplicates(parquet: Path, key: Sequence[str], latest_by: str | None) -> exp.Select:
    columns = [exp.column(name, quoted=True) for name in key]
    rows = exp.column("file_row_number")
    numbered = exp.func(
        "read_parquet",
        exp.Literal.string(str(parquet)),
        exp.EQ(this=exp.column("file_row_number"), expression=exp.true()),
    )
    when = exp.column(latest_by, quoted=True) if latest_by else exp.Null()
    candidates = (
        exp.select(rows, *columns, exp.alias_(when, _WHEN, quoted=True))
        .from_(numbered)
        .where(_hashed(key).isin(query=exp.select("h").from_(_SEVERAL)))
    )
    latest_first = exp.Order(
        expressions=[
            exp.Ordered(this=exp.column(_WHEN, quoted=True), desc=True, nulls_first=False),
            exp.Ordered(this=rows, desc=False, nulls_first=False),
        ]
    )
    stays = exp.Window(this=exp.func("first_value", rows), partition_by=columns, order=latest_first)
    ranked = exp.select(rows.as_("this"), stays.as_("stays")).from_(candidates.subquery("candidates"))
    return (
        exp.select("this", "stays").from_(ranked.subquery("ranked")).where("this <> stays").order_by("this")
    )
