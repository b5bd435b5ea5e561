"""JSON, JSONL, XLSX, XML, Parquet and ZIP: the same judge, and no value is bent on the way."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_ingestion.worker.archive_reader import UnknownEntry
from plaza_ingestion.worker.batches import OversizedFile, UnreadableFile
from plaza_ingestion.worker.header import HeaderMismatch
from plaza_ingestion.worker.infer import Proposal, infer
from plaza_ingestion.worker.load import LoadManifest, run_load
from plaza_ingestion.worker.plan import FieldSpec, LoadPlan
from plaza_ingestion.worker.xlsx_reader import date_text, number_text


class Loaded:
    def __init__(self, plan: LoadPlan, source: Path) -> None:
        out = source.parent / "out"
        self.manifest: LoadManifest = run_load(
            plan, source, out, progress=lambda _: None, cancelled=lambda: False
        )
        self.rows: list[dict[str, Any]] = pq.read_table(out / "accepted.parquet").to_pylist()
        self.positions: list[dict[str, Any]] = pq.read_table(out / "positions.parquet").to_pylist()
        self.refused: list[dict[str, Any]] = pq.read_table(out / "refused.parquet").to_pylist()

    @property
    def verdicts(self) -> list[tuple[int, str | None, str]]:
        return [(row["line"], row["field"], row["reason"]) for row in self.refused]


def fields(**types: str) -> tuple[FieldSpec, ...]:
    return tuple(FieldSpec(name, name, kind) for name, kind in types.items())


def written(folder: Path, data: str | bytes, name: str = "source") -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def plan_of(proposal: Proposal) -> LoadPlan:
    return LoadPlan(
        tuple(FieldSpec(f.name, f.source, f.type, f.required, f.missing) for f in proposal.fields),
        proposal.key,
        proposal.steps,
        proposal.delimiter,
        type=proposal.type,
        encoding=proposal.encoding,
        record_path=proposal.record_path,
    )


# JSON and JSONL

MIXED = [
    '{"id": 1, "v": 1.10, "s": "007", "in": {"city": "北京"}, "tags": ["a", 1.50]}',
    '{"id": 2, "v": 1E2, "s": "25:10:00", "x": true}',
    '{"id": 3.0, "v": null}',
    '{"id": 4, "id": 5}',
    '["no object"]',
    '{"id": 12345678901234567890}',
    '{"id": 6, "in": {"city": "a"}, "in.city": "b"}',
    '{"other": 1}',
]
JSON_FIELDS = (
    *fields(id="integer", v="number", s="string", tags="string"),
    FieldSpec("city", "in.city", "string"),
)


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_json_records(kind: str, tmp_path: Path) -> None:
    text = "[" + ",\n".join(MIXED) + "]\n" if kind == "json" else "\r\n".join(MIXED)
    source = written(tmp_path, text)
    loaded = Loaded(LoadPlan(JSON_FIELDS, ("id",), type=kind), source)
    assert loaded.rows == [
        {"id": 1, "v": 1.1, "s": "007", "tags": '["a",1.50]', "city": "北京"},
        {"id": 2, "v": 100.0, "s": "25:10:00", "tags": None, "city": None},
    ]
    first = 2 if kind == "json" else 1
    assert loaded.verdicts == [
        (first + 2, "id", "type"),
        (first + 3, None, "syntax"),
        (first + 4, None, "syntax"),
        (first + 5, "id", "type"),
        (first + 6, None, "syntax"),
        (first + 7, None, "syntax"),
    ]
    assert [row["original"].decode() for row in loaded.refused] == MIXED[2:]
    data = source.read_bytes()
    for row, text in zip(loaded.positions, MIXED, strict=False):
        assert data[row["byte_offset"] : row["byte_offset"] + row["byte_length"]].decode() == text
    assert loaded.manifest.ignored_columns == ("x", "other")


def test_jsonl_refuses_what_is_no_json_and_goes_on(tmp_path: Path) -> None:
    lines = [
        b'{"a": 1}',
        b"{broken",
        b"",
        b'{"a": "\xff"}',
        b'{"a": NaN}',
        b"[" * 100_000,
        b'{"a": "' + b"x" * 200,
    ]
    source = written(tmp_path, b"\n".join([*lines, b'{"a": 2}']))
    loaded = Loaded(LoadPlan(fields(a="string"), type="jsonl", max_record_bytes=150_000), source)
    assert [row["a"] for row in loaded.rows] == ["1", "2"]
    assert loaded.verdicts == [
        *(
            (2, None, "syntax"),
            (4, None, "encoding"),
            (5, None, "syntax"),
            (6, None, "syntax"),
            (7, None, "syntax"),
        )
    ]
    assert [row["original"] for row in loaded.refused] == [lines[i] for i in (1, 3, 4, 5, 6)]


def test_jsonl_duplicates_keep_their_bytes_and_long_lines_are_cut(tmp_path: Path) -> None:
    source = written(tmp_path, '{"a":1}\n{"a":"' + "x" * 5_000_000 + '"}\n{"a": 1}\n{"a":2}')
    loaded = Loaded(LoadPlan(fields(a="string"), ("a",), type="jsonl", max_record_bytes=100), source)
    assert loaded.verdicts == [(2, None, "too_long"), (3, "a", "duplicate_key")]
    assert [len(row["original"]) for row in loaded.refused] == [100, 8]
    assert [row["a"] for row in loaded.rows] == ["1", "2"]


@pytest.mark.parametrize("codec", ["gb18030", "utf-16-le"])
@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_json_in_other_encodings(kind: str, codec: str, tmp_path: Path) -> None:
    records = (
        ['{"a":"东|镕"}', '{"a":"ĊĊ"}', '{"a":[]', '{"a":{}}'] if kind == "jsonl" else ['{"a":"东|镕"}', "3"]
    )
    text = "\n".join(records) if kind == "jsonl" else "[" + ",".join(records) + "]"
    source = written(tmp_path, ("\ufeff" + text).encode(codec))
    loaded = Loaded(LoadPlan(fields(a="string"), type=kind, encoding=codec), source)
    assert loaded.rows[0] == {"a": "东|镕"}
    assert [row["original"].decode(codec) for row in loaded.refused] == (
        records[2:] if kind == "jsonl" else records[1:]
    )


def test_an_array_within_objects_is_found_by_its_path(tmp_path: Path) -> None:
    text = '{"code": 0, "ids": [1, 2], "data": {"page": {"n": 1}, "list": [{"a": 1}, {"a": 2}]}, "z": 1}'
    source = written(tmp_path, text)
    proposal = infer(source)
    assert (proposal.type, proposal.record_path) == ("json", "data.list")
    assert [row["a"] for row in Loaded(plan_of(proposal), source).rows] == [1, 2]
    with pytest.raises(UnreadableFile, match="there is no 'rows'"):
        Loaded(LoadPlan(fields(a="string"), type="json", record_path="rows"), source)


@pytest.mark.parametrize(
    "text",
    ["", "[", "[{}", '[{"a":1}{"a":2}]', '[{"a":1},]', '[{"a":1}] x', '{"a":1}', '[{"a":"\ud800', "[" * 9999],
)
def test_broken_json_names_the_byte(text: str, tmp_path: Path) -> None:
    source = written(tmp_path, text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UnreadableFile, match=r"[Bb]yte \d+"):
        Loaded(LoadPlan(fields(a="string"), type="json"), source)


def test_a_record_across_blocks_and_one_that_is_too_large(tmp_path: Path) -> None:
    records = [{"a": str(i), "b": "空" * 3000} for i in range(500)]
    source = written(tmp_path, json.dumps(records, ensure_ascii=False, indent=1))
    loaded = Loaded(LoadPlan(fields(a="integer", b="string"), type="json"), source)
    assert [row["a"] for row in loaded.rows] == list(range(500))
    with pytest.raises(OversizedFile):
        Loaded(
            LoadPlan(fields(a="string"), type="json"), written(tmp_path, '[{"a": "' + "x" * 9_000_000 + '"}]')
        )


values = st.one_of(st.text(max_size=4), st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), values), min_size=1, max_size=5), st.booleans())
def test_json_texts_are_pythons(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]], ascii_only: bool
) -> None:
    texts = [json.dumps(record, ensure_ascii=ascii_only) for record in records]
    if any("Infinity" in text for text in texts):
        return
    source = written(tmp_path_factory.mktemp("json"), "\n".join(texts))
    loaded = Loaded(LoadPlan(fields(a="string", b="string", c="string"), type="jsonl"), source)

    def cell(value: Any) -> str | None:
        return value or None if isinstance(value, str) else None if value is None else json.dumps(value)

    expected = [{name: cell(record.get(name)) for name in "abc"} for record in records]
    kept = [row for row in expected if any(row.values())]
    assert loaded.rows == kept
    assert len(loaded.refused) == len(expected) - len(kept)


# XLSX


def workbook(
    folder: Path, *rows: list[Any], formats: dict[str, str] | None = None, name: str = "book"
) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    for place, code in (formats or {}).items():
        sheet[place].number_format = code
    other = book.create_sheet("第二")
    other.append(["id"])
    other.append([7])
    path = folder / f"{name}.xlsx"
    book.save(path)
    return path


def test_cells_of_a_sheet(tmp_path: Path) -> None:
    source = workbook(
        tmp_path,
        ["编号", "n", "v", "day", "moment", "clock", "span", "ok"],
        ["00123", 1.0, 0.1, date(2024, 2, 29), datetime(2024, 5, 1, 8, 30), time(8, 30, 1), 1, True],  # noqa: DTZ001
        ["北京\n东城", 1.5, 1e-7, None, None, None, None, None],
        [None] * 8,
        [" x ", 12345678901234567890, -3, "2024-03-01", "N/A", None, None, False],
        formats={"G2": "[h]:mm:ss"},
    )
    sheet = openpyxl.load_workbook(source)
    sheet.active["G2"] = timedelta(hours=25, minutes=10)  # type: ignore[index]
    sheet.active["G2"].number_format = "[h]:mm:ss"  # type: ignore[index]
    sheet.save(source)
    specs = (
        FieldSpec("code", "编号", "string"),
        *fields(
            n="integer", v="number", day="date", moment="string", clock="string", span="string", ok="boolean"
        ),
    )
    loaded = Loaded(LoadPlan(specs, type="xlsx"), source)
    assert loaded.rows == [
        {
            **{"code": "00123", "n": 1, "v": 0.1, "day": date(2024, 2, 29), "moment": "2024-05-01T08:30:00"},
            **{"clock": "08:30:01", "span": "25:10:00", "ok": True},
        }
    ]
    assert loaded.verdicts == [(3, "n", "type"), (5, "n", "type")]
    assert json.loads(loaded.refused[0]["original"])["编号"] == "北京\n东城"
    assert json.loads(loaded.refused[0]["original"])["n"] == "1.5"
    assert json.loads(loaded.positions[0]["original"])["编号"] == "00123"


def test_a_sheet_by_name(tmp_path: Path) -> None:
    source = workbook(tmp_path, ["a"], [1])
    assert Loaded(LoadPlan(fields(id="integer"), type="xlsx", sheet="第二"), source).rows == [{"id": 7}]
    with pytest.raises(HeaderMismatch, match="no sheet 'x'") as caught:
        Loaded(LoadPlan(fields(id="integer"), type="xlsx", sheet="x"), source)
    assert "第二" in caught.value.remedy


def test_a_row_wider_than_the_heading_and_duplicates(tmp_path: Path) -> None:
    source = workbook(tmp_path, ["a", "b"], [1, 2], [1, 3], [4, 5, 6])
    loaded = Loaded(LoadPlan(fields(a="integer"), ("a",), type="xlsx"), source)
    assert loaded.verdicts == [(3, "a", "duplicate_key"), (4, None, "syntax")]
    assert [json.loads(row["original"]) for row in loaded.refused] == [
        {"a": "1", "b": "3"},
        {"1": "4", "2": "5", "3": "6"},
    ]
    assert loaded.manifest.ignored_columns == ("b",)


def test_a_sheet_comes_back_from_its_own_proposal(tmp_path: Path) -> None:
    rows = [[f"{i:05}", i, i / 8 + 0.5, datetime(2024, 1, 1) + timedelta(days=i)] for i in range(2000)]  # noqa: DTZ001
    source = workbook(tmp_path, ["代码", "n", "v", "日期"], *rows)
    proposal = infer(source)
    assert [f.type for f in proposal.fields] == ["string", "integer", "number", "date"]
    loaded = Loaded(plan_of(proposal), source)
    assert [list(row.values()) for row in loaded.rows] == [[a, b, c, d.date()] for a, b, c, d in rows]


@pytest.mark.parametrize(
    ("saved", "text"),
    [
        ("1", "1"),
        ("1.0", "1"),
        ("1.5", "1.5"),
        ("1.2E+3", "1200"),
        ("1E-3", "1E-3"),
        ("-0.0", "-0"),
        ("x", "x"),
        ("1E999999999", "1E999999999"),
        ("NaN", "NaN"),
        ("0.30000000000000004", "0.30000000000000004"),
    ],
)
def test_saved_numbers(saved: str, text: str) -> None:
    assert number_text(saved) == text


@pytest.mark.parametrize(
    ("serial", "kind", "text"),
    [
        ("45413", "date", "2024-05-01"),
        ("45413.5", "date", "2024-05-01T12:00:00"),
        ("45413", "datetime", "2024-05-01T00:00:00"),
        ("45413.354166666664", "datetime", "2024-05-01T08:30:00"),
        ("1.0486111111111112", "duration", "25:10:00"),
        ("0.354166666666667", "time", "08:30:00"),
        ("59", "date", "1900-02-28"),
        ("61", "date", "1900-03-01"),
    ],
)
def test_serial_numbers_of_days(serial: str, kind: str, text: str) -> None:
    assert date_text(Decimal(serial), kind, epoch_1904=False) == text
    with pytest.raises(ValueError, match="no date"):
        date_text(Decimal("60"), "date", epoch_1904=False)
    with pytest.raises(ValueError, match="no date"):
        date_text(Decimal("1E999999"), "date", epoch_1904=False)


# XML

XML = """<?xml version="1.0" encoding="{0}"?>
<d:城市 xmlns:d="urn:x"><meta>1</meta><list>
 <row id="1"><name>东城</name><v>007</v><at x="1"><lon>1.50</lon></at></row>
 <!-- no record --><row id="2"><name><![CDATA[a & b]]></name><v/></row>
 <row id="3"><name>x</name><name>y</name></row>
 <row id="x"><name>  z </name></row>
