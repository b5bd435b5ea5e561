from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from plaza_lake.duplicates import find_duplicates_against_table, rewrite_without
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_lake.tables import Lake
from plaza_lake.write import commit_batch

pytestmark = pytest.mark.integration


def test_keys_already_in_the_table_are_found_and_left_out(
    lake: Lake, dataset: str, stage: Any, air: Any, grant: Any, tmp_path: Path
) -> None:
    assert find_duplicates_against_table(lake, dataset, air.schema, [stage([air.row("a", 1)]).uri]) == {}
    commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("a", 1), air.row("a", 2)])])
    commit_batch(lake, dataset, air.schema, "b-2", [stage([air.row("b", 1)])])
    new = stage([air.row("a", 3), air.row("a", 2, 99.0), air.row("c", 1), air.row("b", 1)])
    other = stage([air.row("d", 1)])
    third = stage([air.row("a", 1)])
    found = find_duplicates_against_table(lake, dataset, air.schema, [third.uri, other.uri, new.uri])
    assert {uri: rows.tolist() for uri, rows in found.items()} == {third.uri: [0], new.uri: [1, 3]}

    target = f"file://{tmp_path}/kept.parquet"
    kept = rewrite_without(new.uri, found[new.uri], target)
    assert (kept.rows, kept.uri) == (2, target)
    assert rewrite_without(third.uri, np.array([0]), f"file://{tmp_path}/none.parquet").rows == 0
    done = commit_batch(lake, dataset, air.schema, "b-3", [kept, other])
    assert done.total_rows == 6
    assert find_duplicates_against_table(lake, dataset, air.schema, [kept.uri])[kept.uri].tolist() == [0, 1]


def test_absent_values_of_an_optional_key_are_equal(lake: Lake, dataset: str, stage: Any, air: Any) -> None:
    schema = TableSchema(tuple(replace(c, required=False) for c in air.schema.columns), ("station", "wd"))
    commit_batch(lake, dataset, schema, "b-1", [stage([air.row("a", 1, wd=None)], schema)])
    staged = stage([air.row("a", 9, wd=None), air.row("a", 9, wd="")], schema)
    assert find_duplicates_against_table(lake, dataset, schema, [staged.uri])[staged.uri].tolist() == [0]


def test_without_a_key_nothing_is_a_duplicate(lake: Lake, dataset: str, stage: Any) -> None:
    schema = TableSchema((Column("a", FieldType.STRING),))
    file = stage([{"a": "x"}], schema)
    commit_batch(lake, dataset, schema, "b-1", [file])
    assert find_duplicates_against_table(lake, dataset, schema, [file.uri]) == {}


def test_a_rewrite_keeps_order_values_and_types(stage: Any, air: Any, tmp_path: Path) -> None:
    rows = [
        air.row("东城", hour, None if hour % 3 else hour / 7, None if hour % 5 else "N")
        for hour in range(100)
    ]
    file = stage(rows)
    kept = rewrite_without(file.uri, np.arange(10, 20), f"file://{tmp_path}/kept.parquet")
    table = pq.read_table(tmp_path / "kept.parquet")
    assert table.to_pylist() == rows[:10] + rows[20:]
    assert kept.rows == 90
    assert kept.bytes == (tmp_path / "kept.parquet").stat().st_size
