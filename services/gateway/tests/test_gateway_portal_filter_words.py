"""Why a query cannot be read, in the reader's language: everything that the service really says has words."""

from __future__ import annotations

import pytest
from plaza_design.i18n import Language
from plaza_gateway.portal import pages
from plaza_gateway.portal.filter_words import KNOWN, why
from plaza_kit.errors import InvalidArgument
from plaza_lake.filter_text import parse_filter
from plaza_lake.order_text import parse_order
from plaza_lake.schema import Column, FieldType, TableSchema

SCHEMA = TableSchema(
    (
        Column("station", FieldType.STRING),
        Column("hour", FieldType.INTEGER),
        Column("pm2_5", FieldType.NUMBER),
        Column("valid", FieldType.BOOLEAN),
        Column("day", FieldType.DATE),
        Column("at", FieldType.TIMESTAMP),
    )
)
FILTERS = {
    "quote": 'station = "Dong',
    "sign": "hour ! 3",
    "join": "hour = 3 day = 4",
    "mixed": "hour = 3 AND hour = 4 OR hour = 5",
    "deep": "(" * 100 + "hour = 3",
    "long": "hour = " + "3" * 100_000,
    "parenthesis": "(hour = 3",
    "name": "AND",
    "operator": "hour",
    "null": "hour < null",
    "boolean": "valid < true",
    "list": 'station != ("a" OR "b")',
    "list_end": 'station = ("a" OR "b"',
    "contains": "hour:3",
    "value": "hour =",
    "integer": 'hour = "x"',
    "number": "pm2_5 = high",
    "true_false": "valid = 3",
    "date": 'day = "soon"',
    "timestamp": 'at = "2013-03-01"',
    "field": "staton = 3",
}
ORDERS = {"order": "hour down", "order_twice": "hour, hour desc"}


def refusal(key: str) -> str:
    with pytest.raises(InvalidArgument) as raised:
        if key in ORDERS:
            parse_order(ORDERS[key], SCHEMA)
        else:
            parse_filter(FILTERS[key], SCHEMA)
    return str(raised.value.message)


@pytest.mark.parametrize("key", [key for key in KNOWN if key in {**FILTERS, **ORDERS}])
def test_what_the_service_says_has_words(key: str) -> None:
    for language in Language:
        words = pages.translators()[language]
        pattern = words.pattern(f"rows.wrong.{key}")
        said = why(words, refusal(key))
        assert 'lang="en"' not in said
        fixed = pattern.rpartition("}")[2] or pattern
        assert fixed in said.unescape(), said


def test_nothing_is_left_out() -> None:
    assert set(KNOWN) == {*FILTERS, *ORDERS}


def test_the_place_is_named() -> None:
    chinese, english = pages.translators()[Language.ZH], pages.translators()[Language.EN]
    assert why(chinese, refusal("sign")) == (
        "第 6 个字符“! 3”处：这个符号没有意义。文字写在引号里：字段 = &#34;文字&#34;。"
    )
    assert why(english, refusal("value")) == "At the end: a value for hour is missing."


def test_what_is_new_stays_as_it_is_and_is_marked() -> None:
    for language, said in (
        (Language.ZH, '<span lang="en">filter, character 1 (&#39;&lt;b&gt;&#39;): odd</span>'),
        (Language.EN, "filter, character 1 (&#39;&lt;b&gt;&#39;): odd"),
    ):
        assert why(pages.translators()[language], "filter, character 1 ('<b>'): odd") == said
    assert "<b>" not in why(pages.translators()[Language.ZH], "unknown field '<b>'")
