"""Encodings: what is read is what Python reads; originals and lines are those of the file."""

from __future__ import annotations

import csv
import io
import tempfile
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_ingestion.worker.encodings import Encoding, normal_name, settle
from plaza_ingestion.worker.infer import Proposal, infer
from plaza_ingestion.worker.load import LoadManifest, run_load
from plaza_ingestion.worker.plan import Dialect, FieldSpec, InvalidPlan, LoadPlan
from plaza_ingestion.worker.records import Fault
from plaza_ingestion.worker.source import SourceFile, windows

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
GTFS = DATA / "gtfs" / "caltrain_20160406.zip"
DIVISIONS = sorted((DATA / "divisions").glob("*.csv"))
real = pytest.mark.skipif(
    not (GTFS.exists() and DIVISIONS), reason=f"the shared test data is not there: {DATA}"
)
ENDS = ("\r\n", "\n", "\r")
CODECS = ("utf-8", "gb18030", "utf-16-le", "utf-16-be")


def plan_of(proposal: Proposal) -> LoadPlan:
    return LoadPlan(
        fields=tuple(FieldSpec(f.name, f.source, f.type, f.required, f.missing) for f in proposal.fields),
        key=proposal.key,
        steps=proposal.steps,
        delimiter=proposal.delimiter,
        type=proposal.type,
        encoding=proposal.encoding,
        record_path=proposal.record_path,
    )


def load(plan: LoadPlan, source: Path) -> LoadManifest:
    return run_load(plan, source, source.parent / "out", progress=lambda _: None, cancelled=lambda: False)


def mixed_ends(text: str) -> str:
    return "".join(line + ENDS[i % 3] for i, line in enumerate(text.splitlines()))


def same_cells(data: bytes, codec: str, folder: Path) -> None:
    """What infer proposes accepts every row, and every cell is the one that Python's csv module reads."""
    source = folder / "source.csv"
    source.write_bytes(data)
    proposal = infer(source)
    manifest = load(plan_of(proposal), source)
    rows = list(csv.DictReader(io.StringIO(data.decode(codec).removeprefix("\ufeff"), newline="")))
    assert rows
    assert (manifest.rows_accepted, manifest.rows_refused) == (len(rows), 0)
    table = pq.read_table(folder / "out" / "accepted.parquet").to_pydict()
    for field in proposal.fields:
        texts = [row[field.source] for row in rows]
        to_value = {"integer": int, "number": float, "string": str}[field.type]
        expected = [None if text == "" or text in field.missing else to_value(text) for text in texts]
        assert table[field.name] == expected, field.name
        if field.type in ("integer",):  # nothing that a number would lose
            assert [str(value) for value in expected if value is not None] == [t for t in texts if t]
    places = pq.read_table(folder / "out" / "positions.parquet").to_pylist()
    first = places[0]
    original = data[first["byte_offset"] : first["byte_offset"] + first["byte_length"]].decode(codec)
    assert next(csv.reader([original])) == list(rows[0].values())


def stop_times() -> bytes:
    with zipfile.ZipFile(GTFS) as archive:
        return archive.read("stop_times.txt")


@real
@pytest.mark.parametrize("codec", ["utf-8", "gb18030"])
def test_times_beyond_midnight_stay_text(codec: str, tmp_path: Path) -> None:
    text = mixed_ends(stop_times().decode("utf-8-sig"))
    assert ",25:" in text or ",24:" in text
    same_cells(text.encode(codec), codec, tmp_path)


@real
@pytest.mark.parametrize("source", DIVISIONS, ids=lambda path: path.stem)
@pytest.mark.parametrize("codec", ["utf-8", "gb18030", "utf-16"])
def test_division_codes_keep_every_digit(source: Path, codec: str, tmp_path: Path) -> None:
    same_cells(mixed_ends(source.read_text("utf-8")).encode(codec), codec, tmp_path)


def test_leading_zeros_and_long_codes_stay_text_in_gb18030(tmp_path: Path) -> None:
    text = '编码,名称,证号\r00123,东城,11010119900307000X\n01,西城,"1101\n01"\r\n'
    same_cells(text.encode("gb18030"), "gb18030", tmp_path)
    assert infer(tmp_path / "source.csv").encoding == "gb18030"


