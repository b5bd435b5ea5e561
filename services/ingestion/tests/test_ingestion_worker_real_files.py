"""The worker on real files: hourly air quality of eight Beijing stations, compared with Python's csv module."""

from __future__ import annotations

import csv
import math
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from plaza_ingestion.worker.infer import infer
from plaza_ingestion.worker.load import LoadManifest, run_load
from plaza_ingestion.worker.plan import BuildTimestamp, FieldSpec, LoadPlan

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "beijing-air-quality"
FILES = sorted(DATA.glob("*.csv"))
pytestmark = pytest.mark.skipif(not FILES, reason=f"the shared test data is not there: {DATA}")

WHOLE = ("No", "year", "month", "day", "hour")
NUMBERS = ("PM2.5", "PM10", "SO2", "NO2", "CO", "O3", "TEMP", "PRES", "DEWP", "RAIN", "WSPM")
PLAN = LoadPlan(
    fields=(
        *(FieldSpec(heading.lower(), heading, "integer", required=True) for heading in WHOLE),
        *(FieldSpec(h.lower().replace(".", "_"), h, "number", missing=("NA",)) for h in NUMBERS),
        FieldSpec("wd", "wd", "string", missing=("NA",)),
        FieldSpec("station", "station", "string", required=True),
        FieldSpec("time", "", "timestamp", required=True),
    ),
    key=("station", "year", "month", "day", "hour"),
    steps=(BuildTimestamp("time", "year", "month", "day", "hour", zone="Asia/Shanghai"),),
)


def load(source: Path, out: Path) -> LoadManifest:
    return run_load(PLAN, source, out, progress=lambda _: None, cancelled=lambda: False)


def is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and text == text.strip()
    except ValueError:
        return text in ("", "NA")


@pytest.mark.parametrize("source", FILES, ids=lambda path: path.stem)
def test_every_row_is_accepted_unless_a_cell_is_no_number(source: Path, tmp_path: Path) -> None:
    manifest = load(source, tmp_path)
    with source.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    bad = [i + 2 for i, row in enumerate(rows) if not all(is_number(row[heading]) for heading in NUMBERS)]
    assert manifest.rows_read == len(rows) == 35_064
    assert manifest.rows_refused == len(bad)
    refused = pq.read_table(tmp_path / "refused.parquet")
    assert refused.column("line").to_pylist() == bad
    assert set(refused.column("reason").to_pylist()) <= {"type"}


def test_every_cell_is_the_files(tmp_path: Path) -> None:
    source = DATA / "Dongsi.csv"
    load(source, tmp_path)
    with source.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = pq.read_table(tmp_path / "accepted.parquet").to_pydict()
    for spec in PLAN.fields[:-1]:
        texts = [None if row[spec.source] in spec.missing else row[spec.source] for row in rows]
        to_value = {"integer": int, "number": float, "string": str}[spec.type]
        assert table[spec.name] == [None if text is None else to_value(text) for text in texts], spec.name
    zone = ZoneInfo("Asia/Shanghai")
    expected = [
        datetime(int(row["year"]), int(row["month"]), int(row["day"]), int(row["hour"]), tzinfo=zone)
        for row in rows
    ]
    assert table["time"] == expected
    assert pq.read_table(tmp_path / "positions.parquet").column("line").to_pylist() == list(range(2, 35_066))


def test_twenty_broken_lines_are_told_apart(tmp_path: Path) -> None:
    lines = (DATA / "Dongsi.csv").read_bytes().split(b"\r\n")[:2001]
    broken: dict[int, tuple[str | None, str]] = {}
    for kind in range(4):
        at = 100 + kind * 400
        good = lines[at].split(b",")
        changes: list[tuple[list[bytes], str | None, str]] = [
            (good[:-2], None, "ragged"),
            ([*good[:5], b"1000x", *good[6:]], "pm2_5", "type"),
            ([*good[:2], b"13", *good[3:]], "month", "step"),
            ([*good[:-1], b'"Dong\xb1\xb1si"'], "station", "encoding"),
            (lines[at - 50].split(b","), None, "duplicate_key"),
        ]
        for i, (cells, field, reason) in enumerate(changes):
            lines[at + i] = b",".join(cells)
            broken[at + i + 1] = (field, reason)
    source = tmp_path / "broken.csv"
    source.write_bytes(b"\r\n".join(lines))
    manifest = load(source, tmp_path / "out")
    assert (manifest.rows_read, manifest.rows_refused) == (2000, 20)
    refused = pq.read_table(tmp_path / "out" / "refused.parquet").to_pylist()
    assert {row["line"]: (row["field"], row["reason"]) for row in refused} == broken
    assert [row["original"] for row in refused] == [lines[line - 1] for line in sorted(broken)]


@pytest.mark.parametrize("source", FILES[:3], ids=lambda path: path.stem)
def test_the_proposal_is_sensible(source: Path) -> None:
    proposal = infer(source)
    fields = {field.name: field for field in proposal.fields}
    assert list(fields) == [
        *(
            "no",
            "year",
            "month",
            "day",
            "hour",
            "pm2_5",
            "pm10",
            "so2",
            "no2",
            "co",
            "o3",
            "temp",
            "pres",
            "dewp",
        ),
        *("rain", "wd", "wspm", "station", "time"),
    ]
    assert proposal.key == ("station", "year", "month", "day", "hour")
    build = BuildTimestamp("time", "year", "month", "day", "hour", zone="Asia/Shanghai", name="build-time")
    assert proposal.steps == (build,)
    assert {fields[name].type for name in ("year", "month", "day", "hour")} == {"integer"}
    assert {fields[name].type for name in ("pm2_5", "so2", "temp", "wspm")} == {"number"}
    assert {fields[name].type for name in ("wd", "station")} == {"string"}
    assert all("NA" in fields[name].missing for name in ("pm2_5", "so2", "o3", "wd"))
    assert (proposal.rows, proposal.ragged_rows, proposal.faulty_rows) == (35_064, 0, 0)
    assert (proposal.encoding, proposal.delimiter) == ("utf-8", ",")
