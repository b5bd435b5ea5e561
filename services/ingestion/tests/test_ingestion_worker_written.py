"""What is written in the source's own words is, read again, the value again."""

from __future__ import annotations

import csv
import datetime as dt
import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plaza_ingestion.worker.load import run_load
from plaza_ingestion.worker.plan import FieldSpec, LoadPlan
from plaza_ingestion.worker.steps.declared import ConvertUnit, MapCodes, MapMissing, ParseTime, Trim
from plaza_ingestion.worker.written import cell_writer

PLAN = LoadPlan(
    fields=(
        FieldSpec("name", "名称", "string", missing=("NA",)),
        FieldSpec("kind", "类别", "string"),
        FieldSpec("grade", "等级", "integer"),
        FieldSpec("count", "计数", "integer"),
        FieldSpec("value", "数值", "number"),
        FieldSpec("mass", "质量", "number"),
        FieldSpec("flag", "标志", "boolean"),
        FieldSpec("day", "日期", "date"),
        FieldSpec("plain_day", "普通日期", "date"),
        FieldSpec("at", "时刻", "timestamp"),
        FieldSpec("plain_at", "普通时刻", "timestamp"),
    ),
    steps=(
        Trim(),
        MapMissing(("-", "——")),
        MapCodes("kind", (("工业", "01"), ("工业类", "01"), ("农业", "02")), keep_others=True),
        MapCodes("grade", (("一级", "1"), ("二级", "2"))),
        ParseTime("day", ("%Y年%-m月%-d日", "%Y%m%d")),
        ParseTime("at", ("%d/%m/%Y %H:%M", "%Y-%m-%d %H:%M:%S.%f"), "Asia/Shanghai"),
        ConvertUnit("mass", Fraction(9), Fraction(160), Fraction(5)),
        ConvertUnit("count", Fraction(12)),
    ),
)
HEADINGS = [field.source for field in PLAN.fields]
days = st.dates(min_value=dt.date(2000, 1, 1), max_value=dt.date(2030, 1, 1))
clocks = st.times()
numbers = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-1000000, max_value=1000000, places=3).map(
        str
    ),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr),
)


def maybe(cells: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(cells, st.just(""), st.just("-"))


ROWS = st.lists(
    st.tuples(
        maybe(st.sampled_from(["东城", ' 引"号', "a;b,c", "行\n尾", "😀", "NA", "0012"])),
        maybe(st.sampled_from(["工业", "工业类", "农业", "其他"])),
        maybe(st.sampled_from(["一级", "二级"])),
        maybe(st.integers(-(10**12), 10**12).map(str)),
        maybe(numbers),
        maybe(numbers),
        maybe(st.sampled_from(["true", "FALSE", "1", "0"])),
        maybe(
            st.one_of(
                days.map(lambda d: f"{d.year}年{d.month}月{d.day}日"), days.map(lambda d: f"{d:%Y%m%d}")
            )
        ),
        maybe(days.map(str)),
        maybe(
            st.one_of(
                days.map(lambda d: f"{d:%d/%m/%Y} 07:30"),
                st.tuples(days, clocks).map(lambda t: f"{t[0]} {t[1]:%H:%M:%S.%f}"),
            )
        ),
        maybe(st.tuples(days, clocks).map(lambda t: f"{t[0]}T{t[1]:%H:%M:%S.%f}+08:00")),
    ),
    min_size=1,
    max_size=20,
)


def read(folder: Path, cells: list[list[str]]) -> list[dict[str, Any]]:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([HEADINGS, *cells])
    source = folder / "in.csv"
    source.write_bytes(out.getvalue().encode())
    manifest = run_load(PLAN, source, folder / "out", progress=lambda _: None, cancelled=lambda: False)
    assert manifest.rows_read == len(cells)
    assert not manifest.refused_by_reason, manifest.refused_by_reason
    return pq.read_table(folder / "out" / manifest.files.accepted.name).to_pylist()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(ROWS)
def test_written_and_read_again(tmp_path_factory: Any, rows: list[tuple[str, ...]]) -> None:
    folder = tmp_path_factory.mktemp("written")
    values = read(folder, [list(row) for row in rows])
    writers = {field.name: cell_writer(PLAN, field) for field in PLAN.fields}
    written = [[writers[name](value) for name, value in row.items()] for row in values]
    again = read(tmp_path_factory.mktemp("again"), written)
    assert again == values


def test_the_sources_words() -> None:
    writers = {field.name: cell_writer(PLAN, field) for field in PLAN.fields}
    assert writers["kind"]("01") == "工业"
    assert writers["grade"](2) == "二级"
    assert writers["day"](dt.date(2024, 5, 6)) == "2024年5月6日"
    moment = dt.datetime(2024, 5, 6, 0, 30, tzinfo=dt.UTC)
    assert writers["at"](moment) == "06/05/2024 08:30"
    assert writers["at"](moment.replace(second=1)) == "2024-05-06 08:30:01.000000"
    assert writers["plain_at"](moment) == "2024-05-06T00:30:00Z"
    assert writers["value"](12.0) == "12"
    assert writers["value"](1e-7) == "0.0000001"
    assert writers["count"](24) == "2"
    assert writers["name"](None) == ""