signs = st.text(st.sampled_from('a1 ,;|"\n\r\t空镕乭丂𠀀é|~'), max_size=5)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(signs, signs), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;|\t~9@"),
    codec=st.sampled_from(CODECS),
    bom=st.booleans(),
    ends=st.lists(st.sampled_from(ENDS), min_size=7, max_size=7),
    widest=st.sampled_from([4, 64, 1 << 20]),
)
def test_every_encoding_reads_what_csv_reads(
    rows: list[tuple[str, str]], delimiter: str, codec: str, bom: bool, ends: list[str], widest: int
) -> None:
    def written(row: tuple[str, ...]) -> str:
        return delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row)

    text = "".join(written(row) + end for row, end in zip(rows, ends, strict=False))
    assert list(map(tuple, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))) == rows
    data = (("\ufeff" if bom else "") + text).encode(codec)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "file.csv"
        path.write_bytes(data)
        dialect = Dialect(delimiter, encoding=codec)
        cells, originals = [], []
        with SourceFile(path) as source:
            for window in windows(source, dialect, widest=widest):
                good = window.records.fault == Fault.NONE
                assert good.all()
                assert (window.records.fields == 2).all()
                columns = window.cells(good.nonzero()[0], 2, (0, 1), dialect)
                cells += list(zip(*(column.to_pylist() for column in columns), strict=True))
                originals += [window.original(i) for i in range(len(good))]
    assert cells == rows
    assert originals == [written(row).encode(codec) for row in rows]


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.sampled_from("|@A~9"))
def test_no_part_of_a_character_is_taken_for_a_delimiter(text: str, sign: str) -> None:
    data = text.encode("gb18030")
    found = Encoding("gb18030").signs(data, sign.encode())
    assert len(found) == len(data)
    assert found.count(sign.encode()) == text.count(sign)


NAME = FieldSpec("name", "名", "string")
COUNT = FieldSpec("n", "n", "integer")


@pytest.mark.parametrize("codec", CODECS)
def test_a_wrong_byte_refuses_its_record_alone(codec: str, tmp_path: Path) -> None:
    wrong = {"utf-8": b"\xff", "gb18030": b"\x81\x20", "utf-16-le": b"\x00\xdc", "utf-16-be": b"\xdc\x00"}[
        codec
    ]
    good, bad = "东,1\r\n".encode(codec), "西".encode(codec) + wrong + ",2".encode(codec)
    source = tmp_path / "source.csv"
    source.write_bytes("\ufeff名,n\n".encode(codec) + good + bad + "\n".encode(codec) + good)
    manifest = load(LoadPlan((NAME, COUNT), encoding=codec), source)
    assert (manifest.rows_accepted, manifest.refused_by_reason) == (2, {"encoding": 1})
    (refused,) = pq.read_table(tmp_path / "out" / "refused.parquet").to_pylist()
    assert (refused["line"], refused["field"], refused["original"]) == (3, "name", bad)
    assert settle(codec, b"").label in refused["detail"]


@pytest.mark.parametrize("codec", CODECS)
def test_refused_rows_keep_the_bytes_of_the_file(codec: str, tmp_path: Path) -> None:
    rows = ['东,"x\ny"', "西,1", "南,1,2", "西,2"]
    source = tmp_path / "source.csv"
    source.write_bytes("\ufeff名,n\r\n".encode(codec) + "\r".join(rows).encode(codec))
    load(LoadPlan((NAME, COUNT), key=("name",), encoding=codec), source)
    refused = pq.read_table(tmp_path / "out" / "refused.parquet").to_pylist()
    assert [(row["line"], row["reason"], row["original"].decode(codec)) for row in refused] == [
        (2, "type", rows[0]),
        (5, "ragged", rows[2]),
        (6, "duplicate_key", rows[3]),
    ]


