"""Keys that are in the table already, found before a batch is committed; and a staged file without them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from plaza_lake import engine
from plaza_lake.files import file_sha256, local_path
from plaza_lake.render import column, read_parquet, to_sql
from plaza_lake.schema import TableSchema
from plaza_lake.tables import Lake, TableNotFound
from plaza_lake.versions import versions_of
from plaza_lake.write import StagedFile


def find_duplicates_against_table(
    lake: Lake, dataset: str, schema: TableSchema, staged_uris: Sequence[str]
) -> list[tuple[str, int]]:
    """(file URI, row number from 0) of staged rows whose key is in the newest version, in that order.

    DuckDB joins the key columns; no row passes through Python but the ones found. Absent values of an
    optional key column equal each other. Empty without a key, without a version, without files.
    """
    try:
        table = lake.load(dataset, "rows")
    except TableNotFound:
        return []
    known = versions_of(table)
    if not known or not schema.key or not staged_uris:
        return []
    staged = {str(local_path(uri)): uri for uri in staged_uris}
    stored = engine.planned_files(table, known[-1].snapshot_id)
    query = _semi_join(schema.key, list(staged), stored)
    with engine.connection(lake, [*staged, *stored]) as opened:
        found = opened.execute(to_sql(query)).fetchall()
    return [(staged[path], int(number)) for path, number in found]


def _semi_join(key: tuple[str, ...], staged: list[str], stored: list[str]) -> exp.Expr:
    keys = exp.select(*(column(name) for name in key))
    new = exp.alias_(
        keys.copy()
        .select("filename", "file_row_number")
        .from_(read_parquet(staged, row_numbers=True))
        .subquery(),
        "staged",
    )
    old = exp.alias_(keys.from_(read_parquet(stored)).subquery(), "stored")
    same = exp.and_(
        *(exp.NullSafeEQ(this=column(name, "staged"), expression=column(name, "stored")) for name in key)
    )
    return (
        exp.select("filename", "file_row_number")
        .from_(new)
        .join(old, on=same, join_type="semi")
        .order_by("filename", "file_row_number")
    )


def rewrite_without(uri: str, row_numbers: Collection[int], target_uri: str) -> StagedFile:
    """A copy of a staged file without these rows (counted from 0), the others in their order.

    The result may have no rows; `commit_batch` leaves such a file out.
    """
    unwanted = frozenset(row_numbers)
    source, target = local_path(uri), local_path(target_uri)
    kept = 0
    first = 0
    with pq.ParquetFile(source) as reader:
        schema = reader.schema_arrow.remove_metadata()
        with pq.ParquetWriter(target, schema, compression="zstd", store_schema=False) as writer:
            for batch in reader.iter_batches():
                mask = pa.array(
                    [row not in unwanted for row in range(first, first + batch.num_rows)], pa.bool_()
                )
                first += batch.num_rows
                remaining = batch.filter(mask)
                kept += remaining.num_rows
                writer.write_batch(remaining)
    return StagedFile(uri=target_uri, rows=kept, bytes=target.stat().st_size, sha256=file_sha256(target))
