"""Inference: names, types, missing tokens, key and step are proposed with their reasons."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_ingestion.worker.field_proposals import FieldProposal
from plaza_ingestion.worker.header import HeaderMismatch
from plaza_ingestion.worker.headings import Role, field_names, role_of
from plaza_ingestion.worker.infer import Proposal, infer
from plaza_ingestion.worker.load import run_load
from plaza_ingestion.worker.plan import BuildTimestamp
from plaza_ingestion.worker.steps.declared import ParseTime, Trim
from plaza_ingestion.worker.translate import load_plan, proposal_message
from plaza_kit.errors import InvalidArgument


def propose(tmp_path: Path, text: str | bytes) -> Proposal:
    path = tmp_path / "file.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return infer(path)


def column(tmp_path: Path, *cells: str, other: str = "1") -> FieldProposal:
    """The proposal for a column with these cells."""
    return propose(tmp_path, "x,y\n" + "".join(f"{cell},{other}\n" for cell in cells)).fields[0]


def reason(field: FieldProposal, code: str) -> str:
    return next(one.sentence for one in field.reasons if one.code == code)


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
        (("2024-02-29 00:00:00",), "date", ()),
        (("2024-02-29 00:00:00", "2024-02-29 00:00:01"), "timestamp", ()),
        (("25:10:00",), "string", ()),
        (("20240229", "20240301"), "integer", ()),
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
    parts = ("field_1", "field_2", "field_3", "field_4")
    step = BuildTimestamp("time", *parts, zone="Asia/Shanghai", name="build-time")
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


@pytest.mark.parametrize(
    ("heading", "title", "unit"),
    [
        ("温度(℃)", "温度", "℃"),
        ("PM2.5 (μg/m³)", "PM2.5", "μg/m³"),
        ("price [CNY]", "price", "CNY"),
        ("风速（单位：m/s）", "风速", "m/s"),
        ("面积（平方公里）", "面积", "平方公里"),
        ("flux(kg·m-2·s-1)", "flux", "kg·m-2·s-1"),
        ("数量(2020)", "数量(2020)", ""),
        ("score (A)", "score (A)", ""),
        ("name (en)", "name (en)", ""),
        ("(℃)", "(℃)", ""),
    ],
)
def test_a_unit_in_the_heading_of_numbers(tmp_path: Path, heading: str, title: str, unit: str) -> None:
    field = propose(tmp_path, f"{heading},note (m)\n1.5,a\n").fields[0]
    assert (field.source, field.title, field.unit) == (heading, title, unit)
    assert ("unit_in_heading" in codes(field)) == bool(unit)


def test_texts_have_no_unit_and_a_name_is_made_of_the_title(tmp_path: Path) -> None:
    fields = propose(tmp_path, "PM2.5 (μg/m³),note (m)\n1.5,a\n").fields
    assert [(f.name, f.title, f.unit) for f in fields] == [
        ("pm2_5", "PM2.5", "μg/m³"),
        ("note_m", "note (m)", ""),
    ]


def test_blanks_around_texts_propose_a_step(tmp_path: Path) -> None:
    proposal = propose(tmp_path, "a,b,c\n 1,x,\n2\u3000,y,z \n ,x,z\n")
    assert proposal.steps == (Trim(("a", "c"), name="trim"),)
    first, second, third = proposal.fields
    assert (first.type, first.required, first.missing) == ("integer", False, ())
    assert codes(first) == ["all_integer", "padded"]
    assert (second.required, "padded" in codes(second)) == (True, False)
    assert (third.type, third.required) == ("string", False)


@pytest.mark.parametrize(
    ("texts", "type_", "format_", "zone"),
    [
        (("2013年3月1日", "2013年03月11日"), "date", "%Y年%-m月%-d日", ""),
        (("2013/03/01", "2013/12/31"), "date", "%Y/%m/%d", ""),
        (("13/04/2013", "01/04/2013"), "date", "%d/%m/%Y", ""),
        (("2013-03-01 00:00:00",), "date", "%Y-%m-%d 00:00:00", ""),
        (("2013-03-01 08:00", "2013-3-1 9:30"), "timestamp", "%Y-%-m-%-d %-H:%-M", "Asia/Shanghai"),
        (("2013年3月1日8时5分",), "timestamp", "%Y年%-m月%-d日%-H时%-M分", "Asia/Shanghai"),
        (("2013/03/01T08:00:00+0800",), "timestamp", "%Y/%m/%dT%H:%M:%S%z", ""),
        (("20130301", "20131231"), "date", "%Y%m%d", ""),
        (("20130301083000", "NA"), "timestamp", "%Y%m%d%H%M%S", "Asia/Shanghai"),
    ],
)
def test_one_way_of_writing_times_proposes_a_step(
    tmp_path: Path, texts: tuple[str, ...], type_: str, format_: str, zone: str
) -> None:
    proposal = propose(tmp_path, "日期,v\n" + "".join(f"{text},1\n" for text in texts))
    field = proposal.fields[0]
    assert field.type == type_
    assert proposal.steps == (ParseTime("field_1", (format_,), zone, name="read-field_1"),)
    assert format_ in reason(field, "time_format")
    assert ("zone_unknown" in codes(field)) == bool(zone)


@pytest.mark.parametrize(
    ("heading", "texts"),
    [
        ("日期", ("01/02/2013", "03/04/2013")),  # day or month first?
        ("日期", ("2013年3月1日", "2013.3.1")),
        ("日期", ("2013-02-30 00:00",)),
        ("日期", ("1013-02-03 00:00",)),
        ("时间", ("1986-05-04 02:30",)),  # the clock was put forward
        ("number", ("20130301",)),
        ("日期", ("99991231",)),
        ("time", ("1362096000",)),
    ],
)
def test_what_is_not_surely_a_time_stays_what_it_is(
    tmp_path: Path, heading: str, texts: tuple[str, ...]
) -> None:
    proposal = propose(tmp_path, f"{heading},v\n" + "".join(f"{text},1\n" for text in texts))
    assert proposal.steps == ()
    assert proposal.fields[0].type in ("string", "integer")
    assert ("ambiguous_date" in codes(proposal.fields[0])) == ("01/02/2013" in texts)


def test_the_same_day_written_twice_makes_no_key(tmp_path: Path) -> None:
    assert propose(tmp_path, "日期\n2013年3月1日\n2013年03月01日\n").key == ()
    assert propose(tmp_path, "日期\n2013年3月1日\n2013年03月02日\n").key == ("field_1",)


@pytest.mark.parametrize(
    ("heading", "texts", "code_list"),
    [
        ("性别", ("1", "2", "9"), "codeLists/gb-t-2261-1"),
        ("gender", ("0", "1"), "codeLists/gb-t-2261-1"),
        ("sex", ("1", "3"), ""),
        ("w", ("1", "2"), ""),
        ("婚姻状况", ("10", "22"), "codeLists/gb-t-2261-2"),
        ("民族", ("01", "56"), "codeLists/gb-t-3304"),
        ("民族", ("01", "57"), ""),
        ("行政区划代码", ("110101", "NA", "659001"), "codeLists/gb-t-2260"),
        ("行政区划代码", ("110101", "161001"), ""),
    ],
)
def test_a_code_list_by_heading_and_values(
    tmp_path: Path, heading: str, texts: tuple[str, ...], code_list: str
) -> None:
    field = propose(tmp_path, f"{heading},v\n" + "".join(f"{text},1\n" for text in texts)).fields[0]
    assert field.code_list == code_list
    if code_list:
        assert field.type == "string"
        assert field.missing == tuple(text for text in texts if text == "NA")
        assert reason(field, "codes").startswith("looks like GB/T ")


def test_digits_of_one_length_under_a_heading_of_codes_are_text(tmp_path: Path) -> None:
    proposal = propose(tmp_path, "cityCode,code,邮编,count\n1101,1,100000,10\n1201,12,200000,20\n")
    assert [field.type for field in proposal.fields] == ["string", "integer", "string", "integer"]
    assert "every value has 4 digits" in reason(proposal.fields[0], "coded_digits")


def test_what_whoever_asks_says_is_missing_is_so_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("n,t,d\n1,a,2013年3月1日\n-999,b,-999\n3,-999,NA\n")
    proposal = infer(path, missing=["-999"])
    assert proposal.missing == ("-999",)
    types = [(field.type, field.required, field.missing) for field in proposal.fields]
    assert types == [("integer", False, ()), ("string", False, ()), ("date", False, ("NA",))]
    contract = proposal_message(proposal).contract
    assert list(contract.format.missing_values) == ["-999"]
    manifest = run_load(
        load_plan(contract), path, tmp_path / "out", progress=lambda _: None, cancelled=lambda: False
    )
    assert (manifest.rows_accepted, manifest.rows_refused) == (3, 0)


def test_the_message_carries_titles_codes_steps_and_why(tmp_path: Path) -> None:
    data = '温度(℃),性别,日期\n1.5, 1,2013年3月1日\n2,2,2013年3月2日\n3\n"x\n'
    message = proposal_message(propose(tmp_path, data.encode("gb18030")))
    temperature, sex, day = message.contract.fields
    assert (temperature.title, temperature.unit, temperature.source_name) == ("温度", "℃", "温度(℃)")
    assert sex.code_list == "codeLists/gb-t-2261-1"
    assert [step.WhichOneof("kind") for step in message.contract.steps] == ["trim", "parse_time"]
    assert [step.name for step in message.contract.steps] == ["trim", f"read-{day.name}"]
    assert (message.rows, message.ragged_rows, message.faulty_rows) == (4, 1, 1)
    assert "the file is text, cut by ','" in message.format_reasons
    assert any("GB18030" in said for said in message.format_reasons)


CELLS = ["", "NA", "-", "1", "0", "007", "1.5", "true", "2024-01-01", "x", " ", "1e400", "nan", "9" * 20]
DATES = [
    "2024年1月2日",
    "2024年01月02日",
    "2024/1/2",
    "02/01/2024",
    "20240102",
    "2024-01-02 00:00:00",
    "2024/1/2 8:05",
]
cells = st.one_of(
    st.sampled_from(CELLS),
    st.integers(-9, 9).map(str),
    st.tuples(st.sampled_from(["", " ", "\u3000"]), st.sampled_from([*CELLS, *DATES])).map("".join),
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=6))
def test_a_proposal_accepts_every_row_it_rests_on(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]
) -> None:
    directory = tmp_path_factory.mktemp("propose")
    source = directory / "file.csv"
    source.write_text("year,性别,date\n" + "".join(",".join(row) + "\n" for row in rows))
    plan = load_plan(proposal_message(infer(source, missing=["1e400"])).contract)
    manifest = run_load(plan, source, directory / "out", progress=lambda _: None, cancelled=lambda: False)
    assert (manifest.rows_accepted, manifest.rows_refused) == (len(rows), 0)