def test_a_line_without_end_in_utf_16_is_bounded(tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(("\ufeff名,n\n" + "空" * 4_000_000 + "\n东,1\n").encode("utf-16-le"))
    manifest = load(LoadPlan((NAME, COUNT), encoding="utf-16", max_record_bytes=1000), source)
    assert (manifest.rows_accepted, manifest.refused_by_reason) == (1, {"too_long": 1})
    assert pq.read_table(tmp_path / "out" / "refused.parquet").column("line").to_pylist() == [2]


@pytest.mark.parametrize(
    ("data", "encoding", "code"),
    [
        (b"a,b\n1,2\n", "utf-8", "encoding_ascii"),
        ("名,b\n空气质量监测\n".encode(), "utf-8", None),
        ("名,b\n东城区,2\n".encode("gb18030"), "gb18030", "encoding_gb18030"),
        ("\ufeff名,b\n".encode("utf-16-le"), "utf-16", "encoding_marked"),
        ("\ufeff名,b\n".encode("utf-16-be"), "utf-16", "encoding_marked"),
        ("\ufeff名,b\n".encode(), "utf-8-sig", "encoding_marked"),
    ],
)
def test_the_encoding_is_proposed_with_its_reason(
    data: bytes, encoding: str, code: str | None, tmp_path: Path
) -> None:
    source = tmp_path / "f.csv"
    source.write_bytes(data)
    proposal = infer(source)
    assert proposal.encoding == encoding
    assert code is None or code in [reason.code for reason in proposal.format_reasons]


def test_one_broken_line_does_not_change_the_encoding_of_the_others(tmp_path: Path) -> None:
    source = tmp_path / "f.csv"
    source.write_bytes(("名,b\n" + "监测站点,1\n" * 9).encode() + b"\xb6\xab,1\n")
    proposal = infer(source)
    assert (proposal.encoding, proposal.rows, proposal.faulty_rows) == ("utf-8", 9, 1)


def test_names_of_encodings() -> None:
    assert [normal_name(n) for n in ("", "GBK", "gb2312", "UTF_8", "utf-16le")] == [
        *("utf-8", "gb18030", "gb18030", "utf-8", "utf-16-le")
    ]
    with pytest.raises(InvalidPlan, match="latin"):
        LoadPlan((COUNT,), encoding="latin-1")


GB_PIECES = [
    b"a",
    b"0",
    b",",
    b"\n",
    b"\xb0\xa1",
    b"\x81\x40",
    b"\xfe\x7e",
    b"\x81\x30\x84\x36",
    b"\x80",
    b"\xff",
    b"\xb0",
]


@settings(max_examples=500)
@given(
    st.lists(st.one_of(st.sampled_from(GB_PIECES), st.binary(min_size=1, max_size=3)), max_size=12).map(
        b"".join
    )
)
def test_the_quick_look_at_gb18030_takes_nothing_for_valid_that_is_not(data: bytes) -> None:
    encoding = Encoding("gb18030")
    if encoding.is_plainly_valid(data):
        data.decode("gb18030")


UTF8_PIECES = [
    b"a",
    "é空𠀀".encode(),
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xed\x9f\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf4\x8f\xbf\xbf",
]


@settings(max_examples=500)
@given(
    st.lists(st.one_of(st.sampled_from(UTF8_PIECES), st.binary(min_size=1, max_size=4)), max_size=8).map(
        b"".join
    )
)
def test_the_quick_look_at_utf8_is_pythons(data: bytes) -> None:
    assert Encoding("utf-8").is_plainly_valid(data) == Encoding("utf-8").is_valid(data)


def test_the_quick_look_knows_every_character_of_two_bytes() -> None:
    encoding = Encoding("gb18030")
    for first in range(256):
        for second in range(256):
            pair = bytes((first, second))
            try:
                valid = len(pair.decode("gb18030")) > 0
            except UnicodeDecodeError:
                valid = False
            assert encoding.is_plainly_valid(pair) == valid


def test_a_wrong_byte_before_a_delimiter_names_its_column(tmp_path: Path) -> None:
    """Python's codec takes the delimiter for a part of the broken character; the record's fields are what counts."""
    source = tmp_path / "source.csv"
    source.write_bytes(b"a,b\n\xff1,\n1,\xb0\xa1\n")
    fields = (FieldSpec("a", "a", "string"), FieldSpec("b", "b", "string"))
    manifest = load(LoadPlan(fields, encoding="gb18030"), source)
    assert (manifest.rows_accepted, manifest.rows_refused) == (1, 1)
    (refused,) = pq.read_table(tmp_path / "out" / "refused.parquet").to_pylist()
    assert (refused["line"], refused["field"], refused["reason"]) == (2, "a", "encoding")
    assert refused["original"] == b"\xff1,"
