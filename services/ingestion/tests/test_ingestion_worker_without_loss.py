"""Real files through infer and load, as registered contracts are: every cell comes back, letter by letter.

A transit feed (GTFS of Caltrain, times like 25:10:00) and the division codes of China, in UTF-8 as they are and in
GB18030 with all line ends mixed.
"""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from plaza.common.v1 import contract_pb2 as pb
from plaza.ingestion.v1 import ingestion_pb2
from plaza_ingestion.worker.infer import infer
from plaza_ingestion.worker.load import run_load
from plaza_ingestion.worker.translate import load_plan, proposal_message

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
GTFS = DATA / "gtfs" / "caltrain_20160406.zip"
DIVISIONS = ("provinces", "cities", "areas", "streets")
TABLES = (
    "agency",
    "calendar",
    "calendar_dates",
    "fare_attributes",
    "fare_rules",
    "routes",
    "shapes",
    "stop_times",
)
TABLES = (*TABLES, "stops", "trips")
ENDS = ("\r\n", "\n", "\r")
pytestmark = pytest.mark.skipif(
    not (GTFS.exists() and (DATA / "divisions").exists()), reason=f"the shared test data is not there: {DATA}"
)


def text_of(name: str) -> str:
    if name in DIVISIONS:
        return (DATA / "divisions" / f"{name}.csv").read_text("utf-8-sig")
    with zipfile.ZipFile(GTFS) as archive:
        return archive.read(f"{name}.txt").decode("utf-8-sig")


def mixed_ends(text: str) -> str:
    return "".join(line + ENDS[i % 3] for i, line in enumerate(text.splitlines()))


def as_in_file(field: pb.Field, steps: dict[str, pb.ParseTime], value: Any, text: str) -> bool:
    """Whether the value says what the text of the file says, and no less."""
    match value:
        case None:
            return text == "" or text in field.missing_values
        case str():
            return value == text
        case bool():
            return text.lower() == str(value).lower()
        case int():
            return str(value) == text
        case float():
            return float(text) == value
        case date():
            (format_,) = steps[field.name].formats if field.name in steps else ("%Y-%m-%d",)
            return value.strftime(format_) == text
    return False


def loaded(data: bytes, folder: Path) -> tuple[ingestion_pb2.Proposal, list[dict[str, Any]]]:
    source = folder / "source"
    source.write_bytes(data)
    proposal = proposal_message(infer(source))
    plan = load_plan(proposal.contract)
    manifest = run_load(plan, source, folder / "out", progress=lambda _: None, cancelled=lambda: False)
    assert manifest.rows_refused == 0
    return proposal, pq.read_table(folder / "out" / "accepted.parquet").to_pylist()


@pytest.mark.parametrize("codec", ["utf-8", "gb18030"])
@pytest.mark.parametrize("name", [*TABLES, *DIVISIONS])
def test_every_cell_comes_back(name: str, codec: str, tmp_path: Path) -> None:
    text = text_of(name) if codec == "utf-8" else mixed_ends(text_of(name))
    proposal, rows = loaded(text.encode(codec), tmp_path)
    expected = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == len(expected) == proposal.rows
    steps = {step.parse_time.field: step.parse_time for step in proposal.contract.steps}
    for field in proposal.contract.fields:
        if any(step.WhichOneof("kind") == "trim" for step in proposal.contract.steps):
            expected = [{k: v.strip() for k, v in row.items()} for row in expected]
        wrong = [
            (row[field.name], there[field.source_name])
            for row, there in zip(rows, expected, strict=True)
            if not as_in_file(field, steps, row[field.name], there[field.source_name])
        ]
        assert not wrong, (field.name, wrong[:3])


@pytest.mark.parametrize("codec", ["utf-8", "gb18030"])
def test_times_beyond_midnight_and_codes_are_text(codec: str, tmp_path: Path) -> None:
    def types(name: str) -> dict[str, str]:
        proposal, _ = loaded(mixed_ends(text_of(name)).encode(codec), tmp_path)
        return {
            field.name: pb.FieldType.Name(field.type).removeprefix("FIELD_TYPE_").lower()
            for field in proposal.contract.fields
        }

    assert {types("stop_times")[name] for name in ("arrival_time", "departure_time")} == {"string"}
    assert set(types("streets").values()) == {"string"}
    assert types("areas")["city_code"] == "string"
    assert types("calendar_dates")["date"] == "date"
