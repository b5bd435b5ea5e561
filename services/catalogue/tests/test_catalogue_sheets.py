"""Spreadsheets of strangers: read as a person sees them, or refused; written so that nothing is lost."""

from __future__ import annotations

import contextlib
import io
import zipfile
from datetime import date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from plaza_catalogue.domain import directory_entries, sheet_csv, sheet_xlsx
from plaza_catalogue.domain.directory_form import (
    Column,
    UnknownWord,
    cell_of,
    column_of,
    date_of,
    list_of,
    value_of,
)
from plaza_catalogue.domain.sheets import FAULT, FORMULA, Row, Sheet, UnreadableSpreadsheet, column_letter
from plaza_catalogue.domain.sheets import Workbook as Read


def saved(book: Workbook) -> bytes:
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def changed(data: bytes, name: str, content: bytes) -> bytes:
    """The archive with one part replaced."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        assert name in old.namelist()
        for part in old.infolist():
            new.writestr(part.filename, content if part.filename == name else old.read(part))
    return buffer.getvalue()


def plain_book() -> bytes:
    return sheet_xlsx.write("目录", [["名称", "代码"], ["空气", "1"]], [10, 10])


RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PARTS = {
    "_rels/.rels": f'<Relationships><Relationship Id="r" Type="{RELATIONS}/officeDocument" Target="/xl/workbook.xml"/>'
    "</Relationships>",
    "xl/workbook.xml": f'<x:workbook xmlns:x="a" xmlns:r="{RELATIONS}"><x:workbookPr date1904="1"/><x:sheets>'
    '<x:sheet name="目录" sheetId="1" r:id="a"/></x:sheets></x:workbook>',
    "xl/_rels/workbook.xml.rels": "<Relationships>"
    f'<Relationship Id="a" Type="{RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="b" Type="{RELATIONS}/sharedStrings" Target="sharedStrings.xml"/>'
    f'<Relationship Id="c" Type="{RELATIONS}/styles" Target="styles.xml"/>'
    f'<Relationship Id="d" Type="{RELATIONS}/externalLink" TargetMode="External" Target="file:///etc/passwd"/>'
    "</Relationships>",
    "xl/styles.xml": '<styleSheet><numFmts><numFmt numFmtId="170" formatCode="yyyy&quot;年&quot;m"/></numFmts>'
    '<cellXfs><xf numFmtId="0"/><xf numFmtId="170"/></cellXfs></styleSheet>',
    "xl/sharedStrings.xml": "<sst><si><t>名称</t><rPh><t>míng</t></rPh></si>"
    "<si><r><t>空</t></r><r><t>气</t></r></si></sst>",
    "xl/worksheets/sheet1.xml": '<x:worksheet xmlns:x="a"><x:sheetData><x:row r="3">'
    '<x:c r="B3" t="s"><x:v>0</x:v></x:c>'
    '<x:c r="C3" t="s"><x:v>1</x:v></x:c><x:c s="1"><x:v>10</x:v></x:c><x:c t="e"><x:v>#REF!</x:v></x:c>'
    '<x:c t="str"><x:f>A1</x:f><x:v>7</x:v></x:c></x:row></x:sheetData></x:worksheet>',
}
"""As office programs write: shared strings with their reading, prefixes, days counted from 1904."""


def office_book() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in PARTS.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_workbook_of_an_office_program() -> None:
    [sheet] = sheet_xlsx.read(office_book()).sheets
    assert (sheet.name, sheet.rows) == ("目录", (Row(3, ("", "名称", "空气", "1904-01-11", FAULT, FORMULA)),))


def test_cells_are_what_a_person_sees() -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(
        [
            "文字 ",
            307001,
            0.5,
            True,
            date(2026, 1, 5),
            datetime.fromisoformat("2026-01-05T08:30"),
            None,
            "=1+1",
            12.0,
        ]
    )
    sheet.append([])
    sheet["C4"] = "隔行"
    hidden = book.create_sheet("隐藏")
    hidden["A1"] = "x"
    hidden.sheet_state = "hidden"
    read = sheet_xlsx.read(saved(book))
    assert [sheet.rows for sheet in read.sheets] == [
        (
            Row(1, ("文字", "307001", "0.5", "true", "2026-01-05", "2026-01-05 08:30:00", "", FORMULA, "12")),
            Row(4, ("", "", "隔行")),
        )
    ]


@pytest.mark.parametrize(
    "document",
    [
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><sst><si><t>&x;</t></si></sst>',
        b'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><sst><si><t>&b;</t></si></sst>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a []><a/>'.encode("utf-16"),
        b"<sst><si>",
        b"",
    ],
)
def test_document_types_and_broken_parts_are_refused(document: bytes) -> None:
    for part in ("xl/workbook.xml", "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"):
        with pytest.raises(UnreadableSpreadsheet):
            sheet_xlsx.read(changed(office_book(), part, document))


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = changed(plain_book(), "xl/worksheets/sheet1.xml", b" " * (sheet_xlsx.MAX_UNPACKED_BYTES + 1))
    assert len(bomb) < 1_000_000

    def never(*_: object) -> None:
        raise AssertionError("a part was opened")

    monkeypatch.setattr(zipfile.ZipFile, "open", never)
    with pytest.raises(UnreadableSpreadsheet, match="unpacks to"):
        sheet_xlsx.read(bomb)


def test_a_cell_in_the_last_column_costs_nothing() -> None:
    head, tail = b"<worksheet><sheetData>", b"</sheetData></worksheet>"
    rows = b"".join(b'<row r="%d"><c r="XFD%d" t="str"><v>x</v></c></row>' % (n, n) for n in range(1, 50_000))
    [sheet] = sheet_xlsx.read(changed(plain_book(), "xl/worksheets/sheet1.xml", head + rows + tail)).sheets
    assert sheet.rows == ()
    many = b'<row><c t="str"><v>x</v></c></row>' * 100_001
    with pytest.raises(UnreadableSpreadsheet, match="more than 100,000 rows"):
        sheet_xlsx.read(changed(plain_book(), "xl/worksheets/sheet1.xml", head + many + tail))


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=400), at=st.integers(0, 5_000), cut=st.integers(0, 5_000))
def test_damaged_workbooks_are_read_or_refused(data: bytes, at: int, cut: int) -> None:
    whole = plain_book()
    for damaged in (whole[:cut], whole[:at] + data + whole[at + len(data) :], sheet_xlsx.MAGIC + data):
        with contextlib.suppress(UnreadableSpreadsheet):
            sheet_xlsx.read(damaged)


CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=4))
def test_what_is_written_is_read(rows: list[list[str]]) -> None:
    heads = ["名称", "代码", "分类"]
    written = [heads, *rows]
    # CSV cannot tell a lone carriage return from a line's end; both forms take blanks at the ends away.
    expected = [cells for row in written if any(cells := [cell.strip() for cell in row])]
    for read in (
        sheet_xlsx.read(sheet_xlsx.write("目录", written, [1, 1, 1])),
        sheet_csv.read(b"".join(sheet_csv.write(written))),
    ):
        [sheet] = read.sheets
        shown = [[row.cell(index) for index in range(3)] for row in sheet.rows]
        assert [cells for cells in shown if any(cells)] == expected


def test_csv_is_found_out() -> None:
    for text, encoding in (
        ("名称\t代码\n空气\t1", "gb18030"),
        ("名称;代码\n空气;1", "utf-8"),
        ("名称,代码\n空气,1", "utf-16"),
    ):
        read = sheet_csv.read(text.encode(encoding))
        assert read.sheets[0].rows == (Row(1, ("名称", "代码")), Row(2, ("空气", "1")))
    with pytest.raises(UnreadableSpreadsheet, match="byte 2"):
        sheet_csv.read(b"ab\xff\xff")


def test_headings_in_two_rows_below_a_title() -> None:
    rows = (
        ("政务信息资源目录",),
        ("信息资源名称", "信息项信息", "", "共享属性", "", "更新周期"),
        ("", "信息项名称", "数据类型", "共享类型", "共享条件", ""),
        ("空气", "站点", "字符型", "无条件", "", "每日"),
    )
    sheet = Sheet("一", tuple(Row(number, row) for number, row in enumerate(rows, 1)))
    reading = directory_entries.read(Read("xlsx", (sheet,)))
    [entry] = reading.entries
    assert not reading.problems
    assert (entry.heads.row, entry.first.number) == (3, 4)
    assert entry.cell(Column.SHARING_CLASS) == "无条件"
    assert entry.item_cell(0, Column.ITEM_TYPE) == "字符型"
    with pytest.raises(UnreadableSpreadsheet, match="no row with the headings"):
        directory_entries.read(Read("csv", (Sheet("", (Row(1, ("a", "b")),)),)))


@given(st.lists(CELLS.filter(bool), unique=True))
def test_lists_in_a_cell(items: list[str]) -> None:
    assert list_of(cell_of(items)) == items


def test_words() -> None:
    assert column_of("＊信息资源名称（必填）") is Column.NAME
    assert column_of("Sharing_Class") is Column.SHARING_CLASS
    assert value_of(Column.ITEM_TYPE, "日期时间型T") == 6
    with pytest.raises(UnknownWord, match="每小时"):
        value_of(Column.CYCLE, "每旬")
    assert {date_of(t) for t in ("2026-01-05", "2026/1/5", "2026年1月5日", "20260105")} == {"2026-01-05"}
    for bad in ("2026-13-01", "昨天", "5.1"):
        with pytest.raises(ValueError):
            date_of(bad)
    assert [column_letter(n) for n in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]
