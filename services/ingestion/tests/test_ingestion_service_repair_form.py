"""Refused records as a table for spreadsheets, and back."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza.common.v1 import contract_pb2
from plaza_ingestion.domain.pace import Pace
from plaza_ingestion.domain.quarantine import ReservedColumn, RowId, replay_contract, without_cells
from plaza_ingestion.domain.repair_form import Held, RepairForm, Source, UnknownHeading, line, one_row

BATCH, OTHER = "a00a97ee-e544-5d73-812e-505901048c10", "b00a97ee-e544-5d73-812e-505901048c10"
ROW = RowId(BATCH, 7)


def table(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_a_rows_id() -> None:
    assert RowId.parse(f" {ROW} ") == ROW
    for wrong in ("", BATCH, f"{BATCH}-0", f"{BATCH}-x", f"{BATCH}-1-2", f"{BATCH}-{'9' * 19}", "x-1"):
        assert RowId.parse(wrong) is None


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufeff")),
        min_size=2,
        max_size=5,
    )
)
def test_cells_survive_to_the_letter(cells: list[str]) -> None:
    heading = line([f"h{number}" for number in range(len(cells))]).rstrip(b"\r\n")
    source = Source.of(heading, {})
    record = line(cells)[:-2]
    form = RepairForm({BATCH: source})
    [head, row] = table(form.heading() + form.record(Held(ROW, "type", "no", record)))
    assert head[4:] == list(source.headings)
    assert row == [str(ROW), "type", "no", "", *cells]


def test_other_encodings_and_delimiters() -> None:
    source = Source.of("站点;小时".encode("gb18030"), {"format": {"delimiter": ";", "encoding": "gb18030"}})
    assert source.headings == ("站点", "小时")
    assert source.cells("东城;1,5".encode("gb18030")) == ["东城", "1,5"]


def test_records_that_name_their_fields() -> None:
    contract = {
        "fields": [{"name": "x", "source_name": "甲"}, {"name": "n"}, {"name": "time"}, {"name": "id"}],
        "steps": [
            {"build_timestamp": {"target": "time"}},
            {"name": "trim", "trim": {"fields": ["n"]}},
            {"name": "make-id", "build_key": {"target": "id", "parts": ["x", "n"]}},
        ],
        "format": {"type": "xlsx"},
    }
    source = Source.of(b"", contract)
    assert source.headings == ("甲", "n")
    record = '{"n": 1.10, "甲": "a,b", "other": true}'.encode()
    assert source.cells(record) == ["a,b", "1.10"]
    assert source.cells(b'{"n": [1, true]}') == ["", '["1", true]']
    assert source.cells(b"[1]") is source.cells(b"\xff") is source.cells(b"{") is None


@pytest.mark.parametrize("record", [b"a,b,c", b"a", b'"a,b', b'"a"b,c', b"\xff,b", b"a,b\nc,d"])
def test_what_cannot_be_split_stands_whole_beside_the_cells(record: bytes) -> None:
    form = RepairForm({BATCH: Source(("x", "y"))})
    [_, row] = table(form.heading() + form.record(Held(ROW, "ragged", "", record)))
    assert row[3:] == [record.decode(errors="replace"), "", ""]


def test_files_with_other_headings_share_the_table() -> None:
    form = RepairForm({BATCH: Source(("x", "y", "x")), OTHER: Source(("y", "z"))})
    held = [Held(ROW, "", "", b"1,2,3"), Held(RowId(OTHER, 2), "", "", b"4,5")]
    [head, one, two] = table(form.heading() + b"".join(map(form.record, held)))
    assert head[4:] == ["x", "y", "x", "z"]
    assert (one[4:], two[4:]) == (["1", "2", "3", ""], ["", "4", "", "5"])


def test_one_row_keeps_what_is_not_repaired() -> None:
    source = Source(("x", "y"))
    assert table(one_row(ROW, source, b'1,"a,b"', {"x": "2"})) == [
        ["plaza_row", "x", "y"],
        [str(ROW), "2", "a,b"],
    ]
    assert table(one_row(ROW, source, b"1,2,3", {"x": "2"}))[1] == [str(ROW), "2", ""]
    with pytest.raises(UnknownHeading, match="no column z"):
        one_row(ROW, source, b"1,2", {"z": "1"})


def test_the_contract_of_a_replay() -> None:
    contract = contract_pb2.Contract(
        fields=[contract_pb2.Field(name="x", source_name="X")],
        format=contract_pb2.FileFormat(delimiter=";", missing_values=["NA"]),
    )
    judged = replay_contract(contract)
    assert (judged.format.delimiter, list(judged.format.missing_values)) == (",", ["NA"])
    assert [(f.name, f.required) for f in judged.fields] == [("x", False), ("plaza_row", True)]
    assert len(contract.fields) == 1
    contract.fields.add(name="y", source_name="plaza_row")
    with pytest.raises(ReservedColumn):
        replay_contract(contract)


def test_words_without_cells() -> None:
    assert without_cells('"13812345678" is not a number') == '"…" is not a number'


@given(st.lists(st.tuples(st.floats(0.1, 10), st.integers(0, 1000), st.integers(1, 10**6)), min_size=1))
def test_a_pace_lies_between_the_slowest_and_the_fastest(news: list[tuple[float, int, int]]) -> None:
    pace = Pace()
    for seconds, rows, size in news:
        pace = pace.after(seconds, rows, size)
    speeds = [size / seconds for seconds, _, size in news]
    assert min(speeds) * 0.999 <= pace.bytes_a_second <= max(speeds) * 1.001


def test_a_pace_says_nothing_before_it_knows() -> None:
    assert Pace().remaining_seconds(100) is None
    assert Pace(5, 50).remaining_seconds(100) == 2
    assert Pace(5, 50).after(0, 1, 1) == Pace(5, 50)
    assert Pace(5, 50).after(1, -1, 1) == Pace()
