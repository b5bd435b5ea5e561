"""Declared steps from a contract to staged rows, whatever the file's format; nothing is lost on the way."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza.common.v1 import contract_pb2 as pb
from plaza_ingestion.worker.load import LoadManifest, run_load
from plaza_ingestion.worker.plan import FieldSpec, InvalidPlan, LoadPlan
from plaza_ingestion.worker.steps.declared import BuildKey, KeepLatest, ParseTime, Trim
from plaza_ingestion.worker.translate import load_plan

TYPES = {
    "station": pb.FIELD_TYPE_STRING,
    "day": pb.FIELD_TYPE_DATE,
    "seen": pb.FIELD_TYPE_TIMESTAMP,
    "sex": pb.FIELD_TYPE_INTEGER,
    "temp": pb.FIELD_TYPE_NUMBER,
    "id": pb.FIELD_TYPE_STRING,
}
HEADINGS = ("站点", "日期", "时间", "性别", "温度(℃)")


def contract(**format_: str) -> pb.Contract:
    fields = [
        pb.Field(name=name, type=type_, required=name in ("day", "id"), source_name=source)
        for (name, type_), source in zip(TYPES.items(), (*HEADINGS, ""), strict=True)
    ]
    fields[4].unit = "°F"
    codes = [pb.CodeMapping(text="男", code="1"), pb.CodeMapping(text="女", code="2")]
    steps = [
        pb.Step(name="trim-all", trim=pb.Trim()),
        pb.Step(name="no-value", map_missing=pb.MapMissing(tokens=["缺测"], fields=["temp", "sex"])),
        pb.Step(name="sexes", map_codes=pb.MapCodes(field="sex", codes=codes)),
        pb.Step(name="read-day", parse_time=pb.ParseTime(field="day", formats=["%Y年%-m月%-d日", "%Y%m%d"])),
        pb.Step(
            name="read-seen",
            parse_time=pb.ParseTime(field="seen", formats=["%Y-%m-%d %H:%M"], zone="Asia/Shanghai"),
        ),
        pb.Step(
            name="to-fahrenheit",
            convert_unit=pb.ConvertUnit(field="temp", from_unit="℃", to_unit="°F", factor="1.8", offset="32"),
        ),
        pb.Step(name="make-id", build_key=pb.BuildKey(target="id", parts=["station", "day"], separator="|")),
        pb.Step(name="newest", keep_latest=pb.KeepLatest(field="seen")),
    ]
    return pb.Contract(fields=fields, key=["id"], steps=steps, format=pb.FileFormat(**format_))


ROWS = [
    (" 东四　", "2013年3月1日", "2013-03-01 08:00", "男", "36.6"),
    ("东四", "20130301", "2013-03-01 09:30", "女", "缺测"),
    ("古城", "2013年2月30日", "2013-03-01 08:00", "男", "1"),
    ("古城", "20130302", "1986-05-04 02:30", "男", "1"),
    ("古城", "20130302", "2013-03-01 08:00", "未知", "1"),
    ("古|城", "20130302", "2013-03-01 08:00", "男", "1"),
    ("", "20130302", "2013-03-01 08:00", "男", "1"),
    ("古城", "20130302", "", " ", "\t-40 "),
    ("古城", "20130303", "", "", "热"),
]
ACCEPTED = [
    {
        "station": "东四",
        "day": date(2013, 3, 1),
        "seen": datetime(2013, 3, 1, 1, 30, tzinfo=UTC),
        "sex": 2,
        "temp": None,
        "id": "东四|2013-03-01",
    },
    {
        "station": "古城",
        "day": date(2013, 3, 2),
        "seen": None,
        "sex": None,
        "temp": -40.0,
        "id": "古城|2013-03-02",
    },
]
REFUSED = [
    (0, "id", "duplicate_key", "same key as line {1}, which has the latest seen (step newest)"),
    (2, "day", "step", '"2013年2月30日" is not a date written as %Y年%-m月%-d日 or %Y%m%d (step read-day)'),
    (
        3,
        "seen",
        "step",
        '"1986-05-04 02:30:00" does not exist in Asia/Shanghai: the clock was put forward (step read-seen)',
    ),
    (4, "sex", "step", '"未知" is not in the list of codes (step sexes)'),
    (5, "station", "step", '"古|城" holds "|", which separates the parts of id (step make-id)'),
    (6, "station", "step", "station is missing, so id cannot be built (step make-id)"),
    (8, "temp", "type", '"热" is not a number'),
]


def as_csv(path: Path, encoding: str = "utf-8") -> None:
    lines = [",".join(HEADINGS), *(",".join(row) for row in ROWS)]
    ends = ["\n", "\r\n", "\r"]
    path.write_bytes("".join(line + ends[i % 3] for i, line in enumerate(lines)).encode(encoding))


def as_xlsx(path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (HEADINGS, *ROWS):
        book.active.append(row)
    book.save(path)


def as_json(path: Path) -> None:
    path.write_text(json.dumps([dict(zip(HEADINGS, row, strict=True)) for row in ROWS], ensure_ascii=False))


def as_jsonl(path: Path) -> None:
    lines = [json.dumps(dict(zip(HEADINGS, row, strict=True)), ensure_ascii=False) for row in ROWS]
    # The record's number + 1, as if a heading were there: JSON Lines count physical lines, so one blank first.
    path.write_text("\n" + "\n".join(lines))


def as_xml(path: Path) -> None:
    names = ("a", "b", "c", "d", "e")
    rows = [
        "<r>" + "".join(f"<{n}>{escape(cell)}</{n}>" for n, cell in zip(names, row, strict=True)) + "</r>"
        for row in ROWS
    ]
    path.write_text(f"<x>{''.join(rows)}</x>")


def as_parquet(path: Path) -> None:
    columns = zip(*ROWS, strict=True)
    pq.write_table(pa.table({h: list(c) for h, c in zip(HEADINGS, columns, strict=True)}), path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "csv": as_csv,
    "xlsx": as_xlsx,
    "json": as_json,
    "jsonl": as_jsonl,
    "xml": as_xml,
    "parquet": as_parquet,
}


def staged(plan: LoadPlan, source: Path, out: Path) -> tuple[LoadManifest, dict[str, list[dict[str, Any]]]]:
    manifest = run_load(plan, source, out, progress=lambda _: None, cancelled=lambda: False)
    names = ("accepted", "positions", "refused")
    return manifest, {name: pq.read_table(out / f"{name}.parquet").to_pylist() for name in names}


def check(wanted: pb.Contract, source: Path, out: Path, where: str = "") -> None:
    manifest, found = staged(load_plan(wanted), source, out)
    lines = list(range(2, len(ROWS) + 2))
    assert manifest.rows_read == len(ROWS)
    assert found["accepted"] == ACCEPTED
    assert [row["line"] for row in found["positions"]] == [lines[1], lines[7]]
    said = [
        (row["line"], row["field"], row["reason"], row["detail"].removeprefix(where.format(row["line"])))
        for row in found["refused"]
    ]
    assert said == [
        (lines[at], field, reason, detail.replace("{1}", str(lines[1])))
        for at, field, reason, detail in REFUSED
    ]


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_goes_through_the_same_steps(kind: str, tmp_path: Path) -> None:
    source, wanted = tmp_path / "source", contract(type=kind)
    WRITERS[kind](source)
    if kind == "xml":
        for field, name in zip(wanted.fields, "abcde", strict=False):
            field.source_name = name
    check(wanted, source, tmp_path / "out")


def test_the_same_from_gb18030_with_all_line_ends_and_from_an_archive(tmp_path: Path) -> None:
    source = tmp_path / "gb.csv"
    as_csv(source, "gb18030")
    check(contract(encoding="gb18030"), source, tmp_path / "out")
    original = pq.read_table(tmp_path / "out" / "refused.parquet").column("original").to_pylist()
    assert [record.decode("gb18030") for record in original] == [",".join(ROWS[at]) for at, *_ in REFUSED]
    with zipfile.ZipFile(tmp_path / "gb.zip", "w") as archive:
        archive.write(source, "gb.csv")
    check(contract(encoding="gb18030"), tmp_path / "gb.zip", tmp_path / "zip-out", "gb.csv, line {}: ")


def test_a_step_that_fails_and_a_type_that_fails_name_the_first_field(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("a,b\nx,2013\n1,2013\n")
    fields = (FieldSpec("a", "a", "integer"), FieldSpec("b", "b", "date"))
    plan = LoadPlan(fields, steps=(ParseTime("b", ("%Y%m%d",), name="read"),))
    _, found = staged(plan, source, tmp_path / "out")
    assert [(row["field"], row["reason"]) for row in found["refused"]] == [("a", "type"), ("b", "step")]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((Trim(("gone",)),), "Trim names 'gone'"),
        ((ParseTime("a", ("%Y%m%d",)),), "no date or timestamp"),
        ((ParseTime("b", ("%Y",)),), "has no month"),
        ((ParseTime("b", ("%Y%m%d",), "UTC"),), "it has no time zone"),
        ((BuildKey("a", ("b",), "|"),), "not a string field without a column"),
        ((KeepLatest("b"),), "KeepLatest needs a key"),
    ],
)
def test_a_plan_whose_steps_do_not_fit_is_refused(steps: tuple[Any, ...], message: str) -> None:
    fields = (FieldSpec("a", "a", "string"), FieldSpec("b", "b", "date"))
    with pytest.raises(InvalidPlan, match=message):
        LoadPlan(fields, steps=steps)


LATER = st.one_of(st.none(), st.integers(0, 3))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), LATER), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_which_row_stays_does_not_depend_on_their_order_unless_they_are_as_late(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int | None]], shuffle: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("latest")
    fields = tuple(
        FieldSpec(name, name, "string" if name == "k" else "integer") for name in ("k", "at", "no")
    )
    plan = LoadPlan(fields, key=("k",), steps=(KeepLatest("at"),))
    numbered = [(key, at, number) for number, (key, at) in enumerate(rows)]
    shuffled = list(numbered)
    shuffle.shuffle(shuffled)

    def load(
        some: list[tuple[str, int | None, int]], name: str
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        source = folder / f"{name}.csv"
        lines = [f"{key},{'' if at is None else at},{number}" for key, at, number in some]
        source.write_text("k,at,no\n" + "".join(f"{line}\n" for line in lines))
        manifest, found = staged(plan, source, folder / name)
        assert manifest.rows_read == len(some)
        # Nothing is lost: each row is in one of the two, with its own line and text.
        kept = {row["line"] for row in found["positions"]}
        assert kept | {row["line"] for row in found["refused"]} == set(range(2, len(some) + 2))
        assert [row["original"].decode() for row in found["refused"]] == [
            line for at, line in enumerate(lines, 2) if at not in kept
        ]
        return {row["k"]: row for row in found["accepted"]}, found["refused"]

    here, refused = load(numbered, "given")
    there, _ = load(shuffled, "shuffled")
    assert {key: row["at"] for key, row in here.items()} == {key: row["at"] for key, row in there.items()}
    for key, row in here.items():
        values = [-1 if at is None else at for k, at, _ in numbered if k == key]
        first = next(
            number for k, at, number in numbered if k == key and (-1 if at is None else at) == max(values)
        )
        assert row["no"] == first  # among equals the first line
    stays = {f"same key as line {row['no'] + 2}, which has the latest at" for row in here.values()}
    assert {row["detail"] for row in refused} <= stays
