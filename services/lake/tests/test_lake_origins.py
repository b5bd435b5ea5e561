"""Files that were written together say where their rows come from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_lake.access import open_grant
from plaza_lake.compaction import CompactionPolicy, compact
from plaza_lake.row_origins import Origins, Span, cut, origins_of, read, together
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_lake.tables import Lake
from plaza_lake.write import StagedFile, commit_batch

NUMBERS = TableSchema((Column("number", FieldType.INTEGER),))
ROWS = 200_001
"""More than a row group, and no multiple of anything."""


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(0, 20), st.integers(0, 20))
def test_a_cut_is_the_rows_in_between(sizes: list[int], first: int, rows: int) -> None:
    spans = [Span(str(number), 10, size) for number, size in enumerate(sizes)]

    def places(some: list[Span]) -> list[tuple[str, int]]:
        return [(span.file, span.first + row) for span in some for row in range(span.rows)]

    assert places(list(cut(spans, first, rows))) == places(spans)[first : first + rows]


def test_what_was_written_together_twice_for_one_version_is_known_twice() -> None:
    first = together(3, [("a", 2, None), ("b", 3, None)])
    assert read(first.written()) == first
    again = together(3, [("ab", 5, first), ("c", 1, None)])
    assert again == Origins(3, (Span("ab", 0, 5), Span("c", 0, 1)), {"ab": first.spans})
    later = together(4, [("ab", 5, first)])
    assert later.before == {}
    assert again.within(0, 1).spans == (Span("ab", 0, 1),)


@pytest.mark.integration
def test_a_rewrite_keeps_the_order_that_it_tells(
    lake: Lake, dataset: str, grant: Any, tmp_path: Path
) -> None:
    known: dict[str, list[int]] = {}
    for number in range(3):
        path = tmp_path / f"{number}.parquet"
        values = [number * ROWS + row for row in range(ROWS)]
        pq.write_table(pa.table({"number": pa.array(values)}), path, row_group_size=50_000)
        data = path.read_bytes()
        staged = StagedFile(f"file://{path}", ROWS, len(data), hashlib.sha256(data).hexdigest())
        commit_batch(lake, dataset, NUMBERS, f"b-{number}", [staged])
        known[open_grant(lake, grant.verifier, grant()).paths[-1]] = values
    assert compact(lake, dataset, CompactionPolicy(small_files=2)).files_added == 1
    access = open_grant(lake, grant.verifier, grant())
    (path_,) = access.paths
    origins = origins_of(path_)
    assert origins is not None
    assert origins.version == 3
    expected = [
        value
        for span in origins.spans
        for name, values in known.items()
        if name.endswith(span.file)
        for value in values[span.first : span.first + span.rows]
    ]
    assert pq.read_table(path_).column("number").to_pylist() == expected