</list></d:城市>"""


@pytest.mark.parametrize("codec", ["utf-8", "gb18030", "utf-16"])
def test_xml_records(codec: str, tmp_path: Path) -> None:
    source = written(tmp_path, XML.format(codec).encode(codec))
    specs = (
        FieldSpec("id", "@id", "integer", required=True),
        *fields(name="string", v="string"),
        FieldSpec("lon", "at.lon", "number"),
    )
    loaded = Loaded(LoadPlan(specs, ("id",), type="xml"), source)
    assert loaded.rows == [
        {"id": 1, "name": "东城", "v": "007", "lon": 1.5},
        {"id": 2, "name": "a & b", "v": None, "lon": None},
    ]
    assert loaded.verdicts == [(4, None, "syntax"), (5, "id", "type")]
    assert json.loads(loaded.refused[0]["original"]) == {"@id": "3", "name": "x", "name#2": "y"}
    assert loaded.manifest.ignored_columns == ("at.@x",)
    by_path = LoadPlan(specs, ("id",), type="xml", record_path="城市/list/row")
    assert Loaded(by_path, source).rows == loaded.rows
    proposal = infer(source)
    assert [f.source for f in proposal.fields] == ["@id", "name", "v", "at.@x", "at.lon"]


@pytest.mark.parametrize("text", ["", "<a>", "<a><b>1</b><b>2</a>", "<a/>", "no xml", "<a><r/><r/>\x00</a>"])
def test_broken_xml(text: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile):
        Loaded(LoadPlan(fields(a="string"), type="xml"), written(tmp_path, text))


# Parquet


def test_parquet_types(tmp_path: Path) -> None:
    moment = datetime(2024, 5, 1, 0, 30, 0, 1, tzinfo=UTC)
    table = pa.table(
        {
            "i": pa.array([1, None, 3], pa.int32()),
            "f": pa.array([1.0, 1.5, float("nan")]),
            "g": pa.array([0.1, 2, None], pa.float32()),
            "s": pa.array(["007", "", None]),
            "d": pa.array([date(2024, 2, 29), None, None]),
            "t": pa.array([moment, None, None], pa.timestamp("us", "Asia/Shanghai")),
            "n": pa.array([Decimal("1.10"), None, None], pa.decimal128(10, 2)),
            "b": pa.array([True, False, None]),
            "p": pa.array([{"x": 1, "y": "q"}, None, {"x": 2, "y": None}]),
            "l": pa.array([[1, 2], None, []], pa.list_(pa.int64())),
        }
    )
    source = tmp_path / "t.parquet"
    pq.write_table(table, source)
    specs = (
        *fields(
            i="integer", f="integer", g="number", s="string", d="date", t="timestamp", n="string", b="boolean"
        ),
        FieldSpec("x", "p.x", "integer"),
        FieldSpec("y", "p.y", "string"),
        *fields(l="string"),
    )
    loaded = Loaded(LoadPlan(specs, type="parquet"), source)
    assert loaded.rows == [
        {
            **{"i": 1, "f": 1, "g": 0.10000000149011612, "s": "007", "d": date(2024, 2, 29), "t": moment},
            **{"n": "1.10", "b": True, "x": 1, "y": "q", "l": "[1,2]"},
        }
    ]
    assert loaded.verdicts == [(3, "f", "type"), (4, "f", "type")]
    assert json.loads(loaded.refused[0]["original"]) == {"f": "1.5", "g": "2", "b": "false"}
    proposal = infer(source)
    assert proposal.type == "parquet"
    assert Loaded(plan_of(proposal), source).manifest.rows_accepted == 3


def test_parquet_values_that_are_too_long_or_no_text(tmp_path: Path) -> None:
    source = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": pa.array([b"ok", b"\xff", b"x" * 101, None]), "k": [1, 2, 3, 4]}), source)
    loaded = Loaded(LoadPlan(fields(a="string", k="integer"), type="parquet", max_record_bytes=100), source)
    assert [row["a"] for row in loaded.rows] == ["ok", None]
    assert loaded.verdicts == [(3, None, "too_long"), (4, None, "too_long")]


# ZIP


def packed(folder: Path, **files: bytes) -> Path:
    path = folder / "files.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/._a.csv", b"x")
        for name, data in files.items():
            archive.writestr(f"d/{name}.csv", data)
    return path


def test_an_archive_is_read_like_one_file(tmp_path: Path) -> None:
    source = packed(
        tmp_path, a="名,n\n东,1\n西,x\n".encode("gb18030"), b="名,n\r\n东,2\r\n南,3\r\n".encode("gb18030")
    )
    specs = (FieldSpec("name", "名", "string"), FieldSpec("n", "n", "integer"))
    loaded = Loaded(LoadPlan(specs, ("name",), encoding="gb18030"), source)
    assert [row["n"] for row in loaded.rows] == [1, 3]
    assert loaded.verdicts == [(3, "n", "type"), (5, "name", "duplicate_key")]
    assert loaded.refused[0]["detail"].startswith("d/a.csv, line 3: ")
    assert [row["original"].decode("gb18030") for row in loaded.refused] == ["西,x", "东,2"]
    proposal = infer(source)
    assert (proposal.encoding, proposal.rows) == ("gb18030", 4)


def test_an_archive_of_workbooks_and_of_json(tmp_path: Path) -> None:
    books = [workbook(tmp_path, ["a"], [n], name=f"b{n}") for n in (1, 2)]
    for kind, contents in (("json", [b'[{"a":1}]', b'[{"a":2}]']), ("xlsx", [b.read_bytes() for b in books])):
        source = packed(tmp_path, x=contents[0], y=contents[1])
        if kind == "json":
            assert [row["a"] for row in Loaded(LoadPlan(fields(a="integer"), type=kind), source).rows] == [
                1,
                2,
            ]
        proposal = infer(source)
        assert proposal.type == kind
        assert [row["a"] for row in Loaded(plan_of(proposal), source).rows] == [1, 2]


def test_one_file_of_an_archive(tmp_path: Path) -> None:
    source = packed(tmp_path, a=b"n,m\n1,1\n", b=b"n;o\n2;1\nx;1\n")
    with pytest.raises(HeaderMismatch) as refused:
        infer(source)
    assert refused.value.remedy.endswith("(entry): d/a.csv, d/b.csv.")
    proposal = infer(source, entry="d/b.csv")
    assert (proposal.entries, proposal.delimiter, proposal.rows) == (("d/a.csv", "d/b.csv"), ";", 2)
    plan = LoadPlan(fields(n="integer"), delimiter=";", entry="d/b.csv")
    loaded = Loaded(plan, source)
    assert ([row["n"] for row in loaded.rows], loaded.verdicts) == ([2], [(3, "n", "type")])
    with pytest.raises(UnknownEntry, match=r"no file 'b\.csv'") as refused:
        Loaded(replace(plan, entry="b.csv"), source)
    assert "d/a.csv, d/b.csv" in refused.value.remedy
    plain = tmp_path / "plain.csv"
    plain.write_bytes(b"n\n1\n")
    with pytest.raises(UnknownEntry, match="no archive"):
        infer(plain, entry="n")
    assert infer(plain).entries == ()


def test_files_with_other_columns_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(HeaderMismatch, match=r"d/b\.csv has other columns than d/a\.csv"):
        Loaded(LoadPlan(fields(n="integer")), packed(tmp_path, a=b"n,m\n1,1\n", b=b"n,o\n1,1\n"))
    with pytest.raises(UnreadableFile, match="holds no file"):
        Loaded(LoadPlan(fields(n="integer")), packed(tmp_path))
