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
from plaza_ingestion.worker.duplicates import KeyHashes, find_duplicates

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
        table = pa.table(columns, types)
        pq.write_table(table, path)
        with KeyHashes(Path(folder), ("n", "s")) as keys:
            for begin in range(0, len(rows), 4):
                keys.add(table.slice(begin, 4))
            several = keys.of_several()

        left_out, staying = find_duplicates(path, ("n", "s"), several, "w" if by_latest else None)

        found = dict(zip(left_out.tolist(), staying.tolist(), strict=True))
        assert list(found) == sorted(found)
        assert found == _by_dictionary(rows, by_latest)


@pytest.mark.parametrize("key", [*"tdnfbs", "tdnfbs"])
def test_a_key_of_any_type_is_the_same_passing_by_and_in_the_file(key: str, tmp_path: Path) -> None:
    columns = {
        "t": pa.array([0, 86_400_000_000, 0, 1], pa.timestamp("us", tz="UTC")),
        "d": pa.array([0, 1, 0, 2], pa.date32()),
        "n": pa.array([-1, 2**62, -1, 3]),
        "f": pa.array([0.0, 1.5, -0.0, 1e300]),
        "b": pa.array([True, False, True, False]),
        "s": pa.array(["甲", "a text of more than twelve bytes", "甲", ""]),
    }
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "rows.parquet", store_schema=False)
    with KeyHashes(tmp_path, tuple(key)) as keys:
        keys.add(table.slice(0, 1))
        keys.add(table.slice(1))
        several = keys.of_several()
    left_out, staying = find_duplicates(tmp_path / "rows.parquet", tuple(key), several)
    expected = {2: 0, 3: 1} if key == "b" else {2: 0}
    assert dict(zip(left_out.tolist(), staying.tolist(), strict=True)) == expected


def _by_dictionary(rows: list[tuple[tuple[int, str], int | None]], by_latest: bool) -> dict[int, int]:
    groups: dict[tuple[int, str], list[int]] = {}
    for at, (key, _) in enumerate(rows):
        groups.setdefault(key, []).append(at)

    def rank(at: int) -> tuple[float, int]:
        when = rows[at][1]
        return (-(when if when is not None else -1) if by_latest else 0, at)

    return {at: min(same, key=rank) for same in groups.values() for at in same if at != min(same, key=rank)}
