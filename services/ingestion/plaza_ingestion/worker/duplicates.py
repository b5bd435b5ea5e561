"""Rows of one load that have the key of another one, which stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import sqlglot.expressions as exp

from plaza_ingestion.worker.records import Ints

_MEMORY: Final = "512MB"
_WHEN: Final = "latest by"
"""No field has a name with a blank."""


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
    rows = exp.column("file_row_number")
    scan = exp.func("read_parquet", exp.Literal.string(str(parquet)))
    numbered = exp.func(
        "read_parquet",
        exp.Literal.string(str(parquet)),
        exp.EQ(this=exp.column("file_row_number"), expression=exp.true()),
    )
    several = exp.select(hashed.as_("h")).from_(scan).group_by("h").having("count(*) > 1")
    when = exp.column(latest_by, quoted=True) if latest_by else exp.Null()
    candidates = (
        exp.select(rows, *columns, exp.alias_(when, _WHEN, quoted=True))
        .from_(numbered)
        .where(hashed.isin(query=several))
    )
    latest_first = exp.Order(
        expressions=[
            exp.Ordered(this=exp.column(_WHEN, quoted=True), desc=True, nulls_first=False),
            exp.Ordered(this=rows, desc=False, nulls_first=False),
        ]
    )
    stays = exp.Window(this=exp.func("first_value", rows), partition_by=columns, order=latest_first)
    ranked = exp.select(rows.as_("this"), stays.as_("stays")).from_(candidates.subquery("candidates"))
    query = (
        exp.select("this", "stays").from_(ranked.subquery("ranked")).where("this <> stays").order_by("this")
    )
    with engine(parquet.parent) as connection:
        found = connection.execute(query.sql(dialect="duckdb")).fetchnumpy()
    return found["this"].astype(np.int64), found["stays"].astype(np.int64)
