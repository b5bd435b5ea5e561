"""Every row of a version where it lies: file by file, row group by row group, for judging all of them.

Part of the one read path: a grant opens it as it opens `read`. What is judged leaves as what `judge` makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from plaza_kit.errors import FailedPrecondition
from plaza_kit.grants import GrantVerifier

from plaza_lake.access import Access, open_grant
from plaza_lake.schema import FieldType, TableSchema, arrow_type
from plaza_lake.tables import Lake

T = TypeVar("T")

_SMALL_DICTIONARY: Final = 1 << 15
"""Bytes, compressed."""
_SHARE: Final = 8
"""A dictionary that is one part of so many of its column, or less, is small."""


class RowFilterNotSupported(FailedPrecondition):
    """A grant opens only some rows; positions in files would tell of the others."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one file that follow each other."""

    file: int
    """Number of the file among `Scan.paths`."""
    first: int
    """Number of its first row in that file, from 0."""
    columns: pa.Table
    """Texts are dictionary-encoded where many rows share them, else plain."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What a grant opens, ready to be read."""

    access: Access
    metadata: Mapping[int, pq.FileMetaData]
    """Of each file that is to be read, by number, read once."""

    @property
    def schema(self) -> TableSchema:
        """The columns that the grant opens."""
        return self.access.granted

    @property
    def paths(self) -> tuple[str, ...]:
        """The version's files; each is immutable, so that what was found in one holds as long as it is there."""
        return self.access.paths

    @property
    def rows(self) -> Mapping[int, int]:
        """Of each file that is to be read, by number."""
        return {number: each.num_rows for number, each in self.metadata.items()}


def whole(access: Access) -> Access:
    """Itself, if it opens all rows: positions in files would tell of the others. Raises `RowFilterNotSupported`."""
    if access.row_filter is not None:
        raise RowFilterNotSupported(
            f"grant {access.grant.grant_id} has a row filter", remedy="Ask for a grant of all rows."
        )
    return access


def open_scan(lake: Lake, verifier: GrantVerifier, token: str) -> Scan:
    """Raises as `open_grant`, and `RowFilterNotSupported`."""
    access = open_grant(lake, verifier, token)
    return scan_of(lake, access, range(len(access.paths)))


def scan_of(lake: Lake, access: Access, files: Iterable[int]) -> Scan:
    """For some of the files, by number. Raises `RowFilterNotSupported`."""
    wanted = {number: whole(access).paths[number] for number in files}
    with lake.files.opened(wanted.values()):
        return Scan(access, {number: pq.read_metadata(path) for number, path in wanted.items()})


def judge_parts(
    lake: Lake,
    scan: Scan,
    names: Iterable[str],
    judge: Callable[[Part], T],
    *,
    files: Iterable[int] | None = None,
) -> list[T]:
    """What `judge` says of every part of these files (numbers in `Scan.paths`; None: all of the scan), in the order of
    the rows. As many parts at a time as the engine has threads; `judge` should let go of the interpreter's lock.

    A column that a file does not have is absent in all its rows. Raises as `Access.check_names`.
    """
    wanted = tuple(dict.fromkeys(names))
    scan.access.check_names(wanted)
    schema = scan.schema.select(wanted)
    chosen = sorted(scan.metadata if files is None else set(files))
    with (
        lake.files.opened([scan.paths[number] for number in chosen]),
        ThreadPoolExecutor(lake.settings.threads, thread_name_prefix="scan") as pool,
    ):
        work = [(number, *each) for number in chosen for each in groups_of(scan.metadata[number])]
        return list(pool.map(lambda at: judge(_part(scan, schema, *at)), work))


def groups_of(metadata: pq.FileMetaData) -> Iterator[tuple[int, int]]:
    """Each row group with the number of its first row."""
    first = 0
    for group in range(metadata.num_row_groups):
        yield group, first
        first += metadata.row_group(group).num_rows


def _part(scan: Scan, schema: TableSchema, number: int, group: int, first: int) -> Part:
    # A reader of its own for each part: readers are not safe to share.
    columns = read_group(scan.paths[number], scan.metadata[number], schema, group)
    return Part(number, first, columns)


def read_group(
    source: str | pa.NativeFile, metadata: pq.FileMetaData, schema: TableSchema, group: int
) -> pa.Table:
    """These columns of one row group of a file; one that the file does not have is absent in all rows."""
    there = set(metadata.schema.names)
    texts = {column.name for column in schema.columns if column.type is FieldType.STRING}
    with pq.ParquetFile(
        source, metadata=metadata, read_dictionary=_shared(metadata.row_group(group), texts)
    ) as reader:
        read = reader.read_row_group(
            group, [name for name in schema.names if name in there], use_threads=False
        )
    rows = metadata.row_group(group).num_rows
    columns = [
        read.column(column.name) if column.name in there else pa.nulls(rows, arrow_type(column.type))
        for column in schema.columns
    ]
    return pa.table(columns, names=list(schema.names))


def _shared(group: pq.RowGroupMetaData, texts: set[str]) -> list[str]:
    """Of these columns the ones whose dictionary is small: for the others, making one costs more than it saves."""
    found = []
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema in texts and column.has_dictionary_page:
            size = column.data_page_offset - column.dictionary_page_offset
            if size < _SMALL_DICTIONARY or size * _SHARE < column.total_compressed_size:
                found.append(column.path_in_schema)
    return found
