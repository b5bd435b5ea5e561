"""Forms of texts on the engine: check digits against python-stdnum, others against the standard library."""

from __future__ import annotations

import calendar
import ipaddress
import string
import uuid
from collections.abc import Callable, Iterator
from datetime import date

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_lake.render import column, to_sql
from plaza_quality.domain.checks import TextFormat
from plaza_quality.storage.meaning.formats import has_format
from sqlglot import exp
from stdnum.cn import ric, uscc

CREDIT_SIGNS = "0123456789ABCDEFGHJKLMNPQRTUWXY"


@pytest.fixture(scope="module")
def judge() -> Iterator[Callable[[TextFormat, list[str | None]], list[bool | None]]]:
    """The verdicts of many texts in one query."""
    with duckdb.connect(config={"threads": "1"}) as connection:

        def verdicts(form: TextFormat, texts: list[str | None]) -> list[bool | None]:
            connection.register("t", pa.table({"x": pa.array(texts, pa.string())}))
            query = exp.select(exp.alias_(has_format(column("x"), form), "v")).from_("t")
            return [row[0] for row in connection.execute(to_sql(query)).fetchall()]

        yield verdicts


def with_change(text: str, at: int, sign: str) -> str:
    """One character put in, or in the place of another."""
    at %= len(text) + 1
    return text[:at] + sign + text[at + len(sign) :] if at < len(text) else text + sign


def mutated(valid: st.SearchStrategy[str], signs: str) -> st.SearchStrategy[str]:
    """Valid texts, and texts that are off by one character."""
    changed = st.builds(
        with_change, valid, st.integers(0, 40), st.sampled_from([*signs, "", "é", "𠀀", "\n", "０"])
    )
    return st.one_of(valid, changed, changed.map(lambda text: text[:-1]), valid.map(str.lower))


resident_ids = st.builds(
    lambda place, born, order: (
        (first := f"{place}{born:%Y%m%d}{order:03}") + ric.calc_check_digit(f"{first}0")
    ),
    st.sampled_from(["110101", "310101", "440106"]),
    st.dates(date(1985, 1, 1), date(2015, 12, 31)),
    st.integers(0, 999),
)
credit_codes = st.builds(
    lambda first, digits, rest: (whole := f"{first}{digits:06}{rest}") + uscc.calc_check_digit(whole),
    st.text("0123456789", min_size=2, max_size=2),
    st.integers(0, 999_999),
    st.text(CREDIT_SIGNS, min_size=9, max_size=9),
)


@settings(max_examples=15, deadline=None)
@given(texts=st.lists(mutated(resident_ids, "0123456789X -"), min_size=40, max_size=60))
def test_resident_ids_are_those_of_stdnum(judge: Callable[..., list[bool | None]], texts: list[str]) -> None:
    # stdnum forgives blanks, hyphens and small letters, and knows the places of today; the standard knows neither.
    expected = [len(text) == 18 and ric.compact(text) == text and ric.is_valid(text) for text in texts]
    assert judge(TextFormat.RESIDENT_ID, list(texts)) == expected


@settings(max_examples=15, deadline=None)
@given(texts=st.lists(mutated(credit_codes, CREDIT_SIGNS + "IOSVZ"), min_size=40, max_size=60))
def test_credit_codes_are_those_of_stdnum(judge: Callable[..., list[bool | None]], texts: list[str]) -> None:
    # stdnum asks for two digits in front; the standard has signs there (5.2: 1, 5, 9, A, N, Y …).
    expected = [uscc.compact(text) == text and uscc.is_valid(text) for text in texts]
    assert judge(TextFormat.SOCIAL_CREDIT_CODE, list(texts)) == expected


@settings(max_examples=20, deadline=None)
@given(
    numbers=st.lists(
        st.tuples(st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32)), min_size=50, max_size=50
    )
)
def test_days_are_those_of_the_calendar(
    judge: Callable[..., list[bool | None]], numbers: list[tuple[int, int, int]]
) -> None:
    texts = [f"{year:04}-{month:02}-{day:02}" for year, month, day in numbers]
    expected = [
        year >= 1 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
        for year, month, day in numbers
    ]
    assert judge(TextFormat.DATE, list(texts)) == expected
    assert judge(TextFormat.TIMESTAMP, [f"{text}T23:59:59.5+08:00" for text in texts]) == expected


def is_address(text: str, kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return "%" not in text


addresses = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda one: one.compressed),
    st.ip_addresses(v=6).map(lambda one: one.exploded.upper()),
    st.builds("::ffff:{}".format, st.ip_addresses(v=4)),
    st.lists(st.sampled_from(["0", "1f", "::", ":", "1.2.3.4", "ffff"]), max_size=9).map("".join),
)


