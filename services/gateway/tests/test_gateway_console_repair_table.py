"""The repair export as a table, and corrections of it: nothing is changed that nobody changed."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st
from plaza_gateway.console.repair_table import (
    MOST_COLUMNS,
    Reading,
    RepairRow,
    RepairTable,
    corrected,
    corrections,
    sheet,
    values_of,
)

BATCH = "01a1fd4f-75c8-70a8-857c-00000000000b"
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


def export(headings: list[str], rows: list[tuple[str, str, list[str]]]) -> bytes:
    """As ingestion writes it."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["plaza_row", "plaza_reason", "plaza_detail", "plaza_record", *headings])
    writer.writerows([id_, "type", 'no "number"', record, *cells] for id_, record, cells in rows)
    return ("\ufeff" + out.getvalue()).encode()


def read(data: bytes, wanted: list[str], piece: int = 1 << 20, delimiter: str = ",") -> RepairTable:
    reading = Reading(wanted, delimiter)
    for start in range(0, len(data), piece):
        reading.feed(data[start : start + piece])
    return reading.table()


@given(
    st.lists(st.lists(CELLS, min_size=3, max_size=3).filter(any), min_size=1, max_size=6), st.integers(1, 40)
)
def test_cells_come_back_to_the_letter(rows: list[list[str]], piece: int) -> None:
    ids = [f"{BATCH}-{number}" for number in range(len(rows))]
    data = export(["a", "b", "c"], [(id_, "", cells) for id_, cells in zip(ids, rows, strict=True)])
    table = read(data, ids, piece)
    assert table.headings == ("a", "b", "c")
    # Without a line end at the very end the last record may go on; the export always writes one.
    assert {id_: list(row.cells) for id_, row in table.rows.items()} == dict(zip(ids, rows, strict=True))


def test_only_wanted_rows_are_kept() -> None:
    data = export(["a"], [(f"{BATCH}-{n}", "", [str(n)]) for n in range(2, 9)])
    reading = Reading([f"{BATCH}-3", f"{BATCH}-99"], ",")
    reading.feed(data)
    assert not reading.done
    assert list(reading.table().rows) == [f"{BATCH}-3"]
    reading = Reading([f"{BATCH}-3"], ",")
    reading.feed(data)
    assert reading.done


def test_a_torn_record_is_split_as_a_try() -> None:
    data = export(["a", "b", "c"], [(f"{BATCH}-2", "1;zwei", ["", "", ""])])
    row = read(data, [f"{BATCH}-2"], delimiter=";").rows[f"{BATCH}-2"]
    assert row == RepairRow(("1", "zwei", ""), guessed=True)
    trailing = export(["a", "b"], [(f"{BATCH}-2", "1,2,,", ["", ""])])
    assert read(trailing, [f"{BATCH}-2"]).rows[f"{BATCH}-2"].cells == ("1", "2")
    too_many = export(["a", "b"], [(f"{BATCH}-2", "1,2,3", ["", ""])])
    assert read(too_many, [f"{BATCH}-2"]).rows[f"{BATCH}-2"] == RepairRow(("", ""), guessed=True)


def test_wide_files_and_long_rows_are_left_to_spreadsheets() -> None:
    wide = [f"c{n}" for n in range(MOST_COLUMNS + 1)]
    table = read(export(wide, [(f"{BATCH}-2", "", wide)]), [f"{BATCH}-2"])
    assert (len(table.headings), table.rows) == (MOST_COLUMNS + 1, {})
    assert read(export(["a"], [(f"{BATCH}-2", "", ["x" * 70_000])]), [f"{BATCH}-2"]).rows == {}


def test_line_ends_of_browsers_are_no_change() -> None:
    row = RepairRow(("one\ntwo", "x"))
    assert corrected(row, {0: "one\r\ntwo"}) == row.cells
    table = RepairTable(("a", "b"), {"r": row})
    assert corrections(table, {"r": {0: "one\r\ntwo", 1: "x"}, "unknown": {0: "y"}}) == {}
    assert corrections(table, {"r": {1: "y", 7: "z"}}) == {"r": ("one\ntwo", "y")}


def test_what_is_sent_for_one_row() -> None:
    table = RepairTable(("a", "b"), {"r": RepairRow(("1", "2")), "t": RepairRow(("1", ""), guessed=True)})
    assert values_of(table, table.rows["r"], ("1", "3")) == {"b": "3"}
    assert values_of(table, table.rows["r"], ("1", "2")) == {"a": "1"}
    assert values_of(table, table.rows["t"], ("1", "")) == {"a": "1"}
    assert not RepairTable(("a", "a")).unambiguous


@given(st.dictionaries(st.uuids().map(str), st.lists(CELLS, min_size=2, max_size=2), max_size=4))
def test_the_sheet_is_read_back(rows: dict[str, list[str]]) -> None:
    data = sheet(RepairTable(("a", "b")), rows).decode()
    heading, *lines = csv.reader(io.StringIO(data, newline=""))
    assert heading == ["plaza_row", "a", "b"]
    assert {id_: cells for id_, *cells in lines} == rows
