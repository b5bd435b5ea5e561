"""Files that are broken or hostile: a clear error or refused rows, in bounded memory and time."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_ingestion.worker.infer import infer
from plaza_ingestion.worker.load import run_load
from plaza_ingestion.worker.plan import FieldSpec, LoadPlan
from plaza_kit.errors import PlazaError

FIELDS: Final = (FieldSpec("a", "a", "string"), FieldSpec("b", "b", "integer"))
SHEET: Final = "xl/worksheets/sheet1.xml"
MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"

CHILD: Final = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
from pathlib import Path
from plaza_kit.errors import PlazaError
from plaza_ingestion.worker.load import run_load
from plaza_ingestion.worker.infer import infer
from plaza_ingestion.worker.plan import FieldSpec, LoadPlan
source, kind = Path(sys.argv[1]), sys.argv[2]
plan = LoadPlan((FieldSpec("a", "a", "string"), FieldSpec("b", "b", "integer")), type=kind)
said = []
try:
    found = run_load(plan, source, source.parent / "out", progress=lambda _: None, cancelled=lambda: False)
    said.append([found.rows_accepted, {k.value: n for k, n in found.refused_by_reason.items()}])
except PlazaError as error:
    said.append(error.reason)
try:
    infer(source, scratch=source.parent)
    said.append("proposed")
except PlazaError as error:
    said.append(error.reason)
# Not ru_maxrss, which begins with that of the process that started this one.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps([said, int(peak.split()[1]) // 1024]))
"""


