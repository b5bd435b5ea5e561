"""Rows of one load that have the key of another one, which stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot.expressions as exp

from plaza_ingestion.worker.records import Ints

_MEMORY: Final = "512MB"
_WHEN: Final = "latest by"
"""No field has a name with a blank."""
_SEVERAL: Final = "several"
_HASHES_AT_ONCE: Final = 1 << 24
"""128 MiB of them, twice for a moment."""
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


def find_duplicates(parquet: Path, key: Sequence[str], latest_by: str | None = None) -> tuple[Ints, Ints]:
    """(rows, rows that stay): each row of the file that is left out for another with its key, and that other.

    Of equal keys the first row stays; with `latest_by` that with the greatest value of this field, no value being
    smaller than any, and the first of several. Rows are counted from 0; the result is ordered by row. Keys are
    compared by value; a hash of 64 bits only picks the candidates, so that the memory needed for a file without
    duplicates does not depend on its keys.
    """
    columns = [exp.column(name, quoted=True) for name in key]
    hashed = exp.func("hash", *columns)
    with engine(parquet.parent) as connection:
        several = _hashes_of_several(connection, parquet, hashed)
        if not len(several):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        connection.register(_SEVERAL, pa.table({"h": several}))
        query = _duplicates(parquet, columns, hashed, latest_by)
        found = connection.execute(query.sql(dialect="duckdb")).fetchnumpy()
    return found["this"].astype(np.int64), found["stays"].astype(np.int64)


def _hashes_of_several(connection: duckdb.DuckDBPyConnection, parquet: Path, hashed: exp.Func) -> Hashes:
    """The hashes that more than one row has. Sorted here, which takes a quarter of the engine's own GROUP BY; a file
    with more rows than may be held at once is read several times, each time for another part of the hashes."""
    rows = pq.read_metadata(parquet).num_rows
    parts = -(-rows // _HASHES_AT_ONCE)
    scan = exp.func("read_parquet", exp.Literal.string(str(parquet)))
    query = exp.select(hashed.as_("h")).from_(scan).sql(dialect="duckdb")
    found = [np.empty(0, np.uint64)]
    for part in range(parts):
        reader = connection.sql(query).to_arrow_reader(_BATCH_ROWS)
        hashes: Hashes = np.concatenate(
            [_of_part(batch.column(0).to_numpy(), part, parts) for batch in reader] or found
        )
        hashes.sort()
        found.append(np.unique(hashes[1:][hashes[1:] == hashes[:-1]]))
    return np.concatenate(found)


def _of_part(hashes: Hashes, part: int, parts: int) -> Hashes:
    return hashes if parts == 1 else hashes[hashes % np.uint64(parts) == part]


def _duplicates(
    parquet: Path, columns: Sequence[exp.Column], hashed: exp.Func, latest_by: str | None
) -> exp.Select:
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
        .where(hashed.isin(query=exp.select("h").from_(_SEVERAL)))
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
