"""Each declared step over columns: what it does, what it refuses, and the algebra that it promises."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_ingestion.worker.convert import Column, convert
from plaza_ingestion.worker.steps.declared import BuildKey, ConvertUnit, MapCodes, MapMissing, ParseTime, Trim
from plaza_ingestion.worker.steps.identifiers import as_text, build_key
from plaza_ingestion.worker.steps.texts import BLANKS, Texts, run_texts, trim
from plaza_ingestion.worker.steps.times import TimeReader
from plaza_ingestion.worker.steps.units import convert_unit

TEXTS = st.lists(st.text(max_size=8) | st.text(st.sampled_from(BLANKS + "ab北"), max_size=6), max_size=8)


def array(texts: Sequence[str]) -> pa.StringArray:
    # With something before it: a window's column is a slice.
    return pa.array(["before", *texts], pa.string()).slice(1)


def run(step: Trim | MapMissing | MapCodes, texts: Sequence[str], missing: Sequence[str] = ()) -> Texts:
    return run_texts([step], {"a": array(texts)}, {"a": missing})


def fault(column: Column, row: int) -> tuple[str, str]:
    assert column.bad[row]
    assert column.why is not None
    found = column.why(row)
    assert found is not None
    return found.field, str(found)


# Trim


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_trim_cuts_blanks_at_the_ends_alone_and_twice_is_once(texts: list[str]) -> None:
    cut = trim(array(texts))
    assert cut.to_pylist() == [text.strip(BLANKS) for text in texts]
    assert trim(cut).to_pylist() == cut.to_pylist()
    assert cut.null_count == 0


def test_blanks_are_unicodes_white_space() -> None:
    # Python's `isspace` knows four separators more, which Unicode does not call white space.
    python = {chr(sign) for sign in range(0x11_0000) if chr(sign).isspace()} - set("\x1c\x1d\x1e\x1f")
    assert set(BLANKS) == python
    assert unicodedata.name("\u3000") == "IDEOGRAPHIC SPACE"


def test_trim_reaches_the_named_fields_only() -> None:
    cells = {"a": array([" x "]), "b": array([" x "])}
    texts = run_texts([Trim(("b",))], cells, {})
    assert [texts.cells[name].to_pylist() for name in "ab"] == [[" x "], ["x"]]
    texts = run_texts([Trim(), MapMissing(("x",), ("a",))], cells, {})
    assert [texts.cells[name].to_pylist() for name in "ab"] == [[""], ["x"]]


# Missing tokens and codes


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.sets(st.text(min_size=1, max_size=3), max_size=4))
def test_tokens_become_empty_and_nothing_else_changes(texts: list[str], tokens: set[str]) -> None:
    found = run(MapMissing(tuple(tokens)), [*texts, *tokens]).cells["a"].to_pylist()
    assert found == ["" if text in tokens else text for text in [*texts, *tokens]]


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=3), st.uuids().map(str), min_size=1, max_size=6), st.data()
)
def test_codes_and_back_is_the_same_text(codes: dict[str, str], data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.sampled_from([*codes, ""]), max_size=10))
    there = run(MapCodes("a", tuple(codes.items())), texts)
    assert not there.refused
    assert there.cells["a"].to_pylist() == [codes.get(text, "") for text in texts]
    inverse = MapCodes("a", tuple((code, text) for text, code in codes.items()))
    assert run(inverse, there.cells["a"].to_pylist()).cells["a"].to_pylist() == texts


def test_a_text_without_a_code_is_refused_unless_it_may_stay() -> None:
    codes = (("男", "1"), ("女", "2"), ("-", ""))
    texts = ["男", "?", "", "NA", "女", "-"]
    refusing = run(MapCodes("a", codes), texts, missing=["NA"])
    (refused,) = refusing.refused["a"]
    assert refused.rows.tolist() == [False, True, False, False, False, False]
    assert refused.why(1) == '"?" is not in the list of codes'
    assert refusing.cells["a"].to_pylist() == ["1", "?", "", "NA", "2", ""]
    keeping = run(MapCodes("a", codes, keep_others=True), texts)
    assert not keeping.refused
    assert keeping.cells["a"].to_pylist() == ["1", "?", "", "NA", "2", ""]


def test_steps_on_texts_run_in_order() -> None:
    steps = [Trim(), MapCodes("a", (("x", "y"),), keep_others=True), MapCodes("a", (("y", "z"),))]
    texts = run_texts(steps, {"a": array([" x", "q"])}, {"a": ()})
    assert texts.cells["a"].to_pylist() == ["z", "q"]
    assert [one.rows.tolist() for one in texts.refused["a"]] == [[False, True]]


# Formats of dates and moments


def read(
    texts: Sequence[str], type_: str, *formats: str, zone: str = "", missing: tuple[str, ...] = ()
) -> Column:
    return TimeReader(ParseTime("a", formats, zone, name="read"), type_).read(array(texts), missing)


@pytest.mark.parametrize(
    ("format_", "text", "value"),
    [
        ("%Y年%-m月%-d日", "2013年3月1日", date(2013, 3, 1)),
        ("%Y年%-m月%-d日", "2013年03月11日", date(2013, 3, 11)),
        ("%Y%m%d", "20130301", date(2013, 3, 1)),
        ("%d/%m/%Y", "29/02/2016", date(2016, 2, 29)),
        ("%Y-%m-%d 00:00:00", "2013-03-01 00:00:00", date(2013, 3, 1)),
        ("%%%Y-%m-%d", "%2013-03-01", date(2013, 3, 1)),
        ("%Y-%m-%d", "0001-01-01", date(1, 1, 1)),
        ("%Y-%m-%d", "9999-12-31", date(9999, 12, 31)),
        ("%Y-%m-%d", "2013-3-1", None),
        ("%Y-%m-%d", "2015-02-29", None),
        ("%Y-%m-%d", "0000-01-01", None),
        ("%Y-%m-%d", "2013-13-01", None),
        ("%Y-%m-%d", "2013-01-00", None),
        ("%Y-%m-%d", " 2013-01-01", None),
        ("%Y-%m-%d", "2013-01-01 ", None),
        ("%Y-%m-%d", "２０１３-01-01", None),
        ("%Y-%m-%d", "20a3-01-01", None),
        ("%Y-%m-%d 00:00:00", "2013-03-01 00:00:01", None),
    ],
)
def test_dates(format_: str, text: str, value: date | None) -> None:
    column = read([text], "date", format_)
    assert column.values.to_pylist() == [value]
    assert column.bad.tolist() == [value is None]
    if value is None:
        assert fault(column, 0) == ("a", f'"{text}" is not a date written as {format_} (step read)')


@pytest.mark.parametrize(
    ("format_", "zone", "text", "value"),
    [
        ("%Y-%m-%d %H:%M", "Asia/Shanghai", "2013-03-01 08:30", datetime(2013, 3, 1, 0, 30, tzinfo=UTC)),
        ("%Y年%-m月%-d日%-H时", "Asia/Shanghai", "2013年3月1日8时", datetime(2013, 3, 1, tzinfo=UTC)),
        ("%Y/%-m/%-d %-H:%M:%S", "UTC", "2013/3/1 0:00:09", datetime(2013, 3, 1, 0, 0, 9, tzinfo=UTC)),
        ("%Y%m%d%H%M%S.%f", "UTC", "20130301000000.25", datetime(2013, 3, 1, 0, 0, 0, 250_000, tzinfo=UTC)),
        ("%Y-%m-%d", "Asia/Shanghai", "2013-03-01", datetime(2013, 2, 28, 16, tzinfo=UTC)),
        ("%Y-%m-%dT%H:%M:%S%z", "", "2013-03-01T08:00:00+0800", datetime(2013, 3, 1, tzinfo=UTC)),
        ("%Y-%m-%dT%H:%M:%S%z", "", "2013-03-01T08:00:00-05:30", datetime(2013, 3, 1, 13, 30, tzinfo=UTC)),
        ("%Y-%m-%dT%H:%M:%S%z", "Asia/Shanghai", "2013-03-01T08:00:00Z", datetime(2013, 3, 1, 8, tzinfo=UTC)),
        ("%Y-%m-%d %H:%M", "UTC", "2013-03-01 24:00", None),
        ("%Y-%m-%d %H:%M", "UTC", "2013-03-01 23:60", None),
        ("%Y-%m-%dT%H%z", "", "2013-03-01T08+24:00", None),
        ("%Y-%m-%dT%H%z", "", "2013-03-01T08z", None),
        ("%Y-%m-%dT%H%z", "", "2013-03-01T08", None),
    ],
)
def test_moments(format_: str, zone: str, text: str, value: datetime | None) -> None:
    column = read([text], "timestamp", format_, zone=zone)
    assert column.values.to_pylist() == [value]
    assert column.bad.tolist() == [value is None]


def test_formats_are_tried_in_order_and_no_value_is_no_fault() -> None:
    texts = ["03/04/2013", "13/04/2013", "04/13/2013", "", "NA", "2013"]
    column = read(texts, "date", "%d/%m/%Y", "%m/%d/%Y", missing=("NA",))
    days = [date(2013, 4, 3), date(2013, 4, 13), date(2013, 4, 13), None, None, None]
    assert column.values.to_pylist() == days
    assert column.missing.tolist() == [False, False, False, True, True, False]
    assert fault(column, 5)[1] == '"2013" is not a date written as %d/%m/%Y or %m/%d/%Y (step read)'


def test_a_local_time_that_the_clock_skips_or_repeats_is_refused() -> None:
    texts = ["1986-05-04 02:30", "1986-09-14 01:30", "1986-09-14 02:30", "0001-01-01 00:00"]
    column = read(texts, "timestamp", "%Y-%m-%d %H:%M", zone="Asia/Shanghai")
    assert column.bad.tolist() == [True, True, False, True]
    assert '"1986-05-04 02:30:00" does not exist in Asia/Shanghai' in fault(column, 0)[1]
    assert '"1986-09-14 01:30:00" exists twice in Asia/Shanghai' in fault(column, 1)[1]
    assert "outside of the years" in fault(column, 3)[1]
    assert column.values[2].as_py() == datetime(1986, 9, 13, 18, 30, tzinfo=UTC)


DATE_FORMATS = st.sampled_from(["%Y-%m-%d", "%Y%m%d", "%Y年%-m月%-d日", "%-d.%-m.%Y", "%m/%d/%Y"])


def written(moment: date | datetime, format_: str) -> str:
    """Python's own strftime, with leading zeros for the year, and `-` where the C library may not know it."""
    parts = {"%Y": f"{moment.year:04}", "%-m": str(moment.month), "%-d": str(moment.day)}
    if isinstance(moment, datetime):
        parts |= {"%-H": str(moment.hour), "%f": f"{moment.microsecond:06}"}
    for directive, text in parts.items():
        format_ = format_.replace(directive, text)
    return moment.strftime(format_)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dates(), min_size=1, max_size=10), DATE_FORMATS)