def outcome(source: Path, kind: str) -> list[object]:
    """What loading and inferring end in, each in a process of its own with bounded memory and time."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(source), kind],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said, peak_mib = json.loads(done.stdout)
    assert peak_mib < 1024
    assert isinstance(said, list)
    return said


def book(rows_xml: str, **parts: str) -> bytes:
    """A workbook whose sheet has these rows, with other parts put in the place of its own."""
    empty = io.BytesIO()
    openpyxl.Workbook().save(empty)
    out = io.BytesIO()
    with zipfile.ZipFile(empty) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name in parts:
                continue
            if name == SHEET:
                new.writestr(name, f'<worksheet xmlns="{MAIN}"><sheetData>{rows_xml}</sheetData></worksheet>')
            else:
                new.writestr(name, old.read(name))
        for name, text in parts.items():
            new.writestr(name, text)
    return out.getvalue()


HEADING: Final = "".join(
    (
        "<row r='1'>",
        *(f"<c r='{name.upper()}1' t='inlineStr'><is><t>{name}</t></is></c>" for name in "ab"),
        "</row>",
    )
)
LAUGHS: Final = (
    '<!DOCTYPE l [<!ENTITY l0 "ha">'
    + "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    + "]>"
)


def zipped(name: str, size: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w") as entry:
        entry.write(b"a,b\n")
        for _ in range(size >> 20):
            entry.write(b"0" * (1 << 20))
    return out.getvalue()


def long_parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"a": ["x" * 100_000_000, "y"], "b": [1, 2]}), out)
    return out.getvalue()


def repeated_parquet() -> bytes:
    out = io.BytesIO()
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 200_000, pa.int32()), pa.array(["x" * 1_000_000]))
    pq.write_table(pa.table({"a": values, "b": [1] * 200_000}), out)
    return out.getvalue()


LONG: Final = b"x" * 100_000_000
HOSTILE: Final[dict[str, tuple[str, Callable[[], bytes], object]]] = {
    "a field of 100 MB": ("csv", lambda: b"a,b\n" + LONG + b",1\ny,2\n", [1, {"too_long": 1}]),
    "a quoted field of 100 MB": ("csv", lambda: b'a,b\n"' + LONG + b'",1\ny,2\n', [1, {"too_long": 1}]),
    "a quote that opens for 50 MB": (
        "csv",
        lambda: b'a,b\n"' + b"x,1\n" * 2_000_000,
        [1_999_999, {"quoting": 1}],
    ),
    "NUL bytes": ("csv", lambda: b"a,b\n" + b"\0" * 3_000_000 + b",1\n\0,2\n", [1, {"too_long": 1}]),
    "a line of 100 MB": ("jsonl", lambda: b'{"a":"' + LONG + b'"}\n{"a":"y"}', [1, {"too_long": 1}]),
    "a record of 100 MB": ("json", lambda: b'[{"a":"' + LONG + b'"},{"a":"y"}]', "OVERSIZED_FILE"),
    "deep arrays": ("json", lambda: b"[" * 5_000_000, "UNREADABLE_FILE"),
    "deep lines": ("jsonl", lambda: b'{"a":' * 100_000 + b"\n" + b'{"a":"y"}', [1, {"syntax": 1}]),
    "deep in a row": (
        "jsonl",
        lambda: b'{"a":' + b"[" * 900 + b"]" * 900 + b"}\n" + b'{"c":' * 900 + b"1" + b"}" * 900,
        [0, {"syntax": 2}],
    ),
    "a long number": ("jsonl", lambda: b'{"b":' + b"9" * 900_000 + b"}", [0, {"type": 1}]),
    "billion laughs": ("xml", lambda: f"{LAUGHS}<l><r><a>&l11;</a></r><r/></l>".encode(), "UNREADABLE_FILE"),
    "laughs in an attribute": (
        "xml",
        lambda: f'{LAUGHS}<l x="&l11;"><r/><r/></l>'.encode(),
        "UNREADABLE_FILE",
    ),
    "a file as entity": (
        "xml",
        lambda: b'<!DOCTYPE l [<!ENTITY e SYSTEM "file:///etc/passwd">]><l><r><a>&e;</a></r><r/></l>',
        "UNREADABLE_FILE",
    ),
    "an outer DTD": (
        "xml",
        lambda: b'<!DOCTYPE l SYSTEM "http://127.0.0.1:9/x.dtd"><l><r/><r/></l>',
        "UNREADABLE_FILE",
    ),
    "an element of 100 MB": ("xml", lambda: b"<l><r><a>" + LONG + b"</a></r><r/></l>", None),
    "a million elements in one": (
        "xml",
        lambda: b"<l><r/><r/><r>" + b"<c/>" * 8_000_000 + b"</r></l>",
        "OVERSIZED_FILE",
    ),
    "deep elements": ("xml", lambda: b"<a>" * 500_000, "UNREADABLE_FILE"),
    "a zip bomb": ("csv", lambda: zipped("a.csv", 500 << 20), "OVERSIZED_FILE"),
    "a workbook bomb": (
        "xlsx",
        lambda: book(
            HEADING, **{"xl/sharedStrings.xml": "<sst>" + "<si><t>x</t></si>" * 12_000_000 + "</sst>"}
        ),
        None,
    ),
    "a million empty cells": (
        "xlsx",
        lambda: book(HEADING + "<row r='2'>" + "<c/>" * 1_000_000 + "</row>"),
        None,
    ),
    "a column that is none": (
        "xlsx",
        lambda: book("<row r='1'><c r='ZZZZ1'><v>1</v></c></row>"),
        "UNREADABLE_FILE",
    ),
    "a row that is none": ("xlsx", lambda: book(HEADING + "<row r='999999999999'/>"), "UNREADABLE_FILE"),
    "a text that is none": (
        "xlsx",
        lambda: book(HEADING + "<row r='2'><c r='A2' t='s'><v>9</v></c></row>"),
        "UNREADABLE_FILE",
    ),
    "laughs in a sheet": (
        "xlsx",
        lambda: book(
            "", **{SHEET: f'{LAUGHS}<worksheet xmlns="{MAIN}"><sheetData>&l11;</sheetData></worksheet>'}
        ),
        "UNREADABLE_FILE",
    ),
    "an old workbook": ("xlsx", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(999), "UNREADABLE_FILE"),
    "a value of 100 MB": ("parquet", long_parquet, [1, {"too_long": 1}]),
    "a value 200,000 times": ("parquet", repeated_parquet, "OVERSIZED_FILE"),
}


@pytest.mark.integration
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_end_in_bounded_memory(name: str, tmp_path: Path) -> None:
    kind, content, expected = HOSTILE[name]
    source = tmp_path / "source"
    source.write_bytes(content())
    said = outcome(source, kind)
    assert expected is None or said[0] == expected


def samples() -> dict[str, bytes]:
    """A small sound file of each format."""
    rows = [{"a": f"空{i}", "b": i} for i in range(40)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    table = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), table)
    sheet = openpyxl.Workbook()
    assert sheet.active is not None
    sheet.active.append(["a", "b"])
    for row in rows:
        sheet.active.append([row["a"], row["b"]])
    saved = io.BytesIO()
    sheet.save(saved)
    text = "a,b\n" + "".join(f'"{row["a"]}",{row["b"]}\n' for row in rows)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x.csv", text)
        packed.writestr("y.csv", text)
    elements = "".join(f"<r><a>{row['a']}</a><b>{row['b']}</b></r>" for row in rows)
    return {
        "csv": text.encode(),
        "gb18030": text.encode("gb18030"),
        "utf-16": text.encode("utf-16"),
        "zip": archive.getvalue(),
        "json": ("[" + ",".join(lines) + "]").encode(),
        "jsonl": "\n".join(lines).encode(),
        "xml": f"<l>{elements}</l>".encode(),
        "xlsx": saved.getvalue(),
        "parquet": table.getvalue(),
    }


SAMPLES: Final = samples()


def plan_for(kind: str) -> LoadPlan:
    text = {"gb18030": "gb18030", "utf-16": "utf-16"}.get(kind, "utf-8")
    return LoadPlan(
        FIELDS, ("a",), type="csv" if kind in ("gb18030", "utf-16", "zip") else kind, encoding=text
    )


@pytest.mark.parametrize("kind", SAMPLES)
def test_sound_samples_load(kind: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(SAMPLES[kind])
    manifest = run_load(
        plan_for(kind), source, tmp_path / "out", progress=lambda _: None, cancelled=lambda: False
    )
    assert (manifest.rows_accepted, manifest.rows_refused) == (40, 40 if kind == "zip" else 0)


@pytest.mark.parametrize("kind", SAMPLES)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_cut_and_flipped_files_end_in_a_manifest_or_a_clear_error(kind: str, data: st.DataObject) -> None:
    content = bytearray(SAMPLES[kind])
    if data.draw(st.booleans(), "cut"):
        del content[data.draw(st.integers(0, len(content) - 1), "at") :]
    for _ in range(data.draw(st.integers(0, 4), "flips")):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.write_bytes(content)
        with suppress(PlazaError):
            manifest = run_load(
                plan_for(kind), source, Path(folder) / "out", progress=lambda _: None, cancelled=lambda: False
            )
            assert manifest.rows_read == manifest.rows_accepted + manifest.rows_refused
        with suppress(PlazaError):
            infer(source, scratch=Path(folder))
