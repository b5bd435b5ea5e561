"""A load: every row is accepted or refused, with its line, field, reason and original bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from plaza_ingestion.worker.header import HeaderMismatch
from plaza_ingestion.worker.load import LoadCancelled, LoadManifest, Progress, run_load
from plaza_ingestion.worker.plan import BuildTimestamp, FieldSpec, InvalidPlan, LoadPlan
from plaza_kit.errors import FailedPrecondition

FIELDS = (
    FieldSpec("station", "Station", "string"),
    FieldSpec("year", "Year", "integer", required=True),
    FieldSpec("month", "Month", "integer", required=True),
    FieldSpec("day", "Day", "integer", required=True),
    FieldSpec("pm2_5", "PM2.5", "number", missing=("NA",)),
    FieldSpec("note", "Note", "string"),
    FieldSpec("time", "", "timestamp", required=True),
)
PLAN = LoadPlan(
    fields=FIELDS,
    key=("station", "year", "month", "day"),
    steps=(BuildTimestamp("time", "year", "month", "day"),),
)
HEADER = b"Station,Year,Month,Day,PM2.5,Note\n"


class Loaded:
    def __init__(self, manifest: LoadManifest, directory: Path) -> None:
        self.manifest = manifest
        tables = {
            name: pq.read_table(directory / f"{name}.parquet")
            for name in ("accepted", "positions", "refused")
        }
        self.accepted: list[dict[str, Any]] = tables["accepted"].to_pylist()
        self.positions: list[dict[str, int]] = tables["positions"].to_pylist()
        self.refused: list[dict[str, Any]] = tables["refused"].to_pylist()
        self.schema = tables["accepted"].schema
        assert manifest.rows_read == manifest.rows_accepted + manifest.rows_refused
        assert manifest.rows_accepted == len(self.accepted) == len(self.positions)
        assert manifest.rows_refused == len(self.refused) == sum(manifest.refused_by_reason.values())
        for file in manifest.files:
            content = (directory / file.name).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256)
        assert sorted(path.name for path in directory.iterdir()) == sorted(f.name for f in manifest.files)

    @property
    def verdicts(self) -> list[tuple[int, str | None, str, bytes]]:
        return [(row["line"], row["field"], row["reason"], row["original"]) for row in self.refused]


Load = Callable[..., Loaded]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def run(data: bytes, plan: LoadPlan = PLAN) -> Loaded:
        source, out = tmp_path / "source.csv", tmp_path / "out"
        source.write_bytes(data)
        manifest = run_load(plan, source, out, progress=lambda _: None, cancelled=lambda: False)
        assert manifest.source_bytes == len(data)
        assert manifest.source_sha256 == hashlib.sha256(data).hexdigest()
        return Loaded(manifest, out)

    return run


def test_good_rows_arrive_typed_in_order_with_their_places(load: Load) -> None:
    data = HEADER + b'A,2013,3,1,4.5,"x, ""y""\nz"\r\n\nB,2013,3,1,NA,\nB,2013,3,2,,""'
    loaded = load(data)
    assert loaded.refused == []
    first, second, third = loaded.accepted
    assert first == {
        "station": "A",
        "year": 2013,
        "month": 3,
        "day": 1,
        "pm2_5": 4.5,
        "note": 'x, "y"\nz',
        "time": datetime(2013, 2, 28, 16, tzinfo=UTC),
    }
    assert (second["pm2_5"], second["note"], third["pm2_5"], third["note"]) == (None, None, None, None)
    assert [place["line"] for place in loaded.positions] == [2, 5, 6]
    originals = [data[p["byte_offset"] : p["byte_offset"] + p["byte_length"]] for p in loaded.positions]
    assert originals == [b'A,2013,3,1,4.5,"x, ""y""\nz"', b"B,2013,3,1,NA,", b'B,2013,3,2,,""']


def test_the_staged_schema_is_the_contracts(load: Load) -> None:
    schema = load(HEADER).schema
    assert [(f.name, str(f.type), f.nullable) for f in schema] == [
        ("station", "string", False),
        ("year", "int64", False),
        ("month", "int64", False),
        ("day", "int64", False),
        ("pm2_5", "double", True),
        ("note", "string", True),
        ("time", "timestamp[us, tz=UTC]", False),
    ]


GOOD = b"A,2013,3,1,1,\n"


@pytest.mark.parametrize(
    ("bad", "field", "reason", "detail"),
    [
        (b"A,2013,3,2,1", None, "ragged", "the record has 5 fields, the header 6"),
        (b"A,2013,3,2,1,,", None, "ragged", "the record has 7 fields, the header 6"),
        (b" ", None, "ragged", "the record has 1 field, the header 6"),
        (b"A,2013,3,2,abc,", "pm2_5", "type", '"abc" is not a number'),
        (b"A,2013.5,3,2,abc,", "year", "type", '"2013.5" is not an integer'),
        (b"A,2013,3,2, 1,", "pm2_5", "type", '" 1" is not a number: spaces around it are not trimmed'),
        (b"A,,3,2,1,", "year", "required", "year is required and has no value"),
        (b",2013,3,2,1,", "station", "required", "station is required and has no value"),
        (b"A,2013,13,2,1,", "month", "step", '"13" is not a month (1 to 12)'),
        (b"A,2015,2,30,1,", "day", "step", '"2015-02" has no day "30"'),
        (b"A,2013,13,2,x,", "pm2_5", "type", '"x" is not a number'),
        (b"A,2013,3,2,1,\xe5\xff", "note", "encoding", "byte 14 of the record (0xE5) is not UTF-8"),
        (b"A,2013,3,2,1,\xff,", None, "encoding", "byte 14 of the record (0xFF) is not UTF-8"),
        (
            b'A,2013,3,2,1,6"',
            None,
            "quoting",
            "a quote stands where none may, or a quoted field is not closed (RFC 4180)",
        ),
        (b'"A,2013,3,2,1,', None, "quoting", None),
        (b"A,2013,3,1,2,again", None, "duplicate_key", "same key as line 2"),
    ],
)
def test_each_kind_of_bad_row(
    load: Load, bad: bytes, field: str | None, reason: str, detail: str | None
) -> None:
    loaded = load(HEADER + GOOD + bad + b"\r\nZ,2013,3,1,1,\n")
    assert loaded.verdicts == [(3, field, reason, bad)]
    assert loaded.manifest.refused_by_reason == {reason: 1}
    assert detail is None or loaded.refused[0]["detail"] == detail
    assert [row["station"] for row in loaded.accepted] == ["A", "Z"]
    assert [place["line"] for place in loaded.positions] == [2, 4]


def test_lines_and_originals_behind_embedded_newlines(load: Load) -> None:
    data = HEADER + b'A,2013,3,1,1,"a\nb\r\nc"\nA,x,3,2,1,"d\n\ne"\n\nA,2013,3,1,1,"f\ng"\nA,2013,3,4,1,\n'
    loaded = load(data)
    assert loaded.verdicts == [
        (5, "year", "type", b'A,x,3,2,1,"d\n\ne"'),
        (9, None, "duplicate_key", b'A,2013,3,1,1,"f\ng"'),
    ]
    assert loaded.refused[1]["detail"] == "same key as line 2"
    assert [place["line"] for place in loaded.positions] == [2, 11]


def test_the_first_acceptable_row_keeps_the_key(load: Load) -> None:
    rows = [
        b"A,2013,3,1,bad,",
        b"A,2013,3,1,1,",
        b"A,2013,3,2,1,",
        b"A,2013,3,1,2,",
        b"A,+2013,3,1,3,",
        b"A,2013,x,1,1,",
    ]
    loaded = load(HEADER + b"\n".join(rows))
    assert [(line, reason) for line, _, reason, _ in loaded.verdicts] == [
        (2, "type"),
        (5, "duplicate_key"),
        (6, "duplicate_key"),
        (7, "type"),
    ]
    assert [row["detail"] for row in loaded.refused][1:3] == ["same key as line 3"] * 2
    assert [(row["day"], row["pm2_5"]) for row in loaded.accepted] == [(1, 1.0), (2, 1.0)]


def test_a_key_of_one_field_is_named(load: Load) -> None:
    plan = LoadPlan(fields=(FieldSpec("id", "id", "string"),), key=("id",))
    loaded = load(b"id\na\na\n\nA\n", plan)
    assert loaded.verdicts == [(3, "id", "duplicate_key", b"a")]
    assert [row["id"] for row in loaded.accepted] == ["a", "A"]


def test_a_record_that_is_too_long_keeps_its_first_bytes(load: Load) -> None:
    plan = LoadPlan(fields=(FieldSpec("a", "a", "string"),), max_record_bytes=100)
    loaded = load(b"a\n" + b"x" * 100 + b"\n" + b"y" * 101 + b"\n" + b"z" * 5_000_000 + b"\nb\n", plan)
    assert loaded.verdicts == [(3, None, "too_long", b"y" * 100), (4, None, "too_long", b"z" * 100)]
    assert [row["a"] for row in loaded.accepted] == ["x" * 100, "b"]


def test_a_missing_part_makes_a_required_timestamp_missing(load: Load) -> None:
    fields = (FieldSpec("y", "y", "integer"), FieldSpec("t", "", "timestamp", required=True))
    step = BuildTimestamp("t", "y", "y", "y", zone="UTC")
    loaded = load(b'y\n1\n""\n', LoadPlan(fields=fields, steps=(step,)))
    assert loaded.verdicts == [(3, "t", "required", b'""')]
    assert loaded.refused[0]["detail"].endswith("are missing, so t cannot be built")
    optional = (fields[0], FieldSpec("t", "", "timestamp"))
    loaded = load(b'y\n1\n""\n', LoadPlan(fields=optional, steps=(step,)))
    assert [row["t"] is None for row in loaded.accepted] == [False, True]


def test_a_part_of_the_wrong_type_is_told_as_such_even_behind_its_step(load: Load) -> None:
    fields = (FieldSpec("t", "", "timestamp", required=True), FieldSpec("y", "y", "integer"))
    plan = LoadPlan(fields=fields, steps=(BuildTimestamp("t", "y", "y", "y", zone="UTC"),))
    assert load(b"y\nx\n", plan).verdicts == [(2, "y", "type", b"x")]


def test_columns_are_found_by_heading_and_others_are_ignored_and_listed(load: Load) -> None:
    plan = LoadPlan(fields=(FieldSpec("b", "乙", "integer"), FieldSpec("a", "甲", "string")))
    loaded = load('\ufeff甲,,"乙",extra,extra\nx,,1,?,?\n'.encode(), plan)
    assert loaded.accepted == [{"b": 1, "a": "x"}]
    assert loaded.manifest.ignored_columns == ("", "extra", "extra")


def test_another_delimiter_and_quote(load: Load) -> None:
    plan = LoadPlan(
        fields=(FieldSpec("a", "a", "string"), FieldSpec("b", "b", "string")), delimiter=";", quote="'"
    )
    assert load(b"a;b\n'x;''y';\"z\"\n", plan).accepted == [{"a": "x;'y", "b": '"z"'}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "The file is empty"),
        (b"\xef\xbb\xbf\n\n", "The file is empty"),
        (b"Station,Year,Month,Day,PM2.5\n", 'no column "Note"'),
        (b"Station,Year,Month,Day,PM2.5,Note,Note\n", 'more than one column "Note"'),
        (HEADER.lower(), "no column"),
        ("编号,Year".encode("gb18030") + b"\n1,2\n", "not UTF-8 (GB18030 fits)"),
        (b'a,b"c\n', "The header is no CSV record"),
    ],
)
def test_a_header_that_does_not_fit_refuses_the_batch(
    load: Load, tmp_path: Path, data: bytes, message: str
) -> None:
    with pytest.raises(HeaderMismatch) as caught:
        load(data)
    assert isinstance(caught.value, FailedPrecondition)
    assert message in caught.value.message
    assert caught.value.remedy
    assert list((tmp_path / "out").iterdir()) == []


def test_a_heading_that_differs_in_case_is_pointed_out(load: Load) -> None:
    with pytest.raises(HeaderMismatch) as caught:
        load(b"station ,Year,Month,Day,PM2.5,Note\n")
    assert '"station " is not "Station"' in caught.value.remedy
    assert caught.value.facts["found"] == "station ,Year,Month,Day,PM2.5,Note"


def many_rows(rows: int) -> bytes:
    """Rows with every kind of fault among them, over several windows."""
    lines = []
    for i in range(rows):
        day = f"S{i // 3360},{2000 + i // 336 % 10},{i // 28 % 12 + 1},{i % 28 + 1}"
        text = f'"line\n{i}"' if i % 1000 == 1 else "空" * 12
        lines.append(f"{day},{'oops' if i % 5000 == 2 else i},{text}")
        if i % 7000 == 3:
            lines.append(f'{day},0,"stray')
        if i % 9000 == 4:
            lines.append(lines[-1])
    return HEADER + "\n".join(lines).encode()


def test_many_windows_give_the_same_as_one_and_the_same_again(load: Load) -> None:
    data = many_rows(50_000)
    assert len(data) > 2_500_000
    first, second = load(data), load(data)
    assert first.manifest == second.manifest
    assert first.manifest.rows_read == 50_000 + 8 + 6
    assert first.manifest.refused_by_reason == {"type": 10, "quoting": 8, "duplicate_key": 6}
    lines = data.split(b"\n")
    for refused in first.refused:
        assert lines[refused["line"] - 1] == refused["original"].split(b"\n")[0]
    for place in first.positions[::997]:
        original = data[place["byte_offset"] : place["byte_offset"] + place["byte_length"]]
        assert lines[place["line"] - 1] == original.split(b"\n")[0]


def test_progress_grows_and_ends_at_the_end(tmp_path: Path) -> None:
    source = tmp_path / "s.csv"
    source.write_bytes(many_rows(50_000))
    seen: list[Progress] = []
    manifest = run_load(PLAN, source, tmp_path / "out", progress=seen.append, cancelled=lambda: False)
    assert len(seen) >= 3
    done = [p.bytes_done for p in seen]
    assert done == sorted(done)
    assert seen[-1] == Progress(
        source.stat().st_size, source.stat().st_size, manifest.rows_read, manifest.rows_refused
    )


def test_a_cancelled_load_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "s.csv"
    source.write_bytes(many_rows(50_000))
    seen: list[Progress] = []
    with pytest.raises(LoadCancelled):
        run_load(PLAN, source, tmp_path / "out", progress=seen.append, cancelled=lambda: len(seen) > 0)
    assert list((tmp_path / "out").iterdir()) == []


def test_what_a_killed_attempt_left_is_replaced(load: Load, tmp_path: Path) -> None:
    left = tmp_path / "out" / ".load"
    left.mkdir(parents=True)
    (left / "accepted.parquet").write_bytes(b"half")
    (tmp_path / "out" / "accepted.parquet").write_bytes(b"old")
    assert len(load(HEADER + GOOD).accepted) == 1


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"fields": (FieldSpec("A", "a", "string"),)}, "does not match"),
        ({"fields": (FieldSpec("a", "a", "text"),)}, "type 'text' of field 'a' is none of"),
        ({"fields": (FieldSpec("a", "x", "string"), FieldSpec("a", "y", "string"))}, "is used 2 times"),
        ({"fields": (FieldSpec("a", "x", "string"), FieldSpec("b", "x", "string"))}, "feeds 2 fields"),
        ({"fields": (FieldSpec("a", "a", "string"),), "key": ("b",)}, "key field 'b' is not a field"),
        ({"fields": (FieldSpec("a", "a", "string"),), "key": ("a", "a")}, "names a field twice"),
        ({"fields": (FieldSpec("a", "a", "string"), FieldSpec("t", "", "timestamp"))}, "built by 0 steps"),
        (
            {"fields": FIELDS, "steps": (BuildTimestamp("time", "year", "month", "note"),)},
            "day 'note' of step",
        ),
        (
            {"fields": FIELDS, "steps": (BuildTimestamp("note", "year", "month", "day"),)},
            "step target 'note'",
        ),
        (
            {"fields": FIELDS, "steps": (BuildTimestamp("time", "year", "month", "day", zone="Mars"),)},
            "'Mars'",
        ),
        ({"fields": (FieldSpec("file_row_number", "a", "string"),)}, "reserved"),
        ({"fields": ()}, "no field has a column"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(plan: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidPlan) as caught:
        LoadPlan(**plan)
    assert message in caught.value.message