def test_a_date_that_is_written_is_read(days: list[date], format_: str) -> None:
    column = read([written(day, format_) for day in days], "date", format_)
    assert column.values.to_pylist() == days


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.datetimes(datetime(1890, 1, 2), datetime(2100, 1, 1)), min_size=1, max_size=10),  # noqa: DTZ001
    st.sampled_from(["%Y-%m-%d %H:%M:%S.%f", "%Y%m%d%H%M%S.%f", "%Y年%-m月%-d日 %-H:%M:%S,%f"]),
    st.sampled_from(["UTC", "Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe"]),
)
def test_a_moment_that_is_written_is_read_where_the_clock_shows_it_once(
    locals_: list[datetime], format_: str, zone: str
) -> None:
    column = read([written(local, format_) for local in locals_], "timestamp", format_, zone=zone)
    for row, local in enumerate(locals_):
        early, late = (local.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() for fold in (0, 1))
        assert column.bad[row] == (early != late)
        if early == late:
            assert early is not None
            assert column.values[row].as_py() == (local - early).replace(tzinfo=UTC)


@settings(max_examples=100, deadline=None)
@given(
    st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)),  # noqa: DTZ001
    st.integers(-23 * 60, 23 * 60),
    st.sampled_from(["%z", ":"]),
)
def test_an_offset_in_the_text_counts(local: datetime, minutes: int, style: str) -> None:
    moment = local.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    offset = moment.strftime("%z") if style == "%z" else moment.isoformat()[-6:]
    text = written(local, "%Y-%m-%dT%H:%M:%S") + offset
    column = read([text], "timestamp", "%Y-%m-%dT%H:%M:%S%z")
    assert column.values.to_pylist() == [moment.astimezone(UTC)]


