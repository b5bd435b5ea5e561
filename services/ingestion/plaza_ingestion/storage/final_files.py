"""The files that are committed: accepted rows without those whose key the table has, refused rows with them.

Blocking; call it in a thread. The same input gives the same rows in the same order.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from plaza.common.v1 import contract_pb2
from plaza_kit.objects.folder import sync
from plaza_lake.duplicates import RowNumbers, find_duplicates_against_table, rewrite_without
from plaza_lake.files import file_sha256, local_path
from plaza_lake.overwrite import LoadMode
from plaza_lake.schema import QUARANTINE_SCHEMA, TableSchema, arrow_schema
from plaza_lake.tables import Lake
from plaza_lake.write import StagedFile

from plaza_ingestion.domain.batches import Decision
from plaza_ingestion.domain.table_schema import Latest
from plaza_ingestion.storage.rows_before import Earlier, outdated, refused_before
from plaza_ingestion.storage.staging import StagedFileChanged
from plaza_ingestion.worker.encodings import normal_name
from plaza_ingestion.worker.plan import Dialect
from plaza_ingestion.worker.refusal import Reason, RefusedRow, in_step
from plaza_ingestion.worker.source import SourceFile, windows
from plaza_ingestion.worker.staging import original_of

_ROWS_AT_ONCE: Final = 4096
_WITH_HEADING: Final = ("", "csv", "tsv")
_ZIP: Final = b"PK\x03\x04"
DUPLICATE_OF_TABLE: Final = "same key as a row that the table has already"
OUTDATED: Final = "same key as a row of the table that has a later {}"
HELD_ALREADY: Final = (
    "refused rows that an earlier pull of this source brought too, and that are not held again: {}"
)


@dataclass(frozen=True, slots=True)
class Staged:
    """A worker's files, copied to a place that only ingestion writes to."""

    accepted: StagedFile | None
    positions: StagedFile | None
    refused: StagedFile | None


@dataclass(frozen=True, slots=True)
class Target:
    """Where a batch goes, and what its quarantined rows say about it."""

    dataset: str
    schema: TableSchema
    batch: str
    file_name: str
    source_sha256: str
    folder: Path
    mode: LoadMode = LoadMode.APPEND
    latest: Latest | None = None
    """Which of two rows with one key stays, also when the table has the other one; None: the newer load's."""
    earlier: Earlier | None = None
    """What is not held once more; None: everything is."""


