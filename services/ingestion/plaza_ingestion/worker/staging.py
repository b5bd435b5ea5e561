"""The Parquet files that a load leaves behind."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from plaza_ingestion.worker.column_encodings import encodings_for
from plaza_ingestion.worker.judge import ORIGINALS_SCHEMA, POSITIONS_SCHEMA, accepted_schema
from plaza_ingestion.worker.plan import LoadPlan
from plaza_ingestion.worker.refusal import REFUSED_SCHEMA, RefusedRow, refused_table

_ROW_GROUP_ROWS: Final = 122_880
_ROW_GROUP_BYTES: Final = 64 << 20
"""Whichever comes first ends a row group, so that a few long rows cannot fill the memory."""


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One file handed over by its name, size and hash."""

    name: str
    rows: int
    bytes: int
    sha256: str


class ParquetStage:
    """A Parquet file being written: zstd, statistics, one schema; its bytes depend on the rows alone."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self.schema: Final = schema
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._waiting_bytes = 0
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        """Adds the rows behind those already there."""
        if not table.num_rows:
            return
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        self._waiting_bytes += table.nbytes
        self.rows += table.num_rows
        if self._waiting_rows >= _ROW_GROUP_ROWS or self._waiting_bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> StagedFile:
        """Writes the rest and describes the file."""
        self._flush()
        self._open().close()
        return describe_file(self._path, self.rows)

    def abandon(self) -> None:
        """Closes a file that is not finished; its content means nothing. Harmless behind `close`."""
        if self._writer is not None:
            self._writer.close()

    def _open(self) -> pq.ParquetWriter:
        """The writer; how it writes is settled by the first rows."""
        if self._writer is None:
            chosen = encodings_for(
                pa.concat_tables(self._waiting) if self._waiting else self.schema.empty_table()
            )
            # Without Arrow's own schema in the footer every engine reads the same plain Parquet types.
            self._writer = pq.ParquetWriter(
                self._path,
                self.schema,
                compression="zstd",
                store_schema=False,
                use_dictionary=chosen.use_dictionary,
                column_encoding=chosen.column_encoding,
            )
        return self._writer

    def _flush(self) -> None:
        if self._waiting:
            writer, table = self._open(), pa.concat_tables(self._waiting)
            writer.write_table(table, row_group_size=max(table.num_rows, 1))
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0


def describe_file(path: Path, rows: int) -> StagedFile:
    """Size and hash of a finished file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return StagedFile(path.name, rows, path.stat().st_size, digest)


def original_of(position: Mapping[str, Any], source: Callable[[int, int], bytes]) -> bytes:
    """The original bytes of a row of `positions.parquet`; `source` reads so many bytes at a place of the file."""
    if "original" in position:
        return bytes(position["original"])
    return source(position["byte_offset"], position["byte_length"])


class StagedFiles(NamedTuple):
    """What one load hands over."""

    accepted: StagedFile
    """`accepted.parquet`: the plan's fields, in file order."""
    positions: StagedFile
    """`positions.parquet`: line, byte_offset, byte_length, and original where a place cannot hold it; row i
    belongs to row i of `accepted`."""
    refused: StagedFile
    """`refused.parquet`: line, field, reason, detail, original, in file order."""


class Stages(AbstractContextManager["Stages"]):
    """The three files of a load while they are written."""

    def __init__(self, directory: Path, plan: LoadPlan, *, places: bool = True) -> None:
        """`places`: as in `judge.Judge`."""
        self.accepted = ParquetStage(directory / "accepted.parquet", accepted_schema(plan))
        self.positions = ParquetStage(
            directory / "positions.parquet", POSITIONS_SCHEMA if places else ORIGINALS_SCHEMA
        )
        self.refused = ParquetStage(directory / "refused.parquet", REFUSED_SCHEMA)

    def __exit__(self, *_: object) -> None:
        for stage in (self.accepted, self.positions, self.refused):
            stage.abandon()

    def refuse(self, rows: list[RefusedRow]) -> None:
        """Adds refused rows, which must come in file order."""
        if rows:
            self.refused.write(refused_table(rows))

    def finish(self) -> StagedFiles:
        """Writes what is waiting and describes the files."""
        return StagedFiles(self.accepted.close(), self.positions.close(), self.refused.close())