ODD = st.text(st.sampled_from("0123456789年月日-/ :"), max_size=12)


@settings(max_examples=200, deadline=None)
@given(st.lists(ODD | st.dates().map(str), max_size=10), st.lists(DATE_FORMATS, min_size=1, max_size=3))
def test_whole_columns_read_as_one_expression_would(texts: list[str], formats: list[str]) -> None:
    digits = {"%Y": r"(?P<y>\d{4})", "%m": r"(?P<m>\d\d)", "%-m": r"(?P<m>\d\d?)"}
    digits |= {"%d": r"(?P<d>\d\d)", "%-d": r"(?P<d>\d\d?)"}

    def one(text: str) -> date | None:
        for format_ in formats:
            pattern = re.sub(r"%-?\w", lambda found: digits[found[0]], format_.replace(".", r"\."))
            if found := re.fullmatch(pattern, text, re.ASCII):
                try:
                    return date(int(found["y"]), int(found["m"]), int(found["d"]))
                except ValueError:
                    continue
        return None

    assert read(texts, "date", *formats).values.to_pylist() == [one(text) for text in texts]


# Units

DECIMALS = st.decimals(-1000, 1000, places=3).filter(bool).map(Fraction)


def numbers(*values: float | None) -> Column:
    return convert(array(["" if value is None else repr(value) for value in values]), "number")