def decide(lake: Lake, staged: Staged, target: Target, source: BufferedReader) -> Decision:
    """Takes out rows whose key is in the table (in mode append; in mode upsert those that the table has later, where
    the contract keeps the latest), and writes the two files to be committed.

    `source`: the uploaded file, from which the original bytes of such rows are cut. Raises StagedFileChanged
    when a file does not hold what its manifest says.
    """
    try:
        return _decide(lake, staged, target, source)
    except (pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise StagedFileChanged(
            f"the staged files cannot be read: {error}", remedy="load the file again"
        ) from error


def _decide(lake: Lake, staged: Staged, target: Target, source: BufferedReader) -> Decision:
    check_rows(staged)
    accepted = staged.accepted
    duplicates, why = _not_wanted(lake, accepted, target)
    refused = read_refused(staged.refused)
    if accepted is not None and len(duplicates):
        assert staged.positions is not None, "every accepted row has a place"
        _check_source(source, target)
        taken_out = _duplicates(staged.positions, duplicates, why, target, source)
        refused = merge(refused, taken_out, key=lambda row: row.line)
        accepted = rewrite_without(accepted.uri, duplicates, f"file://{target.folder}/final.parquet")
    quarantine, reasons = _write_refused(refused, target)
    held = _not_held_yet(lake, quarantine, target)
    again = quarantine.rows - held.rows
    return Decision(
        accepted if accepted is not None and accepted.rows else None,
        held if held.rows else None,
        dict(sorted(reasons.items())),
        (HELD_ALREADY.format(again),) if again else (),
        held_already=again,
    )


def _not_wanted(lake: Lake, accepted: StagedFile | None, target: Target) -> tuple[RowNumbers, str]:
    """Accepted rows (numbers, in order) that do not come in because of a row of the table, and why."""
    none: RowNumbers = np.empty(0, np.int64)
    if accepted is not None and target.mode is LoadMode.APPEND:
        found = find_duplicates_against_table(lake, target.dataset, target.schema, [accepted.uri])
        return found.get(accepted.uri, none), DUPLICATE_OF_TABLE
    if accepted is not None and target.mode is LoadMode.UPSERT and target.latest is not None:
        field, step = target.latest
        rows = outdated(lake, target.dataset, target.schema, accepted.uri, field)
        return rows, in_step(OUTDATED.format(field), step)
    return none, ""


def _not_held_yet(lake: Lake, quarantine: StagedFile, target: Target) -> StagedFile:
    """The refused rows without those that came before with the same bytes."""
    if target.earlier is None or not quarantine.rows:
        return quarantine
    again = refused_before(lake, target.dataset, quarantine.uri, target.earlier, target.folder)
    if not len(again):
        return quarantine
    path = target.folder / "held.parquet"
    held = rewrite_without(quarantine.uri, again, f"file://{path}")
    sync(path)
    sync(path.parent)
    return held


def check_rows(staged: Staged) -> None:
    """That the files have the rows that their manifest counts. Raises StagedFileChanged."""
    for file in (staged.accepted, staged.positions, staged.refused):
        if file is not None and pq.read_metadata(local_path(file.uri)).num_rows != file.rows:
            raise StagedFileChanged(f"{local_path(file.uri).name} does not have {file.rows} rows")


def heading(source: BufferedReader, form: contract_pb2.FileFormat) -> bytes:
    """The first record of a CSV file, as it stands there without its line end; empty for other files, whose
    records name their own fields."""
    source.seek(0)
    if form.type not in _WITH_HEADING or source.read(len(_ZIP)) == _ZIP:
        return b""
    delimiter = form.delimiter or ("\t" if form.type == "tsv" else ",")
    dialect = Dialect(delimiter, encoding=normal_name(form.encoding))
    with SourceFile(Path(f"/dev/fd/{source.fileno()}")) as opened:
        found = windows(opened, dialect)
        first = next((window for window in found if len(window.records)), None)
        return first.original(0) if first is not None else b""


def _check_source(source: BufferedReader, target: Target) -> None:
    source.seek(0)
    if hashlib.file_digest(source, "sha256").hexdigest() != target.source_sha256:
        raise StagedFileChanged(
            f"the uploaded file {target.file_name} was changed", remedy="upload it again and load that"
        )


def read_refused(file: StagedFile | None) -> Iterator[RefusedRow]:
    """A worker's refused rows, in file order."""
    if file is None:
        return
    with pq.ParquetFile(local_path(file.uri)) as reader:
        for batch in reader.iter_batches(batch_size=_ROWS_AT_ONCE):
            for row in batch.to_pylist():
                yield RefusedRow(
                    row["line"], row["field"], Reason(row["reason"]), row["detail"], row["original"]
                )


def _duplicates(
    positions: StagedFile, rows: RowNumbers, why: str, target: Target, source: BufferedReader
) -> Iterator[RefusedRow]:
    """The rows of these numbers (from 0, in order) as refused ones, with their bytes from the source."""
    key = target.schema.key
    field = key[0] if len(key) == 1 else None
    begin = 0
    with pq.ParquetFile(local_path(positions.uri)) as reader:
        for batch in reader.iter_batches():
            low, high = np.searchsorted(rows, (begin, begin + batch.num_rows))
            for place in batch.take(pa.array(rows[low:high] - begin)).to_pylist():
                original = original_of(place, lambda at, length: os.pread(source.fileno(), length, at))
                yield RefusedRow(place["line"], field, Reason.DUPLICATE_KEY, why, original)
            begin += batch.num_rows


def _write_refused(rows: Iterator[RefusedRow], target: Target) -> tuple[StagedFile, Counter[str]]:
    """The file and what is in it, counted by reason: the worker's own counts are not relied on."""
    path = target.folder / "quarantine.parquet"
    schema = arrow_schema(QUARANTINE_SCHEMA)
    reasons: Counter[str] = Counter()
    with pq.ParquetWriter(path, schema, compression="zstd", store_schema=False) as writer:
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            writer.write_table(_quarantine(some, target, schema))
            reasons.update(row.reason.value for row in some)
    # Once the rows are in the lake this file must be there, whatever happens to the machine.
    sync(path)
    sync(path.parent)
    file = StagedFile(f"file://{path}", reasons.total(), path.stat().st_size, file_sha256(path))
    return file, reasons


def _quarantine(rows: list[RefusedRow], target: Target, schema: pa.Schema) -> pa.Table:
    columns = {
        # A record has one first line and is refused once.
        "id": [f"{target.batch}-{row.line}" for row in rows],
        "batch_id": [target.batch] * len(rows),
        "file": [target.file_name] * len(rows),
        "line": [row.line for row in rows],
        "field": [row.field for row in rows],
        "reason": [row.reason.value for row in rows],
        "detail": [row.detail for row in rows],
        "original": [row.original for row in rows],
    }
    return pa.table(columns, schema=schema)