@settings(max_examples=20, deadline=None)
@given(texts=st.lists(mutated(addresses, "0a:.g%"), min_size=40, max_size=60))
def test_addresses_are_those_of_the_standard_library(
    judge: Callable[..., list[bool | None]], texts: list[str]
) -> None:
    assert judge(TextFormat.IPV4, list(texts)) == [is_address(text, ipaddress.IPv4Address) for text in texts]
    assert judge(TextFormat.IPV6, list(texts)) == [is_address(text, ipaddress.IPv6Address) for text in texts]


@settings(max_examples=10, deadline=None)
@given(texts=st.lists(mutated(st.uuids().map(str), string.hexdigits + "-g{"), min_size=40, max_size=60))
def test_uuids_are_those_of_the_standard_library(
    judge: Callable[..., list[bool | None]], texts: list[str]
) -> None:
    def expected(text: str) -> bool:
        try:
            return str(uuid.UUID(text)) == text.lower()
        except ValueError:
            return False

    assert judge(TextFormat.UUID, list(texts)) == [expected(text) for text in texts]


EXAMPLES: dict[TextFormat, tuple[str, str]] = {
    TextFormat.RESIDENT_ID: (
        "11010119900307803X 360426199101010071",
        "11010119900307803x 110101199002300000 36042619910101007",
    ),
    TextFormat.SOCIAL_CREDIT_CODE: (
        "91110000600037341L",
        "91110000600037341A 91110000600037341l 9I110000600037341L",
    ),
    TextFormat.ORGANISATION_CODE: ("D2143569-X 60003734-1", "D2143569-0 D2143569X 60003734-2 d2143569-X"),
    TextFormat.MOBILE_PHONE: (
        "13800138000 +8619912345678 86-13800138000",
        "12800138000 1380013800 138001380000 +85213800138",
    ),
    TextFormat.PHONE: (
        "13800138000 010-65123456 (0755)26123456 65123456-801 +86-10-65123456 4008123456 400-812-3456 12345 110 95588",
        "1234567 010-1234567 0010-65123456 65123456-1234567 12 +85265123456 二三四五六七八",
    ),
    TextFormat.PLATE: (
        "京A12345 粤B12A4C 沪AD12345 浙AF1234 苏E12345D 京A1234警 粤Z1234港 粤Z1234澳 皖A1234挂 川A1234学"
        " 使014578 沪A1234领",
        "京a12345 京I12345 京AO1234 京A123456 A12345 京A1234 京AL12345 沪A1D2345 使01457 国A12345",
    ),
    TextFormat.POSTCODE: ("100000 830000 999077", "900000 10000 1000000 999079 １00000"),
    TextFormat.EMAIL: (
        "a@b.cn a.b+c@x-y.example.com o'neil@b.co",
        "a@b a@@b.cn @b.cn a@.cn a@b..cn a@-b.cn 甲@b.cn",
    ),
    TextFormat.URL: (
        "http://a https://a.b.cn/x?y=z#w HTTPS://a.cn:8080 http://[::1]:80/ http://127.0.0.1/",
        "ftp://a.cn a.cn http:// http://a.cn/<x> https://a_b http://a:123456 //a.cn javascript:alert(1)",
    ),
    TextFormat.UUID: ("123e4567-e89b-12d3-a456-426614174000", "123e4567e89b12d3a456426614174000"),
    TextFormat.IPV4: ("0.0.0.0 255.255.255.255", "256.0.0.0 01.2.3.4 1.2.3"),
    TextFormat.IPV6: (":: 1:2:3:4:5:6:7:8 fe80::1", "fe80::1%eth0 1:::2 12345::"),
    TextFormat.DATE: ("2024-02-29 0001-01-01", "2023-02-29 0000-01-01 2024-2-9 20240229"),
    TextFormat.TIMESTAMP: (
        "2024-02-29T00:00:00 2024-02-29T23:59:59.123456Z",
        "2024-02-29 2023-02-29T00:00:00 2024-02-29T24:00:00",
    ),
    TextFormat.INTEGER: ("0 -1 +7 123456789012345678901234567890", "01 1.0 - 1e5 １"),
    TextFormat.DECIMAL: ("0 -1.50 +0.001", "1. .5 01.5 1e5 1,5"),
    TextFormat.DIVISION_CODE: ("110101 110101001 110101001001", "160101 11010 1101010 000000"),
}


def test_all_forms_have_examples() -> None:
    assert EXAMPLES.keys() == set(TextFormat)


@pytest.mark.parametrize("form", TextFormat)
def test_examples(judge: Callable[..., list[bool | None]], form: TextFormat) -> None:
    good, bad = (texts.split(" ") for texts in EXAMPLES[form])
    assert dict(zip(good, judge(form, list(good)), strict=True)) == dict.fromkeys(good, True)
    assert dict(zip(bad, judge(form, list(bad)), strict=True)) == dict.fromkeys(bad, False)
    around = [f" {good[0]}", f"{good[0]}\n", f"{good[0]} ", "", "\u3000"]
    assert judge(form, [*around, None]) == [False] * len(around) + [None]
