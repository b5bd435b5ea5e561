"""Duplicates of a file: what is left out and for which row, compared with a plain dictionary."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_ingestion.worker import duplicates
from plaza_ingestion.worker.duplicates import find_duplicates

_KEYS = st.tuples(st.integers(0, 3), st.sampled_from(["", "甲", "乙"]))
_ROWS = st.lists(st.tuples(_KEYS, st.none() | st.integers(0, 3)), max_size=30)


@pytest.mark.parametrize("at_once", [1, 7, 1 << 24])
@given(rows=_ROWS, by_latest=st.booleans())
def test_the_same_as_a_dictionary_however_often_the_file_is_read(
    at_once: int, rows: list[tuple[tuple[int, str], int | None]], by_latest: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_HASHES_AT_ONCE", at_once)
        path = Path(folder) / "rows.parquet"
        columns = {
            "n": [key[0] for key, _ in rows],
            "s": [key[1] for key, _ in rows],
            "w": [w for _, w in rows],
        }
        types = pa.schema([("n", pa.int64()), ("s", pa.string()), ("w", pa.int64())])
        pq.write_table(pa.table(columns, types), path)

        left_out, staying = find_duplicates(path, ("n", "s"), "w" if by_latest else None)

        found = dict(zip(left_out.tolist(), staying.tolist(), strict=True))
        assert list(found) == sorted(found)
        assert found == _by_dictionary(rows, by_latest)


def _by_dictionary(rows: list[tuple[tuple[int, str], int | None]], by_latest: bool) -> dict[int, int]:
    groups: dict[tuple[int, str], list[int]] = {}
    for at, (key, _) in enumerate(rows):
        groups.setdefault(key, []).append(at)

    def rank(at: int) -> tuple[float, int]:
        when = rows[at][1]
        return (-(when if when is not None else -1) if by_latest else 0, at)

    return {at: min(same, key=rank) for same in groups.values() for at in same if at != min(same, key=rank)}