def test_units_are_reckoned_in_decimals() -> None:
    fahrenheit = ConvertUnit("a", Fraction(9), Fraction(160), Fraction(5), "°C", "°F")
    column = convert_unit(fahrenheit, numbers(36.6, 0.1, None, -40.0, 1e300), "number")
    assert column.values.to_pylist() == [97.88, 32.18, None, -40.0, 1.8e300]
    assert column.missing.tolist() == [False, False, True, False, False]
    assert 36.6 * 9 / 5 + 32 != 97.88
    tripled = convert_unit(ConvertUnit("a", Fraction(3)), numbers(0.1), "number")
    assert tripled.values.to_pylist() == [0.3]


def test_what_a_number_cannot_hold_is_refused() -> None:
    step = ConvertUnit("a", Fraction(10**9), from_unit="t", to_unit="mg", name="to_mg")
    column = convert_unit(step, numbers(1e300, 1.0), "number")
    assert column.values.to_pylist() == [None, 1e9]
    assert fault(column, 0) == ("a", '"1e+300" t gives no finite number of mg (step to_mg)')
    whole = convert(pa.array(["9223372037", "-9223372037", "9223372036", "x"]), "integer")
    column = convert_unit(step, whole, "integer")
    assert column.values.to_pylist() == [None, None, 9_223_372_036 * 10**9, None]
    assert column.bad.tolist() == [True, True, False, True]
    assert column.why is not None
    assert column.why(3) is None  # the type refuses it
    halved = convert_unit(
        ConvertUnit("a", divisor=Fraction(2)), convert(pa.array(["3", "4"]), "integer"), "integer"
    )
    assert halved.values.to_pylist() == [None, 2]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.decimals(-999, 999, places=4).map(float)),
    DECIMALS,
    DECIMALS,
    DECIMALS,
)
def test_every_number_is_rounded_once(
    values: list[float], factor: Fraction, offset: Fraction, divisor: Fraction
) -> None:
    column = convert_unit(ConvertUnit("a", factor, offset, divisor), numbers(*values), "number")
    for value, found in zip(values, column.values.to_pylist(), strict=True):
        try:
            expected = float((Fraction(repr(value)) * factor + offset) / divisor)
        except OverflowError:
            expected = None
        assert found == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.integers(-(10**6), 10**6).filter(bool), st.integers())
