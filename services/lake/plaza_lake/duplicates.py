"""Keys that are in the table already, found before a batch is committed; and a staged file without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from plaza_lake import engine
from plaza_lake.files import file_sha256, local_path
from plaza_lake.render import column, read_parquet, same_key, to_sql
from plaza_lake.schema import TableKind, TableSchema
from plaza_lake.tables import Lake, TableNotFound
from plaza_lake.versions import versions_of
from plaza_lake.write import StagedFile

RowNumbers = npt.NDArray[np.int64]
"""Rows of a file, counted from 0, in order: eight bytes a row, however many there are."""
_ROW_GROUP_ROWS: Final = 122_880


def find_duplicates_against_table(
    lake: Lake,
    dataset: str,
    schema: TableSchema,
    staged_uris: Sequence[str],
    *,
    table: TableKind = "rows",
) -> Mapping[str, RowNumbers]:
    """Of each file that has some: its rows whose key is in the newest version.

    DuckDB joins the key columns and may spill; no row passes through Python. Absent values of an optional key
    column equal each other. Empty without a key, without a version, without files.
    """
    try:
        loaded = lake.load(dataset, table)
    except TableNotFound:
        return {}
    known = versions_of(loaded)
    if not known or not schema.key:
        return {}
    stored = engine.planned_files(loaded, known[-1].snapshot_id)
    if not stored:
        return {}
    found = {uri: _rows_with_known_key(lake, schema.key, uri, stored) for uri in staged_uris}
    return {uri: rows for uri, rows in found.items() if len(rows)}


def _rows_with_known_key(lake: Lake, key: tuple[str, ...], uri: str, stored: list[str]) -> RowNumbers:
    staged = str(local_path(uri))
    query = _semi_join(key, staged, stored)
    with engine.connection(lake, [staged, *stored]) as opened:
        reader = opened.sql(to_sql(query)).to_arrow_reader(engine.BATCH_ROWS)
        parts = [batch.column(0).to_numpy(zero_copy_only=False) for batch in reader]
    return np.concatenate(parts).astype(np.int64, copy=False) if parts else np.empty(0, np.int64)


def _semi_join(key: tuple[str, ...], staged: str, stored: list[str]) -> exp.Expr:
    keys = exp.select(*(column(name) for name in key))
    new = exp.alias_(
        keys.copy().select("file_row_number").from_(read_parquet([staged], row_numbers=True)).subquery(),
        "staged",
    )
    old = exp.alias_(keys.from_(read_parquet(stored)).subquery(), "stored")
    return (
        exp.select("file_row_number")
        .from_(new)
        .join(old, on=same_key(key, "staged", "stored"), join_type="semi")
        .order_by("file_row_number")
    )


def rewrite_without(uri: str, rows: RowNumbers, target_uri: str) -> StagedFile:
    """A copy of a staged file without these rows, the others in their order.

    The result may have no rows; `commit_batch` leaves such a file out.
    """
    source, target = local_path(uri), local_path(target_uri)
    kept = 0
    first = 0
    with pq.ParquetFile(source) as reader:
        schema = reader.schema_arrow.remove_metadata()
        with pq.ParquetWriter(target, schema, compression="zstd", store_schema=False) as writer:
            for batch in reader.iter_batches(batch_size=_ROW_GROUP_ROWS):
                low, high = np.searchsorted(rows, (first, first + batch.num_rows))
                mask = np.ones(batch.num_rows, dtype=np.bool_)
                mask[rows[low:high] - first] = False
                first += batch.num_rows
                remaining = batch.filter(pa.array(mask))
                kept += remaining.num_rows
                if remaining.num_rows:
                    writer.write_batch(remaining)
    return StagedFile(uri=target_uri, rows=kept, bytes=target.stat().st_size, sha256=file_sha256(target))
