"""What stands in the lake already: refused rows that came again, and rows that are later than new ones.

Blocking; call it in a thread. DuckDB joins and may spill; of the rows only their numbers pass through Python.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from plaza_lake import engine
from plaza_lake.duplicates import RowNumbers
from plaza_lake.files import local_path
from plaza_lake.overwrite import all_rows
from plaza_lake.render import column, read_parquet, same_key, to_sql
from plaza_lake.schema import TableKind, TableSchema
from plaza_lake.tables import Lake, TableNotFound
from sqlglot import exp

from plaza_ingestion.worker.refusal import Reason


@dataclass(frozen=True, slots=True)
class Earlier:
    """The refused rows that a source may bring again."""

    batches: tuple[str, ...]
    """That its pulls before brought."""
    without: tuple[str, ...] = ()
    """Names of rows of them that are no longer known, so that they are held when they come again."""


def refused_before(lake: Lake, dataset: str, uri: str, earlier: Earlier, folder: Path) -> RowNumbers:
    """The rows of a file in the form of the quarantine table (from 0, in order) that are held, or were, by the same
    bytes. As often as earlier pulls brought them: what comes once more than that is new. Records that were too long
    are never known, because not all of their bytes are."""
    stored = _files(lake, dataset, "quarantine")
    if not stored or not earlier.batches:
        return np.empty(0, np.int64)
    staged = str(local_path(uri))
    batches = _names(folder / "batches.parquet", earlier.batches)
    without = _names(folder / "without.parquet", earlier.without)
    again = exp.select("original").from_(read_parquet([staged]))
    known = (
        exp.select("original", exp.Count(this=exp.Star()).as_("held"))
        .from_(read_parquet(stored))
        .where(
            column("batch_id").isin(query=exp.select("name").from_(read_parquet([batches]))),
            exp.not_(column("id").isin(query=exp.select("name").from_(read_parquet([without])))),
            column("original").isin(query=again),
        )
        .group_by("original")
    )
    nth = exp.Window(
        this=exp.RowNumber(),
        partition_by=[column("original")],
        order=exp.Order(expressions=[exp.Ordered(this=column("file_row_number"), nulls_first=False)]),
    )
    new = (
        exp.select("file_row_number", "original", nth.as_("nth"))
        .from_(read_parquet([staged], row_numbers=True))
        .where(column("reason").neq(exp.Literal.string(Reason.TOO_LONG.value)))
    )
    query = (
        exp.select(column("file_row_number", "staged"))
        .from_(exp.alias_(new.subquery(), "staged"))
        .join(
            exp.alias_(known.subquery(), "stored"),
            on=exp.and_(
                column("original", "staged").eq(column("original", "stored")),
                exp.LTE(this=column("nth", "staged"), expression=column("held", "stored")),
            ),
        )
        .order_by("file_row_number")
    )
    return _numbers(lake, query, [staged, batches, without, *stored])


def outdated(lake: Lake, dataset: str, schema: TableSchema, uri: str, latest_by: str) -> RowNumbers:
    """The rows of a staged file (from 0, in order) whose key the newest version has with a greater value of
    `latest_by`, no value being smaller than any. Of equal values the staged row is the later one."""
    stored = _files(lake, dataset, "rows")
    if not stored or not schema.key:
        return np.empty(0, np.int64)
    staged = str(local_path(uri))
    new = exp.select("*").from_(read_parquet([staged], row_numbers=True)).subquery()
    old = exp.alias_(all_rows(lake, schema, stored).subquery(), "stored")
    theirs, ours = column(latest_by, "stored"), column(latest_by, "staged")
    later = exp.or_(
        exp.GT(this=theirs, expression=ours),
        exp.and_(ours.is_(exp.null()), exp.not_(theirs.copy().is_(exp.null()))),
    )
    query = (
        exp.select(column("file_row_number", "staged"))
        .from_(exp.alias_(new, "staged"))
        .join(old, on=exp.and_(same_key(schema.key, "staged", "stored"), later), join_type="semi")
        .order_by("file_row_number")
    )
    return _numbers(lake, query, [staged, *stored])


def _files(lake: Lake, dataset: str, table: TableKind) -> list[str]:
    try:
        loaded = lake.load(dataset, table)
    except TableNotFound:
        return []
    snapshot = loaded.current_snapshot()
    return engine.planned_files(loaded, snapshot.snapshot_id) if snapshot is not None else []


def _numbers(lake: Lake, query: exp.Expr, paths: list[str]) -> RowNumbers:
    with engine.connection(lake, paths) as opened:
        reader = opened.sql(to_sql(query)).to_arrow_reader(engine.BATCH_ROWS)
        parts = [batch.column(0).to_numpy(zero_copy_only=False) for batch in reader]
    return np.concatenate(parts).astype(np.int64, copy=False) if parts else np.empty(0, np.int64)


def _names(path: Path, names: Iterable[str]) -> str:
    """As a file: there may be many."""
    pq.write_table(pa.table({"name": pa.array(names, pa.string())}), path)
    return str(path)
