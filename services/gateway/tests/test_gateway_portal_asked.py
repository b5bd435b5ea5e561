"""What addresses and forms ask for becomes a query that the rows API can read, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_gateway.portal.asked import OPERATORS, rows_query, search_query
from plaza_lake.filter_text import parse_filter
from plaza_lake.schema import Column, FieldType, TableSchema
from starlette.datastructures import QueryParams

SCHEMA = TableSchema((Column("a", FieldType.STRING), Column("n", FieldType.NUMBER)))


@pytest.mark.parametrize(
    ("asked", "filter"),
    [
        ("f=a&o==&v=x", 'a = "x"'),
        ("f=n&o=>=&v=-3.5", "n >= -3.5"),
        ("f=a&o=:&v=12", 'a:"12"'),
        ("f=a&o=null&v=", "a = null"),
        ("f=a&o=!null", "a != null"),
        ("f=a&o==&v=", ""),
        ("f=A B&o==&v=1", ""),
        ("f=a&o=like&v=1", ""),
        ("filter=n > 1&f=a&o==&v=x", 'n > 1 AND a = "x"'),
        ("filter=n > 1 OR n < 0&f=a&o==&v=x", '(n > 1 OR n < 0) AND a = "x"'),
        ("filter=n > 1", "n > 1"),
    ],
)
def test_conditions(asked: str, filter: str) -> None:
    pairs = [tuple(pair.split("=", 1)) for pair in asked.split("&")]
    assert rows_query(QueryParams(pairs))[0].filter == filter


@given(st.text(max_size=30), st.sampled_from(OPERATORS[:2] + OPERATORS[6:]))
def test_every_text_can_be_compared_with(value: str, operator: str) -> None:
    query, as_form = rows_query(QueryParams([("f", "a"), ("o", operator), ("v", value)]))
    assert as_form
    assert query.page == 1
    parse_filter(query.filter, SCHEMA)


def test_pages_and_columns() -> None:
    query, as_form = rows_query(QueryParams("columns=b,a,b,A&page=7"))
    assert (query.columns, query.page, as_form) == (("b", "a"), 7, False)
    assert rows_query(QueryParams("page=99999"))[0].page == 500
    assert rows_query(QueryParams("page=x"))[0].page == 1
    assert not rows_query(QueryParams(""))[0].asks


def test_choices_are_kept_once_and_in_order() -> None:
    query = search_query(
        QueryParams("licence=b&cycle=x&cycle=x&department=d&nothing=1&format=%20&page=2&q=+a++b")
    )
    assert query.chosen == (("department", "d"), ("cycle", "x"), ("licence", "b"))
    assert (query.words, query.page) == ("a b", 2)
