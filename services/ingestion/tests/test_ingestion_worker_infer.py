"""Inference: names, types, missing tokens, key and step are proposed with their reasons."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_ingestion.worker.header import HeaderMismatch
from plaza_ingestion.worker.headings import Role, field_names, role_of
from plaza_ingestion.worker.infer import FieldProposal, Proposal, infer
from plaza_ingestion.worker.load import run_load
from plaza_ingestion.worker.plan import BuildTimestamp, FieldSpec, LoadPlan
from plaza_kit.errors import InvalidArgument


def propose(tmp_path: Path, text: str | bytes) -> Proposal:
    path = tmp_path / "file.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return infer(path)


def column(tmp_path: Path, *cells: str, other: str = "1") -> FieldProposal:
    """The proposal for a column with these cells."""
    return propose(tmp_path, "x,y\n" + "".join(f"{cell},{other}\n" for cell in cells)).fields[0]


def codes(field: FieldProposal) -> list[str]:
    return [reason.code for reason in field.reasons]


@pytest.mark.parametrize(
    ("cells", "type_name", "missing"),
    [
        (("1", "-2", "+3"), "integer", ()),
        (("1", "2.5"), "number", ()),
        (("1", "1e-3", "NA"), "number", ("NA",)),
        (("-", "3", "--"), "integer", ("-", "--")),
        (("无", "3"), "integer", ("无",)),
        ((" ", "3"), "integer", (" ",)),
        (("0012", "0013"), "string", ()),
        (("0.5", "0"), "number", ()),
        (("0.0333333333333333", "12"), "number", ()),
        (("110101199003070000",), "string", ()),
        (("99999999999999999999",), "string", ()),
        (("1", "99999999999999999999.5"), "number", ()),
        (("true", "FALSE", "1"), "boolean", ()),
        (("0", "1"), "integer", ()),
        (("2024-02-29", "N/A"), "date", ("N/A",)),
        (("2024-02-30",), "string", ()),
        (("2024-02-29T00:00:00Z", "2024-02-29 08:00+08:00"), "timestamp", ()),
        (("2024-02-29 00:00:00",), "string", ()),
        (("NA", "NA"), "string", ()),
        (("NA", "north"), "string", ()),
        (("abc", "5"), "string", ()),
    ],
)
def test_types_and_missing_tokens(
    tmp_path: Path, cells: tuple[str, ...], type_name: str, missing: tuple[str, ...]
) -> None:
    field = column(tmp_path, *cells)
    assert (field.type, field.missing) == (type_name, missing)


def test_required_means_that_no_value_was_missing(tmp_path: Path) -> None:
    assert column(tmp_path, "a", "b").required
    assert not column(tmp_path, "a", "", "b").required
    assert not column(tmp_path, "1", "NA").required
    assert codes(column(tmp_path, "0012")) == ["leading_zeros", "never_missing"]
    assert codes(column(tmp_path, "110101199003070000")) == ["long_numbers", "never_missing"]
    assert codes(column(tmp_path, "", "")) == ["no_values"]


def test_a_token_of_the_files_numbers_is_missing_in_its_texts_too(tmp_path: Path) -> None:
    proposal = propose(tmp_path, "v,wd,code\n1,N,無\nNA,NA,-\n")
    assert [field.missing for field in proposal.fields] == [("NA",), ("NA",), ()]
    assert "missing_by_habit" in codes(proposal.fields[1])


def test_names() -> None:
    headings = [
        "PM2.5",
        "stationName",
        "No",
        "温度",
        "2013",
        "pm2_5",
        "",
        "PM2.5浓度",
        "file_row_number",
        "a b-c",
    ]
    assert field_names(headings) == [
        *("pm2_5", "station_name", "no", "field_4", "n_2013", "pm2_5_2", "field_7", "field_8"),
        *("file_row_number_2", "a_b_c"),
    ]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=80), max_size=8))
def test_names_are_always_names_and_different(headings: list[str]) -> None:
    names = field_names(headings)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name) for name in names)
    assert len(set(names)) == len(headings)


@pytest.mark.parametrize(
    ("heading", "role"),
    [
        ("No", Role.COUNTER),
        ("序号", Role.COUNTER),
        ("order_no", Role.IDENTIFIER),
        ("stationId", Role.IDENTIFIER),
        ("统一社会信用代码", Role.IDENTIFIER),
        ("station", Role.PLACE),
        ("监测站点", Role.PLACE),
        ("year", Role.TIME),
        ("日期", Role.TIME),
        ("PM2.5", Role.OTHER),
        ("NO2", Role.OTHER),
    ],
)
def test_roles(heading: str, role: Role) -> None:
    assert role_of(heading) is role


def test_who_and_when_make_a_key(tmp_path: Path) -> None:
    proposal = propose(tmp_path, "No,day,month,station,v\n1,1,1,A,1\n2,1,1,B,1\n3,2,1,A,1\n")
    assert proposal.key == ("station", "month", "day")
    assert proposal.key_reason.code == "who_and_when"


def test_an_identifier_is_a_key(tmp_path: Path) -> None:
    proposal = propose(tmp_path, "name,code\na,1\na,2\n")
    assert (proposal.key, proposal.key_reason.code) == (("code",), "identifier")
    assert proposal.fields[1].required


def test_the_smallest_natural_set_is_a_key(tmp_path: Path) -> None:
    proposal = propose(tmp_path, "a,b,c\nx,1,p\nx,2,p\ny,1,p\ny,2,p\n")
    assert (proposal.key, proposal.key_reason.code) == (("a", "b"), "smallest")


def test_a_row_counter_is_the_last_resort_and_says_so(tmp_path: Path) -> None:
    proposal = propose(tmp_path, "No,v\n1,a\n2,a\n3,a\n")
    assert (proposal.key, proposal.key_reason.code) == (("no",), "row_counter")
    assert "clash with the next file" in proposal.key_reason.sentence


def test_without_unique_rows_there_is_no_key(tmp_path: Path) -> None:
    assert propose(tmp_path, "a,b\nx,1\nx,1\n").key_reason.code == "none"
    assert propose(tmp_path, "a,b\n").key_reason.code == "no_rows"
    assert propose(tmp_path, "a,b\n").fields[0].required is False


def test_parts_of_a_timestamp_propose_a_step(tmp_path: Path) -> None:
    proposal = propose(tmp_path, "年,月,日,小时,v\n2013,3,1,0,1\n2013,3,1,1,1\n")
    step = BuildTimestamp("time", "field_1", "field_2", "field_3", "field_4", zone="Asia/Shanghai")
    assert proposal.steps == (step,)
    time = proposal.fields[-1]
    assert (time.name, time.source, time.type, time.required) == ("time", "", "timestamp", True)
    assert "zone_unknown" in codes(time)


@pytest.mark.parametrize("row", ["2013,13,1,0", "2013,3,1,24", "2013,3,1,", "13,3,1,0"])
def test_columns_that_only_sound_like_parts_propose_none(tmp_path: Path, row: str) -> None:
    proposal = propose(tmp_path, f"year,month,day,hour\n{row}\n")
    assert proposal.steps == () or row.endswith(",")
    if row.endswith(","):
        assert proposal.steps == ()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    text = 'a,x;"b\n;,|\t"\n1;"2"\n'.replace(",x;", ";") if delimiter == ";" else "a~b\n1~2\n3~4\n"
    proposal = propose(tmp_path, text.replace("~", delimiter))
    assert proposal.delimiter == delimiter
    assert len(proposal.fields) == 2


def test_broken_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    proposal = propose(tmp_path, b'\xef\xbb\xbfa,b\n1,2\n1\n2,3,4\n"x,1\n3,\xff\n4,5\n')
    assert (proposal.rows, proposal.ragged_rows, proposal.faulty_rows) == (2, 2, 2)
    assert proposal.encoding == "utf-8-sig"
    assert [field.type for field in proposal.fields] == ["integer", "integer"]


def test_columns_without_heading_are_left_out(tmp_path: Path) -> None:
    proposal = propose(tmp_path, "a,,\n1,2,3\n")
    assert [field.source for field in proposal.fields] == ["a"]
    assert proposal.ignored_columns == (2, 3)


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "empty"), (b"a,a\n", "more than one"), (b"\xff\xe0,b\n", "UTF-8")]
)
def test_headers_that_cannot_be_named_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(HeaderMismatch, match=message):
        propose(tmp_path, data)


def test_a_sample_must_have_rows(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("a\n1\n")
    assert infer(path, sample=1).rows == 1
    with pytest.raises(InvalidArgument):
        infer(path, sample=0)


cells = st.one_of(
    st.sampled_from(
        ["", "NA", "-", "1", "0", "007", "1.5", "true", "2024-01-01", "x", " ", "1e400", "nan", "9" * 20]
    ),
    st.integers(-9, 9).map(str),
)


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=6))
def test_a_proposal_accepts_every_row_it_rests_on(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]
) -> None:
    directory = tmp_path_factory.mktemp("propose")
    source = directory / "file.csv"
    source.write_text("year,b,c\n" + "".join(",".join(row) + "\n" for row in rows))
    proposal = infer(source)
    fields = tuple(FieldSpec(f.name, f.source, f.type, f.required, f.missing) for f in proposal.fields)
    plan = LoadPlan(fields, proposal.key, proposal.steps, proposal.delimiter)
    manifest = run_load(plan, source, directory / "out", progress=lambda _: None, cancelled=lambda: False)
    assert (manifest.rows_accepted, manifest.rows_refused) == (len(rows), 0)
