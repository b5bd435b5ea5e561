"""The files of a replay: which held row each line repairs, and the accepted rows that are committed.

Blocking; call it in a thread. The lake's own column names are those of the contract; the name of the held row is
one column more in what the worker staged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from plaza_kit.objects.folder import sync
from plaza_lake.duplicates import RowNumbers, find_duplicates_against_table, rewrite_without
from plaza_lake.files import local_path
from plaza_lake.schema import Column, FieldType, TableSchema, arrow_schema
from plaza_lake.tables import Lake
from plaza_lake.write import StagedFile

from plaza_ingestion.domain.quarantine import ROW_COLUMN, RefusedAgain, RowId, without_cells
from plaza_ingestion.domain.repair_names import RowNames
from plaza_ingestion.storage.final_files import Staged, Target, check_rows, read_refused
from plaza_ingestion.storage.staging import StagedFileChanged

_ROWS_AT_ONCE: Final = 65_536
_IDS: Final = TableSchema((Column("id", FieldType.STRING),), ("id",))


@dataclass(frozen=True, slots=True)
class Repaired:
    """One accepted line of the repair file."""

    line: int
    row: RowId | None
    """None: the file names no row of this dataset's quarantine."""
    empty: bool
    """Every cell of it is empty."""
    in_table: bool
    """The table has its key."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the worker made of a repair file."""

    accepted: list[Repaired]
    refused: list[tuple[int, RefusedAgain | None, str]]
    """Line, the held row with its new reason (None: no row of this quarantine is named), reason."""


def judge(lake: Lake, staged: Staged, target: Target, source: BufferedReader) -> Judged:
    """Raises StagedFileChanged when a file does not hold what its manifest says."""
    try:
        check_rows(staged)
        accepted = list(_accepted(lake, staged, target))
        return Judged(accepted, list(_refused(lake, staged, target, RowNames.of(source))))
    except (pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise StagedFileChanged(
            f"the staged files cannot be read: {error}", remedy="replay the file again"
        ) from error


def write_accepted(file: StagedFile, unwanted: Sequence[int], target: Target) -> StagedFile:
    """The accepted rows without the unwanted ones (row numbers, in order) and without the rows' names."""
    path = target.folder / "rows.parquet"
    schema = arrow_schema(target.schema)
    with (
        pq.ParquetFile(local_path(file.uri)) as reader,
        pq.ParquetWriter(path, schema, compression="zstd", store_schema=False) as writer,
    ):
        for batch in reader.iter_batches(batch_size=_ROWS_AT_ONCE, columns=list(schema.names)):
            writer.write_table(pa.Table.from_batches([batch]).select(schema.names).cast(schema))
    plain = StagedFile(f"file://{path}", file.rows, path.stat().st_size, file.sha256)
    rows: RowNumbers = np.asarray(unwanted, dtype=np.int64)
    final = target.folder / "final.parquet"
    written = rewrite_without(plain.uri, rows, f"file://{final}")
    sync(final)
    sync(final.parent)
    return written


def _accepted(lake: Lake, staged: Staged, target: Target) -> Iterator[Repaired]:
    if staged.accepted is None or staged.positions is None:
        return
    names = pq.read_table(local_path(staged.accepted.uri), columns=[ROW_COLUMN]).column(0)
    lines = pq.read_table(local_path(staged.positions.uri), columns=["line"]).column(0)
    rows = _known(lake, [str(name) for name in names.to_pylist()], target)
    found = find_duplicates_against_table(lake, target.dataset, target.schema, [staged.accepted.uri])
    in_table = set(found.get(staged.accepted.uri, np.empty(0, np.int64)).tolist())
    for number, (line, row, empty) in enumerate(
        zip(lines.to_pylist(), rows, _empty(staged.accepted, target.schema), strict=True)
    ):
        yield Repaired(line, row, empty, number in in_table)


def _empty(file: StagedFile, schema: TableSchema) -> Iterator[bool]:
    """Of each row: whether no field has a value."""
    with pq.ParquetFile(local_path(file.uri)) as reader:
        for batch in reader.iter_batches(batch_size=_ROWS_AT_ONCE, columns=list(schema.names)):
            filled = np.zeros(batch.num_rows, dtype=np.bool_)
            for column in batch.columns:
                filled |= column.is_valid().to_numpy(zero_copy_only=False)
            yield from (~filled).tolist()


def _refused(
    lake: Lake, staged: Staged, target: Target, names: RowNames
) -> Iterator[tuple[int, RefusedAgain | None, str]]:
    refused = list(read_refused(staged.refused))
    rows = _known(lake, [names.name_in(row.original) for row in refused], target)
    for one, row in zip(refused, rows, strict=True):
        again = None
        if row is not None:
            again = RefusedAgain(row, one.field or "", one.reason.value, without_cells(one.detail))
        yield one.line, again, one.reason.value


def _known(lake: Lake, names: list[str], target: Target) -> list[RowId | None]:
    """The rows of these names, as far as this dataset's quarantine has them."""
    parsed = [RowId.parse(name) for name in names]
    path = target.folder / "ids.parquet"
    ids = pa.array([str(row) if row is not None else None for row in parsed], pa.string())
    pq.write_table(pa.table([ids], names=["id"]), path)
    try:
        uri = f"file://{path}"
        found = find_duplicates_against_table(lake, target.dataset, _IDS, [uri], table="quarantine").get(uri)
    finally:
        path.unlink()
    known = set(found.tolist()) if found is not None else set()
    return [row if number in known else None for number, row in enumerate(parsed)]