def test_whole_numbers_come_back_or_are_refused(values: list[int], factor: int, offset: int) -> None:
    there = ConvertUnit("a", Fraction(factor), Fraction(offset))
    back = ConvertUnit("a", offset=Fraction(-offset), divisor=Fraction(factor))
    column = convert_unit(
        there, convert(pa.array([str(v) for v in values], pa.string()), "integer"), "integer"
    )
    fits = [-(2**63) <= value * factor + offset < 2**63 for value in values]
    assert (~column.bad).tolist() == fits
    again = convert_unit(back, column, "integer").values.to_pylist()
    assert again == [value if fit else None for value, fit in zip(values, fits, strict=True)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.decimals(-(10**6), 10**6, places=3).map(float)), DECIMALS, DECIMALS)
def test_decimals_come_back_within_the_rounding(
    values: list[float], factor: Fraction, offset: Fraction
) -> None:
    there = convert_unit(ConvertUnit("a", factor, offset), numbers(*values), "number")
    back = ConvertUnit("a", offset=-offset, divisor=factor)
    again = convert_unit(back, there, "number").values.to_pylist()
    for value, middle, found in zip(values, there.values.to_pylist(), again, strict=True):
        # One rounding each way: half a unit in the last place of the number in between, and of this one.
        slack = Fraction(abs(middle)) / abs(factor) + abs(Fraction(value))
        assert abs(Fraction(found) - Fraction(value)) <= slack / 2**52


# Keys


def texts_column(texts: Sequence[str]) -> Column:
    return convert(array(texts), "string")


PARTS = st.lists(st.tuples(*[st.text(st.sampled_from("ab|-"), max_size=3)] * 3), max_size=10)


@settings(max_examples=200, deadline=None)
@given(PARTS)
def test_different_parts_never_give_the_same_key(rows: list[tuple[str, str, str]]) -> None:
    columns = {name: texts_column([row[i] for row in rows]) for i, name in enumerate("xyz")}
    column = build_key(BuildKey("id", ("x", "y", "z"), "|"), columns)
    kept: dict[str, tuple[str, ...]] = {}
    for row, (parts, key) in enumerate(zip(rows, column.values.to_pylist(), strict=True)):
        sound = all(part and "|" not in part for part in parts)
        assert column.bad[row] == (not sound)
        assert (key is None) == (not sound)
        if key is not None:
            assert tuple(key.split("|")) == parts
            assert kept.setdefault(key, parts) == parts


def test_a_key_of_all_types_and_why_there_is_none() -> None:
    columns = {
        "station": texts_column(["东四", "a|b", "", "东四"]),
        "hour": convert(pa.array(["-7", "8", "9", "x"]), "integer"),
        "day": convert(pa.array(["2013-03-01"] * 4), "date"),
        "seen": convert(pa.array(["0090-03-01T00:00:00Z"] + ["2013-03-01T00:00:00.5Z"] * 3), "timestamp"),
        "open": convert(pa.array(["1"] * 4), "boolean"),
    }
    step = BuildKey("id", tuple(columns), "|", name="make-id")
    column = build_key(step, columns)
    assert column.values.to_pylist() == ["东四|-7|2013-03-01|0090-03-01T00:00:00Z|true", None, None, None]
    assert column.bad.tolist() == [False, True, True, False]  # the last is refused for its hour
    assert fault(column, 1) == ("station", '"a|b" holds "|", which separates the parts of id (step make-id)')
    assert fault(column, 2) == ("station", "station is missing, so id cannot be built (step make-id)")
    seen = as_text(columns["seen"].values).to_pylist()
    assert seen[1] == "2013-03-01T00:00:00.500000Z"
