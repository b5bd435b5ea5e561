"""How staged columns are written: chosen by their values, and the values come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from plaza_ingestion.worker.column_encodings import encodings_for
from plaza_ingestion.worker.staging import ParquetStage

ROWS = 10_000
CHANCE = np.random.default_rng(1)
TABLE = pa.table(
    {
        "counter": pa.array(np.arange(ROWS)),
        "hour": pa.array(np.arange(ROWS) % 24),
        "time": pa.array(np.arange(ROWS) * 3_600_000_000).view(pa.timestamp("us", tz="UTC")),
        "code": pa.array(CHANCE.choice(CHANCE.integers(0, 2**62, 50), ROWS)),
        "value": pa.array(CHANCE.random(ROWS)),
        "tenth": pa.array(CHANCE.integers(0, 300, ROWS) / 10),
        "name": pa.array([f"row {number}" for number in range(ROWS)]),
        "place": pa.array([f"place {number % 7}" for number in range(ROWS)]),
        "nothing": pa.nulls(ROWS, pa.int64()),
    }
)


def test_what_grows_is_written_as_differences_and_what_comes_again_by_dictionary() -> None:
    chosen = encodings_for(TABLE)
    assert set(chosen.column_encoding or ()) == {"counter", "time"}
    assert chosen.use_dictionary == ["hour", "code", "tenth", "place", "nothing"]


def test_no_rows_need_no_choice() -> None:
    assert encodings_for(TABLE.slice(0, 0)).column_encoding is None


def test_values_come_back_whatever_comes_behind_the_first_rows(tmp_path: Path) -> None:
    path = tmp_path / "staged.parquet"
    stage = ParquetStage(path, TABLE.schema)
    extremes = pa.array([-(2**63), 2**63 - 1, None, 0] * 50_000, pa.int64())
    later = TABLE.slice(0, 1).take(pa.array([0] * 200_000)).set_column(0, "counter", extremes)
    for table in (TABLE, later, TABLE):
        stage.write(table)
    assert stage.close().rows == 220_000
    assert pq.read_table(path).equals(pa.concat_tables([TABLE, later, TABLE]))
